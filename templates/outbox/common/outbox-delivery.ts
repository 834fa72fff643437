import type { Queryable } from '../../shared/database.ts';
import type { Log } from '../../shared/log.ts';

/** A row of the table `outbox`; values as PostgreSQL writes them, so that nothing is lost in between. */
export interface OutboxRow {
  readonly id: string;
  readonly aggregatetype: string;
  readonly aggregateid: string;
  readonly type: string;
  /** JSON. */
  readonly payload: string;
  readonly traceparent: string | null;
  readonly tracestate: string | null;
}

export const ROW = 'id::text, aggregatetype, aggregateid, type, payload::text, traceparent, tracestate';

/** Where events go. */
export interface Broker {
  /**
   * Resolves when all are stored there for good, those of an aggregate in the order given; none is if it rejects, or it
   * is not known.
   */
  publish(rows: readonly OutboxRow[]): Promise<void>;
  /** Whether the broker refused what it was given and would again, in contrast to being away, busy or full. */
  refused(error: unknown): boolean;
  close(): Promise<void>;
}

export interface DeliveryOptions {
  readonly broker: Broker;
  readonly log: Log;
  /** Refusals after which an event goes to outbox_dead_letters. */
  readonly maxAttempts: number;
}

export interface Delivered {
  readonly published: number;
  /** To be tried again after a pause, in order. */
  readonly left: readonly OutboxRow[];
  /** Why. */
  readonly error: Error | null;
}

/**
 * Publishes rows and notes it in the outbox. Where the broker refuses, each event is tried by itself: those of other
 * aggregates pass, those behind a refused one of its aggregate wait for it.
 * @throws what the outbox's own database says
 */
export async function deliver(
  outbox: Queryable,
  rows: readonly OutboxRow[],
  options: DeliveryOptions,
): Promise<Delivered> {
  const { broker } = options;
  const failure = await broker.publish(rows).then(
    () => null,
    (error: Error) => error,
  );
  if (failure === null) {
    const ids = rows.map(({ id }) => id);
    await outbox.query('UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY ($1::uuid[])', [ids]);
    return { published: rows.length, left: [], error: null };
  }
  if (!broker.refused(failure)) return { published: 0, left: rows, error: failure };
  return rows.length === 1 ? refuse(outbox, rows[0], failure, options) : deliverSingly(outbox, rows, options);
}

async function deliverSingly(
  outbox: Queryable,
  rows: readonly OutboxRow[],
  options: DeliveryOptions,
): Promise<Delivered> {
  const left: OutboxRow[] = [];
  const blocked = new Set<string>();
  let published = 0;
  let error: Error | null = null;
  for (const [index, row] of rows.entries()) {
    const aggregate = `${row.aggregatetype}/${row.aggregateid}`;
    if (blocked.has(aggregate)) {
      left.push(row);
      continue;
    }
    const outcome = await deliver(outbox, [row], options);
    published += outcome.published;
    if (outcome.left.length === 0) continue;
    error = outcome.error;
    // The broker went away meanwhile: all that follow wait.
    if (error !== null && !options.broker.refused(error))
      return { published, left: [...left, ...rows.slice(index)], error };
    blocked.add(aggregate);
    left.push(row);
  }
  return { published, left, error };
}

async function refuse(
  outbox: Queryable,
  row: OutboxRow,
  error: Error,
  { log, maxAttempts }: DeliveryOptions,
): Promise<Delivered> {
  const { id, aggregatetype, aggregateid, type } = row;
  const { rows } = await outbox.query<{ attempts: number }>(
    'UPDATE outbox SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts',
    [id],
  );
  const attempts = rows[0]?.attempts ?? maxAttempts;
  log.warn('an event was refused', { id, aggregatetype, aggregateid, type, attempts, error: error.message });
  if (attempts < maxAttempts) return { published: 0, left: [row], error };
  await outbox.query(
    `WITH dead AS (DELETE FROM outbox WHERE id = $1 RETURNING *)
     INSERT INTO outbox_dead_letters (id, aggregatetype, aggregateid, type, payload, traceparent, tracestate, created_at, attempts, error)
     SELECT id, aggregatetype, aggregateid, type, payload, traceparent, tracestate, created_at, attempts, $2 FROM dead`,
    [id, error.message],
  );
  log.error('an event was given up: see outbox_dead_letters', { id, aggregatetype, aggregateid, type });
  return { published: 0, left: [], error: null };
}
