import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, eventually } from '../support/e2e.ts';
import { postgresOfFile, renderProject, routeTo } from '../support/scaffold.ts';

cleanUpMeshes();
const postgres = postgresOfFile();

describe('consumer', () => {
  it('is rendered, installed, type-checked, tested, put into a mesh, sent events there and taken down', {
    timeout: 300_000,
  }, async () => {
    const databaseUrl = postgres.url();
    const project = await renderProject({
      template: 'consumer',
      name: 'shipping',
      flags: ['--entity', 'order'],
      config: { services: {}, gateway: { routes: [] } },
    });
    const { mesh } = project;
    await project.install();
    await project.typecheck();
    const outcome = await project.test(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl });
    expect(outcome).toEqual({ passed: databaseUrl === null ? 3 : 8, failed: 0, skipped: databaseUrl === null ? 5 : 0 });
    await project.run('build');
    if (databaseUrl === null) return;

    routeTo(mesh.path('mesh.config.ts'), 'shipping');
    await project.up();
    const busUrl = (await mesh.mesh('db', 'url', 'shippingdb')).stdout.trim();
    const publish = (...args: string[]) => project.run('publish', { BUS_URL: busUrl }, args);
    const totals = async () =>
      (await (await fetch(`http://127.0.0.1:${mesh.gatewayPort}/totals`)).json()) as {
        count: number;
        amount: number;
      }[];
    await publish('1000', 'event-1');
    await publish('1000', 'event-1');
    await publish('234', 'event-2');
    await eventually(async () => (await totals())[0]?.count === 2);

    // A consumer that is killed is replaced, and what it had not confirmed comes again.
    const { pid } = await mesh.instance('shipping-1');
    await publish('1', 'event-3');
    process.kill(pid!, 'SIGKILL');
    await publish('1', 'event-3');
    await publish('1', 'event-4');
    const settled = async (): Promise<boolean> => (await totals().catch(() => []))[0]?.count === 4;
    await eventually(settled, 30_000);
    expect(await totals()).toMatchObject([{ count: 4, amount: 1236, currency: 'EUR' }]);
    await mesh.down();
  });
});
