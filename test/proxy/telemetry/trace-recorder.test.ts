import { describe, expect, it } from 'vitest';
import type { ProxySpan } from '../../../src/model/proxy-span.ts';
import type { Exchange } from '../../../src/proxy/exchange.ts';
import { TraceRecorder, type TraceSettings } from '../../../src/proxy/telemetry/trace-recorder.ts';
import { BEGAN_MS } from '../../support/spans.ts';

/** As much of an exchange as a recorder reads. */
function exchange(part: object = {}): Exchange {
  return {
    traceId: 't',
    spanId: 's',
    parentSpanId: '',
    sampled: false,
    startedAtMs: 0,
    listener: { spec: { kind: 'outbound', service: 'web', workload: 'web-1', app: null } },
    request: { method: 'GET', protocol: null },
    path: '/x',
    authority: 'api',
    scheme: 'http',
    cluster: { spec: { spiffeId: 'spiffe://t/api', tls: false } },
    backend: { service: 'api' },
    route: { name: 'api-1', spec: { matches: [{ path: { kind: 'prefix', value: '/x' } }] } },
    outerRoute: null,
    matchIndex: 0,
    lastEndpoint: 'api-1',
    peer: null,
    grpc: false,
    grpcStatus: -1,
    status: 200,
    flag: '',
    tries: 1,
    tunnel: false,
    requestBytes: 0,
    responseBytes: 0,
    fromHttp2: false,
    ...part,
  } as unknown as Exchange;
}

const ALL: TraceSettings = { headRate: 1, maxPerSecond: 0, slowMs: 500 };

/** @param reads whether the other side takes batches at once */
function recorder(settings: TraceSettings | null, random = () => 0.5, reads = false) {
  const clock = { monotonicMs: 0, wallMs: BEGAN_MS };
  const batches: { spans: ProxySpan[]; dropped: number; sent: () => void }[] = [];
  const traces = new TraceRecorder({
    random,
    now: () => clock.wallMs,
    monotonic: () => clock.monotonicMs,
    send: (spans, dropped, sent) => {
      batches.push({ spans, dropped, sent });
      if (reads) sent();
    },
  });
  traces.use(settings);
  return { traces, clock, batches };
}

describe('head sampling', () => {
  it('takes its share, none while nobody asked, and no more in a second than allowed', () => {
    expect(recorder(null).traces.sampleNew()).toBe(false);
    expect(recorder({ ...ALL, headRate: 0.4 }).traces.sampleNew()).toBe(false);
    expect(recorder({ ...ALL, headRate: 0.6 }).traces.sampleNew()).toBe(true);
    expect(recorder({ ...ALL, headRate: 0 }, () => 0).traces.sampleNew()).toBe(false);
    const { traces, clock } = recorder({ ...ALL, maxPerSecond: 2 });
    const ask = () => [traces.sampleNew(), traces.sampleNew(), traces.sampleNew()];
    expect(ask()).toEqual([true, true, false]);
    clock.monotonicMs = 1_000;
    expect(ask()).toEqual([true, true, false]);
  });
});

describe('more than can be reported', () => {
  it('leaves whole traces out, so that those that have begun become complete', () => {
    const { traces, clock, batches } = recorder(ALL, () => 0.5, true);
    for (let i = 0; i < 2_999; i++) traces.record(exchange({ sampled: true }), 0);
    expect(traces.sampleNew()).toBe(true);
    traces.record(exchange({ sampled: true }), 0);
    expect(traces.sampleNew()).toBe(false);
    traces.record(exchange({ sampled: true }), 0);
    traces.flush();
    expect(batches.flatMap(({ spans }) => spans)).toHaveLength(3_001);
    expect(batches.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(1);
    clock.monotonicMs = 1_000;
    expect(traces.sampleNew()).toBe(true);
  });

  it('begins no trace while the daemon does not read', () => {
    const { traces, batches } = recorder(ALL);
    for (let i = 0; i < 5 * 256; i++) traces.record(exchange({ sampled: true }), 0);
    expect(traces.sampleNew()).toBe(false);
    for (const batch of batches) batch.sent();
    traces.flush();
    expect(traces.sampleNew()).toBe(true);
  });
});

describe('what becomes a span', () => {
  it.each<[string, object, boolean]>([
    ['sampled', { sampled: true }, true],
    ['not sampled', {}, false],
    ['a server error', { status: 503 }, true],
    ['a client error', { status: 404 }, false],
    ['broken off', { flag: 'UC', status: 0 }, true],
    ['a client that went away', { flag: 'DC', status: 0 }, false],
    ['a failed gRPC call', { grpc: true, grpcStatus: 5 }, true],
    ['slow', { startedAtMs: -600 }, true],
    ['a tunnel, which is always slow', { startedAtMs: -600, tunnel: true }, false],
  ])('%s', (_what, part, kept) => {
    const { traces, batches } = recorder(ALL);
    traces.record(exchange(part), 0);
    traces.flush();
    expect(batches.length).toBe(kept ? 1 : 0);
  });

  it('carries what the semantic conventions ask for', () => {
    const { traces, clock, batches } = recorder(ALL);
    clock.monotonicMs = 100.5;
    traces.record(exchange({ sampled: true, startedAtMs: 99, tries: 3, fromHttp2: true }), 100.5);
    traces.flush();
    expect(batches[0].spans[0]).toMatchObject({
      startMs: BEGAN_MS + 99,
      durationMs: 1.5,
      side: 'outbound',
      instance: 'web-1',
      other: 'api',
      endpoint: 'api-1',
      protocol: 'http2',
      routePath: '/x',
      retries: 2,
      tls: true,
      grpcStatus: null,
    });
  });

  it('tells the caller of an inbound request by its identity', () => {
    const { traces, batches } = recorder(ALL);
    const spec = { kind: 'inbound', service: 'api', workload: 'api-1', app: { protocol: 'http' } };
    const peer = { spiffeId: 'spiffe://shop.local/ns/default/sa/web', tls: true };
    traces.record(exchange({ sampled: true, listener: { spec }, peer, route: null, backend: null, cluster: null }), 1);
    traces.flush();
    expect(batches[0].spans[0]).toMatchObject({
      side: 'inbound',
      service: 'api',
      other: 'web',
      endpoint: '',
      tls: true,
      routePath: '',
    });
  });

  it('believes a wall clock that was set, and not one that is a little off', () => {
    const { traces, clock, batches } = recorder(ALL);
    const startOf = () => {
      traces.flush();
      traces.record(exchange({ sampled: true, startedAtMs: clock.monotonicMs }), clock.monotonicMs);
      traces.flush();
      return batches.at(-1)!.spans[0].startMs;
    };
    clock.wallMs += 15;
    expect(startOf()).toBe(BEGAN_MS);
    batches.at(-1)!.sent();
    clock.wallMs += 3_600_000;
    expect(startOf()).toBe(BEGAN_MS + 3_600_015);
  });
});

describe('a daemon that does not read', () => {
  it('gets so many batches; what comes then is counted', () => {
    const { traces, batches } = recorder(ALL);
    for (let i = 0; i < 2_000; i++) traces.record(exchange({ sampled: true }), 0);
    traces.flush();
    expect(batches).toHaveLength(4);
    for (const batch of batches) batch.sent();
    traces.flush();
    const told = batches.reduce((sum, { spans, dropped }) => sum + spans.length + dropped, 0);
    expect(told).toBe(2_000);
    expect(batches.at(-1)!.dropped).toBeGreaterThan(0);
  });

  it('gets no more than 5,000 spans a second', () => {
    const { traces, batches, clock } = recorder(ALL, undefined, true);
    for (let i = 0; i < 6_000; i++) traces.record(exchange({ sampled: true }), 0);
    traces.flush();
    expect(batches.reduce((sum, { spans }) => sum + spans.length, 0)).toBe(5_000);
    clock.monotonicMs = 1_001;
    traces.record(exchange({ sampled: true }), clock.monotonicMs);
    traces.flush();
    expect(batches.reduce((sum, { spans }) => sum + spans.length, 0)).toBe(5_001);
    expect(batches.reduce((sum, { dropped }) => sum + dropped, 0)).toBe(1_000);
  });
});
