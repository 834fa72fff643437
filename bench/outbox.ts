/** The relay of the template `outbox`: how soon after its commit an event is on the bus, and how many go through. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startPostgres } from '../src/runtime/resources/embedded-postgres.ts';
import { removeCluster } from '../src/runtime/resources/postgres-cluster.ts';
import { median, root } from './support/mesh.ts';
import { QUICK } from './support/quick.ts';
import { type Bench, type Figure, ms } from './support/report.ts';

const LATENCY_EVENTS = QUICK ? 20 : 300;
const EVENTS = QUICK ? 1_000 : 50_000;
const RATE_GOAL = 5_000;
/** Of /proc/<pid>/stat. */
const TICKS_PER_SECOND = 100;

type Mode = 'wal' | 'polling';

export const outbox: Bench = async () => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'mesh-bench-outbox-'));
  const dataDir = path.join(directory, 'bench');
  const started = await startPostgres({ dataDir, port: 0 });
  if (!started.ok) {
    await rm(directory, { recursive: true, force: true });
    console.log(`skipped: no PostgreSQL: ${started.problems[0].message}`);
    return null;
  }
  try {
    const figures: Figure[] = [];
    for (const mode of ['wal', 'polling'] as const)
      figures.push(...(await measure(mode, await started.value.url(mode))));
    return {
      title: 'Outbox relay',
      note: `PostgreSQL ${started.value.version} with outbox and bus, all on this machine and on its disk. Latency: from the commit of an event to the notification that the bus has it, medians of ${LATENCY_EVENTS} one after another. Throughput: ${EVENTS.toLocaleString('en')} events of 1,000 aggregates that wait; the relay is one process with one thread, and what that computes for an event beside it.`,
      figures,
    };
  } finally {
    await started.value.stop();
    await removeCluster(dataDir);
    await rm(directory, { recursive: true, force: true });
  }
};

async function measure(mode: Mode, url: string): Promise<Figure[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const file of ['outbox/project/migrations/0001_outbox.sql', 'shared/bus/migrations/0001_bus.sql'])
    await client.query(readFileSync(path.join(root, 'templates', file), 'utf8'));
  try {
    const latencies = await withRelay(mode, url, () => latency(client, url));
    const { perSecond, cpuUs } = await throughput(mode, url, client);
    const goalMs = mode === 'wal' ? 20 : 100;
    const by = mode === 'wal' ? 'by WAL' : 'by polling';
    return [
      {
        what: `commit to bus, ${by}`,
        value: `${ms(median(latencies))} (99th percentile ${ms(percentile(latencies, 0.99))})`,
        goal: `median < ${goalMs} ms`,
        met: median(latencies) < goalMs,
      },
      {
        what: `throughput, ${by}`,
        value: `${Math.round(perSecond).toLocaleString('en')} events/s${cpuUs === null ? '' : `, ${Math.round(cpuUs)} µs of the relay's processor time each`}`,
        goal: `${RATE_GOAL.toLocaleString('en')} events/s`,
        met: perSecond >= RATE_GOAL,
      },
    ];
  } finally {
    await client.end();
  }
}

async function latency(client: pg.Client, url: string): Promise<number[]> {
  const listener = new pg.Client({ connectionString: url });
  await listener.connect();
  await listener.query('LISTEN mesh_bus');
  const latencies: number[] = [];
  try {
    // The first ones find everything cold.
    for (let i = -10; i < LATENCY_EVENTS; i++) {
      const arrived = once(listener, 'notification', { signal: AbortSignal.timeout(30_000) });
      await client.query(
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ($1, 'thing', $2, 'Changed', '{}')",
        [randomUUID(), `a${i % 7}`],
      );
      const committedMs = performance.now();
      await arrived;
      if (i >= 0) latencies.push(performance.now() - committedMs);
      // At no fixed place between two polls.
      await delay(Math.random() * 50);
    }
  } finally {
    await listener.end();
  }
  return latencies;
}

async function throughput(
  mode: Mode,
  url: string,
  client: pg.Client,
): Promise<{ perSecond: number; cpuUs: number | null }> {
  await client.query('DELETE FROM outbox');
  await client.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload)
     SELECT gen_random_uuid(), 'thing', 'a' || g % 1000, 'Changed', jsonb_build_object('n', g, 'text', repeat('x', 200))
     FROM generate_series(1, $1) g`,
    [EVENTS],
  );
  return withRelay(mode, url, async (relay) => {
    const first = cpuSeconds(relay.pid!);
    const all = 'SELECT count(*) = 0 AS done FROM outbox WHERE published_at IS NULL';
    while (!(await client.query<{ done: boolean }>(all)).rows[0].done) await delay(100);
    const last = cpuSeconds(relay.pid!);
    const { rows } = await client.query<{ seconds: number }>(
      'SELECT extract(epoch FROM max(published_at) - min(published_at))::float8 AS seconds FROM outbox',
    );
    const cpuUs = first === null || last === null ? null : ((last - first) / EVENTS) * 1e6;
    return { perSecond: EVENTS / rows[0].seconds, cpuUs };
  });
}

async function withRelay<T>(mode: Mode, url: string, work: (relay: ChildProcess) => Promise<T>): Promise<T> {
  const relay = spawn(
    process.execPath,
    ['--import', 'tsx', path.join(root, 'test/support/outbox-relay.ts'), mode, `bench_${mode}`],
    {
      env: { ...process.env, DATABASE_URL: url, BUS_URL: url, LOG_LEVEL: 'none' },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const gone = once(relay, 'exit');
  try {
    return await work(relay);
  } finally {
    relay.kill('SIGKILL');
    await gone;
  }
}

/** Null where the system does not tell. */
function cpuSeconds(pid: number): number | null {
  try {
    // After the name, which may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return null;
  }
}

const percentile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
