import type { BusMessage } from '../../../shared/postgres-bus.ts';

/** Where events about sales orders are published: Debezium's outbox event router names topics so. */
export const TOPIC = 'outbox.event.sales-order';

/** A fact, told by the service that it belongs to. `id` is the same however often it is delivered. */
export interface SalesOrderConfirmed {
  readonly id: string;
  readonly type: 'SalesOrderConfirmed';
  readonly salesOrderId: string;
  readonly at: Date;
  /** In minor units. */
  readonly total: { readonly amount: number; readonly currency: string };
}

/** Null: of a type that this consumer has no use for. @throws Error for one that is not what it should be */
export function readEvent({ headers, payload, key, publishedAt }: BusMessage): SalesOrderConfirmed | null {
  const { id, type } = headers;
  if (id === undefined || id === '')
    throw new Error('the header `id` is missing: the event cannot be told from its repetition');
  if (type !== 'SalesOrderConfirmed') return null;
  const { total } = (payload ?? {}) as { total?: { amount?: unknown; currency?: unknown } };
  const { amount, currency } = total ?? {};
  if (!Number.isSafeInteger(amount)) throw new Error('total.amount must be a whole number');
  if (typeof currency !== 'string' || !/^[A-Z]{3}$/.test(currency))
    throw new Error('total.currency must be a code like EUR');
  return { id, type, salesOrderId: key, at: publishedAt, total: { amount: amount as number, currency } };
}
