/** A data plane that only reports: `telemetry-source.ts <events|spans|counters> <number>`, the next batch when asked. */
import { randomBytes } from 'node:crypto';
import type { RequestEvent } from '../../src/model/events.ts';
import type { ProxySpan } from '../../src/model/proxy-span.ts';
import type { FromDataPlane } from '../../src/proxy/channel.ts';
import { countEnd, countHttp, countStart, createCounters } from '../../src/proxy/telemetry/counters.ts';

const BATCH = 1_000;
const SERVICES = ['web', 'orders', 'inventory', 'payments'];
const [, , kind, number] = process.argv;
let left = Number(number);

const id = (bytes: number): string => randomBytes(bytes).toString('hex');

/** As a small shop's: two proxies see each request. */
function event(i: number): RequestEvent {
  const destination = SERVICES[i % SERVICES.length];
  return {
    id: id(8),
    traceId: id(16),
    parentSpanId: id(8),
    sampled: false,
    time: new Date().toISOString(),
    source: 'gateway',
    destination,
    instance: `${destination}-1`,
    direction: 'outbound',
    protocol: 'http',
    method: 'GET',
    authority: 'shop.localhost:8080',
    path: `/api/${destination}/${i}?page=2`,
    route: destination,
    gatewayRoute: 'api',
    status: i % 50 === 0 ? 503 : 200,
    grpcStatus: null,
    durationMs: 1.234 + (i % 100),
    pickedAfterMs: 0.051,
    connectedAfterMs: null,
    firstByteAfterMs: 1.101,
    requestBytes: 0,
    responseBytes: 1_024,
    retries: 0,
    responseFlags: '',
    tls: true,
    peer: `spiffe://shop.local/ns/default/sa/${destination}`,
    requestHeaders: [],
    responseHeaders: [],
  };
}

function span(i: number): ProxySpan {
  const { id: spanId, traceId, parentSpanId, instance, destination, authority, path, status } = event(i);
  return {
    traceId,
    spanId,
    parentSpanId,
    sampled: true,
    startMs: Date.now(),
    durationMs: 1.234,
    side: 'gateway',
    service: 'gateway',
    instance: 'gateway',
    other: destination,
    endpoint: instance,
    protocol: 'http',
    method: 'GET',
    scheme: 'http',
    authority,
    path,
    route: destination,
    routePath: '/api',
    gatewayRoute: 'api',
    status,
    grpcStatus: null,
    retries: 0,
    flags: '',
    requestBytes: 0,
    responseBytes: 1_024,
    tls: true,
    peer: `spiffe://shop.local/ns/default/sa/${destination}`,
    clientAddress: '127.0.0.1',
  };
}

const counters = createCounters();
const slots = Array.from({ length: BATCH }, (_, i) =>
  counters.slot({
    source: 'web',
    destination: SERVICES[i % SERVICES.length],
    route: `route-${i}`,
    gatewayRoute: '',
    direction: 'outbound',
    instance: 'web-1',
    tls: true,
  }),
);

function message(count: number): FromDataPlane {
  const many = <Item>(make: (i: number) => Item) => Array.from({ length: count }, (_, i) => make(i));
  if (kind === 'spans') return { type: 'spans', spans: many(span), dropped: 0 };
  if (kind === 'events')
    return { type: 'events', batches: [{ tap: 1, batch: { events: many(event), dropped: 0, filtered: 0 } }] };
  for (const [i, slot] of slots.entries()) {
    countStart(slot);
    countEnd(slot, 200, -1, false, i % 100, 0);
    countHttp(slot, 'GET', 200, false, i % 100);
  }
  return { type: 'counters', slots: counters.snapshot('changed') };
}

process.on('message', () => {
  if (left <= 0) {
    process.disconnect();
    return;
  }
  const count = Math.min(BATCH, left);
  left -= count;
  process.send!(message(count));
});
process.send!({ type: 'ready' } satisfies FromDataPlane);
