import { appendFileSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, createMesh } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';

cleanUpMeshes();

/** Notes its start and its end in a file, and is ready or done once what it waits for is noted there. */
const NOTING = `
import fs from 'node:fs';
import http from 'node:http';
const note = (what) => fs.appendFileSync('events', what + ' ' + process.env.MESH_SERVICE + ' ' + Date.now() + '\\n');
note('start');
process.on('SIGTERM', () => { note('stop'); process.exit(0); });
const timer = setInterval(() => {
  const noted = fs.readFileSync('events', 'utf8');
  if (!(process.env.AFTER ?? '').split(',').every((what) => noted.includes(what))) return;
  clearInterval(timer);
  note('up');
  if (process.env.TASK) process.exit(Number(process.env.CODE ?? 0));
  http.createServer((request, response) => response.end('ok')).listen(Number(process.env.PORT), '127.0.0.1');
}, Number(process.env.DELAY ?? 0));
`;
const noting = (after: string, fields: object = {}) => ({
  command: ['node', 'noting.mjs'],
  env: { AFTER: after },
  ...fields,
});

describe('start order', () => {
  it('waits for started, ready and completed, starts the rest at once, and stops in reverse', async () => {
    const mesh = await createMesh(
      { 'noting.mjs': NOTING },
      {
        services: {
          web: noting('', { dependsOn: { db: 'ready', migrate: 'completed', mail: 'started' } }),
          migrate: noting('', { task: true, env: { TASK: '1' }, dependsOn: ['db'] }),
          // Nobody waits without a reason: not the others for db, not web for mail to be ready.
          db: noting('start cache,start mail'),
          mail: noting('start web'),
          cache: noting(''),
        },
      },
    );
    const up = await mesh.up();
    expect(up.stdout).toMatch(/web-1 +waiting for .*db \(ready\)/);
    expect(up.stdout).toMatch(/web-1 +waiting for migrate \(completed\)/);
    expect(up.stdout).toMatch(/✓ migrate-1 +completed/);
    expect(await mesh.down()).toMatchObject({ code: 0 });
    const at: Record<string, number> = {};
    for (const line of readFileSync(mesh.path('events'), 'utf8').trim().split('\n')) {
      const [what, service, time] = line.split(' ');
      at[`${what} ${service}`] = Number(time);
    }
    expect(at['start migrate']).toBeGreaterThanOrEqual(at['up db']);
    expect(at['start web']).toBeGreaterThanOrEqual(at['up migrate']);
    expect(at['start web']).toBeGreaterThanOrEqual(at['start mail']);
    expect(at['stop db']).toBeGreaterThanOrEqual(at['stop web']);
    expect(at['stop mail']).toBeGreaterThanOrEqual(at['stop web']);
  });

  it('a task that fails is shown with its last words, and who waits for it does not start', async () => {
    const mesh = await createMesh(
      { 'echo.mjs': ECHO, 'migrate.mjs': `console.error('relation "orders" does not exist'); process.exit(1);` },
      {
        services: {
          web: echo({ dependsOn: { migrate: 'completed' } }),
          migrate: { command: ['node', 'migrate.mjs'], task: true },
        },
      },
    );
    const up = await mesh.mesh('up', '-d');
    expect(up.code).toBe(1);
    expect(up.stderr).toContain('migrate-1');
    expect(up.stderr).toContain('relation "orders" does not exist');
    const web = await mesh.instance('web-1');
    expect(web).toMatchObject({ state: 'starting', pid: null });
    expect(web.reason).toMatch(/waiting for migrate \(completed\), which failed/);
    // Once it is put right, everything goes its way.
    mesh.write('migrate.mjs', '');
    expect(await mesh.mesh('start', 'migrate')).toMatchObject({ code: 0 });
    expect(await mesh.mesh('wait', 'web')).toMatchObject({ code: 0 });
  });

  it('`mesh up SERVICE` starts it and what it needs, and more on request', async () => {
    const mesh = await createMesh(
      { 'echo.mjs': ECHO },
      {
        services: { web: echo({ dependsOn: ['orders'] }), orders: echo(), other: echo() },
        gateway: { routes: routesTo('web', 'other') },
      },
    );
    await mesh.up('web');
    const names = (await mesh.status()).services.map(({ name }) => name);
    expect(names).toEqual(['web', 'orders']);
    expect((await get(mesh.gatewayPort, '/web')).status).toBe(200);
    await mesh.up('other');
    expect((await get(mesh.gatewayPort, '/other')).status).toBe(200);
  });

  it('requests that come before a service is ready wait for it', async () => {
    const mesh = await createMesh(
      { 'noting.mjs': NOTING },
      { services: { a: noting('go') }, gateway: { routes: routesTo('a') } },
    );
    const up = mesh.run('up', '--no-tui');
    await up.until(/a-1 +starting, pid/);
    const waiting = get(mesh.gatewayPort, '/a');
    await mesh.statusWhen(({ traffic }) => traffic.activeRequests > 0);
    appendFileSync(mesh.path('events'), 'go\n');
    expect(await waiting).toMatchObject({ status: 200, body: 'ok' });
  });
});
