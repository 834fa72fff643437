import type { DefaultsConfig, DependencyCondition, Protocol, RetryCondition } from './config.ts';
import type { BrokerKind } from './resource-config.ts';

/**
 * The configuration after defaults, parsing and cross-references: nothing is optional but what may truly be
 * absent (null), durations are milliseconds, paths absolute. The supervisor and `compile` work on this alone.
 */
export interface ResolvedConfig {
  name: string;
  trustDomain: string;
  namespace: string;
  identity: { ttlMs: number };
  proxies: number;
  telemetry: ResolvedTelemetry;
  gateway: ResolvedGateway | null;
  tracing: ResolvedTracing;
  /** As written: what every service has that says nothing else, also one that comes later. */
  defaults: DefaultsConfig;
  /** In order of declaration. */
  services: Record<string, ResolvedService>;
  /** Directory of the config file; the mesh's `.mesh/` is beside it. */
  baseDir: string;
}

export interface ResolvedTelemetry {
  /** Port of the admin server. */
  admin: number | null;
  /** Null: there is none. */
  accessLog: {
    /** For requests to services that say nothing themselves, and to none. Null: not logged. */
    mesh: AccessLogTarget | null;
    /** For requests to those that do. */
    services: Record<string, AccessLogTarget | null>;
  } | null;
  /** Lowercase names, the usual ones included. */
  redactHeaders: string[];
  /** Fields of bodies, the usual ones included. */
  redactFields: string[];
  /** Where metrics are sent to; null: nowhere. */
  otlp: (OtlpCollector & { intervalMs: number }) | null;
}

/** Where a line of an access log goes, and how it reads. */
export interface AccessLogTarget {
  /** Absolute path; null: into the merged output of the mesh. */
  file: string | null;
  format: 'json' | 'text';
}

export interface OtlpCollector {
  endpoint: string;
  headers: Record<string, string>;
  protocol: 'http/protobuf' | 'http/json' | 'grpc';
}

export interface ResolvedTracing {
  /** Null: off. */
  traces: {
    /** Share of traces sampled, 0 to 1. */
    headRate: number;
    /** Most traces sampled in a second by a data plane; 0: no limit. */
    maxPerSecond: number;
    /** Requests that took so long are kept in any case; 0: none because of that. */
    slowMs: number;
  } | null;
  /** Null: nothing is exported. */
  otlp: OtlpCollector | null;
}

export interface ResolvedGateway {
  http: number | null;
  https: number | null;
  /** In the order in which they are tried. */
  routes: ResolvedRoute[];
}

export interface Command {
  /** A shell command line (true) or an argument vector (false). */
  shell: boolean;
  argv: readonly string[];
}

export interface ResolvedService {
  name: string;
  /** Null: `external`. */
  command: Command | null;
  external: { host: string; port: number; tls: boolean } | null;
  cwd: string;
  env: Record<string, string>;
  envFiles: string[];
  protocol: Protocol;
  /** Absolute paths of .proto files; empty: they are looked for. */
  protos: string[];
  /** Fixed port of the service, null: assigned. */
  port: number | null;
  /** At least one; a service without subsets has one named `default`. Order of declaration. */
  subsets: ResolvedSubset[];
  dependsOn: { service: string; condition: DependencyCondition }[];
  readiness: ResolvedProbe | null;
  liveness: ResolvedProbe | null;
  startup: ResolvedProbe | null;
  restart: {
    policy: 'always' | 'on-failure' | 'never';
    backoffMs: number;
    maxBackoffMs: number;
    attempts: number | null;
  };
  /** Absolute paths. */
  watch: string[];
  build: Command | null;
  stop: { signal: NodeJS.Signals; graceMs: number };
  task: boolean;
  /** In the order in which they are tried; one for everything where none is configured. Empty only for tasks. */
  routes: ResolvedRoute[];
  loadBalancer: LoadBalancer;
  healthCheck: HealthCheck | null;
  parking: Parking;
  connectTimeoutMs: number;
  /** What of `resources` it stands for. Absent: it is a service of the user's. */
  resource?: ResolvedResource;
  /** The one database it depends on, which it gets as DATABASE_URL; absent: none or several. */
  database?: string;
  /** A subset that only routes which name it lead to: all subsets are all but this one. Of an injected process. */
  asideSubset?: string;
}

export type ResolvedResource =
  /** A PostgreSQL that mesh runs; `bus`: for the bus alone. */
  | { kind: 'postgres'; database: string; dataDir: string; settings: Record<string, string>; bus: boolean }
  /** A server that runs anyway. */
  | { kind: 'url'; of: 'postgres' | BrokerKind; url: string }
  /** A task that brings `database`, the name of a resource, up to date; `bus`: with the tables of the bus. Folders are absolute. */
  | { kind: 'migrations'; scope: string; database: string; folders: string[]; bus: boolean };

export interface ResolvedSubset {
  name: string;
  env: Record<string, string>;
  command: Command | null;
  replicas: number;
}

export type ProbeAction =
  | { kind: 'http'; path: string; port: number | null }
  | { kind: 'tcp'; port: number | null }
  | { kind: 'grpc'; service: string }
  | { kind: 'command'; command: Command }
  | { kind: 'log'; pattern: string }
  /** A query is answered; the database is made where it is missing. */
  | { kind: 'postgres'; dataDir: string; database: string };

export interface ResolvedProbe {
  action: ProbeAction;
  initialDelayMs: number;
  /** Null: 200 ms until the first success, 5 s afterwards. */
  intervalMs: number | null;
  timeoutMs: number;
  failureThreshold: number;
  successThreshold: number;
  deadlineMs: number;
}

export type LoadBalancer =
  | { kind: 'round-robin' }
  | { kind: 'least-request' }
  | { kind: 'random' }
  | { kind: 'weighted'; weights: Record<string, number> }
  | { kind: 'ring-hash'; key: { kind: 'header' | 'cookie'; name: string } | { kind: 'source' } };

export interface HealthCheck {
  action: { kind: 'http'; path: string } | { kind: 'tcp' } | { kind: 'grpc'; service: string };
  intervalMs: number;
  timeoutMs: number;
  unhealthyThreshold: number;
  healthyThreshold: number;
}

export interface Parking {
  timeoutMs: number;
  maxRequests: number;
}

/** A route as the proxies run it; also the element of a Snapshot. */
export interface ResolvedRoute {
  name: string;
  /** Where it stands in the configuration: `services.orders.routes[0]`. */
  path: string;
  /** Only for the gateway; lower case, `*.` for one or more labels; empty: all hosts. */
  hosts: string[];
  /** At least one; a match without conditions matches everything. */
  matches: Match[];
  filters: FilterPolicies;
  /** Empty only beside a redirect. */
  backends: Backend[];
  /**
   * 0: none. A gateway route all of whose backends follow their service's own routes has here, and in `retries`, only
   * what it sets itself: the service's route brings its own, and retries on both levels would multiply.
   */
  timeouts: { requestMs: number; idleMs: number };
  retries: RetryPolicy | null;
}

export interface Match {
  /** Prefixes hold whole path elements and have no trailing slash; expressions match the whole path. Null: every path. */
  path: { kind: 'exact' | 'prefix' | 'regex'; value: string } | null;
  /** Upper case; empty: all. */
  methods: string[];
  /** Names in lower case. */
  headers: { name: string; match: ValueMatch }[];
  query: { name: string; match: ValueMatch }[];
}

export type ValueMatch =
  | { kind: 'exact'; value: string }
  | { kind: 'prefix'; value: string }
  | { kind: 'regex'; value: string }
  | { kind: 'present'; value: boolean };

export interface Backend {
  service: string;
  /** Null: the service's own routes decide (gateway), or all subsets (service routes). */
  subset: string | null;
  weight: number;
}

export interface RetryPolicy {
  attempts: number;
  /** 0: none. */
  perTryTimeoutMs: number;
  on: RetryCondition[];
  statusCodes: number[];
  backoffMs: number;
  maxBackoffMs: number;
}

/** One entry for each filter of the proxies; null: not on this route. `filter-chain.ts` must list every key. */
export interface FilterPolicies {
  requestHeaders: HeaderChanges | null;
  responseHeaders: HeaderChanges | null;
  rewrite: { path: PathRewrite | null; host: string | null } | null;
  redirect: {
    scheme: 'http' | 'https' | null;
    host: string | null;
    port: number | null;
    path: PathRewrite | null;
    status: 301 | 302 | 303 | 307 | 308;
  } | null;
}

export type PathRewrite = { kind: 'prefix' | 'full'; value: string };

/** Names in lower case. */
export interface HeaderChanges {
  set: [string, string][];
  add: [string, string][];
  remove: string[];
}
