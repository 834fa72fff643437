import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KeyValue } from '../../../src/model/otlp.ts';
import { type HistogramDataPoint, pointsOf, type ResourceMetrics } from '../../../src/model/otlp-metrics.ts';
import type { OtlpCollector } from '../../../src/model/resolved.ts';
import type { Problem } from '../../../src/model/result.ts';
import {
  type CounterKey,
  countEnd,
  countHttp,
  countStart,
  createCounters,
} from '../../../src/proxy/telemetry/counters.ts';
import { DURATION_BOUNDS_S, GRPC_CALL } from '../../../src/proxy/telemetry/http-durations.ts';
import type { Exposition } from '../../../src/runtime/telemetry/metrics.ts';
import { type MetricsExporter, startMetricsExporter } from '../../../src/runtime/telemetry/metrics-exporter.ts';
import { inParts, otlpMetrics } from '../../../src/runtime/telemetry/otlp-metrics.ts';
import { createTrafficHistory } from '../../../src/runtime/telemetry/traffic-history.ts';
import { loadOtlpCodec } from '../../../src/runtime/tracing/otlp-codec.ts';
import { type Delivery, METRICS, openTransport } from '../../../src/runtime/tracing/otlp-transport.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { type Collector, startCollector } from '../../support/otlp-collector.ts';
import { ordersCertificate, shopStatus } from '../control/fake-mesh.ts';

const STARTED_MS = 1_780_000_000_000;
const NOW_MS = STARTED_MS + 60_000;
const OUTBOUND: CounterKey = {
  source: 'gateway',
  destination: 'orders',
  route: 'main',
  gatewayRoute: 'api',
  direction: 'outbound',
  instance: 'gateway',
  tls: true,
};
const GRPC_OUTBOUND: CounterKey = { ...OUTBOUND, destination: 'legacy', route: 'calls', gatewayRoute: '' };
const GRPC_INBOUND: CounterKey = {
  ...GRPC_OUTBOUND,
  destination: 'billing',
  route: '',
  direction: 'inbound',
  instance: 'billing-1',
};
const INBOUND: CounterKey = { ...OUTBOUND, route: '', gatewayRoute: '', direction: 'inbound', instance: 'orders-1' };

function exposition(): Exposition {
  const counters = createCounters();
  const request = (key: CounterKey, method: string, status: number, broken: boolean, ms: number) => {
    const slot = counters.slot(key);
    countStart(slot);
    countEnd(slot, status, -1, broken, ms, 0);
    countHttp(slot, method, status, broken, ms);
  };
  for (const key of [OUTBOUND, INBOUND]) {
    request(key, 'GET', 200, false, 4);
    request(key, 'GET', 200, false, 40);
    request(key, 'POST', 404, false, 20_000);
    request(key, 'GET', 503, false, 1);
    request(key, 'GET', 200, true, 1);
    request(key, 'GET', 0, true, 1);
    request(key, 'GET', 0, false, 1);
    request(key, 'PURGE', 200, false, 1);
  }
  for (const key of [GRPC_OUTBOUND, GRPC_INBOUND]) {
    request(key, GRPC_CALL, 0, false, 4);
    request(key, GRPC_CALL, 5, false, 4);
    request(key, GRPC_CALL, 14, true, 4);
  }
  const history = createTrafficHistory({ now: () => STARTED_MS, subsetOf: () => 'stable' });
  history.fold(0, counters.snapshot('all'));
  const status = shopStatus();
  status.traffic.telemetryDropped = { spans: 4 };
  const [orders] = status.services;
  status.services.push({
    ...orders,
    name: 'legacy',
    external: true,
    instances: [{ ...orders.instances[0], id: 'legacy-1', appPort: 8_444 }],
  });
  return {
    series: history.series(),
    status,
    certificates: [ordersCertificate],
    connections: [{ 'inbound orders': 2 }],
    process: { startedAt: STARTED_MS / 1_000, residentBytes: 1_024, cpuSeconds: 0.25 },
  };
}

const attributes = (list: readonly KeyValue[] = []): Record<string, unknown> =>
  Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value ?? {})[0]]));
const serviceOf = ({ resource }: ResourceMetrics) => attributes(resource?.attributes)['service.name'];
const metricsOf = (data: readonly ResourceMetrics[], service: string) =>
  new Map(
    data
      .filter((each) => serviceOf(each) === service)
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
      .map((metric) => [metric.name, metric]),
  );

describe('metrics as OTLP', () => {
  const data = otlpMetrics(exposition(), NOW_MS);

  it('are those of /metrics, cumulative since the start', () => {
    const own = metricsOf(data, 'localmesh');
    expect(attributes(data[0].resource?.attributes)).toEqual({ 'service.name': 'localmesh', 'mesh.name': 'shop' });
    const { sum } = own.get('request_total')!;
    expect(sum).toMatchObject({ aggregationTemporality: 2, isMonotonic: true });
    const point = sum!.dataPoints.find(({ attributes: of }) => attributes(of).direction === 'outbound')!;
    expect(attributes(point.attributes)).toEqual({
      direction: 'outbound',
      source: 'gateway',
      destination: 'orders',
      route: 'main',
      gateway_route: 'api',
      tls: 'true',
    });
    expect(point).toMatchObject({
      asDouble: 8,
      startTimeUnixNano: `${STARTED_MS}000000`,
      timeUnixNano: `${NOW_MS}000000`,
    });
    expect(own.get('identity_cert_expiration_timestamp_seconds')!.gauge!.dataPoints[0]).toEqual({
      attributes: expect.anything(),
      timeUnixNano: `${NOW_MS}000000`,
      asDouble: Date.parse(ordersCertificate.notAfter) / 1_000,
    });
    expect(own.get('mesh_telemetry_dropped_total')!.sum!.dataPoints).toMatchObject([
      { asDouble: 4, attributes: [{ key: 'what', value: { stringValue: 'spans' } }] },
    ]);
    const [latency] = own.get('response_latency_ms')!.histogram!.dataPoints;
    expect(latency.bucketCounts).toHaveLength(latency.explicitBounds.length + 1);
    // Two of the eight had no response.
    expect(latency.bucketCounts.reduce((total, n) => total + Number(n), 0)).toBe(6);
    expect(latency.count).toBe('6');
  });

  it('have the durations of the semantic conventions, of servers and clients, as their services', () => {
    const check = (service: string, name: string, wrong: string | undefined, more: Record<string, unknown>) => {
      const metric = metricsOf(data, service).get(name)!;
      expect(metric.unit).toBe('s');
      const { dataPoints, aggregationTemporality } = metric.histogram!;
      expect(aggregationTemporality).toBe(2);
      const points = dataPoints.map((point): [Record<string, unknown>, HistogramDataPoint] => [
        attributes(point.attributes),
        point,
      ]);
      const of = (method: string, status: string | undefined, error: string | undefined) =>
        points.filter(
          ([keys]) =>
            keys['http.request.method'] === method &&
            keys['http.response.status_code'] === status &&
            keys['error.type'] === error,
        );
      const [[keys, fine]] = of('GET', '200', undefined);
      expect(keys).toMatchObject({ 'url.scheme': 'http', 'mesh.tls': true, ...more });
      expect(fine).toMatchObject({ count: '2', explicitBounds: [...DURATION_BOUNDS_S] });
      expect(fine.sum).toBeCloseTo(0.044);
      expect(fine.bucketCounts.slice(0, 4)).toEqual(['1', '0', '0', '1']);
      const [[, slow]] = of('POST', '404', wrong);
      expect(slow.bucketCounts.at(-1)).toBe('1');
      for (const [method, status, error] of [
        ['GET', '503', '503'],
        ['GET', '200', '_OTHER'],
        ['GET', undefined, '_OTHER'],
        ['GET', undefined, 'cancelled'],
        ['_OTHER', '200', undefined],
      ] as const)
        expect(of(method, status, error), `${method} ${status} ${error}`).toHaveLength(1);
      // One stream for one set of attributes.
      expect(new Set(points.map(([each]) => JSON.stringify(each))).size).toBe(points.length);
    };
    check('orders', 'http.server.request.duration', undefined, { 'mesh.source': 'gateway', 'mesh.subset': 'stable' });
    check('gateway', 'http.client.request.duration', '404', {
      'server.address': 'orders',
      'server.port': '80',
      'mesh.route': 'main',
      'mesh.gateway_route': 'api',
    });
  });

  it('have calls of gRPC as the conventions for RPC want them, and the port of who is outside', () => {
    const points = (service: string, name: string) =>
      metricsOf(data, service)
        .get(name)!
        .histogram!.dataPoints.map((point) => attributes(point.attributes));
    const calls = points('gateway', 'rpc.client.call.duration');
    expect(calls.map((each) => [each['rpc.response.status_code'], each['error.type']])).toEqual([
      ['OK', undefined],
      ['NOT_FOUND', 'NOT_FOUND'],
      ['UNAVAILABLE', 'UNAVAILABLE'],
    ]);
    expect(calls[0]).toEqual({
      'rpc.system.name': 'grpc',
      'rpc.response.status_code': 'OK',
      'server.address': 'legacy',
      'server.port': '8444',
      'mesh.destination': 'legacy',
      'mesh.route': 'calls',
      'mesh.tls': true,
    });
    // What the client asked for in vain is no error of the server.
    expect(points('billing', 'rpc.server.call.duration').map((each) => each['error.type'])).toEqual([
      undefined,
      undefined,
      'UNAVAILABLE',
    ]);
    expect(metricsOf(data, 'billing').has('http.server.request.duration')).toBe(false);
  });

  it('come in parts of a bounded number of points, all of them', () => {
    const count = (some: readonly ResourceMetrics[]) =>
      some
        .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
        .reduce((sum, metric) => sum + pointsOf(metric).length, 0);
    const parts = [...inParts(data, 7)];
    expect(parts.slice(0, -1).map(count)).toEqual(parts.slice(1).map(() => 7));
    expect(parts.map(count).reduce((a, b) => a + b, 0)).toBe(count(data));
    expect([...inParts(data, 1e6)]).toHaveLength(1);
  });
});

const TAKEN: Delivery = { kind: 'taken', rejected: 0, message: '' };
const LATER: Delivery = { kind: 'later', reason: 'away', afterMs: null };

function exporter(...answers: Delivery[]) {
  const clock = new FakeClock();
  const problems: Problem[] = [];
  const sentAtMs: number[] = [];
  const began = clock.now();
  const made = startMetricsExporter({
    transport: {
      send: async () => {
        sentAtMs.push(clock.now() - began);
        return answers[Math.min(sentAtMs.length, answers.length) - 1];
      },
      close: () => undefined,
    },
    endpoint: 'http://x',
    intervalMs: 10_000,
    collect: () => otlpMetrics({ ...exposition(), series: [] }, clock.now()),
    clock,
    random: () => 0,
    onProblem: (each) => problems.push(each),
  });
  return { made, clock, problems, sentAtMs };
}

describe('exporting metrics', () => {
  it('happens at an interval', async () => {
    const { clock, sentAtMs, made } = exporter(TAKEN);
    await clock.advanceAsync(30_500);
    expect(sentAtMs).toEqual([10_000, 20_000, 30_000]);
    await made.close(1_000);
    expect(sentAtMs).toHaveLength(4);
    expect(clock.pending).toBe(0);
  });

  it('is tried again with growing pauses, says so once, and then goes on at its interval', async () => {
    const { clock, sentAtMs, problems } = exporter(LATER, LATER, LATER, TAKEN, TAKEN, LATER, TAKEN);
    await clock.advanceAsync(11_750);
    expect(sentAtMs).toEqual([10_000, 10_250, 10_750, 11_750]);
    expect(problems).toMatchObject([
      { code: 'MESH-T103', severity: 'warning', message: 'metrics cannot be exported to http://x: away' },
    ]);
    await clock.advanceAsync(20_250);
    expect(sentAtMs.slice(4)).toEqual([21_750, 31_750, 32_000]);
    expect(problems).toHaveLength(2);
  });

  it('waits as long as the collector asks, and at most half a minute of its own', async () => {
    const { clock, sentAtMs } = exporter({ ...LATER, afterMs: 45_000 } as Delivery, LATER);
    await clock.advanceAsync(10_000 + 45_000);
    expect(sentAtMs).toEqual([10_000, 55_000]);
    await clock.advanceAsync(20 * 60_000);
    const pauses = sentAtMs.slice(1).map((at, i) => at - sentAtMs[i]);
    expect(Math.max(...pauses.slice(1))).toBe(15_000);
  });

  it('counts what is refused or rejected, and goes on', async () => {
    const { clock, made, problems, sentAtMs } = exporter(
      { kind: 'taken', rejected: 3, message: 'too old' },
      { kind: 'refused', reason: 'it answers 404' },
      TAKEN,
    );
    await clock.advanceAsync(10_000);
    expect(made.dropped).toBe(3);
    expect(problems[0].message).toContain('rejected 3 points: too old');
    await clock.advanceAsync(10_000);
    expect(made.dropped).toBeGreaterThan(10);
    await clock.advanceAsync(10_000);
    expect(sentAtMs).toHaveLength(3);
  });

  it('does not keep a mesh that goes down waiting', async () => {
    const { made, clock } = exporter(LATER);
    await clock.advanceAsync(10_000);
    await made.close(0);
    expect(clock.pending).toBe(0);
  });
});

describe('the way of metrics to a collector', () => {
  let collector: Collector;
  let made: MetricsExporter | null = null;
  beforeEach(async () => {
    collector = await startCollector();
  });
  afterEach(async () => {
    await made?.close(100);
    made = null;
    await collector.close();
  });

  const problems: Problem[] = [];
  const start = (protocol: OtlpCollector['protocol']) => {
    problems.length = 0;
    const address = {
      endpoint: protocol === 'grpc' ? collector.grpcEndpoint : collector.httpEndpoint,
      headers: { 'x-api-key': 'k' },
      protocol,
    };
    const clock = new FakeClock();
    made = startMetricsExporter({
      transport: openTransport(address, METRICS, loadOtlpCodec),
      endpoint: address.endpoint,
      intervalMs: 10_000,
      collect: () => otlpMetrics(exposition(), NOW_MS),
      clock,
      random: () => 0,
      onProblem: (each) => problems.push(each),
    });
    return clock;
  };

  for (const protocol of ['http/protobuf', 'http/json', 'grpc'] as const) {
    it(`is ${protocol}`, async () => {
      const clock = start(protocol);
      clock.advance(10_000);
      await expect.poll(() => collector.taken.length, { timeout: 5_000 }).toBe(1);
      const [{ path, headers, resourceMetrics }] = collector.taken;
      expect(path).toBe(
        protocol === 'grpc' ? '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export' : '/v1/metrics',
      );
      expect(headers['x-api-key']).toBe('k');
      const sent = metricsOf(otlpMetrics(exposition(), NOW_MS), 'orders').get('http.server.request.duration')!;
      const got = metricsOf(resourceMetrics, 'orders').get('http.server.request.duration')!;
      expect(got).toEqual(sent);
      expect(metricsOf(resourceMetrics, 'localmesh').size).toBeGreaterThan(10);
      expect(problems).toEqual([]);
    });
  }

  it('is tried again where the collector is busy, and given up for this time where it knows no metrics', async () => {
    collector.answer = { status: 503, headers: { 'retry-after': '2' } };
    const clock = start('http/protobuf');
    clock.advance(10_000);
    await expect.poll(() => problems.length, { timeout: 5_000 }).toBe(1);
    await expect.poll(() => clock.pending, { timeout: 5_000 }).toBe(1);
    collector.answer = { status: 404 };
    clock.advance(1_999);
    expect(collector.taken).toHaveLength(1);
    clock.advance(1);
    await expect.poll(() => made!.dropped, { timeout: 5_000 }).toBeGreaterThan(0);
    expect(problems[0]).toMatchObject({ code: 'MESH-T103', message: expect.stringContaining('503') });
  });

  it('says what the collector did not take', async () => {
    const body = JSON.stringify({ partialSuccess: { rejectedDataPoints: '5', errorMessage: 'no such unit' } });
    collector.answer = { status: 200, headers: { 'content-type': 'application/json' }, body };
    const clock = start('http/json');
    clock.advance(10_000);
    await expect.poll(() => made!.dropped, { timeout: 5_000 }).toBe(5);
    expect(problems[0].message).toContain('no such unit');
  });
});
