import { existsSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { InjectionStatus } from '../../src/model/injection.ts';
import { cleanUpMeshes, createMesh, eventually, isAlive, type TestMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { get, getJson, type Load, startLoad, type Target } from '../support/e2e-traffic.ts';
import { cleanUpOutsiders, type Outsider, startOutsider } from '../support/outsiders.ts';

cleanUpMeshes();
cleanUpOutsiders();

/** `web`, which calls `orders`; both behind the gateway. */
async function shop(): Promise<TestMesh> {
  const mesh = await createMesh(
    { 'echo.mjs': ECHO },
    {
      gateway: { routes: routesTo('web', 'orders') },
      services: { web: echo({ dependsOn: ['orders'] }), orders: echo() },
    },
  );
  await mesh.up();
  return mesh;
}

/** ECHO on its own, which calls itself `orders` and answers the version `mine`. */
const mine = (mesh: TestMesh, port?: number): Promise<Outsider> =>
  startOutsider(['node', mesh.path('echo.mjs')], { port, env: { MESH_SERVICE: 'orders', VERSION: 'mine' } });

const inject = (mesh: TestMesh, ...args: string[]): Promise<InjectionStatus> => mesh.json('inject', ...args);

/** Who answers for `orders`, as `web` sees it. */
async function ordersVersion(mesh: TestMesh, headers: Record<string, string> = {}): Promise<string> {
  const answer = await getJson<EchoAnswer>(mesh.gatewayPort, '/orders', headers);
  return answer.version;
}

/** Requests to `orders` from outside and from `web`. */
function load(mesh: TestMesh): Load {
  const check: Target['check'] = (answer) => {
    const { called } = answer as EchoAnswer;
    return called?.status === 200 ? null : `web got ${JSON.stringify(called)}`;
  };
  return startLoad({
    port: mesh.gatewayPort,
    targets: [
      { path: '/orders', service: 'orders' },
      { path: '/web/call?env=ORDERS_URL', service: 'web', check },
    ],
    http1: 3,
    http2: 1,
  });
}

const stateOf = async (mesh: TestMesh, id: string): Promise<string | undefined> =>
  (await mesh.status()).services.flatMap(({ instances }) => instances).find((each) => each.id === id)?.state;

describe('mesh inject', () => {
  it('takes in a new service under load, which others reach by name with mutual TLS, and lets it go again', async () => {
    const mesh = await shop();
    const process = await mine(mesh);
    const during = load(mesh);
    await during.progress();
    const status = await inject(mesh, String(process.port), '--as', 'legacy');
    expect(status).toMatchObject({
      instance: 'legacy-injected-1',
      pid: process.pid,
      protocol: 'http',
      state: 'ready',
      takeover: null,
    });
    expect(status.coverage[0]).toMatchObject({ direction: 'inbound', covered: true });
    expect(status.coverage[1]).toMatchObject({ direction: 'outbound', covered: false });
    expect(status.coverage[1].fix).not.toBe('');
    const { outboundPort } = await mesh.instance('web-1');
    const tap = mesh.run('tap', 'legacy', '--json', '-n', '1');
    let tapped = false;
    void tap.ended.then(() => {
      tapped = true;
    });
    await eventually(async () => (await get(outboundPort!, '/x', { host: 'legacy' })).status === 200 && tapped);
    const reply = await get(outboundPort!, '/x', { host: 'legacy' });
    expect(JSON.parse(reply.body)).toMatchObject({ version: 'mine', path: '/x' });
    expect(JSON.parse(reply.body).headers['x-forwarded-client-cert']).toContain('/sa/web');
    expect(JSON.parse((await tap.ended).stdout)).toMatchObject({ source: 'web', destination: 'legacy', tls: true });
    expect(await stateOf(mesh, 'legacy-injected-1')).toBe('ready');
    expect(statSync(mesh.path('.mesh/injections.json')).mode & 0o777).toBe(0o600);

    const ejected = await mesh.json<{ ejected: string[] }>('eject', 'legacy');
    expect(ejected.ejected).toEqual(['legacy-injected-1']);
    expect(await stateOf(mesh, 'legacy-injected-1')).toBeUndefined();
    expect((await get(outboundPort!, '/x', { host: 'legacy' })).status).toBe(404);
    expect(existsSync(mesh.path('.mesh/injections.json'))).toBe(false);
    expect(isAlive(process.pid)).toBe(true);
    await during.progress();
    expect((await during.stop()).failures).toEqual([]);
  });

  it('takes over all requests, by header or by weight, and fails none of them', async () => {
    const mesh = await shop();
    const process = await mine(mesh);
    const during = load(mesh);
    await during.progress();

    await inject(mesh, String(process.port), '--as', 'orders', '--takeover');
    expect(await ordersVersion(mesh)).toBe('mine');
    await eventually(async () => (await stateOf(mesh, 'orders-1')) === 'stopped');
    await during.progress(100);
    await mesh.json('eject', 'orders');
    expect(await stateOf(mesh, 'orders-1')).toBe('ready');
    expect(await ordersVersion(mesh)).toBe('');
    await during.progress(100);

    await inject(mesh, String(process.port), '--as', 'orders', '--takeover', '--match', 'header=x-dev:me');
    expect(await ordersVersion(mesh)).toBe('');
    expect(await ordersVersion(mesh, { 'x-dev': 'me' })).toBe('mine');
    expect(await stateOf(mesh, 'orders-1')).toBe('ready');
    await during.progress();
    await mesh.json('eject', 'orders');
    expect(await ordersVersion(mesh, { 'x-dev': 'me' })).toBe('');

    await inject(mesh, String(process.port), '--as', 'orders', '--weight', '50');
    const versions = await Promise.all(Array.from({ length: 40 }, () => ordersVersion(mesh)));
    expect(new Set(versions)).toEqual(new Set(['', 'mine']));
    await during.progress(100);
    await mesh.json('eject', '--all');
    await during.progress();
    expect((await during.stop()).failures).toEqual([]);
  });

  it('notices soon that a process died, and gives the service back', async () => {
    const mesh = await shop();
    const process = await mine(mesh);
    await inject(mesh, String(process.port), '--as', 'orders', '--takeover');
    await eventually(async () => (await stateOf(mesh, 'orders-1')) === 'stopped');
    const during = load(mesh);
    await during.progress(20);
    const lookedAt = performance.now();
    await stateOf(mesh, 'orders-injected-1');
    const lookMs = performance.now() - lookedAt;
    await process.end('SIGKILL');
    const killedAt = performance.now();
    const diedMs = during.now();
    await eventually(async () => (await stateOf(mesh, 'orders-injected-1')) === undefined, 10_000);
    const noticedMs = performance.now() - killedAt;
    console.log(`a killed process was gone after ${noticedMs.toFixed(0)} ms; one look took ${lookMs.toFixed(0)} ms`);
    // A second, and what a machine that is busy with other tests adds: a look takes a few milliseconds by itself.
    expect(noticedMs).toBeLessThan(1_000 + 10 * lookMs);
    expect(await ordersVersion(mesh)).toBe('');
    await during.progress(20);
    // What it had begun is lost with it; what came later waits for the mesh's own.
    const { failures, slowestMs } = await during.stop();
    console.log(`${failures.length} requests were lost with it; the slowest took ${slowestMs.toFixed(0)} ms`);
    expect(failures.filter(({ beganMs }) => beganMs > diedMs)).toEqual([]);
  });

  it('takes a sticky one in again when it is back on its port', async () => {
    const mesh = await shop();
    const first = await mine(mesh);
    await inject(mesh, String(first.port), '--as', 'orders', '--takeover', '--sticky');
    await first.end('SIGKILL');
    await eventually(async () => (await stateOf(mesh, 'orders-injected-1')) === 'stopped');
    await eventually(async () => (await stateOf(mesh, 'orders-1')) === 'ready');
    expect(await ordersVersion(mesh)).toBe('');
    const second = await mine(mesh, first.port);
    await eventually(async () => (await ordersVersion(mesh)) === 'mine');
    expect((await mesh.instance('orders-injected-1')).pid).toBe(second.pid);
    await eventually(async () => (await stateOf(mesh, 'orders-1')) === 'stopped');
  });

  it('outlives a daemon that is killed, but not its mesh', async () => {
    const mesh = await shop();
    const process = await mine(mesh);
    const before = await inject(mesh, String(process.port), '--as', 'orders', '--takeover');
    await eventually(async () => (await stateOf(mesh, 'orders-1')) === 'stopped');
    const { pid } = await mesh.status();
    globalThis.process.kill(pid, 'SIGKILL');
    await eventually(() => !isAlive(pid));
    await mesh.up();
    expect(await ordersVersion(mesh)).toBe('mine');
    const after = await mesh.instance('orders-injected-1');
    expect(after).toMatchObject({ state: 'ready', inboundPort: before.inboundPort, outboundPort: before.outboundPort });
    expect(await stateOf(mesh, 'orders-1')).toBe('stopped');
    await mesh.json('eject', 'orders');
    expect(await ordersVersion(mesh)).toBe('');

    await inject(mesh, String(process.port), '--as', 'legacy');
    await mesh.down();
    expect(existsSync(mesh.path('.mesh/injections.json'))).toBe(false);
    await mesh.up();
    expect(await stateOf(mesh, 'legacy-injected-1')).toBeUndefined();
  });

  it('keeps injections through a save, also one that declares the service', async () => {
    const mesh = await shop();
    const process = await mine(mesh);
    await inject(mesh, String(process.port), '--as', 'legacy');
    const during = load(mesh);
    const services = { web: echo({ dependsOn: ['orders'] }), orders: echo(), legacy: echo() };
    mesh.config({ gateway: { routes: routesTo('web', 'orders', 'legacy') }, services });
    await mesh.statusWhen(({ services }) =>
      services.some(({ name, instances }) => name === 'legacy' && instances.length > 1),
    );
    const answer = await getJson<EchoAnswer>(mesh.gatewayPort, '/legacy');
    expect(answer.version).toBe('mine');
    await mesh.json('eject', 'legacy');
    expect((await getJson<EchoAnswer>(mesh.gatewayPort, '/legacy')).version).toBe('');
    expect((await during.stop()).failures).toEqual([]);
  });

  it('says what is wrong with what cannot be injected, and changes nothing', async () => {
    const mesh = await shop();
    const process = await mine(mesh);
    const web = await mesh.instance('web-1');
    const before = await mesh.json<unknown>('endpoints');
    const codes: string[] = [];
    const refuse = async (...args: string[]): Promise<void> => {
      const outcome = await mesh.mesh('inject', ...args, '--json');
      expect(outcome.code, outcome.stdout).not.toBe(0);
      const { problems } = JSON.parse(outcome.stdout) as { problems: { code: string; hint?: string }[] };
      expect(problems[0].hint, JSON.stringify(problems)).toBeTruthy();
      codes.push(problems[0].code);
    };
    await refuse('4194999');
    await refuse('no-such-program');
    await refuse(String(web.appPort));
    await refuse(String(web.inboundPort));
    await refuse(String(mesh.gatewayPort));
    await refuse(String(process.port), '--as', 'orders');
    await refuse(String(process.port), '--as', 'Orders');
    await refuse(String(process.port), '--as', 'nope', '--takeover');
    await refuse(String(process.port), '--as', 'orders', '--weight', '100');
    await refuse(String(process.port), '--as', 'orders', '--match', 'x-dev=me');
    expect(codes).toEqual([
      'MESH-J102',
      'MESH-J102',
      'MESH-J105',
      'MESH-J105',
      'MESH-J105',
      'MESH-J106',
      'MESH-J111',
      'MESH-J109',
      'MESH-J111',
      'MESH-J111',
    ]);
    await inject(mesh, String(process.port), '--as', 'legacy');
    await refuse(String(process.port), '--as', 'other');
    expect(codes.at(-1)).toBe('MESH-J105');
    await mesh.json('eject', 'legacy');
    expect(await mesh.json<unknown>('endpoints')).toEqual(before);
    await mesh.down();
    expect((await mesh.mesh('inject', String(process.port))).code).toBe(3);
  });
});
