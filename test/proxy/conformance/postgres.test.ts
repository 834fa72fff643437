import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, type Server, startServer } from '../../support/child.ts';
import { freePort, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { findTool, skipped } from '../../support/tools.ts';

const psql = findTool('psql');
const initdb = findTool('initdb');
const postgres = findTool('postgres');
/** PostgreSQL refuses to run as root; any other user will do. */
const user: { uid?: number; gid?: number } | null = process.getuid?.() === 0 ? ordinaryUser() : {};
const missing =
  [psql ?? 'psql', initdb ?? 'initdb', postgres ?? 'postgres'].find((tool) => !tool.includes('/')) ??
  (user === null ? 'user to run PostgreSQL as' : undefined);
if (missing !== undefined) skipped(`no ${missing}`);

function ordinaryUser(): { uid: number; gid: number } | null {
  try {
    const id = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    return null;
  }
}

describe.skipIf(missing !== undefined)('PostgreSQL over raw TCP', () => {
  let dir: string;
  let server: Server;
  let mesh: TestMesh;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mesh-postgres-'));
    if (user?.uid !== undefined && user.gid !== undefined) await chown(dir, user.uid, user.gid);
    await chmod(dir, 0o700);
    const port = await freePort();
    const options = { ...user, cwd: dir, env: { PATH: process.env.PATH, HOME: dir, LC_ALL: 'C' } };
    const data = join(dir, 'data');
    const made = await run(initdb as string, ['-D', data, '-U', 'mesh', '-A', 'trust', '--no-sync'], {
      ...options,
      timeoutMs: 60_000,
    });
    expect(made.code, made.output).toBe(0);
    const settings = ['unix_socket_directories=', 'fsync=off', 'listen_addresses=127.0.0.1'].flatMap((setting) => [
      '-c',
      setting,
    ]);
    server = await startServer(postgres as string, ['-D', data, '-p', String(port), ...settings], port, options);
    mesh = await startTestMesh({
      declared: { protocol: 'tcp', apps: [{ port }] },
      // Not said to be anything: the first byte of a PostgreSQL client begins no HTTP request.
      sniffed: { apps: [{ port }] },
    });
  }, 90_000);

  afterAll(async () => {
    await mesh?.close();
    // A fast shutdown, so that no process of it writes to the directory any more.
    await server?.stop('SIGINT');
    if (dir !== undefined) await rm(dir, { recursive: true, force: true });
  });

  async function query(service: string, sql: string, input = ''): Promise<string> {
    const args = ['-X', '-At', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', String(mesh.dependency[service])];
    const env = { PATH: process.env.PATH, HOME: dir, LC_ALL: 'C', PGCONNECT_TIMEOUT: '10' };
    const { code, output } = await run(psql as string, [...args, '-U', 'mesh', '-d', 'postgres', '-c', sql], {
      env,
      input,
      timeoutMs: 30_000,
    });
    expect(code, output.slice(0, 2_000)).toBe(0);
    return output.trim();
  }

  describe.each(['declared', 'sniffed'])('%s', (service) => {
    it('answers a query', async () => {
      expect(await query(service, 'select 6 * 7')).toBe('42');
    });

    it('reads a result of several megabytes', async () => {
      const rows = (await query(service, "select i || repeat('x', 60) from generate_series(1, 50000) i")).split('\n');
      expect(rows).toHaveLength(50_000);
      expect(rows.at(-1)).toBe(`50000${'x'.repeat(60)}`);
    });

    it('takes a COPY from the client', async () => {
      const lines = Array.from({ length: 50_000 }, (_, i) => `${i}\tline ${i}\n`).join('');
      await query(service, `create table ${service} (id int, text text)`);
      await query(service, `copy ${service} from stdin`, lines);
      expect(await query(service, `select count(*), sum(id) from ${service}`)).toBe('50000|1249975000');
    });

    it('carries several sessions at once', async () => {
      const answers = await Promise.all(
        Array.from({ length: 5 }, (_, i) => query(service, `select ${i} from pg_sleep(0.05)`)),
      );
      expect(answers).toEqual(['0', '1', '2', '3', '4']);
    });
  });

  it('ends the session of a client that was killed', async ({ skip }) => {
    // From version 14 on a server can look for its client in the middle of a query.
    if (Number(await query('declared', 'show server_version_num')) < 140_000) skip();
    const args = ['-X', '-h', '127.0.0.1', '-p', String(mesh.dependency.declared), '-U', 'mesh', '-d', 'postgres'];
    const env = {
      PATH: process.env.PATH,
      HOME: dir,
      PGAPPNAME: 'killed',
      PGOPTIONS: '-c client_connection_check_interval=50',
    };
    const killed = run(psql as string, [...args, '-c', 'select pg_sleep(60)'], { env, timeoutMs: 2_000 });
    const sessions = () => query('declared', "select count(*) from pg_stat_activity where application_name = 'killed'");
    await expect.poll(sessions, { timeout: 2_000 }).toBe('1');
    expect((await killed).code).toBeNull();
    await expect.poll(sessions, { timeout: 5_000 }).toBe('0');
  });
});
