import type { Database, Queryable } from '../../../shared/database.ts';
import type { Log } from '../../../shared/log.ts';
import type { BusMessage } from '../../../shared/postgres-bus.ts';
import { continueTrace, runInTrace } from '../../../shared/trace-context.ts';
import { applyEvent } from './effects.ts';
import { readEvent } from './events.ts';

export type Outcome = 'applied' | 'duplicate' | 'ignored';

const STATEMENT_TIMEOUT_MS = 10_000;

/**
 * What is done with a message. The bus delivers at least once, so the event's id goes into a table in the transaction of
 * the effect: whoever comes second, also at the same moment, finds it there. If it rejects, the message comes again.
 */
export function createConsumer(database: Database, log: Log): (message: BusMessage) => Promise<Outcome> {
  const claim = async (tx: Queryable, id: string, type: string): Promise<boolean> => {
    const { rowCount } = await tx.query(
      'INSERT INTO processed_events (event_id, type) VALUES ($1, $2) ON CONFLICT (event_id) DO NOTHING',
      [id, type],
    );
    return rowCount === 1;
  };

  const consume = async (message: BusMessage): Promise<Outcome> => {
    const event = readEvent(message);
    if (event === null) return 'ignored';
    return database.transaction(async (tx): Promise<Outcome> => {
      if (!(await claim(tx, event.id, event.type))) return 'duplicate';
      await applyEvent(tx, event);
      return 'applied';
    }, STATEMENT_TIMEOUT_MS);
  };

  return (message) => {
    const { traceparent, tracestate } = message.headers;
    return runInTrace(continueTrace(traceparent, tracestate), async () => {
      const outcome = await consume(message);
      const { topic, key, attempt, headers } = message;
      log.info('event', { topic, key, id: headers.id, type: headers.type, attempt, outcome });
      return outcome;
    });
  };
}

/** Ids that are older than anything the bus may still deliver. @returns how many there were */
export async function forgetOldEvents(database: Database, keepDays = 30): Promise<number> {
  const { rowCount } = await database.query(
    "DELETE FROM processed_events WHERE processed_at < now() - $1 * interval '1 day'",
    [keepDays],
  );
  return rowCount ?? 0;
}
