import { randomUUID } from 'node:crypto';
import type { Queryable } from '../../shared/database.ts';
import { traceHeaders } from '../../shared/trace-context.ts';

/** A fact for others to know. */
export interface OutboxEvent {
  /** The same however often it is delivered. Default: a new one. */
  readonly id?: string;
  /** What it is about, `sales-order`: its topic is `outbox.event.sales-order`. */
  readonly aggregateType: string;
  /** Which one. Events of one aggregate are published in order. */
  readonly aggregateId: string;
  /** What happened, `SalesOrderConfirmed`. */
  readonly type: string;
  readonly payload: unknown;
}

/**
 * Part of the caller's transaction: the event is published if that commits, and never if it does not. The order of two
 * events of an aggregate is that of their transactions, so these have to exclude each other: change the aggregate's own
 * row first, or lock it (`SELECT ... FOR UPDATE`). The trace of the request goes with the event.
 * @returns the event's id
 */
export async function addToOutbox(tx: Queryable, event: OutboxEvent): Promise<string> {
  const { id = randomUUID(), aggregateType, aggregateId, type, payload } = event;
  const { traceparent, tracestate } = traceHeaders();
  await tx.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, traceparent, tracestate)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [id, aggregateType, aggregateId, type, JSON.stringify(payload), traceparent ?? null, tracestate ?? null],
  );
  return id;
}
