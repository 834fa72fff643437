import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, eventually } from '../support/e2e.ts';
import { postgresOfFile, renderProject, routeTo, runProgram } from '../support/scaffold.ts';

cleanUpMeshes();
const postgres = postgresOfFile();

/** Uses the project's own client through the gateway, as a caller of it would. */
const CALLER = `
import { randomUUID } from 'node:crypto';
import { createClient } from './client.ts';
import { violationsOf } from './errors.ts';
const client = createClient(process.argv[2]!);
const request = { idempotencyKey: randomUUID(), items: [{ sku: 'A', quantity: 2, unitPrice: { amount: '150', currency: 'EUR' } }] };
const first = await client.create(request);
const again = await client.create(request);
const id = first.SINGULAR!.id;
const stream = client.watch();
stream.write({ id });
const states: string[] = [];
const watching = (async () => { for await (const each of stream) states.push(each.status); })();
while (states.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
await client.update(id, 'CONSTANT_STATUS_CANCELLED');
stream.end();
await watching;
const imported = await client.import([request, { ...request, idempotencyKey: randomUUID() }]);
let listed = 0;
for await (const _ of client.list()) listed++;
const refused = await client.create({ idempotencyKey: '', items: [] }).catch((error) => ({ code: error.code, fields: violationsOf(error).map(({ field }) => field) }));
client.close();
console.log(JSON.stringify({ total: first.SINGULAR!.total, replayed: [first.replayed, again.replayed], same: again.SINGULAR!.id === id, states, imported, listed, refused }));
`;

describe('grpc-service', () => {
  it('is rendered, installed, type-checked, tested, put into a mesh, called there and taken down', {
    timeout: 300_000,
  }, async () => {
    const databaseUrl = postgres.url();
    const project = await renderProject({
      template: 'grpc-service',
      name: 'shopping-carts',
      config: { services: {}, gateway: { routes: [] } },
    });
    const { mesh } = project;
    await project.install();
    await project.typecheck();
    const outcome = await project.test(databaseUrl === null ? {} : { DATABASE_URL: databaseUrl });
    expect(outcome).toEqual({
      passed: databaseUrl === null ? 5 : 14,
      failed: 0,
      skipped: databaseUrl === null ? 9 : 0,
    });
    // What JavaScript it becomes runs as well.
    await project.run('build');
    if (databaseUrl === null) return;

    routeTo(mesh.path('mesh.config.ts'), 'shopping-carts');
    await project.up();
    const instance = await mesh.instance('shopping-carts-1');
    expect(instance).toMatchObject({ state: 'ready' });
    writeFileSync(
      path.join(project.directory, 'src/caller.ts'),
      CALLER.replaceAll('SINGULAR', 'shoppingCart').replaceAll('CONSTANT', 'SHOPPING_CART'),
    );
    const caller = await runProgram(
      process.execPath,
      ['--import', 'tsx', 'src/caller.ts', `http://127.0.0.1:${mesh.gatewayPort}`],
      project.directory,
      mesh.env,
    );
    expect(caller.code, caller.output).toBe(0);
    expect(JSON.parse(caller.output)).toEqual({
      total: { amount: '300', currency: 'EUR' },
      replayed: [false, true],
      same: true,
      states: ['SHOPPING_CART_STATUS_PENDING', 'SHOPPING_CART_STATUS_CANCELLED'],
      imported: { created: 1, replayed: 1, rejected: 0 },
      listed: 2,
      refused: { code: 3, fields: ['idempotency_key', 'items'] },
    });
    // The trace that the gateway began is the one that the service's log speaks of.
    const { stdout } = await mesh.mesh('logs', 'shopping-carts', '-n', '200');
    await eventually(() => /"method":"\/shopping_carts\.v1\.ShoppingCartService\/CreateShoppingCart"/.test(stdout));
    expect(stdout).toMatch(/"traceId":"[0-9a-f]{32}".*"caller":"spiffe:\/\/e2e\.local\//);
    await mesh.down();
  });
});
