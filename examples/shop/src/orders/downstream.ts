import { type Answer, type CallOptions, postJson } from '../common/post-json.ts';
import type { Order__Output as Order } from '../gen/shop/v1/Order.ts';

/**
 * What orders asks of inventory and payments. Each call names the order and may be repeated safely. A release has to
 * reach the version of inventory that holds the stock: `x-inventory-version` lets whatever routes it know.
 */
export interface Downstream {
  reserve(order: Order, call: CallOptions): Promise<Answer>;
  release(order: Order, inventoryVersion: string, call: CallOptions): Promise<Answer>;
  charge(order: Order, token: string, call: CallOptions): Promise<Answer>;
  refund(order: Order, call: CallOptions): Promise<Answer>;
}

export function createDownstream(inventoryUrl: string, paymentsUrl: string): Downstream {
  return {
    reserve(order, call) {
      const items = order.items.map(({ sku, quantity }) => ({ sku, quantity }));
      return postJson(`${inventoryUrl}/reserve`, { id: order.id, items }, call);
    },
    release(order, inventoryVersion, { headers, signal }) {
      const pinned = inventoryVersion ? { ...headers, 'x-inventory-version': inventoryVersion } : headers;
      return postJson(`${inventoryUrl}/release`, { id: order.id }, { headers: pinned, signal });
    },
    charge: (order, token, call) =>
      postJson(`${paymentsUrl}/charge`, { key: order.id, amount: order.total!, token }, call),
    refund: (order, call) => postJson(`${paymentsUrl}/refund`, { key: order.id }, call),
  };
}
