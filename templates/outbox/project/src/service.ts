import { fileURLToPath } from 'node:url';
import { isUnavailable, openDatabase } from '../../../shared/database.ts';
import { examine, type Health } from '../../../shared/health.ts';
import type { Log } from '../../../shared/log.ts';
import { applyMigrations } from '../../../shared/migrations.ts';
import { type Running, retrying } from '../../../shared/process.ts';
import { continueTrace, runInTrace } from '../../../shared/trace-context.ts';
import { type Answer, type Question, serveJson } from '../../common/outbox-http.ts';
import { getSalesOrder, placeSalesOrder, settleSalesOrder } from './sales-orders.ts';

export interface ServiceOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  readonly databaseUrl: string;
  readonly log: Log;
}

export interface Service extends Running {
  readonly url: string;
}

const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));

/** Sales orders over HTTP. It knows the outbox and no broker: it works while that is away, and events wait. */
export async function startService({ port, host, databaseUrl, log }: ServiceOptions): Promise<Service> {
  const stopping = new AbortController();
  const database = openDatabase(databaseUrl, log);
  const checks = { database: { probe: async () => void (await database.query('SELECT 1')) } };
  let migrated = false;

  async function answer({ method, path, body }: Question): Promise<Answer> {
    if (method === 'GET' && path === '/health/live') return { status: 200, body: { status: 'up' } };
    if (method === 'GET' && path === '/health/ready') {
      const waiting = stopping.signal.aborted ? 'stopping' : migrated ? null : 'starting';
      const health: Health = waiting === null ? await examine(checks) : { status: 'down', error: waiting };
      return { status: health.status === 'down' ? 503 : 200, body: health };
    }
    if (method === 'POST' && path === '/sales-orders') {
      const { customer, total } = (body ?? {}) as {
        customer?: unknown;
        total?: { amount?: unknown; currency?: unknown };
      };
      const { amount, currency } = total ?? {};
      if (typeof customer !== 'string' || customer === '' || customer.length > 200)
        return problem(400, 'customer must be a text of up to 200 characters');
      if (!Number.isSafeInteger(amount) || (amount as number) <= 0)
        return problem(400, 'total.amount must be a whole number above 0, in minor units');
      if (typeof currency !== 'string' || !/^[A-Z]{3}$/.test(currency))
        return problem(400, 'total.currency must be a code like EUR');
      return { status: 201, body: await placeSalesOrder(database, customer, { amount: amount as number, currency }) };
    }
    const [, id, action] = /^\/sales-orders\/([0-9a-f-]{36})(?:\/(confirm|cancel))?$/.exec(path) ?? [];
    if (id === undefined) return problem(404, 'There is nothing here.');
    if (method === 'GET' && action === undefined) {
      const found = await getSalesOrder(database, id);
      return found === undefined ? problem(404, 'There is no such sales order.') : { status: 200, body: found };
    }
    if (method !== 'POST' || action === undefined) return problem(405, 'That cannot be done with a sales order.');
    const settled = await settleSalesOrder(database, id, action === 'confirm' ? 'confirmed' : 'cancelled');
    if (settled === 'not-found') return problem(404, 'There is no such sales order.');
    if (settled === 'not-pending') return problem(409, 'It is not pending any more.');
    return { status: 200, body: settled };
  }

  const server = await serveJson(
    { port, host },
    async (question) => {
      const [traceparent, tracestate] = ['traceparent', 'tracestate'].map((name) => question.headers[name]);
      return runInTrace(continueTrace(String(traceparent ?? ''), tracestate as string | undefined), async () => {
        const outcome = await answer(question).catch((error) => {
          if (!isUnavailable(error)) throw error;
          return problem(503, 'The database cannot be reached.');
        });
        if (!question.path.startsWith('/health/'))
          log.info('request', { method: question.method, path: question.path, status: outcome.status });
        return outcome;
      });
    },
    (error) => log.error('a request failed', { error }),
  );
  log.info('listening', { url: server.url });
  const ready = retrying(
    async () => {
      const applied = await applyMigrations(database, MIGRATIONS);
      if (applied.length > 0) log.info('migrated', { applied });
      migrated = true;
    },
    stopping.signal,
    (error) => log.warn('the database is not ready', { error: (error as Error).message }),
  );

  return {
    url: server.url,
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      await server.stop();
      await ready;
      await database.close();
    },
  };
}

const problem = (status: number, title: string): Answer => ({ status, body: { title, status } });
