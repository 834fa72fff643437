import type { Hop } from '../common/hop.ts';
import type { HttpRequest } from '../common/http-server.ts';
import { headersToPassOn } from '../common/pass-on.ts';
import { within } from '../common/within.ts';
import { catalogue, type Product } from './catalogue.ts';

interface StockItem {
  sku: string;
  available: number;
  deliveryDays?: number;
}

export interface ProductList {
  products: (Product & Partial<StockItem>)[];
  /** Which inventory answered; null if none did: a shop without stock figures is better than no shop. */
  servedBy: Hop | null;
}

const patienceMs = 2_000;

export async function listProducts(inventoryUrl: string, on: HttpRequest): Promise<ProductList> {
  const stock = await fetchStock(inventoryUrl, on);
  const bySku = new Map(stock?.items.map((item) => [item.sku, item]));
  return {
    products: catalogue.map((product) => ({ ...product, ...bySku.get(product.sku) })),
    servedBy: stock?.servedBy ?? null,
  };
}

async function fetchStock(url: string, on: HttpRequest): Promise<{ items: StockItem[]; servedBy: Hop } | undefined> {
  try {
    return await within(patienceMs, on.signal, async (signal) => {
      const headers = headersToPassOn((name) => on.headers[name]);
      const response = await fetch(`${url}/stock`, { headers, signal });
      return response.ok ? ((await response.json()) as { items: StockItem[]; servedBy: Hop }) : undefined;
    });
  } catch {
    return undefined;
  }
}
