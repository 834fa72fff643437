import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ANY_REQUEST, type StatRow } from '../../../src/model/events.ts';
import type { TapSpec } from '../../../src/proxy/channel.ts';
import { countEnd, countStart, createCounters } from '../../../src/proxy/telemetry/counters.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { openAdminServer } from '../../../src/runtime/telemetry/admin-server.ts';
import { Telemetry } from '../../../src/runtime/telemetry/telemetry.ts';
import { loadOtlpCodec } from '../../../src/runtime/tracing/otlp-codec.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ordersCertificate, requestEvent, shopStatus, temporaryDirectory, until } from '../control/fake-mesh.ts';
import { parseMetrics } from './prometheus-parser.ts';

const OFF = { admin: null, accessLog: null, redactHeaders: ['cookie'], redactFields: ['pin'], otlp: null };

const opened: Telemetry[] = [];
afterEach(async () => {
  for (const telemetry of opened.splice(0)) await telemetry.close();
});

function create(clock = new FakeClock()) {
  const taps: { specs: TapSpec[]; redact: string[] }[] = [];
  const notices: string[] = [];
  const printed: string[] = [];
  const status = shopStatus();
  const telemetry = new Telemetry({
    clock,
    subsetOf: () => 'default',
    status: () => status,
    certificates: () => [ordersCertificate],
    onTaps: (specs, redact) => taps.push({ specs, redact }),
    print: (service, lines) => {
      printed.push(...lines.map((line) => `${service}: ${line}`));
      return true;
    },
    spanDrops: () => ({ proxies: 0, store: 7, export: 0 }),
    codec: loadOtlpCodec,
    onNotice: (level, text, problems) => notices.push(`${level} ${problems?.[0].code ?? ''} ${text}`),
  });
  opened.push(telemetry);
  return { telemetry, taps, notices, printed, status, clock };
}

function ask(
  port: number,
  target: string,
  options: http.RequestOptions = {},
): Promise<{ status: number; body: string; type: string }> {
  return new Promise((resolve, reject) => {
    http
      .request({ host: '127.0.0.1', port, path: target, agent: false, ...options }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text) => (body += text));
        response.on('end', () =>
          resolve({ status: response.statusCode!, body, type: response.headers['content-type'] ?? '' }),
        );
      })
      .on('error', reject)
      .end();
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('telemetry of a mesh', () => {
  it('tells the data planes who taps, and what is secret', async () => {
    const { telemetry, taps } = create();
    await telemetry.configure(OFF);
    expect(taps.at(-1)).toEqual({ specs: [], redact: ['cookie'] });
    const abort = new AbortController();
    const tap = telemetry.tap({ ...ANY_REQUEST, to: 'orders' }, abort.signal)[Symbol.asyncIterator]();
    expect(taps.at(-1)).toMatchObject({ specs: [{ filter: { to: 'orders' } }], redact: ['cookie'] });
    telemetry.deliver([
      { tap: taps.at(-1)!.specs[0].id, batch: { events: [requestEvent()], dropped: 0, filtered: 0 } },
    ]);
    expect((await tap.next()).value).toMatchObject({ events: [{ path: '/orders/1' }] });
    abort.abort();
    expect(taps.at(-1)!.specs).toEqual([]);
  });

  it('shows no secret parameter of a path to anybody, those of the configuration included', async () => {
    const { telemetry, taps } = create();
    await telemetry.configure(OFF);
    const abort = new AbortController();
    const tap = telemetry.tap(ANY_REQUEST, abort.signal)[Symbol.asyncIterator]();
    const events = [{ ...requestEvent(), path: '/pay?page=2&PIN=1234&user%5Bpin%5D=1&access_token=x' }];
    telemetry.deliver([{ tap: taps.at(-1)!.specs[0].id, batch: { events, dropped: 0, filtered: 0 } }]);
    expect((await tap.next()).value).toMatchObject({
      events: [{ path: '/pay?page=2&PIN=REDACTED&user%5Bpin%5D=REDACTED&access_token=REDACTED' }],
    });
    expect(telemetry.withoutSecrets([{ path: '/x?pin=1' }])).toEqual([{ path: '/x?pin=REDACTED' }]);
    abort.abort();
  });

  it('calls back with the statistics at once and every second', () => {
    const { telemetry, clock } = create();
    const counters = createCounters();
    const slot = counters.slot({
      source: 'web',
      destination: 'orders',
      route: '',
      gatewayRoute: '',
      direction: 'outbound',
      instance: 'web-1',
      tls: true,
    });
    const seen: StatRow[][] = [];
    const stop = telemetry.watchStats(60_000, (rows) => seen.push(rows));
    expect(seen).toEqual([[]]);
    countStart(slot);
    countEnd(slot, 200, -1, false, 1, 0);
    telemetry.fold(0, counters.snapshot('changed'));
    clock.advance(2_000);
    expect(seen).toHaveLength(3);
    expect(seen[2]).toMatchObject([{ destination: 'orders', requests: 1 }]);
    stop();
    clock.advance(5_000);
    expect(seen).toHaveLength(3);
    expect(clock.pending).toBe(0);
  });

  it('sums the data planes up, and forgets one that died', () => {
    const { telemetry } = create();
    const totals = {
      requests: 2,
      activeRequests: 1,
      activeConnections: 3,
      flags: { UH: 1 },
      refusedPeers: {},
      connections: {},
    };
    telemetry.setTotals(0, totals);
    telemetry.setTotals(1, totals);
    expect(telemetry.trafficStatus()).toEqual({
      requests: 4,
      activeRequests: 2,
      activeConnections: 6,
      flags: { UH: 2 },
      refusedPeers: {},
      telemetryDropped: { trace_store: 7 },
    });
    telemetry.onDataPlaneDied(0);
    expect(telemetry.trafficStatus().requests).toBe(2);
  });

  it('serves metrics and health on the port of the configuration, and moves with it', async () => {
    const { telemetry, status } = create();
    const [first, second] = [await freePort(), await freePort()];
    await telemetry.configure({ ...OFF, admin: first });
    const metrics = await ask(first, '/metrics');
    expect(metrics).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' });
    expect(parseMetrics(metrics.body).get('mesh_config_version')!.samples[0].value).toBe(3);
    expect(await ask(first, '/healthz')).toMatchObject({ status: 200, body: 'ok\n' });
    status.state = 'stopping';
    expect((await ask(first, '/healthz')).status).toBe(503);
    expect((await ask(first, '/metrics', { method: 'POST' })).status).toBe(405);
    expect((await ask(first, '/other')).status).toBe(404);
    expect(await ask(first, '/healthz', { method: 'HEAD' })).toMatchObject({ status: 503, body: '' });
    // A name that a page in a browser lets point here.
    expect((await ask(first, '/metrics', { headers: { host: `evil.example:${first}` } })).status).toBe(421);
    await telemetry.configure({ ...OFF, admin: second });
    expect((await ask(second, '/metrics')).status).toBe(200);
    await expect(ask(first, '/metrics')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await telemetry.configure(OFF);
    await expect(ask(second, '/metrics')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('goes on without the admin server where its port is taken, and says by whom', async () => {
    const holder = await openAdminServer(0, { metrics: () => '', unhealthy: () => null });
    if (!holder.ok) throw new Error('no port');
    const { telemetry, notices } = create();
    await telemetry.configure({ ...OFF, admin: holder.value.port });
    expect(notices).toEqual([
      expect.stringMatching(
        new RegExp(`^error MESH-N106 port ${holder.value.port} of the admin server is held by pid ${process.pid}`),
      ),
    ]);
    await holder.value.close();
    // The next save of the configuration tries again.
    await telemetry.configure({ ...OFF, admin: holder.value.port });
    expect((await ask(holder.value.port, '/healthz')).status).toBe(200);
  });

  it('writes the access log while it is wanted, and where the settings say from then on', async () => {
    const directory = await temporaryDirectory();
    const { telemetry, taps, printed } = create(systemClock as never);
    const file = path.join(directory.path, 'access.log');
    const toFile = { file, format: 'json' } as const;
    await telemetry.configure({ ...OFF, accessLog: { mesh: toFile, services: {} } });
    const [spec] = taps.at(-1)!.specs;
    expect(spec.filter.direction).toBe('outbound');
    const deliver = (name: string) =>
      telemetry.deliver([{ tap: spec.id, batch: { events: [requestEvent({ path: name })], dropped: 0, filtered: 0 } }]);
    const written = () => readFile(file, 'utf8').catch(() => '');
    deliver('/1');
    await until(async () => (await written()).includes('/1'), 'the line is written');
    const before = taps.length;
    await telemetry.configure({
      ...OFF,
      accessLog: { mesh: toFile, services: { orders: { file: null, format: 'text' } } },
    });
    // The same tap goes on: nothing is lost in between.
    expect(taps).toHaveLength(before);
    deliver('/2');
    await until(() => printed.length === 1, 'the line is printed');
    expect(printed[0]).toMatch(/^orders: .*"GET \/2" 200/);
    deliver('/3');
    // What waits is written, although the log ends.
    await telemetry.configure(OFF);
    expect(printed[1]).toContain('/3');
    expect(taps.at(-1)!.specs).toEqual([]);
    expect(await written()).not.toContain('/2');
    await directory[Symbol.asyncDispose]();
  });

  it('counts what taps did not get, but not what they did not want', async () => {
    const { telemetry, taps } = create();
    const abort = new AbortController();
    telemetry.tap(ANY_REQUEST, abort.signal);
    telemetry.tap({ ...ANY_REQUEST, maxPerSecond: 1 }, abort.signal);
    const [all, limited] = taps.at(-1)!.specs;
    const batch = { events: [], dropped: 3, filtered: 9 };
    telemetry.deliver([
      { tap: all.id, batch },
      { tap: limited.id, batch },
    ]);
    expect(telemetry.trafficStatus().telemetryDropped).toEqual({ taps: 3, trace_store: 7 });
    abort.abort();
  });
});
