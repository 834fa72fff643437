import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, eventually } from '../support/e2e.ts';
import { postgresOfFile, renderProject, routeTo } from '../support/scaffold.ts';

cleanUpMeshes();
const postgres = postgresOfFile();

interface Saga {
  id: string;
  state: string;
  history: { step: string; direction: string; outcome: string | null; replica: string }[];
}

describe('saga', () => {
  it('is rendered, installed, type-checked, tested with kills, and runs in a mesh, where mesh saga shows it', {
    timeout: 300_000,
  }, async () => {
    const databaseUrl = postgres.url();
    const project = await renderProject({
      template: 'saga',
      name: 'checkout',
      flags: ['--entity', 'order'],
      config: { services: {}, gateway: { routes: [] } },
    });
    const { mesh } = project;
    await project.install();
    await project.typecheck();
    const outcome = await project.test(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl });
    expect(outcome).toEqual(
      databaseUrl === null ? { passed: 13, failed: 0, skipped: 14 } : { passed: 27, failed: 0, skipped: 0 },
    );
    await project.run('build');
    if (databaseUrl === null) return;

    routeTo(mesh.path('mesh.config.ts'), 'checkout');
    await project.up();
    const order = async (id: string, customer: string): Promise<void> => {
      const response = await fetch(`http://127.0.0.1:${mesh.gatewayPort}/orders`, {
        method: 'POST',
        headers: { 'idempotency-key': id },
        body: JSON.stringify({ customer, items: [{ sku: 'teapot', quantity: 1, unitPrice: 1_000 }] }),
      });
      expect(response.status, await response.text()).toBe(202);
    };
    const show = (id: string) => mesh.json<Saga>('saga', 'show', 'checkout', id);
    await order('first', 'ada');
    await order('second', 'grace');
    await eventually(async () => (await show('first')).state === 'completed', 60_000);
    await eventually(async () => (await show('second')).state === 'compensated', 60_000);
    const done = (await show('second')).history.filter(({ outcome }) => outcome === 'done');
    expect(done.map(({ direction, step }) => `${direction} ${step}`)).toEqual([
      'action create',
      'action reserve',
      'compensation reserve',
      'compensation create',
    ]);

    // What the one is killed at, the other, or its successor, goes on with.
    const many = Array.from({ length: 12 }, (_, at) => `killed-${at}`);
    await Promise.all(many.map((id) => order(id, 'ada')));
    process.kill((await mesh.instance('checkout-1')).pid!, 'SIGKILL');
    const count = async () =>
      (await mesh.json<{ sagas: Saga[]; counts: Record<string, number> }>('saga', 'ls', 'checkout')).counts;
    await eventually(async () => (await count().catch(() => null))?.completed === 1 + many.length, 60_000);

    const listed = await mesh.mesh('saga', 'ls', 'checkout', '--state', 'compensated');
    expect(listed.stdout).toMatch(/second +order +compensated +create +\S+ \S+ +pay: the account of grace/);
    expect(listed.stdout).toContain('13 completed');
    const shown = await mesh.mesh('saga', 'show', 'checkout', 'second');
    expect(shown.stdout).toContain('failed: pay: the account of grace does not have 1000');
    expect(shown.stdout).toMatch(/undo reserve +1 +done/);
    expect((await mesh.mesh('saga', 'show', 'checkout', 'none')).stderr).toContain('MESH-S151');
    expect((await mesh.mesh('saga', 'ls', 'chekout')).stderr).toContain("did you mean 'checkout'?");
    await mesh.down();
  });
});
