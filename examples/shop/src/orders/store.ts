import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { keepRecent } from '../common/keep-recent.ts';
import type { Order__Output as Order } from '../gen/shop/v1/Order.ts';
import type { OrderItem__Output as OrderItem } from '../gen/shop/v1/OrderItem.ts';
import type { OrderStatus__Output as OrderStatus } from '../gen/shop/v1/OrderStatus.ts';
import { isFinal, mayFollow } from './status.ts';

export interface OrderStore {
  create(items: OrderItem[]): Order;
  get(id: string): Order | undefined;
  /** Newest first. */
  list(filter: { limit: number; status: OrderStatus }): Iterable<Order>;
  /** The order in its new status, or undefined if that may not follow the present one. */
  advance(id: string, status: OrderStatus): Order | undefined;
  /** The present state, then every change, until a signal aborts or the order is final. `id` empty: all orders. */
  watch(id: string, ...signals: AbortSignal[]): AsyncGenerator<Order>;
}

const rememberedOrders = 10_000;

/** Orders in memory; they are never changed in place. */
export function createOrderStore(now: () => Date = () => new Date()): OrderStore {
  const orders = new Map<string, Order>();
  const changes = new EventEmitter<{ change: [Order] }>().setMaxListeners(0);

  function put(order: Order): Order {
    orders.set(order.id, order);
    keepRecent(orders, rememberedOrders);
    changes.emit('change', order);
    return order;
  }

  return {
    get: (id) => orders.get(id),

    create(items) {
      const time = timestamp(now());
      const total = items.reduce((sum, item) => sum + BigInt(item.unitPrice!.amount) * BigInt(item.quantity), 0n);
      return put({
        id: `ord-${randomUUID()}`,
        status: 'ORDER_STATUS_PENDING',
        items,
        total: { amount: total.toString(), currency: items[0].unitPrice!.currency },
        createdAt: time,
        updatedAt: time,
      });
    },

    *list({ limit, status }) {
      let left = limit || Number.POSITIVE_INFINITY;
      for (const order of [...orders.values()].reverse()) {
        if (status !== 'ORDER_STATUS_UNSPECIFIED' && order.status !== status) continue;
        if (left-- <= 0) return;
        yield order;
      }
    },

    advance(id, status) {
      const order = orders.get(id);
      if (!order || !mayFollow(order.status, status)) return undefined;
      return put({ ...order, status, updatedAt: timestamp(now()) });
    },

    async *watch(id, ...signals) {
      // Keyed by order: a reader that is slower than the changes costs one entry per order, not one per change.
      const unread = new Map<string, Order>();
      let wake = () => {};
      const onChange = (order: Order) => {
        if (id && order.id !== id) return;
        unread.set(order.id, order);
        wake();
      };
      const onAbort = () => wake();
      const aborted = () => signals.some((signal) => signal.aborted);
      changes.on('change', onChange);
      for (const signal of signals) signal.addEventListener('abort', onAbort);
      for (const order of id ? [orders.get(id)] : orders.values()) if (order) unread.set(order.id, order);
      try {
        while (!aborted()) {
          for (const [key, order] of unread) {
            unread.delete(key);
            yield order;
            if (aborted() || (id && isFinal(order.status))) return;
          }
          if (unread.size === 0 && !aborted()) await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        changes.off('change', onChange);
        for (const signal of signals) signal.removeEventListener('abort', onAbort);
      }
    },
  };
}

function timestamp(date: Date): { seconds: string; nanos: number } {
  const ms = date.getTime();
  return { seconds: Math.floor(ms / 1000).toString(), nanos: (ms % 1000) * 1e6 };
}
