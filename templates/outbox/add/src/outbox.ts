import type { Queryable } from '../../../shared/database.ts';
import { addToOutbox } from '../../common/outbox.ts';

/** What order-desk tells others about a sales order. Yours to write down. */
export type SalesOrderEvent = { readonly type: 'SalesOrderChanged' } & Readonly<Record<string, unknown>>;

/**
 * Call it in the transaction that changes the sales order, after that change: the event is published if the transaction
 * commits. Topic: `outbox.event.sales-order`. @returns the event's id
 */
export function publishSalesOrder(tx: Queryable, id: string, { type, ...payload }: SalesOrderEvent): Promise<string> {
  return addToOutbox(tx, { aggregateType: 'sales-order', aggregateId: id, type, payload });
}
