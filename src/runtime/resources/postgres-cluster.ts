import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { chmod, chown, mkdir, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { DATABASE_USER, databasePassword } from './database-password.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { type Account, closedFolder } from './server-account.ts';

/** A cluster that a server can be started on. */
export interface PostgresCluster {
  /** The folder that mesh keeps: holds the password, and the cluster or a link to it. */
  readonly dataDir: string;
  /** The cluster itself, by its real path. */
  readonly pgdata: string;
  readonly password: string;
}

export interface ClusterOptions {
  readonly name: string;
  readonly dataDir: string;
  readonly binaries: PostgresBinaries;
  /** Null: the server runs as we do. */
  readonly account: Account | null;
  /** Where clusters go that `account` cannot reach in `dataDir`. */
  readonly reachableDir: string;
}

/**
 * Makes the cluster if there is none, and sees to it that a server may start on it. MESH-D103 damaged, D104 another
 * major version, D105 in use by somebody else's server, D106 disk full, D107 initdb failed, D115 out of reach.
 */
export async function prepareCluster(options: ClusterOptions): Promise<Result<PostgresCluster>> {
  const { name, dataDir, account } = options;
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const password = databasePassword(dataDir);
    const place = await placeCluster(options);
    const made = await isMade(place);
    if (!made) {
      const created = await createCluster(options, place, password);
      if (!created.ok) return created;
    }
    const pgdata = await fs.promises.realpath(place);
    const wrong = await examine(name, pgdata, options.binaries);
    if (wrong !== null) return fail(wrong);
    if (account !== null) await ownedBy(pgdata, account);
    const taken = await clearServers(name, pgdata);
    return taken === null ? ok({ dataDir, pgdata, password }) : fail(taken);
  } catch (error) {
    return fail(storageFailure(name, dataDir, error));
  }
}

/** Deletes a cluster whose server is stopped, wherever it is. The password stays: services have it in their environment. */
export async function removeCluster(dataDir: string): Promise<void> {
  const place = path.join(dataDir, 'pgdata');
  const target = await readlink(place).catch(() => null);
  if (target !== null && path.basename(path.dirname(path.dirname(target))) === 'data') {
    // Only what we made there: it says whose it is.
    const holder = path.dirname(target);
    if ((await originOf(holder)) !== null) await rm(holder, { recursive: true, force: true });
  }
  await rm(place, { recursive: true, force: true });
}

/**
 * `pgdata` in the data directory. Where the account of the server cannot get there (the mesh's folder is closed to all
 * but its owner, and stays so) it is a link to a folder of mesh that is open to pass through.
 */
async function placeCluster({ dataDir, account, reachableDir }: ClusterOptions): Promise<string> {
  const place = path.join(dataDir, 'pgdata');
  const origin = path.join(await fs.promises.realpath(dataDir), 'pgdata');
  const target = await readlink(place).catch(() => null);
  if (target !== null) {
    const recorded = await originOf(path.dirname(target));
    const moved = recorded !== null && recorded !== origin && !(await leadsTo(recorded, target));
    if (recorded === origin) return place;
    if (moved) {
      await writeFile(path.join(path.dirname(target), 'origin'), `${origin}\n`, { mode: 0o600 });
      return place;
    }
    // The project was copied, link and all: the data stays the original's.
    await rm(place);
  } else {
    const closed = account === null ? null : closedFolder(dataDir);
    if (account === null || closed === null) return place;
    // Made by a mesh that was not root's.
    if (fs.existsSync(place))
      throw new Error(`${account.name}, as whom PostgreSQL runs, cannot pass ${closed}: run mesh as yourself`);
  }
  const holder = path.join(reachableDir, 'data', createHash('sha256').update(origin).digest('hex').slice(0, 16));
  await mkdir(path.join(reachableDir, 'data'), { recursive: true, mode: 0o711 });
  await mkdir(holder, { recursive: true, mode: 0o711 });
  await writeFile(path.join(holder, 'origin'), `${origin}\n`, { mode: 0o600 });
  await symlink(path.join(holder, 'pgdata'), place);
  return place;
}

const originOf = (holder: string): Promise<string | null> =>
  readFile(path.join(holder, 'origin'), 'utf8').then(
    (text) => text.trim(),
    () => null,
  );

const leadsTo = (link: string, target: string): Promise<boolean> =>
  readlink(link).then(
    (found) => found === target,
    () => false,
  );

/** initdb writes PG_VERSION early, and our own mark comes when all is done: what was cut short is made anew. */
async function isMade(place: string): Promise<boolean> {
  const names = await readdir(place).catch(() => null);
  return names?.includes(MADE) ?? false;
}

const MADE = 'mesh.made';

async function createCluster(options: ClusterOptions, place: string, password: string): Promise<Result<void>> {
  const { name, binaries, account } = options;
  const pgdata = await readlink(place).catch(() => place);
  // Of an initdb that was cut short. What holds data and lacks the mark is damaged, and not ours to delete.
  const leftovers = await readdir(pgdata).catch(() => []);
  if (leftovers.length > 0) {
    if (fs.existsSync(path.join(pgdata, 'postmaster.opts'))) return fail(damaged(name, pgdata, `${MADE} is missing`));
    await rm(pgdata, { recursive: true, force: true });
  }
  await mkdir(pgdata, { mode: 0o700 });
  const passwordFile = `${pgdata}.password`;
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  try {
    if (account !== null) {
      await chown(pgdata, account.uid, account.gid);
      await chown(passwordFile, account.uid, account.gid);
    }
    const failure = await initdb(binaries, pgdata, passwordFile, account);
    if (failure !== null) {
      await rm(pgdata, { recursive: true, force: true });
      return fail(initdbProblem(name, pgdata, failure));
    }
    await writeFile(path.join(pgdata, MADE), '', { mode: 0o600 });
    return ok(undefined);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/** What it says if it fails. */
function initdb(
  binaries: PostgresBinaries,
  pgdata: string,
  passwordFile: string,
  account: Account | null,
): Promise<string | null> {
  const args = ['-D', pgdata, '-U', DATABASE_USER, '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  args.push('-E', 'UTF8', '--no-instructions', ...locale(binaries.major));
  return new Promise((resolve) => {
    execFile(
      binaries.initdb,
      args,
      {
        cwd: pgdata,
        env: serverEnvironment(),
        timeout: 120_000,
        maxBuffer: 1 << 20,
        ...(account === null ? {} : { uid: account.uid, gid: account.gid }),
      },
      (error, stdout, stderr) => resolve(error === null ? null : `${stdout}\n${stderr}`.trim() || error.message),
    );
  });
}

/** Sorted by code point, letters known beyond ASCII, and the same on every machine. */
function locale(major: number): string[] {
  if (major >= 17) return ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  return [process.platform === 'darwin' ? '--locale=C' : '--locale=C.UTF-8'];
}

/** Nothing of ours: PGPORT and the like would be taken for settings, and postgres shows its environment to those who may connect. */
export function serverEnvironment(): Record<string, string> {
  return { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: process.env.TZ ?? 'UTC' };
}

async function examine(name: string, pgdata: string, { major, version }: PostgresBinaries): Promise<Problem | null> {
  for (const needed of ['PG_VERSION', 'global/pg_control', 'postgresql.conf', 'pg_hba.conf', 'base', 'pg_wal']) {
    const file = path.join(pgdata, needed);
    const found = await stat(file).catch(() => null);
    if (found === null) return damaged(name, pgdata, `${needed} is missing`);
    if (found.isFile() && found.size === 0) return damaged(name, pgdata, `${needed} is empty`);
  }
  const written = Number.parseInt(await readFile(path.join(pgdata, 'PG_VERSION'), 'utf8'), 10);
  if (Number.isNaN(written)) return damaged(name, pgdata, 'PG_VERSION holds no version');
  if (written === major) return null;
  return problem('MESH-D104', {
    message: `${name}: the data was written by PostgreSQL ${written}, and this is ${version} (${pgdata})`,
    hint: `install PostgreSQL ${written} to take the data out, or lose it: \`mesh db reset ${name} --yes\``,
  });
}

const damaged = (name: string, pgdata: string, what: string): Problem =>
  problem('MESH-D103', {
    message: `${name}: the data directory ${pgdata} is damaged: ${what}`,
    hint: `restore it from a copy, or make the database anew: \`mesh db reset ${name} --yes\``,
  });

/** The whole tree, where it is not the account's already (a mesh that ran as somebody else before). */
async function ownedBy(pgdata: string, account: Account): Promise<void> {
  if ((await stat(pgdata)).uid !== account.uid) {
    const entries = await readdir(pgdata, { recursive: true });
    for (const entry of entries) await fs.promises.lchown(path.join(pgdata, entry), account.uid, account.gid);
    await chown(pgdata, account.uid, account.gid);
  }
  await chmod(pgdata, 0o700);
  await chown(path.join(pgdata, MADE), account.uid, account.gid);
}

/**
 * What runs on the cluster from before. Backends that outlived their server (it was killed while they computed) hold its
 * shared memory and would keep a new one from starting: they are killed, their transactions are lost anyway. A lock
 * file whose server is gone is removed, so that a pid given to another process since does not count as that server.
 */
async function clearServers(name: string, pgdata: string): Promise<Problem | null> {
  const lock = path.join(pgdata, 'postmaster.pid');
  const owner = Number.parseInt(await readFile(lock, 'utf8').catch(() => ''), 10);
  const running = await processesIn(pgdata);
  if (running.includes(owner))
    return problem('MESH-D105', {
      message: `${name}: a PostgreSQL server, pid ${owner}, already runs on ${pgdata}`,
      hint: `stop it: \`kill -INT ${owner}\``,
    });
  for (const pid of running) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone by itself meanwhile.
    }
  }
  // Where processes cannot be looked into, PostgreSQL's own judgement of the file has to do.
  if (process.platform === 'linux' && Number.isInteger(owner)) await rm(lock, { force: true });
  return null;
}

/** Processes whose working directory is the cluster, which is where PostgreSQL's processes have it. Linux only. */
async function processesIn(pgdata: string): Promise<number[]> {
  if (process.platform !== 'linux') return [];
  const found: number[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const [cwd, program] = await Promise.all(
      ['cwd', 'exe'].map((link) => readlink(`/proc/${pid}/${link}`).catch(() => '')),
    );
    if (cwd === pgdata && /^postgres\b/.test(path.basename(program))) found.push(Number(pid));
  }
  return found;
}

function initdbProblem(name: string, pgdata: string, output: string): Problem {
  if (isDiskFull(output))
    return problem('MESH-D106', {
      message: `${name}: no space left to make the database in ${pgdata}`,
      hint: 'free about 50 MB, then `mesh restart` it',
    });
  const reason = output.split('\n').find((line) => /error|fatal|could not/i.test(line)) ?? output.split('\n').at(-1);
  return problem('MESH-D107', {
    message: `${name}: initdb failed: ${(reason ?? '').trim()}`,
    hint: `the folder is ${pgdata}`,
  });
}

export const isDiskFull = (text: string): boolean => /No space left on device|Disk quota exceeded/i.test(text);

function storageFailure(name: string, dataDir: string, error: unknown): Problem {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return problem('MESH-D106', { message: `${name}: no space left in ${dataDir}`, hint: 'free some space' });
  return problem('MESH-D115', {
    message: `${name}: the database's folder cannot be used: ${message}`,
    hint: `${dataDir} has to be writable; a mesh of root also needs /var/lib/localmesh`,
  });
}
