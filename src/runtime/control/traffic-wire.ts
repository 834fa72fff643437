/** The same as wire.ts for taps and statistics. Times of events stay text: they come by the thousand. */

import { MOST_BODY_LIMIT_BYTES } from '../../model/bodies.ts';
import {
  type Direction,
  type RequestEvent,
  STAT_GROUPINGS,
  type StatGrouping,
  type StatRow,
  type TapBatch,
  type TapFilter,
} from '../../model/events.ts';
import { bodyFromWire, bodyToWire } from './body-wire.ts';

interface WireHeader {
  name: string;
  value: string;
}

export const headersToWire = (headers: readonly [string, string][]): WireHeader[] =>
  headers.map(([name, value]) => ({ name, value }));
const headersFromWire = (headers: readonly WireHeader[]): [string, string][] =>
  headers.map(({ name, value }) => [name, value]);

const DIRECTIONS = {
  '': 'DIRECTION_UNSPECIFIED',
  inbound: 'DIRECTION_INBOUND',
  outbound: 'DIRECTION_OUTBOUND',
} as const;

function directionFromWire(wire: string): Direction | '' {
  if (wire === DIRECTIONS.inbound) return 'inbound';
  return wire === DIRECTIONS.outbound ? 'outbound' : '';
}

const PROTOCOLS = {
  http: 'PROTOCOL_HTTP',
  http2: 'PROTOCOL_HTTP2',
  grpc: 'PROTOCOL_GRPC',
  tcp: 'PROTOCOL_TCP',
} as const;

function protocolFromWire(wire: string): RequestEvent['protocol'] {
  return wire.slice('PROTOCOL_'.length).toLowerCase() as RequestEvent['protocol'];
}

export function tapFilterToWire(filter: TapFilter) {
  return {
    ...filter,
    direction: DIRECTIONS[filter.direction],
    headers: headersToWire(filter.headers),
    bodyLimitBytes: filter.bodyLimitBytes ?? 0,
  };
}

export function tapFilterFromWire(wire: ReturnType<typeof tapFilterToWire>): TapFilter {
  const { service, from, to, method, path, route, protocol, status, minDurationMs, maxPerSecond, showHeaders } = wire;
  return {
    service,
    from,
    to,
    method,
    path,
    route,
    protocol,
    status,
    minDurationMs,
    headers: headersFromWire(wire.headers),
    direction: directionFromWire(wire.direction),
    maxPerSecond,
    showHeaders,
    bodyLimitBytes: Math.min(wire.bodyLimitBytes, MOST_BODY_LIMIT_BYTES),
  };
}

function eventToWire(event: RequestEvent) {
  return {
    ...event,
    direction: DIRECTIONS[event.direction],
    protocol: PROTOCOLS[event.protocol],
    requestHeaders: headersToWire(event.requestHeaders),
    responseHeaders: headersToWire(event.responseHeaders),
    requestBody: bodyToWire(event.requestBody),
    responseBody: bodyToWire(event.responseBody),
  };
}

function eventFromWire(wire: ReturnType<typeof eventToWire>): RequestEvent {
  return {
    id: wire.id,
    traceId: wire.traceId,
    parentSpanId: wire.parentSpanId,
    sampled: wire.sampled,
    time: wire.time,
    source: wire.source,
    destination: wire.destination,
    instance: wire.instance,
    direction: directionFromWire(wire.direction) || 'outbound',
    protocol: protocolFromWire(wire.protocol),
    method: wire.method,
    authority: wire.authority,
    path: wire.path,
    route: wire.route,
    gatewayRoute: wire.gatewayRoute,
    status: wire.status,
    grpcStatus: wire.grpcStatus ?? null,
    durationMs: wire.durationMs,
    pickedAfterMs: wire.pickedAfterMs ?? null,
    ...((wire.connectedAfterMs ?? null) === null ? {} : { connectedAfterMs: wire.connectedAfterMs }),
    firstByteAfterMs: wire.firstByteAfterMs ?? null,
    requestBytes: wire.requestBytes,
    responseBytes: wire.responseBytes,
    retries: wire.retries,
    responseFlags: wire.responseFlags,
    tls: wire.tls,
    peer: wire.peer,
    requestHeaders: headersFromWire(wire.requestHeaders),
    responseHeaders: headersFromWire(wire.responseHeaders),
    ...bodiesFromWire(wire),
  };
}

/** Nothing where the tap did not ask for them. */
function bodiesFromWire(wire: ReturnType<typeof eventToWire>): Pick<RequestEvent, 'requestBody' | 'responseBody'> {
  const requestBody = bodyFromWire(wire.requestBody);
  const responseBody = bodyFromWire(wire.responseBody);
  return requestBody === undefined || responseBody === undefined ? {} : { requestBody, responseBody };
}

export const tapBatchToWire = ({ events, dropped, filtered, bodiesDropped }: TapBatch) => ({
  events: events.map(eventToWire),
  dropped,
  filtered,
  bodiesDropped: bodiesDropped ?? 0,
});

export const tapBatchFromWire = (wire: ReturnType<typeof tapBatchToWire>): TapBatch => ({
  events: wire.events.map(eventFromWire),
  dropped: wire.dropped,
  filtered: wire.filtered,
  ...(wire.bodiesDropped > 0 ? { bodiesDropped: wire.bodiesDropped } : {}),
});

export interface StatsRequest {
  windowMs: number;
  by: string;
}

export const statsRequestToWire = (windowMs: number, by: StatGrouping = 'each'): StatsRequest => ({
  windowMs,
  by: `GROUPING_${by.toUpperCase()}`,
});

export const groupingFromWire = ({ by }: StatsRequest): StatGrouping =>
  STAT_GROUPINGS.find((grouping) => by === `GROUPING_${grouping.toUpperCase()}`) ?? 'each';

export interface StatsReply {
  rows: StatRow[];
}

/** Nothing in it differs from the model but the prototype. */
export const statsFromWire = ({ rows }: StatsReply): StatRow[] => rows.map((row) => ({ ...row }));
