import {
  boolAttribute,
  intAttribute,
  type KeyValue,
  type OtlpSpan,
  type Resource,
  type Scope,
  SPAN_KIND,
  STATUS_ERROR,
  stringAttribute,
  unixNano,
} from './otlp.ts';
import { fieldSet, REDACTED_FIELDS, redactQuery } from './redact.ts';

/**
 * One request as one proxy saw it, as it travels from a data plane to the daemon and lies in the store. Far smaller than
 * the span that it becomes when somebody looks or it is exported.
 */
export interface ProxySpan {
  /** 32 hexadecimal digits. */
  traceId: string;
  /** 16 hexadecimal digits. */
  spanId: string;
  /** Empty: the trace began here. */
  parentSpanId: string;
  /** False: kept because it failed or was slow. */
  sampled: boolean;
  /** Milliseconds since 1970, with their fraction. */
  startMs: number;
  durationMs: number;
  side: 'gateway' | 'outbound' | 'inbound';
  /** Whose proxy it was: service and instance, both `gateway` for the gateway. */
  service: string;
  instance: string;
  /** The other service: the caller on the inbound side, the called one on the others. Empty where it has none here. */
  other: string;
  /** Instance that answered last; empty where none did, and on the inbound side. */
  endpoint: string;
  protocol: 'http' | 'http2' | 'grpc' | 'tcp';
  method: string;
  scheme: string;
  authority: string;
  /** With the query, but for the values of secret parameters. */
  path: string;
  /** Name of the route, and the path that its match asks for; empty where there is none. */
  route: string;
  routePath: string;
  /** Name of the gateway's route; empty but at the gateway, and in what an older version stored. */
  gatewayRoute?: string;
  /** Milliseconds from the beginning until the last endpoint was picked, and until the response's head had come. Left out: it did not come to that. */
  pickedAfterMs?: number;
  firstByteAfterMs?: number;
  /** Instances that were tried and failed, in order; left out: none. */
  tried?: string[];
  /** 0: there was no response. */
  status: number;
  /** Null: not gRPC. */
  grpcStatus: number | null;
  retries: number;
  /** Envoy's letters; empty: the application answered. */
  flags: string;
  requestBytes: number;
  responseBytes: number;
  tls: boolean;
  /** SPIFFE ID of the other end; empty where it showed none. */
  peer: string;
  /** Address of the client; known at the gateway. */
  clientAddress: string;
}

/** By it spans of proxies are told from those of services. */
export const PROXY_SCOPE: Scope = { name: 'localmesh.proxy' };

/** What an older version stored has its secret parameters still. */
const USUAL_FIELDS = fieldSet(REDACTED_FIELDS);

const KNOWN_METHODS: ReadonlySet<string> = new Set([
  ...['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE'],
]);

/** Names of the gRPC status codes, by number. */
const GRPC_CODES = [
  ...['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS'],
  ...['PERMISSION_DENIED', 'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED'],
  ...['INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'],
];

/** Those that are the server's fault (semantic conventions for gRPC): UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS. */
const GRPC_SERVER_ERRORS: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);

/** Whether the conventions call it an error: what is the client's own mistake is none of the server's. */
export const isGrpcError = (code: number, server: boolean): boolean =>
  server ? GRPC_SERVER_ERRORS.has(code) : code !== 0;

export const grpcCodeName = (code: number): string => GRPC_CODES[code] ?? String(code);

/** Who a proxy speaks for. */
export function proxyResource(span: ProxySpan): Resource {
  return {
    attributes: [stringAttribute('service.name', span.service), stringAttribute('service.instance.id', span.instance)],
  };
}

/** The span of a proxy after OpenTelemetry's semantic conventions: a server on the inbound side, else a client. */
export function proxySpanToOtlp(span: ProxySpan): OtlpSpan {
  const server = span.side === 'inbound';
  const error = proxySpanError(span);
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    ...(span.parentSpanId === '' ? {} : { parentSpanId: span.parentSpanId }),
    name: nameOf(span),
    kind: server ? SPAN_KIND.server : SPAN_KIND.client,
    startTimeUnixNano: unixNano(span.startMs),
    endTimeUnixNano: unixNano(span.startMs + span.durationMs),
    attributes: attributesOf(span, server, error),
    ...(error === '' ? {} : { status: { code: STATUS_ERROR, ...(span.flags === '' ? {} : { message: span.flags }) } }),
    flags: span.sampled ? 1 : 0,
  };
}

function nameOf(span: ProxySpan): string {
  if (span.protocol === 'grpc') return grpcMethod(span) || 'grpc';
  if (span.protocol === 'tcp') return 'tcp';
  const method = KNOWN_METHODS.has(span.method) ? span.method : 'HTTP';
  return span.routePath === '' ? method : `${method} ${span.routePath}`;
}

const grpcMethod = (span: ProxySpan): string => withoutQuery(span.path).slice(1);

/** `error.type`; empty: no error. A client's mistake (4xx) is one for the client only. */
export function proxySpanError(span: ProxySpan): string {
  const { grpcStatus, status, flags } = span;
  const server = span.side === 'inbound';
  // Who went away before the answer has no complaint about the server.
  if (flags !== '' && flags !== 'DC' && status === 0) return flags;
  if (span.protocol === 'tcp') return flags === 'DC' ? '' : flags;
  if (grpcStatus !== null) {
    return isGrpcError(grpcStatus, server) ? grpcCodeName(grpcStatus) : '';
  }
  return status >= (server ? 500 : 400) ? String(status) : '';
}

function attributesOf(span: ProxySpan, server: boolean, error: string): KeyValue[] {
  const list: KeyValue[] = [];
  const text = (key: string, value: string): void => {
    if (value !== '') list.push(stringAttribute(key, value));
  };
  const count = (key: string, value: number): void => {
    if (value > 0) list.push(intAttribute(key, value));
  };
  if (span.protocol !== 'tcp') {
    const known = KNOWN_METHODS.has(span.method);
    text('http.request.method', known ? span.method : '_OTHER');
    if (!known) text('http.request.method_original', span.method);
    if (server || span.side === 'gateway') {
      text('url.path', withoutQuery(span.path));
      text('url.scheme', span.scheme);
    }
    if (!server) text('url.full', `${span.scheme}://${span.authority}${redactQuery(span.path, USUAL_FIELDS)}`);
    text('http.route', span.routePath);
    count('http.response.status_code', span.status);
    if (!server) count('http.request.resend_count', span.retries);
    text('network.protocol.name', 'http');
    text('network.protocol.version', span.protocol === 'http' ? '1.1' : '2');
    count('http.request.body.size', span.requestBytes);
    count('http.response.body.size', span.responseBytes);
  }
  if (span.protocol === 'grpc') {
    text('rpc.system.name', 'grpc');
    text('rpc.method', grpcMethod(span));
    if (span.grpcStatus !== null) {
      text('rpc.response.status_code', grpcCodeName(span.grpcStatus));
      // Its name in the conventions up to 1.38, which tools still look for.
      text('rpc.status_code', grpcCodeName(span.grpcStatus));
    }
  }
  const [host, port] = splitAuthority(span.authority);
  text('server.address', host);
  count('server.port', port);
  text('client.address', span.clientAddress);
  text('error.type', error);
  text('mesh.direction', span.side);
  text(server ? 'mesh.source' : 'mesh.destination', span.other);
  text('mesh.destination.instance', span.endpoint);
  text('mesh.route', span.route);
  text('mesh.gateway_route', span.gatewayRoute ?? '');
  text('mesh.response_flags', span.flags);
  list.push(boolAttribute('mesh.tls', span.tls));
  text('mesh.peer', span.peer);
  return list;
}

export function withoutQuery(path: string): string {
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}

/** Host and port; 0: none is named. */
function splitAuthority(authority: string): [string, number] {
  const match = /^(.*?)(?::(\d{1,5}))?$/.exec(authority)!;
  return [match[1], Number(match[2] ?? 0)];
}
