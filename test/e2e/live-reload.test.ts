import { describe, expect, it } from 'vitest';
import type { MeshStatus } from '../../src/model/status.ts';
import {
  type Config,
  cleanUpMeshes,
  configText,
  createMesh,
  eventually,
  freePort,
  type TestMesh,
} from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { get, getJson, startLoad } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const versions = { subsets: { v1: { env: { VERSION: 'v1' } }, v2: { env: { VERSION: 'v2' } } } };
const split = (v1: number, v2: number) => ({
  ...versions,
  routes: [
    {
      backends: [
        { subset: 'v1', weight: v1 },
        { subset: 'v2', weight: v2 },
      ],
    },
  ],
});
const BASE: Config = {
  services: { a: echo({ dependsOn: ['b'] }), b: echo(split(100, 0)), c: echo() },
  gateway: { routes: routesTo('a', 'b', 'c') },
};
const TARGETS = [
  { path: '/a/x', service: 'a' },
  { path: '/a/call?env=B_URL&path=/y', service: 'a' },
  { path: '/b/x', service: 'b' },
  { path: '/c/x', service: 'c' },
];

const pidsOf = (status: MeshStatus, ...services: string[]) =>
  status.services
    .filter(({ name }) => services.includes(name))
    .flatMap(({ instances }) => instances.map(({ pid }) => pid));

/** Saves and resolves when that configuration is in force. */
async function save(mesh: TestMesh, config: Config): Promise<MeshStatus> {
  const before = (await mesh.status()).config.loadedAt;
  mesh.config(config);
  return mesh.statusWhen(({ config: { loadedAt, problems } }) => loadedAt !== before && problems.length === 0);
}

describe('live reload under load', () => {
  it('puts routes, weights, timeouts and headers in force without a failed or misrouted request', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, BASE);
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    const pids = pidsOf(await mesh.status(), 'a', 'b', 'c');
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 3, http2: 2 });
    await load.progress();

    await save(mesh, { ...BASE, services: { ...BASE.services, b: echo(split(0, 100)) } });
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) seen.add((await getJson<EchoAnswer>(mesh.gatewayPort, '/b/x')).version);
    expect([...seen]).toEqual(['v2']);

    const headers = { requestHeaders: { set: { 'x-added': 'yes' } }, responseHeaders: { set: { 'x-out': 'there' } } };
    const routes = routesTo('a', 'b', 'c').map((route) => ({
      ...route,
      filters: headers,
      timeouts: { request: '250ms' },
    }));
    await save(mesh, { ...BASE, gateway: { routes } });
    const reply = await get(mesh.gatewayPort, '/c/x');
    expect(reply.headers['x-out']).toBe('there');
    expect((JSON.parse(reply.body) as EchoAnswer).headers['x-added']).toBe('yes');
    const late = await get(mesh.gatewayPort, '/c/slow?ms=2000');
    expect(late.status).toBe(504);
    expect(late.headers['x-mesh-response-flags']).toBe('UT');

    // Saves like those of an editor with auto-save: the last one counts.
    for (let i = 1; i <= 10; i++) {
      mesh.config({ ...BASE, services: { ...BASE.services, b: echo(split(100 - i, i)) } });
      await load.progress(5);
    }
    await eventually(async () => {
      const { routes: list } = await mesh.json<{ routes: { table: string; backends: { weight: number }[] }[] }>(
        'routes',
      );
      return list.find(({ table }) => table === 'b')?.backends[1].weight === 10;
    });
    expect(pidsOf(await mesh.status(), 'a', 'b', 'c')).toEqual(pids);
    const { requests, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(200);
    await up.until(/reloaded: version \d+ in force/);
  });

  it('changes nothing on a broken save, says what is wrong, and goes on with the next good one', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, BASE);
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    const good = configText(BASE, mesh.gatewayPort);
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 2, http2: 1 });
    await load.progress();
    const broken: [string, RegExp][] = [
      [good.replace('defineMesh({', 'defineMesh({{'), /MESH-C\d+/],
      [good.replace('"services"', '"servises"'), /servises[\s\S]*services/],
      [good.replace('"weight": 100', '"weight": 0'), /weight/],
      [good.replace('"dependsOn": [\n        "b"', '"dependsOn": [\n        "bb"'), /bb/],
      [`${good}\nthrow new Error('as an example');`, /as an example/],
    ];
    for (const [text, said] of broken) {
      expect(text).not.toBe(good);
      const from = up.output().length;
      mesh.write('mesh.config.ts', text);
      await eventually(
        () => said.test(up.output().slice(from)),
        10_000,
        () => `${said} in: ${up.output().slice(from)}`,
      );
      const status = await mesh.statusWhen(({ config }) => config.problems.length > 0);
      expect(status.state).toBe('running');
      expect((await mesh.mesh('ps')).stdout).toMatch(said);
      await load.progress();
    }
    const status = await save(mesh, {
      ...BASE,
      services: { ...BASE.services, d: echo() },
      gateway: { routes: routesTo('a', 'b', 'c', 'd') },
    });
    expect(status.config.problems).toEqual([]);
    expect((await getJson<EchoAnswer>(mesh.gatewayPort, '/d')).service).toBe('d');
    expect((await load.stop()).failures).toEqual([]);
  });

  it('adds, changes and removes a service without touching the others', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, BASE);
    await mesh.up();
    const before = await mesh.status();
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 3, http2: 2 });
    await load.progress();

    const gateway = { routes: routesTo('a', 'b', 'c', 'd') };
    const more: Config = { services: { ...BASE.services, d: echo() }, gateway };
    await save(mesh, more);
    // Requests may come before it is ready: they wait.
    expect((await getJson<EchoAnswer>(mesh.gatewayPort, '/d/x')).service).toBe('d');
    const added = await mesh.statusWhen((status) =>
      status.services.some(({ name, instances }) => name === 'd' && instances[0].state === 'ready'),
    );

    const changed: Config = { services: { ...more.services, c: echo({ env: { VERSION: 'new' } }) }, gateway };
    await save(mesh, changed);
    await eventually(async () => (await getJson<EchoAnswer>(mesh.gatewayPort, '/c/x')).version === 'new');
    const after = await mesh.statusWhen((status) =>
      status.services.every(({ instances }) => instances.every(({ state }) => state === 'ready')),
    );
    expect(pidsOf(after, 'a', 'b', 'd')).toEqual(pidsOf(added, 'a', 'b', 'd'));
    expect(pidsOf(after, 'c')).not.toEqual(pidsOf(before, 'c'));

    await save(mesh, { services: { ...BASE.services, c: changed.services.c }, gateway: BASE.gateway });
    const left = await mesh.statusWhen(({ services }) => services.length === 3);
    expect(pidsOf(left, 'a', 'b', 'c')).toEqual(pidsOf(after, 'a', 'b', 'c'));
    const [gone] = pidsOf(after, 'd');
    await eventually(() => !mesh.processes().some(({ pid }) => pid === gone));
    expect((await get(mesh.gatewayPort, '/d/x')).headers['x-mesh-response-flags']).toBe('NR');
    expect((await load.stop()).failures).toEqual([]);
  });

  it('moves the gateway to another port', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, BASE);
    await mesh.up();
    const { pid } = await mesh.instance('a-1');
    let port = mesh.gatewayPort;
    const load = startLoad({ port: () => port, targets: TARGETS, http1: 3, http2: 2 });
    await load.progress();
    const other = await freePort();
    // The clients move as soon as the new port answers; the old one then finishes what it has.
    const moved = eventually(async () => (await get(other, '/a/x').catch(() => null))?.status === 200).then(() => {
      port = other;
    });
    await save(mesh, { ...BASE, gateway: { http: other, routes: routesTo('a', 'b', 'c') } });
    await moved;
    await load.progress();
    await expect(get(mesh.gatewayPort, '/a/x')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect((await mesh.status()).gateway).toEqual({ http: other });
    expect((await mesh.instance('a-1')).pid).toBe(pid);
    const { failures } = await load.stop();
    // Between the change and the first answer of the new port a client may find the old one closed.
    expect(failures.filter(({ what }) => !what.includes('ECONNREFUSED'))).toEqual([]);

    // A port that somebody else has is refused like any broken save, and the one before stays.
    const taken = (await mesh.instance('b-v1-1')).appPort!;
    mesh.config({ ...BASE, gateway: { http: taken, routes: routesTo('a', 'b', 'c') } });
    const { config } = await mesh.statusWhen((status) => status.config.problems.length > 0);
    expect(config.problems[0]).toMatchObject({
      code: 'MESH-N101',
      message: expect.stringContaining(`port ${taken} of the gateway is held by`),
    });
    expect((await get(other, '/a/x')).status).toBe(200);
  });

  it('follows a file that the configuration imports', async () => {
    const mesh = await createMesh({
      'echo.mjs': ECHO,
      'shared/weights.ts': 'export const weights: [number, number] = [1, 0];\n',
    });
    const text = configText({ ...BASE, services: { ...BASE.services, b: echo(split(1234, 4321)) } }, mesh.gatewayPort)
      .replace('1234', 'weights[0]')
      .replace('4321', 'weights[1]');
    mesh.write('mesh.config.ts', `import { weights } from './shared/weights.ts';\n${text}`);
    await mesh.up();
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 2, http2: 1 });
    expect((await getJson<EchoAnswer>(mesh.gatewayPort, '/b')).version).toBe('v1');
    mesh.write('shared/weights.ts', 'export const weights: [number, number] = [0, 1];\n');
    await eventually(async () => (await getJson<EchoAnswer>(mesh.gatewayPort, '/b')).version === 'v2');
    expect((await load.stop()).failures).toEqual([]);
  });
});
