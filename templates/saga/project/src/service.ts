import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '../../../shared/database.ts';
import { dependenciesFrom, examine, type Health } from '../../../shared/health.ts';
import type { Log } from '../../../shared/log.ts';
import { applyMigrations } from '../../../shared/migrations.ts';
import { type Running, retrying } from '../../../shared/process.ts';
import { createApi } from './api.ts';
import { type Answer, createHttpServer } from './http.ts';
import { createInventory } from './inventory.ts';
import { createPayments } from './payments.ts';
import { createSagaEngine, type SagaEngine } from './saga/engine.ts';
import { type Participants, salesOrderSaga } from './sales-order-saga.ts';
import { createSalesOrders } from './sales-orders.ts';

export interface ServiceOptions {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  readonly databaseUrl: string;
  /** PostgreSQL schema of DBOS. */
  readonly systemSchema: string;
  /** Sagas that ended longer ago are deleted. Default: 30. */
  readonly keepDays?: number;
  /** After so long without a sign of life the sagas of a replica are taken over by others. */
  readonly leaseMs: number;
  readonly log: Log;
  readonly env?: NodeJS.ProcessEnv;
  /** Whom the saga calls; default: the modules of this project, in its own database. */
  readonly participants?: (database: Database) => Participants;
}

export interface Service extends Running {
  readonly url: string;
  readonly engine: SagaEngine;
}

const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));
/** For calls under way when the service is stopped; less than the grace of whoever stops us. */
const GRACE_MS = 3_000;
/** Between being no longer ready and refusing connections, so that whoever routes to us has noticed. */
const LINGER_MS = 250;

const CLEANING_MS = 3_600_000;

const ownParticipants = (database: Database): Participants => ({
  salesOrders: createSalesOrders(database),
  inventory: createInventory(database),
  payments: createPayments(database),
});

/** A process that is suspended in the middle of a transaction must not keep its locks, and others waiting, for longer. */
const IDLE_TRANSACTION_MS = 10_000;

function withSessionLimit(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.set('idle_in_transaction_session_timeout', String(IDLE_TRANSACTION_MS));
  return url.href;
}

/** Listens at once, is ready when its database is migrated and DBOS runs. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { port, host, systemSchema, leaseMs, keepDays = 30, log, env = {} } = options;
  const databaseUrl = withSessionLimit(options.databaseUrl);
  const stopping = new AbortController();
  const database = openDatabase(databaseUrl, log);
  const participants = (options.participants ?? ownParticipants)(database);
  const sagas = [salesOrderSaga(participants)];
  const engine = createSagaEngine({ name: 'order-desk', database, databaseUrl, systemSchema, sagas, leaseMs, log });
  const api = createApi(database, engine, participants.salesOrders);
  const checks = { database: { probe: async () => void (await database.query('SELECT 1')) }, ...dependenciesFrom(env) };
  let started = false;

  const state = (health: Health): Answer => ({ status: health.status === 'down' ? 503 : 200, body: health });
  const server = createHttpServer(
    async (request) => {
      switch (request.url.pathname) {
        // Only whether the process answers: a restart would not bring a database back.
        case '/health/live':
          return state({ status: 'up' });
        case '/health/startup':
          return state(started ? { status: 'up' } : { status: 'down', error: 'starting' });
        case '/health/ready':
          if (stopping.signal.aborted) return state({ status: 'down', error: 'stopping' });
          return state(started ? await examine(checks) : { status: 'down', error: 'starting' });
        default:
          return started ? api(request) : { status: 503, body: { title: 'It is starting.', status: 503 } };
      }
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
      if (stopping.signal.aborted) return;
      await engine.launch();
      started = true;
      log.info('ready', { replica: engine.replica });
    },
    stopping.signal,
    (error) => log.warn('the database is not ready', { error: (error as Error).message }),
  );

  const cleaning = setInterval(() => {
    if (!started) return;
    engine.forget(keepDays).catch((error) => log.warn('old sagas stay', { error: (error as Error).message }));
  }, CLEANING_MS);

  return {
    url,
    engine,
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      clearInterval(cleaning);
      await new Promise((resolve) => setTimeout(resolve, LINGER_MS));
      const cutOff = setTimeout(() => server.closeAllConnections(), GRACE_MS);
      await new Promise((resolve) => server.close(resolve));
      clearTimeout(cutOff);
      await ready;
      await engine.stop(GRACE_MS);
      await database.close();
    },
  };
}
