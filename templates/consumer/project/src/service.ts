import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../../../shared/database.ts';
import { examine, type Health } from '../../../shared/health.ts';
import type { Log } from '../../../shared/log.ts';
import { applyMigrations } from '../../../shared/migrations.ts';
import { type Subscription, subscribe } from '../../../shared/postgres-bus.ts';
import { type Running, retrying } from '../../../shared/process.ts';
import { createConsumer, forgetOldEvents } from './consume.ts';
import { readTotals } from './effects.ts';
import { TOPIC } from './events.ts';

export interface ServiceOptions {
  /** For health and a look at the effect; 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  readonly databaseUrl: string;
  readonly busUrl: string;
  readonly log: Log;
}

export interface Service extends Running {
  readonly url: string;
}

const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));
/** Its consumers share the messages: start as many replicas as are needed. */
const GROUP = 'order-desk';
/** After so many tries a message goes to the dead letters, and those behind it go on. */
const MAX_ATTEMPTS = 8;
const CLEANING_MS = 3_600_000;

export async function startService({ port, host, databaseUrl, busUrl, log }: ServiceOptions): Promise<Service> {
  const stopping = new AbortController();
  const database = openDatabase(databaseUrl, log);
  const consume = createConsumer(database, log);
  const checks = { database: { probe: async () => void (await database.query('SELECT 1')) } };
  let subscription: Subscription | null = null;
  let consuming = false;

  const ready = retrying(
    async () => {
      const applied = await applyMigrations(database, MIGRATIONS);
      if (applied.length > 0) log.info('migrated', { applied });
      if (stopping.signal.aborted) return;
      subscription = subscribe(
        { url: busUrl, group: GROUP, topics: [TOPIC], maxAttempts: MAX_ATTEMPTS, log },
        async (message) => {
          await consume(message);
        },
      );
      void subscription.ready.then(() => {
        consuming = true;
        log.info('consuming', { topic: TOPIC, group: GROUP });
      });
    },
    stopping.signal,
    (error) => log.warn('the database is not ready', { error: (error as Error).message }),
  );
  const cleaning = setInterval(() => {
    forgetOldEvents(database).catch((error) => log.warn('old events stay', { error: error.message }));
  }, CLEANING_MS);

  async function answer(path: string): Promise<{ status: number; body: unknown }> {
    switch (path) {
      // Only whether the process answers: a restart would not bring a database back.
      case '/health/live':
        return { status: 200, body: { status: 'up' } satisfies Health };
      case '/health/ready': {
        const waiting = stopping.signal.aborted ? 'stopping' : consuming ? null : 'not consuming yet';
        const health: Health = waiting === null ? await examine(checks) : { status: 'down', error: waiting };
        return { status: health.status === 'down' ? 503 : 200, body: health };
      }
      case '/totals':
        return { status: 200, body: await readTotals(database) };
      default:
        return { status: 404, body: { title: 'There is nothing here.', status: 404 } };
    }
  }
  const server = createServer((request, response) => {
    const [path] = (request.url ?? '/').split('?');
    answer(path)
      .catch((error) => {
        log.warn('not answered', { path, error: (error as Error).message });
        return { status: 503, body: { title: 'The database cannot be reached.', status: 503 } };
      })
      .then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      });
  });
  server.listen(port, host);
  await once(server, 'listening');
  const url = `http://${host}:${(server.address() as AddressInfo).port}`;
  log.info('listening', { url });

  return {
    url,
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      clearInterval(cleaning);
      await ready;
      // The message under way is finished; the next ones are for the other replicas.
      await subscription?.close();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
      await database.close();
    },
  };
}
