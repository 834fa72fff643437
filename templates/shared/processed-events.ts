import type { Queryable } from './database.ts';

/**
 * Call it first in the transaction of an event's effect: what is delivered twice, also at the same moment, has its effect
 * once. Needs the table `processed_events` (event_id text PRIMARY KEY, type text, processed_at timestamptz).
 * @returns whether the event is new
 */
export async function claimEvent(tx: Queryable, id: string, type: string): Promise<boolean> {
  const { rowCount } = await tx.query(
    'INSERT INTO processed_events (event_id, type) VALUES ($1, $2) ON CONFLICT (event_id) DO NOTHING',
    [id, type],
  );
  return rowCount === 1;
}

/** Ids that are older than anything that may still be delivered. @returns how many there were */
export async function forgetProcessedEvents(database: Queryable, keepDays = 30): Promise<number> {
  const { rowCount } = await database.query(
    "DELETE FROM processed_events WHERE processed_at < now() - $1 * interval '1 day'",
    [keepDays],
  );
  return rowCount ?? 0;
}
