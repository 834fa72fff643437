import * as fs from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyMigrations, checksumOf, lineAt, readMigrations } from '../../../src/runtime/resources/migrations.ts';
import { runMigrations } from '../../../src/runtime/resources/run-migrations.ts';
import { freePort } from '../../support/e2e.ts';
import { startTestServer } from '../../support/postgres-server.ts';

const server = await startTestServer();
let databases = 0;

afterAll(() => server?.remove());

describe.skipIf(server === null)('migrations', () => {
  let folder: string;
  let url: string;
  const clients: pg.Client[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'mesh-migrations-'));
    url = await server!.url(`m${++databases}`);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.end();
    fs.rmSync(folder, { recursive: true });
  });

  const write = (name: string, sql: string) => fs.writeFileSync(path.join(folder, name), sql);
  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    clients.push(client);
    return client;
  }
  async function apply(scope = 'orders', client?: pg.Client) {
    const migrations = await readMigrations([folder]);
    if (!migrations.ok) return migrations;
    return applyMigrations(client ?? (await connect()), scope, migrations.value);
  }
  const tables = async () =>
    (await (await connect()).query("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")).rows
      .map(({ tablename }) => tablename)
      .filter((name) => name !== 'mesh_migrations');

  it('are applied in order of name, each once', async () => {
    write('0002_b.sql', 'ALTER TABLE a ADD COLUMN n integer');
    write('0001_a.sql', 'CREATE TABLE a (); CREATE TABLE b ();');
    write('readme.md', 'not SQL');
    expect(await apply()).toEqual({ ok: true, value: ['0001_a.sql', '0002_b.sql'] });
    expect(await apply()).toEqual({ ok: true, value: [] });
    write('0003_c.sql', 'CREATE TABLE c ()');
    expect(await apply()).toEqual({ ok: true, value: ['0003_c.sql'] });
    expect(await tables()).toEqual(['a', 'b', 'c']);
  });

  it('are rolled back where they fail, with file and line; those before stay', async () => {
    write('0001_a.sql', 'CREATE TABLE a ()');
    write('0002_b.sql', 'CREATE TABLE b ();\n-- ü\nCREATE TABEL c ();\n');
    expect(await apply()).toMatchObject({
      ok: false,
      problems: [
        { code: 'MESH-D110', message: expect.stringMatching(/0002_b\.sql:3: syntax error at or near "TABEL"/) },
      ],
    });
    expect(await tables()).toEqual(['a']);
    write('0002_b.sql', 'CREATE TABLE b ()');
    expect(await apply()).toEqual({ ok: true, value: ['0002_b.sql'] });
  });

  it('may not change or go once they are applied; line ends do not count', async () => {
    write('0001_a.sql', 'CREATE TABLE a ();\n');
    await apply();
    write('0001_a.sql', 'CREATE TABLE a ();\r\n');
    expect((await apply()).ok).toBe(true);
    write('0001_a.sql', 'CREATE TABLE a (n integer);\n');
    write('0002_b.sql', 'CREATE TABLE b ()');
    expect(await apply()).toMatchObject({
      problems: [{ code: 'MESH-D111', message: expect.stringContaining('another content') }],
    });
    fs.rmSync(path.join(folder, '0001_a.sql'));
    expect(await apply()).toMatchObject({
      problems: [{ code: 'MESH-D111', message: expect.stringContaining('gone') }],
    });
    expect(await tables()).toEqual(['a']);
  });

  it('of several scopes share a database', async () => {
    write('0001_a.sql', 'CREATE TABLE IF NOT EXISTS a ()');
    expect(await apply('orders')).toEqual({ ok: true, value: ['0001_a.sql'] });
    expect(await apply('stock')).toEqual({ ok: true, value: ['0001_a.sql'] });
  });

  it('of several processes at once are applied by one', async () => {
    write('0001_a.sql', 'CREATE TABLE a (); SELECT pg_sleep(0.1)');
    const outcomes = await Promise.all([apply(), apply(), apply()]);
    expect(outcomes.map((outcome) => outcome.ok && outcome.value.length).sort()).toEqual([0, 0, 1]);
  });

  it('do not leave their settings to those that follow', async () => {
    write('0001_a.sql', "SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE public.a ();");
    write('0002_b.sql', 'CREATE TABLE b ()');
    expect(await apply()).toMatchObject({ ok: true });
    expect(await tables()).toEqual(['a', 'b']);
  });

  it('say so where they cannot run in a transaction', async () => {
    write('0001_a.sql', 'CREATE TABLE a (n integer)');
    write('0002_b.sql', 'CREATE INDEX CONCURRENTLY i ON a (n)');
    expect(await apply()).toMatchObject({
      problems: [{ code: 'MESH-D110', hint: expect.stringContaining('transaction') }],
    });
  });

  it('as a task write what they do and end with a code', async () => {
    write('0001_a.sql', 'CREATE TABLE a ()');
    const lines: string[] = [];
    const run = () => runMigrations(['orders', folder], { MIGRATIONS_URL: url }, (line) => lines.push(line));
    expect(await run()).toBe(0);
    expect(await run()).toBe(0);
    write('0002_b.sql', 'nonsense');
    expect(await run()).toBe(1);
    expect(lines[0]).toMatch(/^applied 0001_a\.sql in \d+ ms$/);
    expect(lines).toContain('up to date: 1 applied before');
    expect(lines.at(-1)).toMatch(/^MESH-D110: .*0002_b\.sql:1: syntax error/);
  });

  it('wait for a server that is away', async () => {
    write('0001_a.sql', 'CREATE TABLE a ()');
    const lines: string[] = [];
    const { port } = new URL(url);
    const late = net.createServer((socket) => {
      const upstream = net.connect(Number(port), '127.0.0.1');
      socket.pipe(upstream).pipe(socket);
      socket.on('error', () => upstream.destroy());
      upstream.on('error', () => socket.destroy());
    });
    const latePort = await freePort();
    const env = { MIGRATIONS_URL: url.replace(`:${port}/`, `:${latePort}/`) };
    const running = runMigrations(['orders', folder], env, (line) => {
      if (lines.push(line) === 1) late.listen(latePort, '127.0.0.1');
    });
    expect(await running).toBe(0);
    late.close();
    expect(lines[0]).toMatch(/^MESH-D108: .*waiting for it/);
  });
});

describe('files of migrations', () => {
  it('have to be in a folder that is there, under names of their own', async () => {
    expect(await readMigrations(['/nowhere/at/all'])).toMatchObject({
      problems: [{ code: 'MESH-D110', message: expect.stringContaining('no such folder') }],
    });
    const folder = await mkdtemp(path.join(tmpdir(), 'mesh-migrations-'));
    for (const part of ['a', 'b']) {
      fs.mkdirSync(path.join(folder, part));
      fs.writeFileSync(path.join(folder, part, '0001_same.sql'), '');
    }
    expect(await readMigrations([path.join(folder, 'a'), path.join(folder, 'b')])).toMatchObject({
      problems: [{ message: expect.stringContaining('two migrations are called 0001_same.sql') }],
    });
    fs.rmSync(folder, { recursive: true });
  });

  it('have a checksum and lines', () => {
    expect(checksumOf('a\r\nb')).toBe(checksumOf('a\nb'));
    expect(checksumOf('a\nb')).not.toBe(checksumOf('a b'));
    expect([lineAt('a\n😀\nb', 1), lineAt('a\n😀\nb', 3), lineAt('a\n😀\nb', 5)]).toEqual([1, 2, 3]);
  });
});
