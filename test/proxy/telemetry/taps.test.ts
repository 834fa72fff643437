import { describe, expect, it } from 'vitest';
import { ANY_REQUEST, type TapBatch, type TapFilter } from '../../../src/model/events.ts';
import { REDACTED, REDACTED_HEADERS } from '../../../src/model/tap-filter.ts';
import type { Exchange } from '../../../src/proxy/exchange.ts';
import { requestEvent } from '../../../src/proxy/telemetry/request-events.ts';
import { createTaps, type Taps } from '../../../src/proxy/telemetry/taps.ts';

interface Finished {
  direction?: 'inbound' | 'outbound';
  source?: string;
  destination?: string;
  method?: string;
  path?: string;
  status?: number;
  headers?: string[];
  responseHeaders?: string[];
  grpc?: boolean;
  http2?: boolean;
  lastEndpoint?: string;
}

/** What of an exchange is looked at when it is over. It began at 1,000 ms. */
function finished({
  direction = 'outbound',
  source = 'web',
  destination = 'orders',
  ...rest
}: Finished = {}): Exchange {
  const inbound = direction === 'inbound';
  return {
    counter: {
      key: {
        source,
        destination,
        route: inbound ? '' : 'main',
        direction,
        instance: inbound ? 'orders-1' : 'web-1',
        tls: true,
      },
    },
    startedAtMs: 1_000,
    pickedAtMs: inbound ? 0 : 1_001,
    connectedAtMs: 0,
    firstByteAtMs: 1_004.5,
    spanId: 's'.repeat(16),
    traceId: 't'.repeat(32),
    parentSpanId: '',
    sampled: false,
    listener: { spec: { kind: direction, workload: inbound ? 'orders-1' : 'web-1', app: { protocol: 'http' } } },
    lastEndpoint: rest.lastEndpoint ?? (inbound ? '' : 'orders-2'),
    cluster: inbound ? null : { spec: { spiffeId: 'spiffe://t/ns/d/sa/orders' } },
    peer: { spiffeId: inbound ? 'spiffe://t/ns/d/sa/web' : '' },
    request: { method: rest.method ?? 'GET', protocol: null, headers: rest.headers ?? [] },
    authority: 'orders',
    path: rest.path ?? '/x',
    outerRoute: null,
    responseHeaders: rest.responseHeaders ?? null,
    fromHttp2: rest.http2 ?? false,
    grpc: rest.grpc ?? false,
    grpcStatus: rest.grpc === true ? 5 : -1,
    status: rest.status ?? 200,
    requestBytes: 1,
    responseBytes: 2,
    tries: 2,
    flag: '',
  } as unknown as Exchange;
}

interface Sent {
  taps: Taps;
  batches: { tap: number; batch: TapBatch }[];
  /** Takes the batch that is on its way. */
  acknowledge: () => void;
}

function tapping(...filters: Partial<TapFilter>[]): Sent {
  const sent: Sent = { taps: null as never, batches: [], acknowledge: () => {} };
  const specs = filters.map((filter, id) => ({ id, filter: { ...ANY_REQUEST, ...filter } }));
  sent.taps = createTaps(specs, [...REDACTED_HEADERS, 'x-secret'], {
    wallMs: () => Date.UTC(2026, 0, 1),
    send: (batches, done) => {
      sent.batches.push(...batches);
      sent.acknowledge = done;
    },
  });
  return sent;
}

/** Whether a filter lets it pass, after 10 ms. */
function passes(filter: Partial<TapFilter>, x: Finished): boolean {
  const { taps, batches } = tapping(filter);
  taps.see(finished(x), 1_010);
  taps.flush();
  return batches.some(({ batch }) => batch.events.length > 0);
}

describe('the event of a request', () => {
  it('tells what the caller saw', () => {
    expect(requestEvent(finished(), { nowMs: 1_010.1234, wallMs: Date.UTC(2026, 0, 1, 0, 0, 1) })).toEqual({
      id: 's'.repeat(16),
      traceId: 't'.repeat(32),
      parentSpanId: '',
      sampled: false,
      time: '2026-01-01T00:00:00.989Z',
      source: 'web',
      destination: 'orders',
      instance: 'orders-2',
      direction: 'outbound',
      protocol: 'http',
      method: 'GET',
      authority: 'orders',
      path: '/x',
      route: 'main',
      status: 200,
      grpcStatus: null,
      durationMs: 10.123,
      pickedAfterMs: 1,
      connectedAfterMs: null,
      firstByteAfterMs: 4.5,
      requestBytes: 1,
      responseBytes: 2,
      retries: 1,
      responseFlags: '',
      tls: true,
      peer: 'spiffe://t/ns/d/sa/orders',
      requestHeaders: [],
      responseHeaders: [],
    });
  });

  it('tells what the called side saw', () => {
    const event = requestEvent(finished({ direction: 'inbound', grpc: true }), { nowMs: 1_010, wallMs: 0 });
    expect(event).toMatchObject({
      instance: 'orders-1',
      peer: 'spiffe://t/ns/d/sa/web',
      protocol: 'grpc',
      grpcStatus: 5,
      pickedAfterMs: null,
    });
  });

  it('claims no hop where there was none', () => {
    expect(requestEvent(finished({ lastEndpoint: '' }), { nowMs: 1_010, wallMs: 0 })).toMatchObject({
      instance: '',
      tls: false,
      peer: '',
    });
  });

  it('is cut where it would be huge', () => {
    expect(
      requestEvent(finished({ path: `/${'a'.repeat(60_000)}` }), { nowMs: 1_010, wallMs: 0 }).path.length,
    ).toBeLessThan(5_000);
  });
});

describe('a tap', () => {
  it.each<[Partial<TapFilter>, Finished, Finished]>([
    [{ from: 'web' }, {}, { source: 'gateway' }],
    [{ to: 'orders' }, {}, { destination: 'web' }],
    [{ service: 'web' }, {}, { source: 'gateway' }],
    [{ service: 'orders' }, {}, { destination: 'web', source: 'gateway' }],
    [{ method: 'post' }, { method: 'POST' }, {}],
    [{ path: '/x' }, { path: '/xy' }, { path: '/y' }],
    [{ status: '5xx' }, { status: 503 }, { status: 499 }],
    [{ status: '404' }, { status: 404 }, { status: 405 }],
    [{ route: 'main' }, {}, { direction: 'inbound' }],
    [{ direction: 'inbound' }, { direction: 'inbound' }, {}],
    [{ protocol: 'http2' }, { http2: true }, {}],
    [{ protocol: 'grpc' }, { grpc: true }, {}],
    [{ headers: [['X-User', '42']] }, { headers: ['x-user', '42'] }, { headers: ['x-user', '43'] }],
    [{ headers: [['x-user', '']] }, { headers: ['x-user', '43'] }, {}],
    [{ to: 'orders', status: '5xx' }, { status: 500 }, { status: 500, destination: 'web' }],
  ])('%j lets %j pass and not %j', (filter, yes, no) => {
    expect(passes(filter, yes)).toBe(true);
    expect(passes(filter, no)).toBe(false);
  });

  it('looks at the duration', () => {
    expect(passes({ minDurationMs: 10 }, {})).toBe(true);
    expect(passes({ minDurationMs: 10.1 }, {})).toBe(false);
  });

  it('counts what it does not want, but not the other side of the hop', () => {
    const { taps, batches } = tapping({ status: '5xx', direction: 'outbound' });
    taps.see(finished(), 1_010);
    taps.see(finished({ direction: 'inbound' }), 1_010);
    taps.flush();
    expect(batches).toEqual([{ tap: 0, batch: { events: [], dropped: 0, filtered: 1 } }]);
  });

  it('shows only the headers asked for, and no secrets', () => {
    const { taps, batches } = tapping({ showHeaders: ['*'] }, { showHeaders: ['X-App', 'cookie'] }, {});
    const headers = [
      'authorization',
      'Bearer a',
      'cookie',
      'b',
      'x-secret',
      'c',
      'x-app',
      'd',
      'x-api-key',
      'e',
      'proxy-authorization',
      'f',
    ];
    taps.see(finished({ headers, responseHeaders: ['set-cookie', 'g', 'x-app', 'h'] }), 1_010);
    taps.flush();
    const [all, some, none] = batches.map(({ batch }) => batch.events[0]);
    expect(JSON.stringify(all)).not.toMatch(/"(Bearer a|[bcefg])"/);
    expect(all.requestHeaders).toContainEqual(['x-app', 'd']);
    expect(all.requestHeaders).toContainEqual(['authorization', REDACTED]);
    expect(some.requestHeaders).toEqual([
      ['cookie', REDACTED],
      ['x-app', 'd'],
    ]);
    expect(some.responseHeaders).toEqual([['x-app', 'h']]);
    expect(none).toMatchObject({ requestHeaders: [], responseHeaders: [] });
  });

  it('keeps to its limit a second and counts the rest', () => {
    const { taps, batches } = tapping({ maxPerSecond: 2 });
    for (let i = 0; i < 5; i++) taps.see(finished(), 1_010);
    taps.see(finished(), 2_000);
    taps.flush();
    expect(batches[0].batch).toMatchObject({ dropped: 3, events: { length: 3 } });
  });

  it('drops and counts what does not fit into a batch, and sends nothing while the last is on its way', () => {
    const sent = tapping({});
    for (let i = 0; i < 1_500; i++) sent.taps.see(finished(), 1_010);
    sent.taps.flush();
    expect(sent.batches[0].batch).toMatchObject({ dropped: 500, events: { length: 1_000 } });
    sent.taps.see(finished(), 1_010);
    sent.taps.flush();
    expect(sent.batches).toHaveLength(1);
    sent.acknowledge();
    sent.taps.flush();
    expect(sent.batches[1].batch).toMatchObject({ dropped: 0, events: { length: 1 } });
    sent.acknowledge();
    sent.taps.flush();
    expect(sent.batches).toHaveLength(2);
  });

  it('gives a tap that people read fewer, which takes nothing from one that keeps a record', () => {
    const batches: Sent['batches'] = [];
    const taps = createTaps(
      [
        { id: 1, filter: ANY_REQUEST, live: true },
        { id: 2, filter: ANY_REQUEST, live: false },
      ],
      [],
      { wallMs: () => 0, send: (some) => batches.push(...some) },
    );
    for (let i = 0; i < 1_000; i++) taps.see(finished(), 1_010);
    taps.flush();
    expect(batches).toMatchObject([
      { tap: 1, batch: { dropped: 750, events: { length: 250 } } },
      { tap: 2, batch: { dropped: 0, events: { length: 1_000 } } },
    ]);
  });

  it('bounds what long headers take', () => {
    const { taps, batches } = tapping({ showHeaders: ['*'] });
    const headers = Array.from({ length: 300 }, (_, i) => [`x-${i}`, 'v'.repeat(60_000)]).flat();
    for (let i = 0; i < 100; i++) taps.see(finished({ headers }), 1_010);
    taps.flush();
    const { events, dropped } = batches[0].batch;
    expect(events.length + dropped).toBe(100);
    expect(JSON.stringify(events).length).toBeLessThan(6 * 1024 * 1024);
    expect(events[0].requestHeaders).toHaveLength(128);
  });
});
