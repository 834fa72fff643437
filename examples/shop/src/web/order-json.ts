import type { Order__Output as Order } from '../gen/shop/v1/Order.ts';

/** An order as the JSON API shows it. Amounts are strings of minor units, as JSON has no 64-bit integers. */
export function orderJson(order: Order): object {
  return {
    ...order,
    status: order.status.replace('ORDER_STATUS_', '').toLowerCase(),
    createdAt: isoTime(order.createdAt),
    updatedAt: isoTime(order.updatedAt),
  };
}

function isoTime(time: Order['createdAt']): string | null {
  return time && new Date(Number(time.seconds) * 1000 + time.nanos / 1e6).toISOString();
}
