import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { type RunningPostgres, startPostgres } from '../../src/runtime/resources/embedded-postgres.ts';
import { removeCluster } from '../../src/runtime/resources/postgres-cluster.ts';
import { freePort } from './e2e.ts';
import { skipped } from './tools.ts';

const RELAY = fileURLToPath(new URL('./outbox-relay.ts', import.meta.url));
const templates = fileURLToPath(new URL('../../templates', import.meta.url));
const tables = (file: string): string => readFileSync(path.join(templates, file), 'utf8');

export const OUTBOX_TABLES = tables('outbox/project/migrations/0001_outbox.sql');
export const BUS_TABLES = tables('shared/bus/migrations/0001_bus.sql');

/** A PostgreSQL at a port of its own, to be taken away and brought back. */
export interface MortalServer {
  /** Of a database that is made at the first start. */
  readonly url: string;
  start(): Promise<void>;
  /** In order; `kill`: with SIGKILL. */
  stop(how?: 'kill'): Promise<void>;
  remove(): Promise<void>;
}

/** Not started. Null, and the reason printed, where there is no PostgreSQL. */
export async function createMortalServer(name: string): Promise<MortalServer | null> {
  const directory = await mkdtemp(path.join(tmpdir(), `mesh-outbox-${name}-`));
  const dataDir = path.join(directory, name);
  const port = await freePort();
  let running: RunningPostgres | null = null;
  const start = async (): Promise<string | null> => {
    // What is left of a killed server holds its memory for a moment.
    for (let tries = 0; ; tries++) {
      const started = await startPostgres({ name, dataDir, port });
      if (started.ok) {
        running = started.value;
        return null;
      }
      const [{ code, message }] = started.problems;
      if (code === 'MESH-D101') return message;
      if (tries === 50) throw new Error(`${code}: ${message}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const missing = await start();
  if (missing !== null) {
    rmSync(directory, { recursive: true, force: true });
    skipped(`no PostgreSQL: ${missing}`);
    return null;
  }
  const url = await running!.url(name);
  const stop = async (how?: 'kill'): Promise<void> => {
    if (how === 'kill') process.kill(running!.pid, 'SIGKILL');
    else await running?.stop();
    await running?.exited;
  };
  await stop();
  return {
    url,
    async start() {
      await start();
    },
    stop,
    async remove() {
      await stop();
      await removeCluster(dataDir);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A relay in a process of its own. */
export function spawnRelay(mode: 'wal' | 'polling', name: string, databaseUrl: string, busUrl: string): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', RELAY, mode, name], {
    env: { ...process.env, DATABASE_URL: databaseUrl, BUS_URL: busUrl, LOG_LEVEL: 'none' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

export async function runSql(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
