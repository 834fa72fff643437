import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { postgres, postgresBus, redis } from '../../src/index.ts';
import { locatePostgres } from '../../src/runtime/resources/postgres-binaries.ts';
import type { TestMesh } from '../support/e2e.ts';
import { cleanUpMeshes, createMesh, eventually, freePort, isAlive } from '../support/e2e.ts';
import { skipped } from '../support/tools.ts';

const MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));

/** A service with a table: POST adds a row, GET counts them; ENV shows what it was told. */
const ORDERS = `
import http from 'node:http';
import pg from 'pg';
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5000 });
pool.on('error', () => {});
const sql = { POST: "INSERT INTO orders (item) VALUES ('x')", GET: 'SELECT count(*)::int AS n FROM orders' };
http.createServer((request, response) => {
  if (request.url === '/env') return response.end(JSON.stringify(process.env));
  pool.query(sql[request.method]).then(
    ({ rows }) => response.end(JSON.stringify(rows[0] ?? {})),
    (error) => response.writeHead(500).end(error.message),
  );
}).listen(process.env.PORT, '127.0.0.1');
`;

const copies = mkdtempSync(path.join(tmpdir(), 'mesh-copies-'));
const located = await locatePostgres({ forOthers: false, copiesDir: copies });
rmSync(copies, { recursive: true });
if (!located.ok) skipped(`no PostgreSQL: ${located.problems[0].message}`);

cleanUpMeshes();

const routes = [{ backends: [{ service: 'orders' }] }];
const orders = { command: 'node orders.mjs', dependsOn: ['ordersdb'], readiness: { tcp: {} } };

async function shop(files: Record<string, string>, config: Parameters<typeof createMesh>[1]): Promise<TestMesh> {
  const mesh = await createMesh({ 'orders.mjs': ORDERS, ...files }, config);
  symlinkSync(MODULES, mesh.path('node_modules'));
  return mesh;
}

const call = async (mesh: TestMesh, method: string, path = '/'): Promise<{ status: number; body: string }> => {
  const response = await fetch(`http://127.0.0.1:${mesh.gatewayPort}${path}`, { method });
  return { status: response.status, body: await response.text() };
};

describe.skipIf(!located.ok)('a database in the mesh', { timeout: 120_000 }, () => {
  const TABLE = { 'db/migrations/0001_orders.sql': 'CREATE TABLE orders (id serial PRIMARY KEY, item text NOT NULL);' };
  const config = {
    gateway: { routes },
    resources: { ordersdb: postgres({ migrations: 'db/migrations' }) },
    services: { orders },
  };

  it('is started, migrated and told before its service, and everything between them goes by mTLS and is counted', async () => {
    const mesh = await shop(TABLE, config);
    await mesh.up();
    expect(await call(mesh, 'POST')).toMatchObject({ status: 200 });
    expect((await call(mesh, 'GET')).body).toBe('{"n":1}');
    const env = JSON.parse((await call(mesh, 'GET', '/env')).body) as Record<string, string>;
    expect(env.DATABASE_URL).toMatch(/^postgres:\/\/mesh:.+@127\.0\.0\.1:\d+\/ordersdb$/);
    expect(env.ORDERSDB_URL).toBe(env.DATABASE_URL);
    const database = await mesh.instance('ordersdb-1');
    expect(new URL(env.DATABASE_URL).port).not.toBe(String(database.appPort));
    expect((await mesh.instance('ordersdb-migrations-1')).state).toBe('completed');
    const { stdout } = await mesh.mesh('graph');
    expect(stdout).toMatch(/orders[\s\S]*└─▶ ordersdb/);
    const logs = await mesh.mesh('logs', 'ordersdb', 'ordersdb-migrations');
    expect(logs.stdout).toContain('database system is ready to accept connections');
    expect(logs.stdout).toContain('applied 0001_orders.sql');
    await eventually(async () => {
      const document = JSON.stringify(await mesh.json('stat'));
      return document.includes('"ordersdb"');
    });
  });

  it('comes back with its data after kill -9, and after down and up; nothing is left by down', async () => {
    const mesh = await shop(TABLE, config);
    await mesh.up();
    await call(mesh, 'POST');
    const { pid } = await mesh.instance('ordersdb-1');
    process.kill(pid!, 'SIGKILL');
    await mesh.statusWhen(({ services }) => {
      const [instance] = services.find(({ name }) => name === 'ordersdb')!.instances;
      return instance.state === 'ready' && instance.pid !== pid && instance.restarts === 1;
    }, 30_000);
    await eventually(async () => (await call(mesh, 'GET')).body === '{"n":1}');
    const second = await mesh.instance('ordersdb-1');
    expect((await mesh.down()).code).toBe(0);
    expect(isAlive(second.pid!)).toBe(false);
    await mesh.up();
    expect((await call(mesh, 'GET')).body).toBe('{"n":1}');
    const logs = await mesh.mesh('logs', 'ordersdb', '-n', '8');
    expect(logs.stdout).not.toContain('was interrupted');
  });

  it('is ended by down after the daemon was killed', async () => {
    const mesh = await shop(TABLE, config);
    await mesh.up();
    const { pid } = await mesh.instance('ordersdb-1');
    process.kill((await mesh.status()).pid, 'SIGKILL');
    expect(isAlive(pid!)).toBe(true);
    expect((await mesh.down()).code).toBe(0);
    expect(isAlive(pid!)).toBe(false);
  });

  it('applies a migration that is added, and shows one that is wrong', async () => {
    const mesh = await shop(TABLE, config);
    await mesh.up();
    mesh.write('db/migrations/0002_note.sql', 'ALTER TABLE orders ADD COLUMN note text;');
    const noted = async (): Promise<string> =>
      (await mesh.mesh('db', 'psql', 'ordersdb', '-c', 'SELECT name FROM mesh_migrations ORDER BY name')).stdout;
    await eventually(async () => (await noted()).includes('0002_note.sql'));
    mesh.write('db/migrations/0003_wrong.sql', 'ALTER TABLE nowhere ADD COLUMN note text;');
    const failed = await mesh.statusWhen(({ services }) =>
      services.some(({ name, instances }) => name === 'ordersdb-migrations' && instances[0].state === 'failed'),
    );
    expect(failed.services.find(({ name }) => name === 'orders')?.instances[0].state).toBe('ready');
    const migrate = await mesh.mesh('db', 'migrate', 'ordersdb');
    expect(migrate.code).toBe(1);
    expect(migrate.stderr).toMatch(/MESH-D110.*0003_wrong\.sql.*"nowhere" does not exist/s);
    mesh.write('db/migrations/0003_wrong.sql', 'SELECT 1;');
    await eventually(async () => (await noted()).includes('0003_wrong.sql'));
    mesh.write('db/migrations/0002_note.sql', 'SELECT 2;');
    await eventually(async () => (await mesh.mesh('logs', 'ordersdb-migrations')).stdout.includes('MESH-D111'));
  });

  it('can be looked into, reset and reached by URL', async () => {
    const mesh = await shop(TABLE, config);
    await mesh.up();
    await call(mesh, 'POST');
    const table = await mesh.mesh('db', 'psql', 'ordersdb', '-c', 'SELECT id, item, NULL AS none FROM orders');
    expect(table.stdout).toBe('id  item  none\n1   x     NULL\n1 row\n');
    expect(await mesh.json('db', 'psql', 'ordersdb', '-c', 'SELECT 1 AS one; DELETE FROM orders')).toEqual({
      results: [
        { command: 'SELECT', rowCount: 1, rows: [{ one: '1' }] },
        { command: 'DELETE', rowCount: 1 },
      ],
    });
    const wrong = await mesh.mesh('db', 'psql', 'ordersdb', '-c', 'SELEC 1');
    expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('MESH-D118') });
    expect((await mesh.mesh('db')).stdout).toMatch(
      /ordersdb +ready +postgres:\/\/mesh:\*\*\*@127\.0\.0\.1:\d+\/ordersdb/,
    );
    const through = await mesh.json<{ url: string; through: string }>('db', 'url', 'ordersdb');
    const direct = await mesh.json<{ url: string; through: string }>('db', 'url', 'ordersdb', '--direct');
    expect([through.through, direct.through]).toEqual(['orders', null]);
    expect(new URL(direct.url).port).toBe(String((await mesh.instance('ordersdb-1')).appPort));
    expect(new URL(through.url).port).not.toBe(new URL(direct.url).port);
    expect(await mesh.mesh('db', 'url', 'orderdb')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("did you mean 'ordersdb'"),
    });

    await call(mesh, 'POST');
    expect(await mesh.mesh('db', 'reset', 'ordersdb')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--yes'),
    });
    expect((await call(mesh, 'GET')).body).toBe('{"n":1}');
    expect(await mesh.mesh('db', 'reset', 'ordersdb', '--yes')).toMatchObject({ code: 0 });
    await eventually(async () => (await call(mesh, 'GET')).body === '{"n":0}');
  });

  it('with a damaged directory says so, and is made anew by a reset', async () => {
    const mesh = await shop(TABLE, config);
    await mesh.up();
    await mesh.down();
    rmSync(mesh.path('.mesh/data/ordersdb/pgdata/global/pg_control'));
    const up = await mesh.mesh('up', '-d');
    expect(up.stderr + up.stdout).toMatch(/MESH-D103.*pg_control is missing/s);
    expect(await mesh.mesh('db', 'reset', 'ordersdb', '--yes')).toMatchObject({ code: 0 });
    await eventually(async () => (await call(mesh, 'GET')).body === '{"n":0}', 20_000);
  });

  it('holds the bus, whose tables are made before its users start', async () => {
    const mesh = await shop(TABLE, {
      ...config,
      resources: { ordersdb: postgres({ migrations: 'db/migrations' }), bus: postgresBus({ database: 'ordersdb' }) },
      services: { orders: { ...orders, dependsOn: ['ordersdb', 'bus'] } },
    });
    await mesh.up();
    const env = JSON.parse((await call(mesh, 'GET', '/env')).body) as Record<string, string>;
    expect(env).toMatchObject({ MESH_BUS_KIND: 'postgres', BUS_URL: env.DATABASE_URL });
    const sent = await mesh.mesh(
      'db',
      'psql',
      'ordersdb',
      '-c',
      `SELECT mesh_bus.publish('t', 'k', '{}'); SELECT position FROM mesh_bus.messages`,
    );
    expect(sent, sent.stderr).toMatchObject({ code: 0 });
  });

  it('keeps what is secret to itself', async () => {
    const mesh = await shop(TABLE, config);
    await mesh.up();
    const file = mesh.path('.mesh/data/ordersdb/password');
    const password = readFileSync(file, 'utf8').trim();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(mesh.path('.mesh')).mode & 0o077).toBe(0);
    const seen = [await mesh.mesh('ps', '--json'), await mesh.mesh('logs'), await mesh.mesh('db', '--json')];
    for (const { stdout, stderr } of seen) expect(stdout + stderr).not.toContain(password);
    expect(existsSync(mesh.path('.mesh/ledger')) && readFileSync(mesh.path('.mesh/ledger'), 'utf8')).not.toContain(
      password,
    );
  });
});

describe('a server given by URL', () => {
  it('that is away lets services start, is shown, and is noticed when it comes', async () => {
    const port = await freePort();
    const mesh = await createMesh(
      {
        'app.mjs':
          "import http from 'node:http'; http.createServer((q, s) => s.end(process.env.BUS_URL + ' ' + process.env.MESH_BUS_KIND)).listen(process.env.PORT, '127.0.0.1');",
      },
      {
        gateway: { routes },
        resources: { cache: redis({ url: `redis://u:p@127.0.0.1:${port}/3` }) },
        services: { orders: { command: 'node app.mjs', dependsOn: ['cache'] } },
      },
    );
    await mesh.up();
    expect((await call(mesh, 'GET')).body).toMatch(/^redis:\/\/u:p@127\.0\.0\.1:\d+\/3 redis$/);
    const state = ({ services }: Awaited<ReturnType<TestMesh['status']>>) =>
      services.find(({ name }) => name === 'cache')!.instances[0].state;
    await mesh.statusWhen((status) => state(status) === 'unhealthy');
    expect((await mesh.mesh('ps')).stdout).toMatch(/cache-1 +unhealthy[\s\S]*does not answer at redis:\/\/u:\*\*\*@/);
    const server = net.createServer((socket) =>
      socket.on('error', () => {}).on('data', () => socket.write('+PONG\r\n')),
    );
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    try {
      await mesh.statusWhen((status) => state(status) === 'ready', 15_000);
    } finally {
      server.close();
    }
  });
});
