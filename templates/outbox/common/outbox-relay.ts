import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Queryable } from '../../shared/database.ts';
import type { Log } from '../../shared/log.ts';
import type { Broker } from './outbox-delivery.ts';
import { pollOutbox } from './outbox-polling.ts';
import { announce, backoffMs, type RelayMode, type RelayStatus } from './outbox-session.ts';
import { followWal } from './outbox-wal.ts';

export interface RelayOptions {
  readonly mode: RelayMode;
  /** Of the database with the table `outbox`. */
  readonly url: string;
  /** Relays of one name do the same work; also the name of the slot and of the publication: `[a-z0-9_]`. */
  readonly name: string;
  readonly broker: Broker;
  readonly log: Log;
  /** Refusals after which an event goes to outbox_dead_letters. Default: 5. */
  readonly maxAttempts?: number;
  /** How long published events are kept. Default: a day. */
  readonly keepMs?: number;
}

export interface Relay {
  readonly status: Readonly<RelayStatus>;
  /** Resolves when what is under way is published. */
  stop(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
const QUERY_TIMEOUT_MS = 60_000;
const SEEN_MS = 2_000;
const CLEANING_MS = 60_000;
const CLEANING_BATCH = 5_000;
const DAY_MS = 86_400_000;

/** Works until it is stopped; a database or broker that is away is waited for. */
export function startRelay(options: RelayOptions): Relay {
  const stopping = new AbortController();
  const status: RelayStatus = { mode: options.mode, role: 'connecting', published: 0, problem: null };
  const running = run(options, status, stopping.signal);
  return {
    status,
    async stop() {
      stopping.abort();
      await running;
      await options.broker.close();
    },
  };
}

async function run(options: RelayOptions, status: RelayStatus, stopping: AbortSignal): Promise<void> {
  for (let failures = 0; !stopping.aborted; ) {
    const beganMs = performance.now();
    try {
      await runSession(options, status, stopping);
    } catch (error) {
      // A session that lasted was fine.
      failures = performance.now() - beganMs > 10_000 ? 1 : failures + 1;
      status.problem = (error as Error).message;
      if (!stopping.aborted) options.log.warn('the outbox cannot be followed', { error: status.problem });
    }
    status.role = 'connecting';
    if (!stopping.aborted) await delay(backoffMs(failures), undefined, { signal: stopping }).catch(() => {});
  }
}

async function runSession(options: RelayOptions, status: RelayStatus, stopping: AbortSignal): Promise<void> {
  const { mode, url, name, broker, log, maxAttempts = 5, keepMs = DAY_MS } = options;
  const settings = {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
  };
  const client = new pg.Client({ ...settings, application_name: `${name} relay` });
  const over = new AbortController();
  const signal = AbortSignal.any([stopping, over.signal]);
  let lost: Error | null = null;
  const lose = (error: Error): void => {
    lost ??= error;
    over.abort();
  };
  client.on('error', lose);
  await client.connect();
  client.on('end', () => lose(new Error('the connection was closed')));
  let work: Promise<unknown> = Promise.resolve();
  // One after another, beside what the relay does, and not at all where that is too slow.
  let busy = false;
  const aside = (task: () => Promise<void>) => () => {
    if (busy || status.role !== 'active') return;
    busy = true;
    work = task()
      .catch(lose)
      .finally(() => {
        busy = false;
      });
  };
  // Polling has its transactions on the other connection, which nobody may come between.
  const side = new pg.Client({ ...settings, application_name: `${name} relay, aside` });
  side.on('error', lose);
  const timers: NodeJS.Timeout[] = [];
  try {
    await side.connect();
    // A relay whose machine is gone is noticed so soon, and another takes over.
    await client.query('SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3');
    const { rows } = await client.query<{ found: boolean }>("SELECT to_regclass('outbox') IS NOT NULL AS found");
    if (!rows[0].found) throw new Error('there is no table `outbox` yet: the migrations of the service make it');
    timers.push(
      setInterval(
        aside(() => announce(side, name, mode)),
        SEEN_MS,
      ),
      setInterval(
        aside(() => clean(side, keepMs)),
        CLEANING_MS,
      ),
    );
    status.problem = null;
    const delivery = { broker, log, maxAttempts };
    await (mode === 'wal' ? followWal : pollOutbox)({ url, name, client, delivery, status, signal });
    if (lost !== null && !stopping.aborted) throw lost;
  } finally {
    for (const timer of timers) clearInterval(timer);
    over.abort();
    await work;
    await Promise.all([client, side].map((each) => each.end().catch(() => {})));
  }
}

/** Deletes events that were published long ago, a few thousand at a time. */
export async function clean(client: Queryable, keepMs: number): Promise<void> {
  for (;;) {
    const { rowCount } = await client.query(
      `DELETE FROM outbox WHERE id IN (
         SELECT id FROM outbox WHERE published_at < clock_timestamp() - $1 * interval '1 millisecond'
         ORDER BY published_at LIMIT $2)`,
      [keepMs, CLEANING_BATCH],
    );
    if ((rowCount ?? 0) < CLEANING_BATCH) return;
  }
}
