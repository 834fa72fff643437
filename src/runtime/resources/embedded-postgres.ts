import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { currentEnvironment, dataDirectory } from '../identity/data-directory.ts';
import { DATABASE_USER } from './database-password.ts';
import { type LocateOptions, locatePostgres, type PostgresBinaries } from './postgres-binaries.ts';
import { ensureDatabase, probePostgres } from './postgres-client.ts';
import { isDiskFull, type PostgresCluster, prepareCluster, serverEnvironment } from './postgres-cluster.ts';
import { type Account, serverAccount } from './server-account.ts';

/** Where root keeps what another account has to reach. */
const REACHABLE_DIR = '/var/lib/localmesh';

export interface PostgresRequest {
  /** For messages. Default: the last part of `dataDir`. */
  readonly name?: string;
  /** Kept from start to start; made where it is missing. */
  readonly dataDir: string;
  /** On 127.0.0.1; 0: a free one. */
  readonly port: number;
  /** Settings of postgresql.conf, over those of mesh. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Where to look for PostgreSQL's programs, where not in the usual places. */
  readonly locate?: Partial<LocateOptions>;
}

/** All that a process needs to be started; it runs as long as the server. */
export interface PostgresLaunch {
  readonly binaries: PostgresBinaries;
  readonly cluster: PostgresCluster;
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Null: as we do. */
  readonly account: Account | null;
}

/** The cluster made and ready, and how to start a server on it. MESH-D101 to D107, D115. */
export async function preparePostgres(request: PostgresRequest): Promise<Result<PostgresLaunch>> {
  const name = request.name ?? path.basename(request.dataDir);
  const account = serverAccount();
  if (account === undefined)
    return fail(
      problem('MESH-D115', {
        message: `${name}: PostgreSQL does not run as root, and there is neither a user postgres nor nobody`,
        hint: 'run mesh as yourself, or `useradd --system postgres`',
      }),
    );
  const copiesDir = account === null ? dataDirectory(currentEnvironment()) : REACHABLE_DIR;
  const located = await locatePostgres({ forOthers: account !== null, copiesDir, ...request.locate });
  if (!located.ok) return located;
  const binaries = located.value;
  const cluster = await prepareCluster({
    name,
    dataDir: request.dataDir,
    binaries,
    account,
    reachableDir: REACHABLE_DIR,
  });
  if (!cluster.ok) return cluster;
  const settings = { ...serverSettings(request.port), ...request.settings };
  const argv: [string, ...string[]] = [binaries.postgres, '-D', cluster.value.pgdata];
  for (const [key, value] of Object.entries(settings)) argv.push('-c', `${key}=${value}`);
  return ok({ binaries, cluster: cluster.value, argv, env: serverEnvironment(), cwd: cluster.value.pgdata, account });
}

/** No Unix socket: its path may be too long, and a second way in past the password would be none the wiser. */
function serverSettings(port: number): Record<string, string> {
  return {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    wal_level: 'logical',
    max_wal_senders: '20',
    max_replication_slots: '20',
    max_connections: '200',
    // A slot that nobody reads would keep the log for ever and fill the disk.
    max_slot_wal_keep_size: '4GB',
    log_line_prefix: '',
    log_checkpoints: 'off',
    log_timezone: 'UTC',
  };
}

export interface RunningPostgres {
  readonly port: number;
  readonly pid: number;
  readonly version: string;
  readonly user: string;
  readonly password: string;
  /** `postgres://mesh:...@127.0.0.1:<port>/<database>`; the database is made where it is missing. */
  url(database?: string): Promise<string>;
  /** Resolves when the server has ended, whoever ended it. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** The last lines it wrote. */
  output(): string;
  /** Fast shutdown; resolves when it is gone. */
  stop(): Promise<void>;
}

/**
 * Starts a server outside any mesh, for tests and tools: durable like that of a mesh, and resolved when it answers.
 * MESH-D101 to D107, D115.
 */
export async function startPostgres(
  request: PostgresRequest & { stdio?: StdioOptions },
): Promise<Result<RunningPostgres>> {
  const name = request.name ?? path.basename(request.dataDir);
  const port = request.port === 0 ? await freePort() : request.port;
  const prepared = await preparePostgres({ ...request, port });
  if (!prepared.ok) return prepared;
  const { argv, cluster, account, binaries } = prepared.value;
  const [file, ...args] = [...endsWithParent(), ...argv] as [string, ...string[]];
  const child = spawn(file, args, {
    cwd: prepared.value.cwd,
    env: { ...prepared.value.env },
    stdio: request.stdio ?? ['ignore', 'pipe', 'pipe'],
    ...(account === null ? {} : { uid: account.uid, gid: account.gid }),
  });
  const tail = collectTail(child);
  let exit: { code: number | null; signal: NodeJS.Signals | null } | null = null;
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('error', () => resolve((exit = { code: 127, signal: null })));
    child.once('exit', (code, signal) => resolve((exit = { code, signal })));
  });
  const address = { host: '127.0.0.1', port, user: DATABASE_USER, password: cluster.password };
  const deadline = Date.now() + 60_000;
  while (true) {
    const answer = await probePostgres({ ...address, database: 'postgres' }, 2_000);
    if (answer === null) break;
    if (exit !== null || Date.now() > deadline) {
      child.kill('SIGQUIT');
      await exited;
      return fail(startFailure(name, tail(), exit === null ? answer : null));
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return ok({
    port,
    pid: child.pid!,
    version: binaries.version,
    user: DATABASE_USER,
    password: cluster.password,
    exited,
    output: tail,
    async url(database = 'postgres') {
      if (database !== 'postgres') {
        const made = await ensureDatabase(address, database);
        if (!made.ok) throw new Error(made.problems[0].message);
      }
      return `postgres://${DATABASE_USER}:${cluster.password}@127.0.0.1:${port}/${database}`;
    },
    async stop() {
      if (exit === null) child.kill('SIGINT');
      await exited;
    },
  });
}

/** Whoever is killed leaves no server behind: Linux tells it. Elsewhere it is the caller's to stop it. */
function endsWithParent(): string[] {
  if (process.platform !== 'linux') return [];
  const dirs = (process.env.PATH ?? '').split(path.delimiter);
  const setpriv = dirs.map((dir) => path.join(dir, 'setpriv')).find((program) => existsSync(program));
  return setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'INT', '--'];
}

/** What a server that ended, or never answered, said last. */
export function startFailure(name: string, output: string, waiting: string | null): Problem {
  if (isDiskFull(output))
    return problem('MESH-D106', {
      message: `${name}: PostgreSQL ended: no space left on the disk`,
      hint: `free some space, then \`mesh restart ${name}\``,
    });
  const reason = output
    .split('\n')
    .filter((line) => /(FATAL|PANIC|error)/i.test(line))
    .at(-1);
  if (reason !== undefined && /could not (locate|read|open) .*|invalid (primary )?checkpoint|pg_control/i.test(reason))
    return problem('MESH-D103', {
      message: `${name}: PostgreSQL cannot read its data: ${reason.trim()}`,
      hint: `restore it from a copy, or make the database anew: \`mesh db reset ${name} --yes\``,
    });
  return problem('MESH-D107', {
    message: `${name}: PostgreSQL did not start: ${(reason ?? waiting ?? 'it said nothing').trim()}`,
    hint: `see \`mesh logs ${name}\``,
  });
}

const TAIL_BYTES = 16_384;

function collectTail(child: ChildProcess): () => string {
  let text = '';
  const add = (chunk: Buffer): void => {
    text = (text + chunk.toString('utf8')).slice(-TAIL_BYTES);
  };
  child.stdout?.on('data', add);
  child.stderr?.on('data', add);
  return () => text;
}

/** Free at this moment. The embedded server cannot be told to choose one itself. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
