import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { OutboxReport } from '../../src/runtime/client/outbox.ts';
import { cleanUpMeshes, eventually } from '../support/e2e.ts';
import { postgresOfFile, projectIn, renderProject, routeTo } from '../support/scaffold.ts';

cleanUpMeshes();
const postgres = postgresOfFile();

const TEMPLATE = fileURLToPath(new URL('../../templates/outbox', import.meta.url));
const textOf = (file: string): string => readFileSync(path.join(TEMPLATE, file), 'utf8');

describe('outbox', () => {
  it('has the same in both of its modes', () => {
    for (const file of ['migrations/0001_outbox.sql', 'src/relay.ts', 'src/relay-mode.ts'])
      expect(textOf(`add/${file}`), file).toBe(textOf(`project/${file}`));
  });

  it('is rendered, installed, type-checked, tested, put into a mesh, used there and taken down', {
    timeout: 300_000,
  }, async () => {
    const databaseUrl = postgres.url();
    const project = await renderProject({
      template: 'outbox',
      name: 'orders',
      config: { services: {}, gateway: { routes: [] } },
    });
    const { mesh } = project;
    await project.install();
    await project.typecheck();
    const outcome = await project.test(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl });
    expect(outcome).toEqual({
      passed: databaseUrl === null ? 0 : 16,
      failed: 0,
      skipped: databaseUrl === null ? 16 : 0,
    });
    await project.run('build');
    if (databaseUrl === null) return;

    routeTo(mesh.path('mesh.config.ts'), 'orders');
    await project.up();
    const post = async (where: string, body: unknown = {}): Promise<{ id: string }> => {
      const answer = await fetch(`http://127.0.0.1:${mesh.gatewayPort}${where}`, {
        method: 'POST',
        body: JSON.stringify(body),
      });
      expect(answer.ok, await answer.clone().text()).toBe(true);
      return (await answer.json()) as { id: string };
    };
    const confirmOne = async (amount: number): Promise<void> => {
      const { id } = await post('/orders', { customer: 'Ada', total: { amount, currency: 'EUR' } });
      await post(`/orders/${id}/confirm`);
    };
    const totals = async (): Promise<unknown[]> =>
      (
        await mesh.json<{ results: { rows: unknown[] }[] }>(
          'db',
          'psql',
          'ordersdb',
          '-c',
          'SELECT currency, count, amount FROM order_totals',
        )
      ).results[0].rows;
    const report = async (...args: string[]): Promise<OutboxReport> => mesh.json<OutboxReport>('outbox', 'ls', ...args);

    await confirmOne(1_000);
    // The relay at work dies, and the other one takes over.
    const { holder, mode, active } = (await report()).outboxes[0].relays[0];
    expect({ mode, active }).toEqual({ mode: 'wal', active: true });
    process.kill(Number(holder.split(':').at(-1)), 'SIGKILL');
    await confirmOne(200);
    await confirmOne(34);
    await eventually(async () => JSON.stringify(await totals()).includes('1234'), 30_000);
    expect(await totals()).toEqual([{ currency: 'EUR', count: '3', amount: '1234' }]);

    await eventually(async () => (await report('ordersdb')).outboxes[0].waiting === 0);
    const { outboxes, problems } = await report('ordersdb');
    expect(problems).toEqual([]);
    expect(outboxes).toMatchObject([{ database: 'ordersdb', schema: 'public', oldestMs: null, deadLetters: 0 }]);
    expect(outboxes[0].lagBytes).toBeLessThan(10_000_000);
    expect(outboxes[0].publishedPerSecond).toBeGreaterThanOrEqual(0);
    const { stdout } = await mesh.mesh('outbox', 'ls');
    expect(stdout).toMatch(/^OUTBOX +RELAY +WAITING +OLDEST +LAG +PUBLISHED\/S +DEAD\nordersdb +wal +0 +- /);
    const unknown = await mesh.mesh('outbox', 'ls', 'orderdb');
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringMatching(/MESH-D117.*\n.*ordersdb/)]);
    await mesh.down();
  });

  it('joins a service that there is, by polling', { timeout: 300_000 }, async () => {
    const databaseUrl = postgres.url();
    const service = await renderProject({
      template: 'http-service',
      name: 'orders',
      config: { services: {}, gateway: { routes: [] } },
    });
    const { mesh, directory } = service;
    await mesh.json('new', 'outbox', 'orders', '--no-install', '--relay', 'polling');
    const project = projectIn(mesh, directory);
    expect(readdirSync(path.join(directory, 'migrations'))).toEqual(['0001_orders.sql', '0002_outbox.sql']);
    expect(readFileSync(path.join(directory, 'src/relay-mode.ts'), 'utf8')).toContain("= 'polling'");
    await project.install();
    await project.typecheck();
    if (databaseUrl === null) return;
    await project.test({ DATABASE_URL: databaseUrl });

    await project.up();
    const psql = (sql: string) =>
      mesh.json<{ results: { rows: Record<string, unknown>[] }[] }>('db', 'psql', 'ordersdb', '-c', sql);
    // Before the database has one it is not there; with the migrations of the service it is.
    await psql(
      "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) SELECT gen_random_uuid(), 'order', 'a', 'OrderChanged', to_jsonb(g) FROM generate_series(1, 50) g",
    );
    const messages = async () =>
      (await psql('SELECT topic, key, payload FROM mesh_bus.messages ORDER BY position')).results[0].rows;
    await eventually(async () => (await messages()).length === 50, 30_000);
    expect(await messages()).toEqual(
      Array.from({ length: 50 }, (_, i) => ({ topic: 'outbox.event.order', key: 'a', payload: String(i + 1) })),
    );
    expect((await mesh.json<OutboxReport>('outbox', 'ls')).outboxes[0].relays[0]).toMatchObject({ mode: 'polling' });
    await psql('DROP TABLE outbox');
    const gone = await mesh.mesh('outbox', 'ls', 'ordersdb');
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringMatching(/MESH-O101.*no table outbox/)]);
    expect((await mesh.mesh('outbox', 'ls')).stdout).toContain('no outbox');
    await mesh.down();
  });
});
