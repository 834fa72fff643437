/**
 * Why a request goes, or went, where it does: the answer of `mesh explain`, and with `--json` its output. The shape is
 * stable: fields may be added, those there are keep their names and meanings while `version` is 1.
 */
export interface Explanation {
  version: 1;
  kind: 'might-happen' | 'happened';
  /** What the decisions below were found with. */
  config: {
    /** Of the snapshot in force. */
    version: number;
    /** RFC 3339. */
    loadedAt: string;
    /** It came into force after the request: the decisions may have been others then. */
    reloadedSince: boolean;
  };
  request: ExplainedRequest;
  name: NameDecision;
  /** Where the caller hands the request over; null: it has no such listener now. */
  listener: ListenerDecision | null;
  /** The gateway's, where it came in there, then the service's. */
  tables: TableDecision[];
  /** Null: it does not come to that. */
  backend: BackendDecision | null;
  endpoints: EndpointsDecision | null;
  identity: IdentityDecision | null;
  policy: PolicyDecision;
  tls: TlsDecision | null;
  timeouts: TimeoutDecision[];
  /** Null: it is not tried again. */
  retries: RetryDecision | null;
  /** Null: the application answers. */
  reply: ReplyDecision | null;
  /** Null: it might happen. */
  outcome: OutcomeFacts | null;
  /** What limits this explanation, for people. */
  notes: string[];
}

export interface ExplainedRequest {
  /** Service, or `gateway`. */
  from: string;
  /** Instance of it; empty: it has none. */
  instance: string;
  /** Service that it is for; empty: none of the mesh. */
  to: string;
  /** As routes see it, so `CONNECT` without a path for a TCP connection. */
  protocol: 'http' | 'http2' | 'grpc' | 'tcp';
  method: string;
  authority: string;
  path: string;
  /** Names in lower case. */
  headers: [string, string][];
  /** False: of requests that happened headers are not kept, so that what depends on them is inferred. */
  headersKnown: boolean;
}

export interface NameDecision {
  /** What the request names. */
  name: string;
  /** Service it stands for; null: none. */
  service: string | null;
  /** `port`: it came on the port that stands for the service; `host`: by its authority; `gateway`: routes decide. */
  by: 'port' | 'host' | 'gateway' | 'outside' | 'nothing';
  text: string;
}

export interface ListenerDecision {
  name: string;
  kind: 'outbound' | 'dependency' | 'gateway' | 'inbound';
  workload: string;
  port: number;
  /** Of the connection that the caller makes to it. */
  tls: boolean;
}

export interface TableDecision {
  /** Service, or `gateway`. */
  table: string;
  /** Rules in it: a route has one for each of its matches. */
  rules: number;
  /** Rules that were tried before, with why they were not taken. */
  earlier: RuleDecision[];
  /** Further ones that are left out here. */
  omitted: number;
  /** Null: no route. */
  taken: RuleDecision | null;
}

export interface RuleDecision {
  /** Place in the order in which rules are tried for this request, from 1. */
  position: number;
  route: string;
  /** Absolute file and line: `/shop/mesh.config.ts:12`; empty where unknown. */
  source: string;
  /** What it asks for, for people: `path prefix /api, method GET`. */
  match: string;
  /** Empty for the one that was taken. */
  differences: Difference[];
}

export interface Difference {
  part: 'host' | 'path' | 'method' | 'header' | 'query';
  /** Of the header or parameter; else empty. */
  name: string;
  wanted: string;
  /** What the request has; null: nothing, or it is not known. */
  found: string | null;
  /** False: inferred, since headers of requests that happened are not kept. */
  certain: boolean;
  text: string;
}

export interface BackendDecision {
  service: string;
  /** Null: all. */
  subset: string | null;
  why: string;
  candidates: { service: string; subset: string | null; weight: number; share: number }[];
}

export interface EndpointsDecision {
  service: string;
  subset: string | null;
  balancer: string;
  /** False: the data plane did not say what it knows, so that this is what the control plane knows. */
  live: boolean;
  /** Requests that wait for an instance now. */
  waiting: number;
  endpoints: EndpointChoice[];
}

export interface EndpointChoice {
  instance: string;
  subset: string;
  /** Of its inbound listener, or of the external service. */
  address: string;
  /** Where its application listens; null: external. */
  app: string | null;
  state: 'starting' | 'ready' | 'unhealthy' | 'draining' | 'down';
  /** `next`: settled; `possible`: it may be this one; `picked`, `tried`: it was, and did not answer well. */
  choice: 'next' | 'possible' | 'picked' | 'tried' | 'skipped';
  /** Of the next pick, 0 to 1; null: not known. */
  chance: number | null;
  why: string;
  /** Of the caller's data plane, since the process came up. */
  inFlight: number;
  requests: number;
  failures: number;
}

export interface IdentityDecision {
  /** SPIFFE ID that the caller's proxy presents; null: none, outside the mesh. */
  presented: string | null;
  /** RFC 3339: until when its certificate is valid. */
  validUntil: string | null;
  /** SPIFFE ID that the called proxy has to present; null: none. */
  expected: string | null;
}

export interface PolicyDecision {
  /** Who may call, for people. */
  authorization: string;
  /** In the order in which the request, and then its response, passes them. */
  filters: { table: string; route: string; filter: string; on: 'request' | 'response'; changes: string[] }[];
}

export interface TlsDecision {
  /** `mesh`: mutual TLS between two proxies; `external`: TLS to a service outside; `none`: plain. */
  mode: 'mesh' | 'external' | 'none';
  /** SNI; empty without TLS. */
  serverName: string;
  text: string;
}

/** Where a value was said; `built-in`: nowhere, `request`: in the request itself. */
export interface Origin {
  level: 'gateway route' | 'route' | 'service' | 'defaults' | 'built-in' | 'request';
  /** `services.orders.timeouts.request`; empty for what is built in. */
  path: string;
  /** Absolute file and line; empty where unknown. */
  source: string;
}

export interface TimeoutDecision {
  name: 'request' | 'per-try' | 'idle' | 'connect' | 'parking';
  /** 0: none. */
  ms: number;
  origin: Origin;
}

export interface RetryDecision {
  /** After the first try. */
  attempts: number;
  on: string[];
  statusCodes: number[];
  backoffMs: number;
  maxBackoffMs: number;
  /** Share of requests that may be retries; null: no such limit, only `attempts`. */
  budget: null;
  origin: Origin;
}

/** A proxy answers in place of the application. */
export interface ReplyDecision {
  status: number;
  /** Envoy's letters; empty: a filter answers. */
  flag: string;
  text: string;
}

export interface OutcomeFacts {
  traceId: string;
  /** ID of the request, as `mesh tap` shows it. */
  id: string;
  /** RFC 3339 with milliseconds. */
  time: string;
  durationMs: number;
  /** 0: there was no response. */
  status: number;
  grpcStatus: number | null;
  flags: { flag: string; meaning: string }[];
  retries: number;
  /** In the order of time; they add up to the duration. */
  timing: { part: string; ms: number }[];
  requestBytes: number;
  responseBytes: number;
  tls: boolean;
  /** SPIFFE ID that the other end showed; empty: none. */
  peer: string;
  /** Why it is kept: it was sampled, or failed or slow. */
  sampled: boolean;
  /** Other requests of its trace, the earliest first. */
  others: { id: string; text: string }[];
}

/** What is to be explained. */
export interface ExplainQuery {
  /** A request that happened: the ID of it or of its trace, or the beginning of one. Empty: one that might happen. */
  id: string;
  /** Service, instance, or `gateway`. */
  from: string;
  /** Empty: whatever the routes of the gateway say. */
  to: string;
  method: string;
  /** Empty: what a client of the listener would send. */
  authority: string;
  /** Empty for TCP. */
  path: string;
  /** With an ID: those that it was sent with, where they are known. */
  headers: [string, string][];
  headersKnown: boolean;
}

/** Nothing asked yet. */
export const NO_QUERY: Readonly<ExplainQuery> = {
  id: '',
  from: '',
  to: '',
  method: '',
  authority: '',
  path: '',
  headers: [],
  headersKnown: false,
};
