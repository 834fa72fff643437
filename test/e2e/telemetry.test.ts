import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { StatRow } from '../../src/model/events.ts';
import type { LogLine, MeshStatus } from '../../src/model/status.ts';
import { type Config, cleanUpMeshes, createMesh, eventually, type TestMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { get, getJson } from '../support/e2e-traffic.ts';
import { type Collector, startCollector } from '../support/otlp-collector.ts';

const collectors: Collector[] = [];
afterEach(async () => {
  for (const collector of collectors.splice(0)) await collector.close();
});
cleanUpMeshes();

/** Saves and resolves when that configuration is in force. */
async function save(mesh: TestMesh, config: Config): Promise<MeshStatus> {
  const before = (await mesh.status()).config.loadedAt;
  mesh.config(config);
  return mesh.statusWhen(({ config: { loadedAt, problems } }) => loadedAt !== before && problems.length === 0);
}

const gateway = { routes: routesTo('web', 'api') };
const services = (api: object = {}) => ({ web: echo({ dependsOn: ['api'] }), api: echo(api) });

describe('access logs of a mesh', () => {
  it('go to stdout and to files by service, and move with a save', async () => {
    const config: Config = {
      gateway,
      telemetry: { accessLog: { output: 'stdout' } },
      services: services({ accessLog: { file: 'logs/api.log', format: 'json' } }),
    };
    const mesh = await createMesh({ 'echo.mjs': ECHO }, config);
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    const seen = (pattern: RegExp) => pattern.test(up.output());
    await eventually(async () => {
      expect((await get(mesh.gatewayPort, '/web/hello')).status).toBe(200);
      return seen(/web +│ .*outbound gateway -> web web-1 "GET \/web\/hello" 200/);
    });
    await get(mesh.gatewayPort, '/nowhere');
    await up.until(/gateway +│ .*gateway -> - - "GET \/nowhere" 404 NR/);
    expect((await mesh.mesh('logs', 'gateway')).stdout).toContain('/nowhere');
    const logged = (await mesh.mesh('logs', 'web', '--json')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine);
    expect(logged.find(({ text }) => text.includes('"GET /web/hello" 200'))).toMatchObject({
      service: 'web',
      instance: 'web',
      stream: 'mesh',
    });

    await get(mesh.gatewayPort, '/api/one');
    const file = () => {
      try {
        return readFileSync(mesh.path('logs/api.log'), 'utf8');
      } catch {
        return '';
      }
    };
    await eventually(() => file().includes('/api/one'));
    expect(JSON.parse(file().split('\n')[0])).toMatchObject({ destination: 'api', gatewayRoute: 'gateway-2' });
    expect(up.output()).not.toContain('/api/one');

    await save(mesh, { ...config, telemetry: {}, services: services({ accessLog: { output: 'stdout' } }) });
    await eventually(async () => {
      await get(mesh.gatewayPort, '/web/later');
      await get(mesh.gatewayPort, '/api/later');
      return seen(/api +│ .*"GET \/api\/later" 200/);
    });
    expect(up.output()).not.toMatch(/web +│ .*\/web\/later/);
    expect(file()).not.toContain('/api/later');
    expect((await mesh.down()).code).toBe(0);
    await up.ended;
  });
});

describe('the gateway in figures', () => {
  it('has rows of its own by route, and no request counts twice', async () => {
    const config: Config = {
      gateway: {
        routes: [
          { name: 'front', matches: [{ path: { prefix: '/web' } }], backends: [{ service: 'web' }] },
          { name: 'old', matches: [{ path: { prefix: '/old' } }], filters: { redirect: { host: 'new.localhost' } } },
        ],
      },
      services: {
        web: echo({ routes: [{ name: 'slow', matches: [{ path: { prefix: '/web/slow' } }] }, { name: 'rest' }] }),
      },
    };
    const mesh = await createMesh({ 'echo.mjs': ECHO }, config);
    await mesh.up();
    await get(mesh.gatewayPort, '/web/a');
    await get(mesh.gatewayPort, '/web/b');
    await get(mesh.gatewayPort, '/web/slow');
    expect((await get(mesh.gatewayPort, '/old')).status).toBe(302);
    const stat = async (...args: string[]) =>
      (await mesh.json<{ rows: StatRow[] }>('stat', ...args)).rows.map(
        ({ destination, route, requests }) => `${destination || '-'} ${route || '-'} ${requests}`,
      );
    const byRoute = ['gateway front 3', 'gateway old 1', 'web rest 2', 'web slow 1'];
    await eventually(async () => JSON.stringify(await stat('--by', 'route')) === JSON.stringify(byRoute));
    expect(await stat('gateway', '--by', 'route')).toEqual(byRoute.slice(0, 2));
    expect(await stat()).toEqual(['- - 1', 'web - 3']);
    expect((await mesh.mesh('stat', '--by', 'route')).stdout).toMatch(/^gateway +front +3 /m);
  });
});

describe('telemetry that is turned on', () => {
  it('names the services that have to be restarted for it, and then they send', async () => {
    const off: Config = { gateway, telemetry: { traces: false }, services: services() };
    const mesh = await createMesh({ 'echo.mjs': ECHO }, off);
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    await save(mesh, { ...off, telemetry: {} });
    await up.until(/MESH-T104.*web, api do not send spans/);
    await up.until(/`mesh restart web api`/);
    await get(mesh.gatewayPort, '/web/x');
    // The proxies trace at once.
    await eventually(async () => (await mesh.json<{ traces: object[] }>('trace')).traces.length > 0);
    expect((await mesh.mesh('restart', 'web', 'api')).code).toBe(0);
    const { env } = await getJson<EchoAnswer>(mesh.gatewayPort, '/web/env');
    expect(env!.OTEL_EXPORTER_OTLP_ENDPOINT).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await mesh.down()).code).toBe(0);
    await up.ended;
  });

  it('sends metrics to a collector, and goes on where there is none', async () => {
    const collector = await startCollector();
    collectors.push(collector);
    const to = (endpoint: string): Config => ({
      gateway,
      telemetry: { otlp: { endpoint, signals: ['metrics'], metricsInterval: '1s' } },
      services: services(),
    });
    const mesh = await createMesh({ 'echo.mjs': ECHO }, to('http://127.0.0.1:1'));
    const up = mesh.run('up', '--no-tui');
    await up.until(/MESH-T103.*metrics cannot be exported to http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
    await save(mesh, to(collector.httpEndpoint));
    await get(mesh.gatewayPort, '/web/call?env=API_URL&path=/x');
    const names = () =>
      collector.taken.flatMap(({ resourceMetrics }) =>
        resourceMetrics.flatMap(({ resource, scopeMetrics }) => {
          const service = resource?.attributes?.find(({ key }) => key === 'service.name')?.value?.stringValue;
          return scopeMetrics.flatMap(({ metrics }) => metrics.map(({ name }) => `${service} ${name}`));
        }),
      );
    await eventually(() => names().includes('api http.server.request.duration'));
    expect(names()).toEqual(
      expect.arrayContaining([
        'localmesh request_total',
        'localmesh identity_cert_expiration_timestamp_seconds',
        'gateway http.client.request.duration',
        'web http.client.request.duration',
        'web http.server.request.duration',
      ]),
    );
    expect((await mesh.down()).code).toBe(0);
    await up.ended;
  });
});
