import type { RequestEvent, TapFilter } from '../../model/events.ts';
import { REDACTED, statusRange } from '../../model/tap-filter.ts';
import type { Exchange } from '../exchange.ts';
import type { Headers } from '../message.ts';

/** A header's value is cut after so many characters, and a path: nobody reads on, and a batch has to stay small. */
const MOST_VALUE_CHARACTERS = 4_096;
/** Headers shown of one message. */
const MOST_HEADERS = 128;

/** Of a finished exchange: what it is called at its end. */
export interface EventTimes {
  /** Milliseconds of the monotonic clock that the exchange was measured with. */
  nowMs: number;
  /** The same moment, milliseconds since the epoch. */
  wallMs: number;
}

/** The event of a finished exchange, without headers. Its counter is set. */
export function requestEvent(x: Exchange, { nowMs, wallMs }: EventTimes): RequestEvent {
  const { source, destination, route, gatewayRoute, direction, tls } = x.counter!.key;
  const durationMs = nowMs - x.startedAtMs;
  const inbound = direction === 'inbound';
  return {
    id: x.spanId,
    traceId: x.traceId,
    parentSpanId: x.parentSpanId,
    sampled: x.sampled,
    time: new Date(wallMs - durationMs).toISOString(),
    source,
    destination,
    instance: inbound ? x.listener.spec.workload : x.lastEndpoint,
    direction,
    protocol: protocolOf(x),
    method: x.request.method,
    authority: cut(x.authority),
    path: cut(x.path),
    route,
    gatewayRoute,
    status: x.status,
    grpcStatus: x.grpcStatus < 0 ? null : x.grpcStatus,
    durationMs: round(durationMs),
    pickedAfterMs: x.pickedAtMs === 0 ? null : round(x.pickedAtMs - x.startedAtMs),
    connectedAfterMs: x.connectedAtMs === 0 ? null : round(x.connectedAtMs - x.startedAtMs),
    firstByteAfterMs: x.firstByteAtMs === 0 ? null : round(x.firstByteAtMs - x.startedAtMs),
    requestBytes: x.requestBytes,
    responseBytes: x.responseBytes,
    retries: Math.max(0, x.tries - 1),
    responseFlags: x.flag,
    // Without a try there was no hop.
    tls: tls && (inbound || x.lastEndpoint !== ''),
    peer: inbound ? (x.peer?.spiffeId ?? '') : x.lastEndpoint === '' ? '' : (x.cluster?.spec.spiffeId ?? ''),
    requestHeaders: [],
    responseHeaders: [],
  };
}

/** What the request was to its proxy; the link between two proxies is always HTTP/2 and says nothing about it. */
export function protocolOf(x: Exchange): RequestEvent['protocol'] {
  if (x.grpc) return 'grpc';
  if (x.request.method === 'CONNECT' && x.request.protocol === null) return 'tcp';
  if (x.listener.spec.kind === 'inbound') return x.listener.spec.app?.protocol === 'http2' ? 'http2' : 'http';
  return x.fromHttp2 ? 'http2' : 'http';
}

/** Microseconds are as exact as the clock. */
const round = (ms: number): number => Math.round(ms * 1_000) / 1_000;

const cut = (text: string): string =>
  text.length > MOST_VALUE_CHARACTERS ? `${text.slice(0, MOST_VALUE_CHARACTERS)}...` : text;

/** The headers asked for, as pairs. @param shown lowercase names; `*` is all */
export function shownHeaders(
  headers: Headers | null,
  shown: ReadonlySet<string>,
  redacted: ReadonlySet<string>,
): [string, string][] {
  const pairs: [string, string][] = [];
  if (headers === null) return pairs;
  const all = shown.has('*');
  for (let i = 0; i < headers.length && pairs.length < MOST_HEADERS; i += 2) {
    const name = headers[i];
    if (all || shown.has(name)) pairs.push([name, redacted.has(name) ? REDACTED : cut(headers[i + 1])]);
  }
  return pairs;
}

/** Looks at a finished exchange. */
export type ExchangeTest = (x: Exchange, durationMs: number) => boolean;

/** The filter, but for its direction, as tests that are made once; null: nothing would be refused. The cheap ones come first. */
export function compileTapFilter(filter: TapFilter): ExchangeTest | null {
  const tests: ExchangeTest[] = [];
  const { service, from, to, route, path, minDurationMs, headers } = filter;
  if (service !== '')
    tests.push(({ counter }) => counter!.key.source === service || counter!.key.destination === service);
  if (from !== '') tests.push((x) => x.counter!.key.source === from);
  if (to !== '') tests.push((x) => x.counter!.key.destination === to);
  if (route !== '') tests.push((x) => x.counter!.key.route === route || x.counter!.key.gatewayRoute === route);
  const range = filter.status === '' ? null : statusRange(filter.status);
  if (range !== null) tests.push((x) => x.status >= range[0] && x.status <= range[1]);
  const method = filter.method.toUpperCase();
  if (method !== '') tests.push((x) => x.request.method === method);
  if (filter.protocol !== '') tests.push((x) => protocolOf(x) === filter.protocol);
  if (path !== '') tests.push((x) => x.path.startsWith(path));
  if (minDurationMs > 0) tests.push((_x, durationMs) => durationMs >= minDurationMs);
  for (const [name, value] of headers) tests.push((x) => hasHeader(x.request.headers, name.toLowerCase(), value));
  if (tests.length === 0) return null;
  return (x, durationMs) => tests.every((test) => test(x, durationMs));
}

/** With an empty value: any. */
export function hasHeader(headers: Headers, name: string, value: string): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name && (value === '' || headers[i + 1] === value)) return true;
  }
  return false;
}
