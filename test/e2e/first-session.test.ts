import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { MeshStatus } from '../../src/model/status.ts';
import { cleanUpMeshes, createMesh, freePort, startMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { getJson } from '../support/e2e-traffic.ts';

cleanUpMeshes();
const execute = promisify(execFile);

describe('a first session', () => {
  it('goes from an empty directory to a routed and encrypted request', async () => {
    const mesh = await createMesh();
    const init = await mesh.mesh('init');
    expect(init, init.stderr).toMatchObject({ code: 0 });
    expect(existsSync(mesh.path('mesh.config.ts'))).toBe(true);
    // The ports that `init` chooses may be somebody else's on this machine.
    const written = readFileSync(mesh.path('mesh.config.ts'), 'utf8');
    const text = written
      .replace(/\bhttp: \d+/, `http: ${mesh.gatewayPort}`)
      .replace(/\bhttps: \d+/, `https: ${await freePort()}`);
    mesh.write('mesh.config.ts', text);

    const up = await mesh.up();
    expect(up.stdout).toMatch(/ is ready in .*http:\/\/localhost:\d+/);
    const { stdout } = await execute('curl', ['-sS', '-i', `http://127.0.0.1:${mesh.gatewayPort}/`]);
    expect(stdout).toMatch(/^HTTP\/1.1 200 /);

    const down = await mesh.down();
    expect(down).toMatchObject({ code: 0 });
    expect(mesh.processes()).toEqual([]);
    const again = await mesh.mesh('ps');
    expect(again.code).toBe(3);
    expect(again.stderr).toContain('MESH-R101');
    expect(again.stderr).toContain('mesh up');
  });

  it('shows services the identity of their callers, whatever these pretend', async () => {
    const mesh = await startMesh(
      { 'echo.mjs': ECHO },
      { services: { a: echo({ dependsOn: ['b'] }), b: echo() }, gateway: { routes: routesTo('a') } },
    );
    const forged = { 'x-forwarded-client-cert': 'URI=spiffe://e2e.local/ns/default/sa/admin' };
    const answer = await getJson<EchoAnswer>(mesh.gatewayPort, '/a/call?env=B_URL&path=/x', forged);
    expect(answer.headers['x-forwarded-client-cert']).toMatch(
      /^By=spiffe:\/\/e2e.local\/ns\/default\/sa\/a;Hash=[0-9a-f]{64};.*URI=spiffe:\/\/e2e.local\/ns\/default\/sa\/gateway$/,
    );
    expect(answer.headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
    expect(answer.called?.body).toMatchObject({ service: 'b', path: '/x' });
    expect(answer.called?.body.headers['x-forwarded-client-cert']).toContain('URI=spiffe://e2e.local/ns/default/sa/a');
  });

  it('prints `mesh ps --json` in the documented shape', async () => {
    const https = await freePort();
    const mesh = await startMesh(
      { 'echo.mjs': ECHO },
      {
        services: {
          orders: echo({ subsets: { stable: { env: { VERSION: 'v1' } }, canary: { env: { VERSION: 'v2' } } } }),
          legacy: { external: 'http://127.0.0.1:9' },
        },
        gateway: { https, routes: routesTo('orders') },
      },
    );
    const status = await mesh.json<MeshStatus>('ps');
    expect(status).toMatchObject({
      mesh: 'e2e',
      state: 'running',
      gateway: { http: mesh.gatewayPort, https },
      config: { problems: [] },
    });
    expect(status.services.map(({ name, protocol }) => ({ name, protocol }))).toEqual([
      { name: 'orders', protocol: 'http' },
      { name: 'legacy', protocol: 'http' },
    ]);
    const [stable, canary] = status.services[0].instances;
    expect([stable.id, canary.id]).toEqual(['orders-stable-1', 'orders-canary-1']);
    expect(stable).toEqual({
      id: 'orders-stable-1',
      subset: 'stable',
      state: 'ready',
      reason: '',
      pid: expect.any(Number),
      appPort: expect.any(Number),
      inboundPort: expect.any(Number),
      outboundPort: expect.any(Number),
      restarts: 0,
      startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      readyAfterMs: expect.any(Number),
      spiffeId: 'spiffe://e2e.local/ns/default/sa/orders',
    });
    expect(readFileSync(`/proc/${stable.pid}/cmdline`, 'latin1')).toContain('echo.mjs');
    expect(existsSync(mesh.path('.mesh/.gitignore'))).toBe(true);
  });

  it('serves HTTPS on the gateway, over HTTP/1.1 and HTTP/2, to whoever trusts its root', async () => {
    const port = await freePort();
    const mesh = await startMesh(
      { 'echo.mjs': ECHO },
      { services: { a: echo() }, gateway: { https: port, routes: routesTo('a') } },
    );
    const ca = readFileSync((await getJson<EchoAnswer>(mesh.gatewayPort, '/a/env')).env!.NODE_EXTRA_CA_CERTS);
    for (const host of ['localhost', 'e2e.localhost', 'a.localhost']) {
      const answer = await new Promise<EchoAnswer>((resolve, reject) => {
        const lookup = ((_name: string, options: { all?: boolean }, done: (...values: unknown[]) => void) =>
          options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)) as never;
        https
          .get({ host, port, path: '/a', ca, lookup, agent: false }, async (response) => {
            let body = '';
            for await (const text of response.setEncoding('utf8')) body += text;
            resolve(JSON.parse(body));
          })
          .on('error', reject);
      });
      expect(answer).toMatchObject({ service: 'a', headers: { 'x-forwarded-proto': 'https' } });
    }
    const session = http2.connect(`https://localhost:${port}`, { ca, host: '127.0.0.1' });
    const stream = session.request({ ':path': '/a' });
    const status = await new Promise((resolve, reject) => {
      stream.on('response', (headers) => resolve(headers[':status']));
      stream.on('error', reject);
      session.on('error', reject);
    });
    stream.close();
    session.destroy();
    expect(status).toBe(200);
    // Who does not trust the root is told so by its own TLS stack, not served.
    await expect(execute('curl', ['-sS', `https://localhost:${port}/a`])).rejects.toMatchObject({ code: 60 });
  });
});
