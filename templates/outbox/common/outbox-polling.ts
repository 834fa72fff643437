import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { type Delivered, deliver, type OutboxRow, ROW } from './outbox-delivery.ts';
import { announce, backoffMs, type RelaySession } from './outbox-session.ts';

const POLL_MS = 40;
/** Half of them: two relays share the work, and one that dies leaves the other half as it was. */
const SHARDS = 8;
const BATCH = 500;

/**
 * Asks the table for what is not published. Aggregates are spread over shards; whoever has a shard's row locked publishes
 * what waits in it, so any number of relays may do this at once and each aggregate stays in order.
 */
export async function pollOutbox({ client, name, delivery, status, signal }: RelaySession): Promise<void> {
  await announce(client, name, 'polling');
  status.role = 'active';
  let failures = 0;
  while (!signal.aborted) {
    const { rows } = await client.query<{ waiting: boolean }>(
      'SELECT EXISTS (SELECT 1 FROM outbox WHERE published_at IS NULL) AS waiting',
    );
    const delivered = rows[0].waiting
      ? await takeAndDeliver(client, (tx, batch) => deliver(tx, batch, delivery))
      : null;
    status.published += delivered?.published ?? 0;
    status.problem = delivered?.error?.message ?? null;
    failures = delivered?.error ? failures + 1 : 0;
    if (failures === 1) delivery.log.warn('events wait', { error: delivered!.error!.message });
    // Where there was something there may be more.
    const pauseMs = failures > 0 ? backoffMs(failures) : (delivered?.published ?? 0) > 0 ? 0 : POLL_MS;
    if (pauseMs > 0) await delay(pauseMs, undefined, { signal }).catch(() => {});
  }
}

/** Null: others are at all that waits. */
async function takeAndDeliver(
  client: pg.Client,
  work: (tx: pg.Client, rows: OutboxRow[]) => Promise<Delivered>,
): Promise<Delivered | null> {
  await client.query('BEGIN');
  // The shards with the oldest events.
  const shards = await client.query<{ shard: number }>(
    `SELECT s.shard FROM outbox_shards s CROSS JOIN LATERAL (
       SELECT position FROM outbox o WHERE o.shard = s.shard AND o.published_at IS NULL ORDER BY position LIMIT 1
     ) oldest ORDER BY oldest.position LIMIT $1 FOR UPDATE OF s SKIP LOCKED`,
    [SHARDS],
  );
  if (shards.rows.length === 0) {
    await client.query('COMMIT');
    return null;
  }
  // Another statement, which sees what the shards' former holders have published.
  const { rows } = await client.query<OutboxRow>(
    `SELECT ${ROW} FROM outbox WHERE shard = ANY ($1) AND published_at IS NULL ORDER BY position LIMIT $2`,
    [shards.rows.map(({ shard }) => shard), BATCH],
  );
  const delivered = rows.length === 0 ? null : await work(client, rows);
  await client.query('COMMIT');
  return delivered;
}
