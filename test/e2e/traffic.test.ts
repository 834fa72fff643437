import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { RequestEvent, StatRow } from '../../src/model/events.ts';
import { parseMetrics } from '../runtime/telemetry/prometheus-parser.ts';
import { type Config, cleanUpMeshes, createMesh, eventually } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';
import { freePort } from '../support/proxy-mesh.ts';

cleanUpMeshes();

describe('traffic of a mesh', () => {
  it('shows in tap, stat, graph, metrics and the access log, and goes on with another data plane', async () => {
    const admin = await freePort();
    const config: Config = {
      gateway: { routes: routesTo('web', 'api') },
      telemetry: { admin, accessLog: { file: 'logs/access.log', format: 'json' }, redactHeaders: ['x-token'] },
      services: { web: echo({ dependsOn: ['api'] }), api: echo({ subsets: { stable: {}, canary: {} } }) },
    };
    const mesh = await createMesh({ 'echo.mjs': ECHO }, config);
    await mesh.up();

    // Nothing has happened yet, and the tap says so.
    const silent = mesh.run('tap', '--to', 'api');
    await silent.until(/no traffic at all/);
    silent.child.kill('SIGINT');
    expect((await silent.ended).code).toBe(0);

    const tap = mesh.run('tap', '--json', '--direction', 'both', '-n', '4', '--show-header', '*', '--path', '/');
    // The proxies look at requests only from when the tap has reached them: ask until it has.
    await eventually(async () => {
      expect(
        (
          await get(mesh.gatewayPort, '/web/call?env=API_URL&path=/x', {
            authorization: 'Bearer secret',
            'x-token': 'secret',
          })
        ).status,
      ).toBe(200);
      return tap.child.exitCode !== null;
    }, 20_000);
    const { stdout, code } = await tap.ended;
    expect(code).toBe(0);
    expect(stdout).not.toContain('secret');
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as RequestEvent);
    expect(events).toHaveLength(4);
    const [first] = events;
    const hops = events.filter(({ traceId }) => traceId === first.traceId);
    for (const event of hops)
      expect(event).toMatchObject({
        protocol: 'http',
        method: 'GET',
        status: 200,
        grpcStatus: null,
        tls: true,
        responseFlags: '',
      });
    expect(
      events.some(
        ({ source, destination, direction }) => source === 'web' && destination === 'api' && direction === 'inbound',
      ),
    ).toBe(true);
    expect(
      events.some(
        ({ source, destination, direction }) =>
          source === 'gateway' && destination === 'web' && direction === 'outbound',
      ),
    ).toBe(true);
    expect(first.peer).toMatch(/^spiffe:\/\/e2e\.local\/ns\/default\/sa\//);

    expect((await get(mesh.gatewayPort, '/nowhere')).status).toBe(404);
    const requestsOf = async () => {
      const { rows } = await mesh.json<{ rows: StatRow[] }>('stat', '--by', 'edge');
      return (source: string, destination: string) =>
        rows.find((row) => row.source === source && row.destination === destination);
    };
    await eventually(async () => (await requestsOf())('gateway', '')?.requests === 1);
    const edges = await requestsOf();
    const toWeb = edges('gateway', 'web')!;
    expect(toWeb).toMatchObject({ successRate: 1, tls: true, failures: 0 });
    expect(toWeb.requests).toBeGreaterThan(0);
    expect(edges('web', 'api')!.requests).toBe(toWeb.requests);
    expect(toWeb.p50Ms).toBeGreaterThan(0);
    expect(toWeb.p99Ms).toBeGreaterThanOrEqual(toWeb.p50Ms);
    const subsets = await mesh.json<{ rows: StatRow[] }>('stat', 'api', '--by', 'subset');
    expect(subsets.rows.reduce((sum, row) => sum + row.requests, 0)).toBe(toWeb.requests);
    expect((await mesh.mesh('graph')).stdout).toMatch(/^gateway\n(.*\n)*.*▶ web +🔒.*\n(.*\n)*web\n.*▶ api +🔒/);

    const metrics = async () => parseMetrics((await get(admin, '/metrics')).body);
    const totalToWeb = async () =>
      (await metrics())
        .get('request_total')!
        .samples.find(({ labels }) => labels.direction === 'outbound' && labels.destination === 'web')!.value;
    expect(await totalToWeb()).toBe(toWeb.requests);
    expect((await get(admin, '/healthz')).body).toBe('ok\n');
    expect((await metrics()).get('identity_cert_expiration_timestamp_seconds')!.samples[0].value).toBeGreaterThan(
      Date.now() / 1_000,
    );

    // A successor counts from 0, and looks at requests for those who look already.
    const [dead] = (await mesh.status()).dataPlanePids;
    const watching = mesh.run('tap', 'web', '--wide');
    await eventually(async () => {
      await get(mesh.gatewayPort, '/web/before');
      return watching.output().includes('/web/before');
    });
    await eventually(async () => (await requestsOf())('gateway', 'web')!.requests > toWeb.requests);
    process.kill(dead, 'SIGKILL');
    await mesh.statusWhen(({ dataPlanePids }) => dataPlanePids.length === 1 && dataPlanePids[0] !== dead);
    const before = await totalToWeb();
    await eventually(async () => {
      await get(mesh.gatewayPort, '/web/after').catch(() => undefined);
      return watching.output().includes('/web/after');
    });
    await eventually(async () => (await totalToWeb()) > before);

    const log = mesh.path('logs/access.log');
    await eventually(() => existsSync(log) && readFileSync(log, 'utf8').includes('/nowhere'));
    const lines = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.find(({ path }) => path === '/nowhere')).toMatchObject({
      source: 'gateway',
      destination: '',
      status: 404,
      responseFlags: 'NR',
    });
    expect(lines.every(({ direction }) => direction === 'outbound')).toBe(true);
  });
});
