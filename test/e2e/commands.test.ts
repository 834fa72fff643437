import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { EndpointStatus, RouteStatus } from '../../src/model/status.ts';
import { cleanUpMeshes, createMesh, startMesh } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';

cleanUpMeshes();

describe('commands on a running mesh', () => {
  it('logs: merged, per service, limited, followed', async () => {
    const mesh = await startMesh(
      { 'echo.mjs': ECHO },
      { services: { a: echo(), b: echo() }, gateway: { routes: routesTo('a', 'b') } },
    );
    await get(mesh.gatewayPort, '/a/lines?n=50');
    const follow = mesh.run('logs', 'a', '-f');
    await follow.until(/line 50/);
    await get(mesh.gatewayPort, '/a/lines?n=51');
    await follow.until(/line 51/);
    expect(follow.output()).not.toContain('b listens on');
    follow.child.kill('SIGINT');
    expect((await follow.ended).code).toBe(0);
    const all = (await mesh.mesh('logs')).stdout;
    expect(all).toContain('a listens on');
    expect(all).toContain('b listens on');
    const last = (await mesh.mesh('logs', 'a', '-n', '2', '--json')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(last).toMatchObject([
      { service: 'a', instance: 'a-1', stream: 'stdout', text: 'line 50' },
      { service: 'a', instance: 'a-1', stream: 'stdout', text: 'line 51' },
    ]);
    expect((await mesh.mesh('logs', '--since', '2099-01-01T00:00:00Z')).stdout).toBe('');
  });

  it('routes with their place in the file, endpoints, wait, stop and start', async () => {
    const mesh = await startMesh(
      { 'echo.mjs': ECHO },
      {
        services: {
          a: echo({
            subsets: { v1: {}, v2: {} },
            routes: [
              {
                name: 'split',
                backends: [
                  { subset: 'v1', weight: 3 },
                  { subset: 'v2', weight: 1 },
                ],
                timeouts: { request: '3s' },
                retries: { attempts: 2 },
              },
            ],
          }),
        },
        gateway: { routes: routesTo('a') },
      },
    );
    const { routes } = await mesh.json<{ routes: RouteStatus[] }>('routes');
    const split = routes.find(({ name }) => name === 'split')!;
    expect(split).toMatchObject({
      table: 'a',
      backends: [
        { service: 'a', subset: 'v1', weight: 3, share: 0.75 },
        { service: 'a', subset: 'v2', weight: 1, share: 0.25 },
      ],
      timeoutMs: 3000,
      retries: 2,
    });
    const [file, line] = split.source.split(/:(?=\d+$)/);
    expect(file).toBe(mesh.path('mesh.config.ts'));
    // The object of the route, or the list it begins.
    const text = readFileSync(file, 'utf8').split('\n');
    expect(text.slice(Number(line) - 1, Number(line) + 1).join('\n')).toContain('"split"');

    const { endpoints } = await mesh.json<{ endpoints: EndpointStatus[] }>('endpoints');
    expect(endpoints.map(({ instance, state }) => [instance, state])).toEqual([
      ['a-v1-1', 'ready'],
      ['a-v2-1', 'ready'],
    ]);
    expect(endpoints[0].address).toBe(`127.0.0.1:${(await mesh.instance('a-v1-1')).inboundPort}`);

    expect(await mesh.mesh('wait', 'a', '--timeout', '5s')).toMatchObject({ code: 0 });
    expect(await mesh.mesh('wait', 'a', '--for', 'stopped', '--timeout', '300ms')).toMatchObject({ code: 4 });
    expect(await mesh.mesh('stop', 'a')).toMatchObject({ code: 0 });
    expect(await mesh.mesh('wait', 'a', '--for', 'stopped', '--timeout', '5s')).toMatchObject({ code: 0 });
    const waiting = mesh.mesh('wait', 'a', '--timeout', '20s');
    expect(await mesh.mesh('start', 'a')).toMatchObject({ code: 0 });
    expect(await waiting).toMatchObject({ code: 0 });
    expect((await mesh.mesh('stop', 'nobody')).code).toBe(2);
  });

  it('doctor checks the real thing', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, { services: { a: echo() }, gateway: { routes: routesTo('a') } });
    const outcome = await mesh.mesh('doctor', '--json');
    const { checks } = JSON.parse(outcome.stdout) as { checks: { name: string; outcome: string }[] };
    expect(checks.length).toBeGreaterThan(3);
    expect(checks.filter(({ outcome: how }) => how === 'failed')).toEqual([]);
  });

  it('each of them without a mesh: exit code 3', async () => {
    const mesh = await createMesh({}, { services: { a: echo() } });
    for (const args of [
      ['ps'],
      ['logs'],
      ['routes'],
      ['endpoints'],
      ['certs'],
      ['stop', 'a'],
      ['restart', 'a'],
      ['scale', 'a=2'],
      ['wait', 'a'],
    ]) {
      const outcome = await mesh.mesh(...args, '--json');
      expect(outcome.code, args.join(' ')).toBe(3);
      expect(JSON.parse(outcome.stdout)).toMatchObject({ ok: false, problems: [{ code: 'MESH-R101' }] });
    }
    expect(await mesh.down()).toMatchObject({ code: 0 });
  });
});

describe('commands on a configuration', () => {
  it('validate shows every problem at once, with its place and what was meant', async () => {
    const mesh = await createMesh();
    mesh.write(
      'mesh.config.ts',
      `import { defineMesh } from 'localmesh';

export default defineMesh({
  version: 1,
  name: 'shop',
  gateway: { http: 8080, routes: [{ backends: [{ service: 'webb' }] }] },
  services: {
    web: { command: 'node web.js', dependsOn: ['api'] },
    api: { command: 'node api.js', dependsOn: ['web'], timeouts: { request: '10 seconds' } },
    pay: { command: 'node pay.js', replics: 2 },
  },
});
`,
    );
    const { code, stdout } = await mesh.mesh('validate');
    expect(code).toBe(2);
    expect(stdout).toMatch(/"webb"\n.*mesh\.config\.ts:6:59 .*\n.*did you mean 'web'/);
    expect(stdout).toMatch(/circle: web -> api -> web\n.*mesh\.config\.ts:8:/);
    expect(stdout).toMatch(/"10 seconds"\n.*mesh\.config\.ts:9:77 .*\n.*did you mean '10s'/);
    expect(stdout).toMatch(/"replics"\n.*mesh\.config\.ts:10:36 .*\n.*did you mean 'replicas'/);
    expect(stdout).toContain('4 errors');
    const { problems } = JSON.parse((await mesh.mesh('validate', '--json')).stdout) as { problems: { code: string }[] };
    expect(new Set(problems.map((problem) => problem.code)).size).toBeGreaterThan(1);
    for (const problem of problems) expect((await mesh.mesh('validate', '--explain', problem.code)).code).toBe(0);
  });

  it('completion scripts that their shell accepts', async () => {
    const mesh = await createMesh();
    const { code, stdout } = await mesh.mesh('completion', 'bash');
    expect(code).toBe(0);
    mesh.write('mesh.bash', stdout);
    execFileSync('bash', ['-n', mesh.path('mesh.bash')]);
    expect(stdout).toContain('scale');
  });
});
