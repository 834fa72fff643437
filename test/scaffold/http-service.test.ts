import { describe, expect, it } from 'vitest';
import { cleanUpMeshes } from '../support/e2e.ts';
import { postgresOfFile, renderProject, routeTo } from '../support/scaffold.ts';

cleanUpMeshes();
const postgres = postgresOfFile();

describe('http-service', () => {
  it('is rendered, installed, type-checked, tested, put into a mesh, called there and taken down', {
    timeout: 300_000,
  }, async () => {
    const databaseUrl = postgres.url();
    const project = await renderProject({
      template: 'http-service',
      name: 'billing',
      flags: ['--entity', 'invoice'],
      config: { services: {}, gateway: { routes: [] } },
    });
    const { mesh } = project;
    await project.install();
    await project.typecheck();
    const outcome = await project.test(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl });
    expect(outcome).toEqual({
      passed: databaseUrl === null ? 7 : 14,
      failed: 0,
      skipped: databaseUrl === null ? 7 : 0,
    });
    await project.run('build');
    if (databaseUrl === null) return;

    routeTo(mesh.path('mesh.config.ts'), 'billing');
    await project.up();
    const url = `http://127.0.0.1:${mesh.gatewayPort}`;
    const create = () =>
      fetch(`${url}/invoices`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': 'first' },
        body: JSON.stringify({ items: [{ sku: 'A', quantity: 3, unitPrice: { amount: 50, currency: 'EUR' } }] }),
      });
    const created = await create();
    expect(created.status).toBe(201);
    const invoice = (await created.json()) as { id: string; total: object };
    expect(invoice.total).toEqual({ amount: 150, currency: 'EUR' });
    const again = await create();
    expect([again.status, await again.json()]).toEqual([200, invoice]);

    // What was written is in the database, not in the process.
    expect((await mesh.mesh('restart', 'billing')).code).toBe(0);
    const read = await fetch(url + created.headers.get('location')!);
    expect([read.status, await read.json()]).toEqual([200, invoice]);
    const refused = await fetch(`${url}/invoices?limit=0`);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(await refused.json()).toMatchObject({ status: 400, errors: [{ parameter: 'limit' }] });
    const health = await fetch(`${url}/health/ready`);
    expect(await health.json()).toMatchObject({ status: 'up', checks: { database: { status: 'up' } } });
    await mesh.down();
  });
});
