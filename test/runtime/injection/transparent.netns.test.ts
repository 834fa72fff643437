import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { InjectionStatus } from '../../../src/model/injection.ts';
import type { MeshStatus } from '../../../src/model/status.ts';
import {
  type CommandOutcome,
  cleanUpMeshes,
  createMesh,
  eventually,
  freePort,
  isAlive,
  type RunningCommand,
  type TestMesh,
} from '../../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../../support/e2e-services.ts';
import {
  type Hierarchies,
  meshGroups,
  type NetworkNamespace,
  namespaceObstacle,
  openNamespace,
} from '../../support/network-namespace.ts';
import { findTool, skipped } from '../../support/tools.ts';

/** A whole mesh in a network namespace, and a process beside it that knows nothing of it. */

const CLI = fileURLToPath(new URL('../../../bin/run.js', import.meta.url));
const LEGACY_IDENTITY = 'URI=spiffe://e2e.local/ns/default/sa/legacy';
const NOBODY = 65_534;

const obstacle = namespaceObstacle();
if (obstacle !== null) skipped(obstacle);

/** Passes on what another URL says, asked for by itself or (`/child`) by a process that it starts; runs from `node -e`. */
const LEGACY = `
const http = require('node:http');
const { execFile } = require('node:child_process');
const ask = (url) => new Promise((resolve) => {
  http.get(url, { agent: false }, async (response) => {
    let body = '';
    for await (const chunk of response) body += chunk;
    resolve(body);
  }).on('error', (error) => resolve(String(error.code)));
});
http.createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://x');
  const to = searchParams.get('to');
  if (to === null) response.end('legacy');
  else if (pathname.endsWith('/child')) {
    const script = "require('node:http').get(process.argv[1], async (r) => { let b = ''; for await (const c of r) b += c; console.log(b); }).on('error', (e) => console.log(e.code))";
    execFile(process.execPath, ['-e', script, to], (error, stdout) => response.end(stdout.trim()));
  } else response.end(await ask(to));
}).listen(Number(process.argv[1]), '127.0.0.1', () => console.log('listening'));
`;

interface Setting {
  mesh: TestMesh;
  space: NetworkNamespace;
  legacy: RunningCommand;
  legacyPid: number;
  port: number;
  key: string;
  /** Application port of orders. */
  ordersPort: number;
  /** A command of the mesh, inside. */
  run(...args: string[]): Promise<CommandOutcome>;
  inject(): Promise<InjectionStatus>;
  /** What a service or an address says to legacy, which is asked through the gateway. */
  through(url: string, how?: '' | '/child'): Promise<string>;
  /** Fails on what interception leaves. */
  expectNothingLeft(): void;
}

const open: NetworkNamespace[] = [];

describe.skipIf(obstacle !== null)('transparent interception in a network namespace', () => {
  cleanUpMeshes();
  afterEach(() => {
    for (const space of open.splice(0)) space.close();
  });

  it('leads an unmodified process through its proxy, keeps others out, and is undone by eject', async () => {
    const s = await start('as they are');
    if (s === null) return;
    const { space, port } = s;
    const before = readFileSync(`/proc/${s.legacyPid}/cgroup`, 'latin1');
    const others = space.exec('nft', 'list', 'table', 'inet', 'other');
    expect(await space.fetch(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 200, body: 'legacy' });

    const status = await s.inject();
    expect(status.coverage.filter(({ covered }) => !covered)).toEqual([]);
    expect(status.coverage.map(({ subject }) => subject)).toEqual(
      expect.arrayContaining([
        'dns',
        'orders (orders.mesh)',
        `orders (127.0.0.1:${s.ordersPort})`,
        `127.0.0.1:${port}`,
      ]),
    );

    // By name, with any port, and by the address that it may have been configured with.
    const urls = ['http://orders.mesh/a', 'http://orders/a', 'http://orders.mesh:8123/a'];
    for (const url of [...urls, `http://127.0.0.1:${s.ordersPort}/a`, `http://[::1]:${s.ordersPort}/a`]) {
      const answer = JSON.parse(await s.through(url)) as EchoAnswer;
      expect(answer, url).toMatchObject({ service: 'orders', path: '/a' });
      expect(answer.headers['x-forwarded-client-cert'], url).toContain(LEGACY_IDENTITY);
    }
    const child = JSON.parse(await s.through('http://orders.mesh/b', '/child')) as EchoAnswer;
    expect(child.headers['x-forwarded-client-cert']).toContain(LEGACY_IDENTITY);
    expect(await s.through('http://nobody.mesh/')).toBe('ENOTFOUND');
    // Other names are the system resolver's, which says 127.0.0.9 in here.
    expect(await s.through('http://example.com:1/')).toBe('ECONNREFUSED');

    // Who is not in the workload is neither let in nor redirected.
    expect(await space.fetch(`http://127.0.0.1:${port}/`)).toMatchObject({ error: 'ECONNREFUSED' });
    const direct = JSON.parse((await space.fetch(`http://127.0.0.1:${s.ordersPort}/`)).body) as EchoAnswer;
    expect(direct.headers['x-forwarded-client-cert']).toBeUndefined();
    expect(space.tables()).toContain(`mesh_${s.key}`);

    const ejected = await s.run('eject', 'legacy');
    expect(ejected, ejected.stderr).toMatchObject({ code: 0 });
    s.expectNothingLeft();
    expect(readFileSync(`/proc/${s.legacyPid}/cgroup`, 'latin1')).toBe(before);
    expect(await space.fetch(`http://127.0.0.1:${port}/`)).toMatchObject({ status: 200, body: 'legacy' });
    expect(space.exec('nft', 'list', 'table', 'inet', 'other')).toBe(others);
  });

  it('lets a data plane in that takes the place of one that died', async () => {
    const s = await start('as they are');
    if (s === null) return;
    await s.inject();
    const [first] = (await s.mesh.status()).dataPlanePids;
    process.kill(first, 'SIGKILL');
    await s.mesh.statusWhen(({ dataPlanePids }) => dataPlanePids.length === 1 && dataPlanePids[0] !== first);
    await eventually(async () => (await s.through('http://orders.mesh/')).includes(LEGACY_IDENTITY));
    const refused = { error: 'ECONNREFUSED' };
    expect(await s.space.fetch(`http://127.0.0.1:${s.port}/`)).toMatchObject(refused);

    // Another process of another service, with rules in the same table.
    const port = await freePort();
    const second = s.space.spawn(process.execPath, ['-e', LEGACY, String(port)]);
    await second.until(/listening/);
    const outcome = await s.run('inject', String(port), '--as', 'second', '--transparent', '--json');
    expect(outcome, outcome.stdout + outcome.stderr).toMatchObject({ code: 0 });
    expect(await s.space.fetch(`http://127.0.0.1:${port}/`)).toMatchObject(refused);
    // Somebody reloads a firewall, which begins with `flush ruleset`.
    s.space.exec('nft', 'delete', 'table', 'inet', `mesh_${s.key}`);
    expect(await s.space.fetch(`http://127.0.0.1:${port}/`)).toMatchObject({ body: 'legacy' });
    await eventually(async () => (await s.space.fetch(`http://127.0.0.1:${port}/`)).error === 'ECONNREFUSED', 15_000);

    expect(await s.run('eject', 'second')).toMatchObject({ code: 0 });
    expect(await s.space.fetch(`http://127.0.0.1:${port}/`)).toMatchObject({ body: 'legacy' });
    expect(await s.space.fetch(`http://127.0.0.1:${s.port}/`)).toMatchObject(refused);
    expect(
      meshGroups(s.space, s.key)
        .map((group) => group.split('.').at(-1))
        .sort(),
    ).toEqual(['legacy-injected-1', 'proxies']);
    expect(await s.run('eject', '--all')).toMatchObject({ code: 0 });
    s.expectNothingLeft();
  });

  it('is undone by `mesh down`, also after a daemon that was killed', async () => {
    const s = await start('as they are');
    if (s === null) return;
    await s.inject();
    const { pid } = await s.mesh.status();
    process.kill(pid, 'SIGKILL');
    await eventually(() => !isAlive(pid));
    expect(s.space.tables()).toContain(`mesh_${s.key}`);
    // Until then the process has its own resolver back, which says 127.0.0.9 in here, and its proxy still.
    await eventually(async () => (await s.through('http://orders.mesh/')) === 'ECONNREFUSED', 20_000);
    expect(await s.through(`http://127.0.0.1:${s.ordersPort}/`)).toContain(LEGACY_IDENTITY);
    const down = await s.run('down', '--timeout', '5s');
    expect(down, down.stderr).toMatchObject({ code: 0 });
    s.expectNothingLeft();
    expect(s.space.listening()).toEqual([s.port]);
    expect(isAlive(s.legacyPid)).toBe(true);
    expect(await s.space.fetch(`http://127.0.0.1:${s.port}/`)).toMatchObject({ body: 'legacy' });

    // And by one that ends as it should.
    await s.up();
    await s.inject();
    expect(s.space.tables()).toContain(`mesh_${s.key}`);
    expect(await s.run('down', '--timeout', '5s')).toMatchObject({ code: 0 });
    s.expectNothingLeft();
    expect(s.space.listening()).toEqual([s.port]);
    expect(await s.space.fetch(`http://127.0.0.1:${s.port}/`)).toMatchObject({ body: 'legacy' });
  });

  it('is undone and done again by the next daemon, and ends with the process', async () => {
    const s = await start('as they are');
    if (s === null) return;
    await s.inject();
    const { pid } = await s.mesh.status();
    process.kill(pid, 'SIGKILL');
    await eventually(() => !isAlive(pid));
    await s.up();
    await eventually(async () => (await s.through('http://orders.mesh/')).includes(LEGACY_IDENTITY));
    expect(await s.space.fetch(`http://127.0.0.1:${s.port}/`)).toMatchObject({ error: 'ECONNREFUSED' });

    process.kill(s.legacyPid, 'SIGKILL');
    await eventually(() => !existsSync(s.mesh.path('.mesh/interception.json')));
    s.expectNothingLeft();
  });

  it('matches by net_cls where only control groups of version 1 are mounted', async () => {
    const s = await start('net_cls');
    if (s === null) return;
    const status = await s.inject();
    expect(status.coverage.filter(({ covered }) => !covered)).toEqual([]);
    expect(s.space.exec('nft', 'list', 'table', 'inet', `mesh_${s.key}`)).toContain('meta cgroup');
    expect(await s.through('http://orders.mesh/')).toContain(LEGACY_IDENTITY);
    expect(await s.through(`http://127.0.0.1:${s.ordersPort}/`, '/child')).toContain(LEGACY_IDENTITY);
    expect(await s.space.fetch(`http://127.0.0.1:${s.port}/`)).toMatchObject({ error: 'ECONNREFUSED' });
    expect(await s.run('eject', 'legacy')).toMatchObject({ code: 0 });
    s.expectNothingLeft();
    expect(await s.space.fetch(`http://127.0.0.1:${s.port}/`)).toMatchObject({ body: 'legacy' });
  });

  it('matches by user where there are no control groups, and says whom that takes in', async () => {
    const s = await start('none', NOBODY);
    if (s === null) return;
    const status = await s.inject();
    expect(status.coverage.filter(({ covered }) => !covered)).toEqual([]);
    expect(status.coverage.find(({ subject }) => subject === `uid ${NOBODY}`)?.detail).toContain(
      'every process of uid',
    );
    expect(await s.through('http://orders.mesh/')).toContain(LEGACY_IDENTITY);
    expect(await s.run('eject', 'legacy')).toMatchObject({ code: 0 });
    s.expectNothingLeft();
  });

  it('is refused with nothing changed where packets cannot be told apart', async () => {
    const s = await start('none');
    if (s === null) return;
    const status = await s.inject();
    const row = status.coverage.find(({ subject }) => subject === 'transparent');
    expect(row).toMatchObject({ direction: 'outbound', covered: false });
    expect(row?.detail).toContain('runs as the user of the mesh');
    s.expectNothingLeft();
    expect(await s.space.fetch(`http://127.0.0.1:${s.port}/`)).toMatchObject({ body: 'legacy' });
  });

  it.skipIf(findTool('setpriv') === null && skipped('no setpriv'))(
    'says what is missing without the right',
    async () => {
      const s = await start('as they are', undefined, ['setpriv', '--bounding-set=-net_admin']);
      if (s === null) return;
      const status = await s.inject();
      const row = status.coverage.find(({ subject }) => subject === 'transparent');
      expect(row?.detail).toContain('has no CAP_NET_ADMIN');
      expect(row?.fix).toContain('sudo mesh up');
      expect(row?.fix).toContain('everything else works');
      // And it does.
      expect(await s.through(`http://127.0.0.1:${s.ordersPort}/`)).not.toContain(LEGACY_IDENTITY);
      expect(status.coverage).toContainEqual(expect.objectContaining({ direction: 'inbound', covered: true }));
      s.expectNothingLeft();
    },
  );

  /** @param prefix of `mesh up`: a command that takes rights away */
  async function start(
    hierarchies: Hierarchies,
    uid?: number,
    prefix: readonly string[] = [],
  ): Promise<(Setting & { up(): Promise<void> }) | null> {
    const port = await freePort();
    const mesh = await createMesh({ 'echo.mjs': ECHO, 'resolv.conf': 'nameserver 127.0.0.53\n' });
    // Its ports are inside: outside they are anybody's.
    mesh.ports = () => [];
    mesh.config({
      gateway: { routes: routesTo('legacy') },
      services: {
        orders: echo({ protocol: 'http' }),
        legacy: { command: ['false'], protocol: 'http', port, dependsOn: ['orders'] },
      },
    });
    const space = await openNamespace(hierarchies, mesh.path('resolv.conf'));
    if (space === null) {
      skipped(`control groups cannot be mounted as ${hierarchies}`);
      return null;
    }
    open.push(space);
    space.exec('nft', 'add table inet other; add chain inet other c; add rule inet other c counter');
    const run = (...args: string[]): Promise<CommandOutcome> =>
      space.spawn(process.execPath, [CLI, ...args], { cwd: mesh.dir, env: mesh.env }).ended;
    const up = async (): Promise<void> => {
      const [command, ...args] = [...prefix, process.execPath, CLI, 'up', '-d', 'orders'];
      const outcome = await space.spawn(command, args, { cwd: mesh.dir, env: mesh.env }).ended;
      expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
    };
    await up();
    const legacy = space.spawn(process.execPath, ['-e', LEGACY, String(port)], { uid });
    await legacy.until(/listening/);
    const status: MeshStatus = await mesh.status();
    const orders = status.services.find(({ name }) => name === 'orders')?.instances[0];
    const key = createHash('sha256')
      .update(realpathSync(mesh.path('.mesh')))
      .digest('hex')
      .slice(0, 12);
    return {
      ...{ mesh, space, legacy, port, key, run, up },
      legacyPid: legacy.child.pid!,
      ordersPort: orders?.appPort ?? 0,
      async inject() {
        const outcome = await run('inject', String(port), '--as', 'legacy', '--transparent', '--json');
        expect(outcome, outcome.stdout + outcome.stderr).toMatchObject({ code: 0 });
        return JSON.parse(outcome.stdout) as InjectionStatus;
      },
      async through(url, how = '') {
        const gateway = `http://127.0.0.1:${mesh.gatewayPort}/legacy${how}?to=${encodeURIComponent(url)}`;
        const { body, error } = await space.fetch(gateway);
        return body || error;
      },
      expectNothingLeft() {
        expect(space.tables()).toEqual(['other']);
        expect(meshGroups(space, key)).toEqual([]);
        expect(existsSync(mesh.path('.mesh/interception.json'))).toBe(false);
      },
    };
  }
});
