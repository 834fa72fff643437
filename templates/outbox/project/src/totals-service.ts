import { type Database, openDatabase, type Queryable } from '../../../shared/database.ts';
import { examine, type Health } from '../../../shared/health.ts';
import type { Log } from '../../../shared/log.ts';
import { type BusMessage, subscribe } from '../../../shared/postgres-bus.ts';
import type { Running } from '../../../shared/process.ts';
import { claimEvent, forgetProcessedEvents } from '../../../shared/processed-events.ts';
import { continueTrace, runInTrace } from '../../../shared/trace-context.ts';
import { serveJson } from '../../common/outbox-http.ts';

export interface TotalsOptions {
  readonly port: number;
  readonly host: string;
  readonly databaseUrl: string;
  readonly busUrl: string;
  readonly log: Log;
}

const TOPIC = 'outbox.event.sales-order';
const GROUP = 'order-desk-totals';
/** After so many tries a message goes to the dead letters of the bus, and those behind it go on. */
const MAX_ATTEMPTS = 8;
const STATEMENT_TIMEOUT_MS = 10_000;
const CLEANING_MS = 3_600_000;

export async function startTotals(options: TotalsOptions): Promise<Running & { readonly url: string }> {
  const { port, host, databaseUrl, busUrl, log } = options;
  const database = openDatabase(databaseUrl, log);
  let consuming = false;
  const subscription = subscribe(
    { url: busUrl, group: GROUP, topics: [TOPIC], maxAttempts: MAX_ATTEMPTS, log },
    async (message) => {
      const { traceparent, tracestate, id, type } = message.headers;
      await runInTrace(continueTrace(traceparent, tracestate), async () => {
        const outcome = await consume(database, message);
        log.info('event', { key: message.key, id, type, attempt: message.attempt, outcome });
      });
    },
  );
  void subscription.ready.then(() => {
    consuming = true;
  });
  const checks = { database: { probe: async () => void (await database.query('SELECT 1')) } };
  const cleaning = setInterval(() => {
    forgetProcessedEvents(database).catch((error) => log.warn('old events stay', { error: error.message }));
  }, CLEANING_MS);
  const server = await serveJson(
    { port, host },
    async ({ path }) => {
      switch (path) {
        case '/health/live':
          return { status: 200, body: { status: 'up' } };
        case '/health/ready': {
          const health: Health = consuming ? await examine(checks) : { status: 'down', error: 'not consuming yet' };
          return { status: health.status === 'down' ? 503 : 200, body: health };
        }
        case '/totals':
          return { status: 200, body: await readTotals(database) };
        default:
          return { status: 404, body: { title: 'There is nothing here.', status: 404 } };
      }
    },
    (error) => log.warn('not answered', { error: (error as Error).message }),
  );
  return {
    url: server.url,
    async stop() {
      clearInterval(cleaning);
      await subscription.close();
      await server.stop();
      await database.close();
    },
  };
}

/** The effect and the note that the event had it are one transaction. If it rejects, the message comes again. */
export async function consume(
  database: Database,
  { headers, payload }: BusMessage,
): Promise<'applied' | 'duplicate' | 'ignored'> {
  const { id, type } = headers;
  if (id === undefined) throw new Error('the header `id` is missing: the event cannot be told from its repetition');
  if (type !== 'SalesOrderConfirmed') return 'ignored';
  const { total } = payload as { total?: { amount?: unknown; currency?: unknown } };
  const { amount, currency } = total ?? {};
  if (!Number.isSafeInteger(amount) || typeof currency !== 'string') throw new Error('total is not an amount of money');
  return database.transaction(async (tx) => {
    if (!(await claimEvent(tx, id, type))) return 'duplicate';
    await tx.query(
      `INSERT INTO sales_order_totals (currency, count, amount) VALUES ($1, 1, $2)
       ON CONFLICT (currency) DO UPDATE
       SET count = sales_order_totals.count + 1, amount = sales_order_totals.amount + excluded.amount`,
      [currency, amount],
    );
    return 'applied';
  }, STATEMENT_TIMEOUT_MS);
}

export async function readTotals(database: Queryable): Promise<{ currency: string; count: number; amount: number }[]> {
  const { rows } = await database.query<{ currency: string; count: string; amount: string }>(
    'SELECT currency, count, amount FROM sales_order_totals ORDER BY currency',
  );
  return rows.map(({ currency, count, amount }) => ({ currency, count: Number(count), amount: Number(amount) }));
}
