import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../../../shared/database.ts';
import { dependenciesFrom, examine, type Health } from '../../../shared/health.ts';
import type { Log } from '../../../shared/log.ts';
import { applyMigrations } from '../../../shared/migrations.ts';
import { type Running, retrying } from '../../../shared/process.ts';
import { createHttpServer } from './http.ts';
import { document } from './openapi.ts';
import { createDispatch, type Output } from './operations.ts';
import { salesOrderOperations } from './sales-orders.ts';
import { createStore } from './store.ts';

export interface ServiceOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  readonly databaseUrl: string;
  readonly log: Log;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Service extends Running {
  readonly url: string;
}

const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));
/** Requests that have not ended so long after the stop began are cut off; less than the grace of whoever stops us. */
const DRAIN_MS = 4_000;
/** Between being no longer ready and refusing connections, so that whoever routes to us has noticed. */
const LINGER_MS = 250;
const KEY_CLEANING_MS = 3_600_000;

/** Listens at once, is started when its database is migrated, and ready while the database answers. */
export async function startService({ port, host, databaseUrl, log, env = {} }: ServiceOptions): Promise<Service> {
  const stopping = new AbortController();
  const database = openDatabase(databaseUrl, log);
  const store = createStore(database);
  const dispatch = createDispatch(document, salesOrderOperations(store));
  const checks = { database: { probe: async () => void (await database.query('SELECT 1')) }, ...dependenciesFrom(env) };
  let migrated = false;

  const state = (health: Health): Output => ({ status: health.status === 'down' ? 503 : 200, body: health });
  const server = createHttpServer(
    async (request) => {
      if (request.method === 'GET') {
        switch (request.url.pathname) {
          // Only whether the process answers: a restart would not bring a database back.
          case '/health/live':
            return state({ status: 'up' });
          case '/health/startup':
            return state({
              status: migrated ? 'up' : 'down',
              ...(migrated ? {} : { error: 'migrations are not applied yet' }),
            });
          case '/health/ready':
            if (stopping.signal.aborted) return state({ status: 'down', error: 'stopping' });
            return state(migrated ? await examine(checks) : { status: 'down', error: 'starting' });
          case '/openapi.json':
            return { status: 200, body: document };
        }
      }
      return dispatch(request);
    },
    log,
    stopping.signal,
  );
  server.listen(port, host);
  await once(server, 'listening');
  const url = `http://${host}:${(server.address() as AddressInfo).port}`;
  log.info('listening', { url });

  const ready = retrying(
    async () => {
      const applied = await applyMigrations(database, MIGRATIONS);
      if (applied.length > 0) log.info('migrated', { applied });
      migrated = true;
      log.info('ready');
    },
    stopping.signal,
    (error) => log.warn('the database is not ready', { error: (error as Error).message }),
  );
  const cleaning = setInterval(() => {
    store.forgetOldKeys().catch((error) => log.warn('old keys stay', { error: error.message }));
  }, KEY_CLEANING_MS);

  return {
    url,
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      clearInterval(cleaning);
      const cutOff = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
      await new Promise((resolve) => setTimeout(resolve, LINGER_MS));
      // No new connections; idle ones end, the others with their answer.
      await new Promise((resolve) => server.close(resolve));
      clearTimeout(cutOff);
      await ready;
      await database.close();
    },
  };
}
