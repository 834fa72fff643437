import type { OrderStatus__Output as OrderStatus } from '../gen/shop/v1/OrderStatus.ts';
import type { OrderStore } from './store.ts';

const next: Partial<Record<OrderStatus, OrderStatus>> = {
  ORDER_STATUS_PAID: 'ORDER_STATUS_SHIPPED',
  ORDER_STATUS_SHIPPED: 'ORDER_STATUS_DELIVERED',
};

/** The warehouse, played by a timer: paid orders are shipped and then delivered, one step every `stepMs`. */
export async function fulfil(store: OrderStore, stepMs: number, stopping: AbortSignal): Promise<void> {
  for await (const { id, status } of store.watch('', stopping)) {
    const following = next[status];
    // An order that was cancelled meanwhile is left alone by advance().
    if (following) setTimeout(() => store.advance(id, following), stepMs).unref();
  }
}
