import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { openDatabase } from '../../../shared/database.ts';
import type { Log } from '../../../shared/log.ts';
import { applyMigrations } from '../../../shared/migrations.ts';
import { type Running, retrying } from '../../../shared/process.ts';
import { createMethods } from './calls.ts';
import { listenForChanges } from './changes.ts';
import { logging, tracing } from './interceptors.ts';
import { salesOrderMethods } from './methods.ts';
import { definition, SalesOrderService, SERVICE_NAME } from './proto.ts';
import { createStore } from './store.ts';

export interface ServiceOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  readonly databaseUrl: string;
  readonly log: Log;
}

export interface Service extends Running {
  readonly port: number;
}

const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));
/** Longest time for a call, whatever deadline its caller has. */
const LONGEST_CALL_MS = 30_000;
/** Calls that have not ended so long after the stop began are cut off; less than the grace of whoever stops us. */
const DRAIN_MS = 4_000;
const DATABASE_CHECK_MS = 5_000;
const KEY_CLEANING_MS = 3_600_000;

/**
 * Listens at once and is healthy (SERVING) while its database answers and is migrated, so that it survives a database
 * that is away when it starts or later.
 */
export async function startService({ port, host, databaseUrl, log }: ServiceOptions): Promise<Service> {
  const draining = new AbortController();
  const database = openDatabase(databaseUrl, log);
  const store = createStore(database);
  const changes = listenForChanges(database, log);

  const health = new HealthImplementation({ '': 'NOT_SERVING', [SERVICE_NAME]: 'NOT_SERVING' });
  const setHealthy = (healthy: boolean): void => {
    for (const name of ['', SERVICE_NAME]) health.setStatus(name, healthy ? 'SERVING' : 'NOT_SERVING');
  };
  const server = new Server({ interceptors: [tracing, logging(log)] });
  const methods = createMethods({ log, longestMs: LONGEST_CALL_MS, draining: draining.signal });
  server.addService(SalesOrderService.service, salesOrderMethods(methods, store, changes));
  health.addToServer(server);
  new ReflectionService(definition).addToServer(server);
  const boundPort = await promisify(server.bindAsync.bind(server))(
    `${host}:${port}`,
    ServerCredentials.createInsecure(),
  );
  log.info('listening', { port: boundPort });

  let timers: NodeJS.Timeout[] = [];
  const ready = retrying(
    async () => {
      const applied = await applyMigrations(database, MIGRATIONS);
      if (applied.length > 0) log.info('migrated', { applied });
      if (draining.signal.aborted) return;
      setHealthy(true);
      log.info('ready');
      timers = [
        setInterval(() => {
          const settle = (healthy: boolean) => () => void (draining.signal.aborted || setHealthy(healthy));
          database.query('SELECT 1').then(settle(true), settle(false));
        }, DATABASE_CHECK_MS),
        setInterval(() => {
          store.forgetOldKeys().catch((error) => log.warn('old keys stay', { error: error.message }));
        }, KEY_CLEANING_MS),
      ];
    },
    draining.signal,
    (error) => log.warn('the database is not ready', { error: (error as Error).message }),
  );

  return {
    port: boundPort,
    async stop() {
      if (draining.signal.aborted) return;
      setHealthy(false);
      const cutOff = setTimeout(() => server.forceShutdown(), DRAIN_MS);
      // No new calls; those in flight are finished, streams without end are ended.
      const closed = promisify(server.tryShutdown.bind(server))();
      draining.abort();
      await closed.catch(() => {});
      clearTimeout(cutOff);
      for (const timer of timers) clearInterval(timer);
      await ready;
      await changes.close();
      await database.close();
    },
  };
}
