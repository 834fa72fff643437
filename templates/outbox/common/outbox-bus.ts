import pg from 'pg';
import type { Log } from '../../shared/log.ts';
import type { Broker } from './outbox-delivery.ts';

/** A statement that takes longer is given up, and its connection. */
const QUERY_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** The bus that `postgresBus()` makes. Topic, key and headers are those of Debezium's outbox event router. */
export function createBusBroker(url: string, log: Log): Broker {
  const pool = new pg.Pool({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    max: 1,
  });
  pool.on('error', (error) => log.warn('bus connection lost', { error: error.message }));
  return {
    async publish(rows) {
      await pool.query(
        // What mesh_bus.publish does, for many: one statement, so all of a batch or none, in order.
        `INSERT INTO mesh_bus.messages (topic, key, payload, headers)
         SELECT 'outbox.event.' || aggregatetype, aggregateid, payload::jsonb, headers::jsonb
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
           WITH ORDINALITY AS batch (aggregatetype, aggregateid, payload, headers, nth) ORDER BY nth`,
        [
          rows.map(({ aggregatetype }) => aggregatetype),
          rows.map(({ aggregateid }) => aggregateid),
          rows.map(({ payload }) => payload),
          rows.map(({ id, type, traceparent, tracestate }) =>
            JSON.stringify({
              id,
              type,
              ...(traceparent === null ? {} : { traceparent }),
              ...(tracestate === null ? {} : { tracestate }),
            }),
          ),
        ],
      );
    },
    // Bad data, a constraint, a limit. Whatever else it says, it may say something else later.
    refused: (error) => /^(?:22|23|54)...$/.test((error as { code?: string }).code ?? ''),
    close: () => pool.end(),
  };
}
