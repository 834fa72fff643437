import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { cp, mkdtemp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  preparePostgres,
  type RunningPostgres,
  startFailure,
  startPostgres,
} from '../../../src/runtime/resources/embedded-postgres.ts';
import { locatePostgres } from '../../../src/runtime/resources/postgres-binaries.ts';
import { removeCluster } from '../../../src/runtime/resources/postgres-cluster.ts';
import { closedFolder, serverAccount } from '../../../src/runtime/resources/server-account.ts';
import { eventually, isAlive } from '../../support/e2e.ts';
import { skipped } from '../../support/tools.ts';

const copiesDir = await mkdtemp(path.join(tmpdir(), 'mesh-copies-'));
const located = await locatePostgres({ forOthers: false, copiesDir });
const packageDir = embeddedPackage();
const isRoot = process.geteuid?.() === 0;
if (!located.ok) skipped(`no PostgreSQL: ${located.problems[0].message}`);

afterAll(() => fs.rmSync(copiesDir, { recursive: true, force: true }));

describe.skipIf(!located.ok)('a PostgreSQL server', () => {
  let root: string;
  let dataDir: string;
  const running: RunningPostgres[] = [];

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'mesh-postgres-'));
    dataDir = path.join(root, 'ordersdb');
  });
  afterEach(async () => {
    for (const server of running.splice(0)) await server.stop();
    await removeCluster(dataDir);
    fs.rmSync(root, { recursive: true, force: true });
  });

  async function start(): Promise<RunningPostgres> {
    const started = await startPostgres({ dataDir, port: 0 });
    if (!started.ok) throw new Error(JSON.stringify(started.problems));
    running.push(started.value);
    return started.value;
  }

  async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  it('keeps its data from start to start, and through kill -9', async () => {
    const first = await start();
    const url = await first.url('orders');
    await query(url, 'CREATE TABLE t (n integer)');
    await query(url, 'INSERT INTO t VALUES (1)');
    await first.stop();
    const second = await start();
    await query(await second.url('orders'), 'INSERT INTO t VALUES (2)');
    process.kill(second.pid, 'SIGKILL');
    await second.exited;
    const third = await start();
    expect(await query(await third.url('orders'), 'SELECT n FROM t ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('listens on 127.0.0.1 alone, wants its password, logs for logical decoding and syncs commits', async () => {
    const server = await start();
    const url = await server.url('orders');
    await expect(query(url.replace(/:[^:@]*@/, ':wrong@'), 'SELECT 1')).rejects.toThrow(/password authentication/);
    const settings = await query(
      url,
      "SELECT name, setting FROM pg_settings WHERE name IN ('wal_level', 'fsync', 'listen_addresses', 'unix_socket_directories') ORDER BY name",
    );
    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: 'on',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      wal_level: 'logical',
    });
    expect(fs.statSync(path.join(dataDir, 'password')).mode & 0o777).toBe(0o600);
    const command = fs.readFileSync(`/proc/${server.pid}/cmdline`, 'utf8');
    expect(command).not.toContain(server.password);
  });

  it('knows letters of all languages', async () => {
    const server = await start();
    const [row] = await query(await server.url('orders'), "SELECT lower('ÄÉЖ') AS lower");
    expect(row).toEqual({ lower: 'äéж' });
  });

  it.runIf(isRoot)('does not run as root, and leaves closed folders closed', async () => {
    const server = await start();
    expect(fs.statSync(`/proc/${server.pid}`).uid).toBe(serverAccount()?.uid);
    expect(fs.statSync(dataDir).mode & 0o077).toBe(0);
    const pgdata = fs.realpathSync(path.join(dataDir, 'pgdata'));
    expect(fs.statSync(pgdata).mode & 0o777).toBe(0o700);
    expect(closedFolder(path.dirname(pgdata))).toBeNull();
  });

  it.runIf(isRoot)(
    'finds its data where a project was moved, and leaves it to the original where it was copied',
    async () => {
      await (await start()).stop();
      running.length = 0;
      const here = fs.realpathSync(path.join(dataDir, 'pgdata'));
      const copy = path.join(root, 'copy');
      await cp(dataDir, copy, { recursive: true, verbatimSymlinks: true });
      const copied = await preparePostgres({ dataDir: copy, port: 1 });
      expect(copied.ok && copied.value.cluster.pgdata).not.toBe(here);
      await removeCluster(copy);
      expect(fs.existsSync(here)).toBe(true);
      const moved = path.join(root, 'moved');
      fs.renameSync(dataDir, moved);
      const prepared = await preparePostgres({ dataDir: moved, port: 1 });
      expect(prepared.ok && prepared.value.cluster.pgdata).toBe(here);
      dataDir = moved;
    },
  );

  it('starts after a crash whose pid somebody else has now', async () => {
    const server = await start();
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
    const lock = path.join(dataDir, 'pgdata', 'postmaster.pid');
    fs.writeFileSync(lock, fs.readFileSync(lock, 'utf8').replace(/^\d+/, String(process.ppid)));
    await start();
  });

  it('starts although a backend of the killed one still computes', async () => {
    const server = await start();
    const client = new pg.Client({ connectionString: await server.url('orders') });
    client.on('error', () => {});
    await client.connect();
    const [{ pid }] = (await client.query('SELECT pg_backend_pid() AS pid')).rows as { pid: number }[];
    client.query('SELECT count(*) FROM generate_series(1, 3000000000) AS n').catch(() => {});
    await eventually(() => / R /.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1')));
    process.kill(server.pid, 'SIGKILL');
    await server.exited;
    await start();
    await eventually(() => !isAlive(pid));
    await client.end().catch(() => {});
  });

  it('refuses a directory on which another server runs', async () => {
    const server = await start();
    expect(await preparePostgres({ dataDir, port: 1 })).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-D105', message: expect.stringContaining(`pid ${server.pid}`) }],
    });
  });

  it('names what is wrong with its data', async () => {
    await (await start()).stop();
    running.length = 0;
    const version = path.join(dataDir, 'pgdata', 'PG_VERSION');
    fs.writeFileSync(version, '9\n');
    expect(await preparePostgres({ dataDir, port: 1 })).toMatchObject({ problems: [{ code: 'MESH-D104' }] });
    fs.writeFileSync(version, '');
    expect(await preparePostgres({ dataDir, port: 1 })).toMatchObject({
      problems: [{ code: 'MESH-D103', message: expect.stringContaining('PG_VERSION is empty') }],
    });
    fs.rmSync(path.join(dataDir, 'pgdata', 'global'), { recursive: true });
    fs.writeFileSync(version, '18\n');
    expect(await preparePostgres({ dataDir, port: 1 })).toMatchObject({ problems: [{ code: 'MESH-D103' }] });
  });

  it('makes a cluster anew whose making was cut short', async () => {
    fs.mkdirSync(path.join(dataDir, 'pgdata', 'base'), { recursive: true });
    if (isRoot) fs.chmodSync(root, 0o711);
    if (isRoot) fs.chmodSync(dataDir, 0o711);
    await start();
  });

  it('says who has its port', async () => {
    const server = await start();
    const second = path.join(root, 'second');
    const taken = await startPostgres({ dataDir: second, port: server.port });
    await removeCluster(second);
    expect(taken).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-D107', message: expect.stringContaining('could not create any TCP/IP sockets') }],
    });
  });

  it('reports a full disk', { timeout: 30_000 }, async ({ skip }) => {
    if (!isRoot) skip('mounting a small disk takes root');
    const disk = path.join(root, 'disk');
    fs.mkdirSync(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=20m,mode=0711', 'tmpfs', disk], { stdio: 'pipe' });
    } catch {
      skip('tmpfs cannot be mounted here');
    }
    try {
      fs.chmodSync(root, 0o711);
      const holder = path.join(disk, 'db');
      fs.mkdirSync(holder, { mode: 0o711 });
      fs.chmodSync(holder, 0o711);
      const outcome = await preparePostgres({ dataDir: holder, port: 1 });
      expect(outcome).toMatchObject({ ok: false, problems: [{ code: 'MESH-D106' }] });
      // Nothing half-made stays to be taken for a cluster.
      expect(fs.existsSync(path.join(holder, 'pgdata'))).toBe(false);
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});

describe.skipIf(packageDir === null)('the package with PostgreSQL', () => {
  it('works without its install script: links are made in place', async () => {
    const copy = await packageWithoutLinks();
    const found = await locatePostgres({ forOthers: false, copiesDir, packageDir: copy });
    expect(found).toMatchObject({
      ok: true,
      value: { source: 'embedded', postgres: path.join(copy, 'native/bin/postgres') },
    });
    const again = await locatePostgres({ forOthers: false, copiesDir, packageDir: copy });
    expect(again.ok).toBe(true);
    fs.rmSync(path.dirname(copy), { recursive: true });
  });

  it.runIf(isRoot)('is copied where its folder is closed to the account of the server', async () => {
    const copy = await packageWithoutLinks();
    fs.chmodSync(copiesDir, 0o711);
    const found = await locatePostgres({ forOthers: true, copiesDir, packageDir: copy });
    if (!found.ok) throw new Error(JSON.stringify(found.problems));
    expect(path.relative(copiesDir, found.value.postgres)).not.toMatch(/^\.\./);
    fs.rmSync(path.dirname(copy), { recursive: true });
  });

  async function packageWithoutLinks(): Promise<string> {
    const root = await mkdtemp(path.join(tmpdir(), 'mesh-package-'));
    const copy = path.join(root, path.basename(packageDir!));
    await cp(packageDir!, copy, {
      recursive: true,
      filter: (file) => !fs.lstatSync(file).isSymbolicLink() && !/share.(doc|man)|\.a$/.test(file),
    });
    return copy;
  }
});

describe('without the package', () => {
  const options = { forOthers: false, copiesDir, packageDir: null };
  const dirs: string[] = [];
  afterEach(() => {
    for (const dir of dirs.splice(0)) fs.rmSync(dir, { recursive: true });
  });

  async function fakeInstallation(version: string): Promise<string> {
    const dir = await mkdtemp(path.join(tmpdir(), 'mesh-system-'));
    dirs.push(dir);
    for (const name of ['postgres', 'initdb'])
      fs.writeFileSync(path.join(dir, name), `#!/bin/sh\necho 'postgres (PostgreSQL) ${version}'\n`, { mode: 0o755 });
    return dir;
  }

  it('takes the newest of the system', async () => {
    const systemDirs = [await fakeInstallation('15.9 (Debian 15.9-0+deb12u1)'), await fakeInstallation('17.2')];
    expect(await locatePostgres({ ...options, systemDirs })).toMatchObject({
      value: { source: 'system', version: '17.2', major: 17 },
    });
  });

  it('refuses one that is too old, and says when there is none', async () => {
    expect(await locatePostgres({ ...options, systemDirs: [await fakeInstallation('13.18')] })).toMatchObject({
      problems: [{ code: 'MESH-D102', message: expect.stringContaining('13.18') }],
    });
    expect(await locatePostgres({ ...options, systemDirs: [] })).toMatchObject({ problems: [{ code: 'MESH-D101' }] });
  });
});

describe('the account of a server', () => {
  const passwd =
    (...lines: string[]) =>
    () =>
      lines.join('\n');
  it('is nobody in particular for users, and never root', () => {
    expect(serverAccount(1000)).toBeNull();
    expect(serverAccount(0, passwd('root:x:0:0', 'nobody:x:65534:65534:', 'postgres:x:101:104::'))).toEqual({
      name: 'postgres',
      uid: 101,
      gid: 104,
    });
    expect(serverAccount(0, passwd('nobody:x:65534:65534:'))).toMatchObject({ name: 'nobody' });
    expect(serverAccount(0, passwd('nobody:*:-2:-2:'))).toBeUndefined();
    expect(
      serverAccount(0, () => {
        throw new Error('no such file');
      }),
    ).toBeUndefined();
  });
});

describe('why a server ended', () => {
  it.each([
    ['PANIC:  could not write to file "pg_wal/xlogtemp.9": No space left on device', 'MESH-D106'],
    ['PANIC:  could not locate a valid checkpoint record', 'MESH-D103'],
    ['FATAL:  could not open file "global/pg_filenode.map": No such file or directory', 'MESH-D103'],
    ['FATAL:  unrecognized configuration parameter "nope"', 'MESH-D107'],
    ['', 'MESH-D107'],
  ])('%s: %s', (line, code) => {
    expect(startFailure('db', `LOG:  starting\n${line}\n`, null).code).toBe(code);
  });
});

function embeddedPackage(): string | null {
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return path.dirname(path.dirname(entry));
  } catch {
    return null;
  }
}
