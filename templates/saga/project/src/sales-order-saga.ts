import type { Inventory } from './inventory.ts';
import type { Payments } from './payments.ts';
import type { Saga } from './saga/definition.ts';
import { type NewSalesOrder, type SalesOrders, totalOf } from './sales-orders.ts';

export interface Participants {
  readonly salesOrders: SalesOrders;
  readonly inventory: Inventory;
  readonly payments: Payments;
}

/** What a sales order goes through. The saga's ID is that of the sales order. */
export interface SalesOrderInput extends NewSalesOrder {
  readonly id: string;
}

export const KIND = 'sales-order';

export function salesOrderSaga({ salesOrders, inventory, payments }: Participants): Saga<SalesOrderInput> {
  return {
    kind: KIND,
    version: 1,
    steps: [
      {
        name: 'create',
        action: (input) => salesOrders.create(input.id, input),
        compensation: (input) => salesOrders.cancel(input.id, input),
      },
      {
        name: 'reserve',
        action: ({ items }, { key, signal }) => inventory.reserve(key, items, signal),
        compensation: (_, { key, signal }) => inventory.release(key, signal),
      },
      {
        name: 'pay',
        action: (input, { key, signal }) => payments.take(key, input.customer, totalOf(input), signal),
        compensation: ({ customer }, { key, signal }) => payments.refund(key, customer, signal),
        // People wait for this one, and providers have bad minutes.
        policy: { attemptTimeoutMs: 10_000, deadlineMs: 60_000 },
      },
      {
        // Undone by the compensation of `create`, which cancels what may be confirmed.
        name: 'confirm',
        action: ({ id }) => salesOrders.confirm(id),
      },
    ],
  };
}
