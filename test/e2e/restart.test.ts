import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, eventually, freePort, isAlive, startMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { get, getJson, startLoad } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const TARGETS = [
  { path: '/a/call?env=B_URL&path=/y', service: 'a' },
  { path: '/b/x', service: 'b' },
  { path: '/b/slow?ms=20', service: 'b' },
];
const gateway = { routes: routesTo('a', 'b') };
const services = (b: object) => ({ a: echo({ dependsOn: ['b'] }), b: { ...echo(), ...b } });

describe('restarts under load', () => {
  it('`mesh restart`, `mesh scale` up and down fail no request', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, { services: services({}), gateway });
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 4, http2: 2 });
    await load.progress();
    const before = await mesh.instance('b-1');
    for (let i = 1; i <= 2; i++) {
      expect(await mesh.mesh('restart', 'b')).toMatchObject({ code: 0 });
      const after = await mesh.instance('b-1');
      expect(after).toMatchObject({ state: 'ready', restarts: i });
      await load.progress();
    }
    expect(isAlive(before.pid!)).toBe(false);

    expect(await mesh.mesh('scale', 'b=3')).toMatchObject({ code: 0 });
    const instances = new Set<string>();
    for (let i = 0; i < 12; i++) instances.add((await getJson<EchoAnswer>(mesh.gatewayPort, '/b/x')).instance);
    expect([...instances].sort()).toEqual(['b-1', 'b-2', 'b-3']);
    await load.progress();
    expect(await mesh.mesh('restart', 'b')).toMatchObject({ code: 0 });
    const third = await mesh.instance('b-3');
    expect(await mesh.mesh('scale', 'b=1')).toMatchObject({ code: 0 });
    const { services: left } = await mesh.status();
    expect(left.find(({ name }) => name === 'b')!.instances.map(({ id }) => id)).toEqual(['b-1']);
    expect(isAlive(third.pid!)).toBe(false);
    await load.progress();
    expect(await load.stop()).toMatchObject({ failures: [] });
  });

  it('parks requests while a service with a fixed port restarts', async () => {
    const port = await freePort();
    const mesh = await startMesh({ 'echo.mjs': ECHO }, { services: services({ port }), gateway });
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 4, http2: 2 });
    await load.progress();
    for (let i = 1; i <= 2; i++) {
      expect(await mesh.mesh('restart', 'b')).toMatchObject({ code: 0 });
      expect(await mesh.instance('b-1')).toMatchObject({ state: 'ready', appPort: port, restarts: i });
      await load.progress();
    }
    expect(await load.stop()).toMatchObject({ failures: [] });
  });

  it('builds and restarts when a watched file changes; a build that fails keeps the old process', async () => {
    const mesh = await startMesh(
      {
        'echo.mjs': ECHO,
        'src/version.txt': 'v1',
        'build.sh': 'grep -q broken src/version.txt && { echo "it is broken"; exit 1; }; cp src/version.txt built.txt',
      },
      {
        services: services({
          command: ['sh', '-c', 'VERSION=$(cat built.txt) exec node echo.mjs'],
          build: ['sh', 'build.sh'],
          watch: ['src'],
        }),
        gateway,
      },
    );
    const version = async (): Promise<string> => (await getJson<EchoAnswer>(mesh.gatewayPort, '/b/x')).version;
    const { pid: other } = await mesh.instance('a-1');
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 3, http2: 1 });
    expect(await version()).toBe('v1');
    mesh.write('src/version.txt', 'v2');
    await eventually(async () => (await version()) === 'v2');
    mesh.write('src/version.txt', 'broken');
    await eventually(async () => (await mesh.mesh('logs', 'b')).stdout.includes('it is broken'));
    await load.progress();
    expect(await version()).toBe('v2');
    expect(await mesh.instance('b-1')).toMatchObject({ state: 'ready', restarts: 1 });
    mesh.write('src/version.txt', 'v3');
    await eventually(async () => (await version()) === 'v3');
    expect((await mesh.instance('a-1')).pid).toBe(other);
    expect(await load.stop()).toMatchObject({ failures: [] });
  });

  it('parks what arrives after a process was killed; only what it was working on fails', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, { services: services({}), gateway });
    const { pid } = await mesh.instance('b-1');
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 4, http2: 2 });
    await load.progress();
    process.kill(pid!, 'SIGKILL');
    await mesh.statusWhen(({ services: list }) => {
      const [instance] = list.find(({ name }) => name === 'b')!.instances;
      return instance.state === 'ready' && instance.restarts === 1;
    });
    await load.progress();
    const { failures, requests } = await load.stop();
    const noticedMs = Math.min(...failures.map(({ endedMs }) => endedMs));
    expect(failures.filter(({ beganMs }) => beganMs > noticedMs)).toEqual([]);
    // No more than were under way: 4 clients, 2 with 3 streams each.
    expect(failures.length).toBeLessThanOrEqual(10);
    console.log(`service killed: ${failures.length} of ${requests} requests failed, all in flight in it`);
  });

  it('stops and starts a service on request, and says so to its callers meanwhile', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, { services: services({}), gateway });
    expect(await mesh.mesh('stop', 'b')).toMatchObject({ code: 0 });
    expect(await mesh.instance('b-1')).toMatchObject({ state: 'stopped', pid: null });
    const refused = await get(mesh.gatewayPort, '/b/x');
    expect(refused.status).toBe(503);
    expect(refused.headers['x-mesh-response-flags']).toBe('UH');
    expect(refused.body).toContain('no healthy endpoint of b: 1 of 1 down; see `mesh logs b`');
    expect(await mesh.mesh('start', 'b')).toMatchObject({ code: 0 });
    expect((await get(mesh.gatewayPort, '/b/x')).status).toBe(200);
  });
});
