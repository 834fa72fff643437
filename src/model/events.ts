import type { EventBody } from './bodies.ts';

/** One request as one proxy saw it, when it was over: what `mesh tap` prints and traces are made of. */
export interface RequestEvent {
  /** Span ID of this proxy's part: unique for the event. */
  id: string;
  /** 32 hexadecimal digits. */
  traceId: string;
  /** Span that it was part of; empty where the trace began here. */
  parentSpanId: string;
  sampled: boolean;
  /** RFC 3339 with milliseconds: when the request's head had come. */
  time: string;
  /** Service that sent it; `gateway` for requests from outside. */
  source: string;
  /** Service that it was for; empty where no service was found. */
  destination: string;
  /** Instance that answered last; empty where none did. */
  instance: string;
  direction: 'inbound' | 'outbound';
  protocol: 'http' | 'http2' | 'grpc' | 'tcp';
  method: string;
  authority: string;
  /** With the query, but for the values of secret parameters. */
  path: string;
  /** Name of the route that chose the backend: the service's, or the gateway's where that names a subset. Empty: none did. */
  route: string;
  /** Name of the gateway's route that the request came in by; empty but at the gateway. */
  gatewayRoute: string;
  /** 0: there was no response. */
  status: number;
  /** Null: not gRPC. */
  grpcStatus: number | null;
  durationMs: number;
  /** Milliseconds from the request's head to: an endpoint was picked, the response's head. Null: it did not come to that. */
  pickedAfterMs: number | null;
  firstByteAfterMs: number | null;
  requestBytes: number;
  responseBytes: number;
  retries: number;
  /** Envoy's letters; empty: the application answered. */
  responseFlags: string;
  /** Whether the hop was encrypted. */
  tls: boolean;
  /** SPIFFE ID of the other proxy: the caller's (inbound), the called one's (outbound). Empty where there was none. */
  peer: string;
  /** Only those asked for by the tap. */
  requestHeaders: [string, string][];
  responseHeaders: [string, string][];
  /** When the last try had its connection; null or left out: it was there already, or it did not come to that. */
  connectedAfterMs?: number | null;
  /** Only if the tap asks for bodies. */
  requestBody?: EventBody;
  responseBody?: EventBody;
}

/** Which requests a tap shows; what is left empty does not restrict. */
export interface TapFilter {
  /** Service that sent the request or that it was for. */
  service: string;
  from: string;
  to: string;
  method: string;
  /** Prefix. */
  path: string;
  route: string;
  protocol: string;
  /** `5xx`, `404`. */
  status: string;
  minDurationMs: number;
  /** Name and value of request headers that have to be there. */
  headers: [string, string][];
  direction: 'inbound' | 'outbound' | '';
  /** Most events a second; the rest is counted and left out. 0: no limit. */
  maxPerSecond: number;
  /** Names of headers to show; `*` for all but the redacted ones. */
  showHeaders: string[];
  /** Bytes of each body to show; 0 or left out: none. */
  bodyLimitBytes?: number;
}

/** Shows every request. */
export const ANY_REQUEST: Readonly<TapFilter> = {
  service: '',
  from: '',
  to: '',
  method: '',
  path: '',
  route: '',
  protocol: '',
  status: '',
  minDurationMs: 0,
  headers: [],
  direction: '',
  maxPerSecond: 0,
  showHeaders: [],
  bodyLimitBytes: 0,
};

/** What a tap delivers, about twenty times a second while there is something. */
export interface TapBatch {
  events: RequestEvent[];
  /** Requests since the last batch that matched and were left out: over the limit, or more than could be carried. */
  dropped: number;
  /** Requests since the last batch that the filter does not want. */
  filtered: number;
  /** Bodies since the last batch that were not captured whole, because too much was under way at once. */
  bodiesDropped?: number;
}

/** Which side of the hop counted: `outbound`, the caller's proxy; `inbound`, that of the called instance. */
export type Direction = 'inbound' | 'outbound';

/**
 * What of traffic is put together: `each` keeps (source, destination, route, gateway's route) apart, `edge` (source,
 * destination), `route` (destination, route), `service` the destination; `subset` is (destination, subset) as the called
 * side counted. By `route` what came in by the gateway is shown twice: in the rows of the services that it went to, and in
 * those of the gateway's own table, whose destination is `gateway`. The others count every request once.
 */
export const STAT_GROUPINGS = ['each', 'service', 'route', 'edge', 'subset'] as const;
export type StatGrouping = (typeof STAT_GROUPINGS)[number];

/** Traffic of one group over a window; what the group does not tell apart is empty. */
export interface StatRow {
  /** Service, or `gateway`. */
  source: string;
  /** Service; empty where none was found: a request without a route, or for a name outside the mesh. */
  destination: string;
  /** Empty where there was none. */
  route: string;
  /** Gateway's route that the requests came in by; told apart by `each` only. */
  gatewayRoute: string;
  /** Of the instance that answered; known to the called side only. */
  subset: string;
  /** Whether the hop is mutual TLS between two proxies. */
  tls: boolean;
  /** Requests in the window. */
  requests: number;
  requestsPerSecond: number;
  /** Of those that ended in the window: 5xx, failed gRPC statuses, and what broke off. */
  failures: number;
  /** 0 to 1; 1 where there were none. */
  successRate: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  /** Under way now. */
  active: number;
  retries: number;
  requestBytes: number;
  responseBytes: number;
}
