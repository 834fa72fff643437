import type { HttpRequest } from '../src/common/http-server.ts';
import type { RunningService, StartOptions } from '../src/common/service.ts';
import { startInventory } from '../src/inventory/service.ts';
import { startOrders } from '../src/orders/service.ts';
import { startPayments } from '../src/payments/service.ts';
import { connectOrders, type OrdersClient } from '../src/web/orders-client.ts';
import { startWeb } from '../src/web/service.ts';

export interface Shop {
  web: string;
  inventory: string;
  payments: string;
  orders: OrdersClient;
  stop(): Promise<void>;
}

const quiet = { LOG_FORMAT: 'none' };

export function start(service: (options: StartOptions) => Promise<RunningService>, env = {}): Promise<RunningService> {
  return service({ port: 0, env: { ...quiet, ...env } });
}

/** The whole shop with direct addresses: no mesh anywhere. `env` goes to orders, to change what it calls. */
export async function openShop(env: Record<string, string> = {}): Promise<Shop> {
  const inventory = await start(startInventory, { MESH_INSTANCE: 'inventory-1' });
  const payments = await start(startPayments, { MESH_INSTANCE: 'payments-1' });
  const orders = await start(startOrders, {
    INVENTORY_URL: inventory.url,
    PAYMENTS_URL: payments.url,
    FULFILMENT_STEP_MS: '20',
    ...env,
  });
  const web = await start(startWeb, { ORDERS_URL: orders.url, INVENTORY_URL: inventory.url });
  const client = connectOrders(orders.url);
  return {
    web: web.url,
    inventory: inventory.url,
    payments: payments.url,
    orders: client,
    async stop() {
      client.close();
      for (const service of [web, orders, payments, inventory]) await service.stop();
    },
  };
}

/** A request as a service sees it, for calls to orders that no HTTP request stands behind. */
export function callerWith(headers: Record<string, string> = {}, signal = new AbortController().signal): HttpRequest {
  return { params: {}, headers, body: undefined, caller: '', signal };
}

// biome-ignore lint/suspicious/noExplicitAny: answers are checked field by field
export async function getJson(url: string, init?: RequestInit): Promise<{ status: number; body: any }> {
  const response = await fetch(url, init);
  return { status: response.status, body: await response.json() };
}

export function postJson(url: string, body: object, headers: Record<string, string> = {}) {
  return getJson(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

export async function available(inventory: string, sku: string): Promise<number> {
  return (await getJson(`${inventory}/stock/${sku}`)).body.available;
}
