/**
 * The shape of `mesh.config.ts`: what a user writes. Every field that may be left out has its default here.
 * Precedence where a setting exists on several levels: `defaults` < service < route.
 */

import type { ResourceConfig } from './resource-config.ts';

/** A length of time in the Gateway API's form (GEP-2257): `500ms`, `10s`, `1m30s`, `1h`. `0s` turns a limit off. */
export type Duration = string;
/** A number of bytes: `64Ki`, `10Mi`, `1Gi`, or plain digits. */
export type Size = string;

export interface MeshConfig {
  /** Version of this format. */
  version: 1;
  /** Name of the mesh: lowercase letters, digits and `-`. */
  name: string;
  /** SPIFFE trust domain. Default: `<name>.local`. */
  trustDomain?: string;
  /** Namespace in every identity, `spiffe://<trust domain>/ns/<namespace>/sa/<service>`. Default: `default`. */
  namespace?: string;
  /** How identities are issued. */
  identity?: IdentityConfig;
  /** Number of data-plane processes that the workloads are spread over. Default: 1. */
  proxies?: number;
  /** What the mesh tells about its traffic. */
  telemetry?: TelemetryConfig;
  /** The way in from outside the mesh. Without it there is none. */
  gateway?: GatewayConfig;
  /** Settings for every service that does not set them itself. */
  defaults?: DefaultsConfig;
  /**
   * Databases and brokers by name: `{ ordersdb: postgres(), bus: postgresBus() }`. The names stand in `dependsOn` like those
   * of services, so no service has the same one.
   */
  resources?: Record<string, ResourceConfig>;
  /** The services by name: lowercase letters, digits and `-`, at most 63 characters. `gateway` is taken. */
  services: Record<string, ServiceConfig>;
}

export interface IdentityConfig {
  /** Time a workload certificate is valid; it is rotated at 80 % of it. At least 5s. Default: `24h`. */
  ttl?: Duration;
}

export interface TelemetryConfig {
  /** Port on 127.0.0.1 for `/metrics` (Prometheus) and `/healthz`. Default: none. */
  admin?: number;
  /** A line for each request that a service or the gateway sent. `true` is all defaults. Default: none. */
  accessLog?: boolean | AccessLogConfig;
  /** Headers whose values taps never show, beside authorization, proxy-authorization, cookie, set-cookie and x-api-key. */
  redactHeaders?: string[];
  /**
   * Fields of bodies whose values taps never show: keys of JSON objects at any depth, fields of forms and of gRPC messages,
   * in any case, with or without `_` and `-`. Beside password, passwd, secret, token, access_token, refresh_token, id_token,
   * api_key, apikey, client_secret, card_number and cvv.
   */
  redactFields?: string[];
  /**
   * Traces of requests, kept in `.mesh/traces` for `mesh trace`. With `false` at `mesh up` services are not told where to
   * send spans; turned on later, those that run have to be restarted for that. Default: on.
   */
  traces?: TracesConfig | false;
  /** A collector that spans of proxies and services and all metrics are exported to as well. Default: none. */
  otlp?: OtlpConfig;
}

export interface AccessLogConfig {
  /** `stdout`: with the output of services in `mesh up` and `mesh logs`, under the called one's name. Default: `file`. */
  output?: 'file' | 'stdout';
  /** Relative to the config file; opened anew when it is moved away. Not with `stdout`. Default: `.mesh/access.log`. */
  file?: string;
  /** `json` is what `mesh tap --json` prints. Default: `text`. */
  format?: 'json' | 'text';
}

export interface TracesConfig {
  /** Share of the traces that begin in the mesh that are kept, from 0 to 1. What failed or was slow is kept besides. Default: 1. */
  sample?: number;
  /** Most traces sampled in a second by a data plane, so that load costs no more than this; 0: no limit. Default: 200. */
  maxPerSecond?: number;
  /** Requests that take longer are kept, sampled or not; `0s`: not because of that. Default: `500ms`. */
  slow?: Duration;
}

export interface OtlpConfig {
  /** Base URL, without the path of a signal: `http://127.0.0.1:4318`. */
  endpoint: string;
  /** Sent with each export, for example an API key. */
  headers?: Record<string, string>;
  /** Default: `http/protobuf`. */
  protocol?: 'http/protobuf' | 'http/json' | 'grpc';
  /** What is exported. Default: both. */
  signals?: OtlpSignal[];
  /** Between two exports of metrics; at least 1s. Default: `10s`. */
  metricsInterval?: Duration;
}

export type OtlpSignal = 'traces' | 'metrics';

export interface GatewayConfig {
  /** Port for plain HTTP (HTTP/1.1 and h2c) on 127.0.0.1. Leave out for none. */
  http?: number;
  /** Port for HTTPS (HTTP/1.1 and HTTP/2) on 127.0.0.1, with a certificate for localhost and *.localhost. */
  https?: number;
  /** Rules, tried in order of how specific their match is (Gateway API), first one of equals first. */
  routes: GatewayRouteConfig[];
}

export interface DefaultsConfig {
  timeouts?: TimeoutsConfig;
  retries?: RetriesConfig | false;
  loadBalancer?: LoadBalancerConfig;
  healthCheck?: HealthCheckConfig;
  parking?: ParkingConfig;
  restart?: RestartConfig;
  stop?: StopConfig;
}

export type Protocol = 'http' | 'http2' | 'grpc' | 'tcp';
export type DependencyCondition = 'started' | 'ready' | 'completed';

export interface ServiceConfig {
  /** What to run: a shell command line, or a program and its arguments. `node_modules/.bin` is on its PATH. */
  command?: string | string[];
  /** Address of something that mesh does not start, as a URL: `https://127.0.0.1:8444`, `tcp://127.0.0.1:5432`. Instead of `command`. */
  external?: string;
  /** Working directory, relative to the config file. Default: the config file's directory. */
  cwd?: string;
  /** Environment variables beside those that mesh sets; they win over those, but for PORT, MESH_SERVICE and MESH_INSTANCE. */
  env?: Record<string, string>;
  /** Files in dotenv form, relative to the config file, later ones win; `env` wins over all. */
  envFile?: string | string[];
  /** What the service speaks. `grpc` and `http2` mean HTTP/2 without TLS. Default: `http` (HTTP/1.1 and upgrades); for `external: 'tcp://...'` `tcp`. */
  protocol?: Protocol;
  /**
   * .proto files of a gRPC service, relative to the config file, by which `mesh tap --bodies` shows messages as JSON.
   * Default: `*.proto` and `proto/**` in `cwd`, then the service's own server reflection.
   */
  proto?: string | string[];
  /** Port the service listens on. Default: a free one, told to it as PORT. */
  port?: number;
  /** Number of instances. Default: 1. With `subsets`, of each subset. */
  replicas?: number;
  /** Versions of the service that run side by side, to route between. */
  subsets?: Record<string, SubsetConfig>;
  /** Services this one calls, and what to wait for before it starts. A list means `ready`, for tasks `completed`. `gateway` is allowed. */
  dependsOn?: string[] | Record<string, DependencyCondition>;
  /** Decides when an instance takes requests. Default: its port accepts connections. */
  readiness?: ProbeConfig;
  /** Restarts an instance that fails it. */
  liveness?: ProbeConfig;
  /** Holds the other two back until it passed once. */
  startup?: ProbeConfig;
  /** What happens when a process exits. */
  restart?: RestartConfig;
  /** Files or folders, relative to `cwd`; a change restarts the service (`build` first). */
  watch?: string | string[];
  /**
   * Folders of .sql files, relative to `cwd`, for the one database that the service depends on: applied in order of name,
   * each file once and in a transaction, before the service starts and when one is added.
   */
  migrations?: string | string[];
  /** Run before each start; the service starts only if it succeeds. */
  build?: string | string[];
  /** How a process is asked to end. */
  stop?: StopConfig;
  /** Runs once to its end, like a migration; others can wait for `completed`. It takes no requests. Default: false. */
  task?: boolean;
  /** Rules for requests to this service, applied by the caller's proxy. Without any, all go to all instances. */
  routes?: RouteConfig[];
  /** How an instance is picked. Default: `round-robin`. */
  loadBalancer?: LoadBalancerConfig;
  /** Default: none. */
  healthCheck?: HealthCheckConfig;
  timeouts?: TimeoutsConfig;
  /**
   * Retries for routes that have none of their own; fields left out there come from here. `false` turns those of
   * `defaults` off. Default: 2 attempts on `connect-failure` and `refused-stream`, which are safe for every method.
   */
  retries?: RetriesConfig | false;
  parking?: ParkingConfig;
  /**
   * Access log of the requests to this service, instead of the mesh's: `false` for none, `true` for one as the mesh's,
   * or where it goes and how it reads; what is left out is as for the mesh. Default: the mesh's.
   */
  accessLog?: boolean | AccessLogConfig;
}

export interface SubsetConfig {
  /** Environment on top of the service's. */
  env?: Record<string, string>;
  /** Instead of the service's command. */
  command?: string | string[];
  /** Instead of the service's replicas. */
  replicas?: number;
}

/** Exactly one of http, tcp, grpc, command, log. */
export interface ProbeConfig {
  /** GET this path; any status from 200 to 399 passes. */
  http?: string | { path: string; port?: number };
  /** The port accepts a connection. */
  tcp?: { port?: number };
  /** `grpc.health.v1.Health/Check` answers SERVING; `service` empty means the whole server. */
  grpc?: { service?: string };
  /** Exits with 0. */
  command?: string | string[];
  /** A line of the output matches this regular expression. Not for liveness. */
  log?: string;
  /** Default: 0s. */
  initialDelay?: Duration;
  /** Between two probes. Default: `200ms` until the first success, then `5s`. */
  interval?: Duration;
  /** For one probe. Default: `1s`. */
  timeout?: Duration;
  /** Failures in a row that count as one. Default: 3. */
  failureThreshold?: number;
  /** Successes in a row that count as one. Default: 1. */
  successThreshold?: number;
  /** Readiness and startup: how long until the first success before the instance counts as failed and is restarted. Default: `60s`. */
  deadline?: Duration;
}

export interface RestartConfig {
  /** Default: `on-failure`; tasks: `never`. */
  policy?: 'always' | 'on-failure' | 'never';
  /** First wait; it doubles with each failure, with jitter. Default: `200ms`. */
  backoff?: Duration;
  /** Longest wait. Default: `10s`. */
  maxBackoff?: Duration;
  /** Failures in a row (an instance that stayed ready for a minute starts anew) after which it stays failed. Default: no end. */
  attempts?: number;
}

export interface StopConfig {
  /** Default: `SIGTERM`. */
  signal?: 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2' | 'SIGKILL';
  /** Time between the signal and SIGKILL. Default: `5s`. */
  grace?: Duration;
}

export interface TimeoutsConfig {
  /** From the request's head to the end of the response; for upgrades, event streams and CONNECT to its head. Default: none. */
  request?: Duration;
  /** Longest silence in both directions of an open stream. Default: `1h`. */
  idle?: Duration;
  /** For a new connection with its TLS handshake. Default: `5s`. */
  connect?: Duration;
}

/** Timeouts of a single route; `connect` belongs to the service. */
export type RouteTimeoutsConfig = Pick<TimeoutsConfig, 'request' | 'idle'>;

/** Envoy's conditions. `gateway-error`: 502, 503, 504. `retriable-4xx`: 409. The gRPC ones compare grpc-status. */
export type RetryCondition =
  | '5xx'
  | 'gateway-error'
  | 'reset'
  | 'connect-failure'
  | 'refused-stream'
  | 'retriable-4xx'
  | 'cancelled'
  | 'deadline-exceeded'
  | 'internal'
  | 'resource-exhausted'
  | 'unavailable';

export interface RetriesConfig {
  /** Tries after the first one. */
  attempts: number;
  /** Time for each try. Default: the request timeout only. */
  perTryTimeout?: Duration;
  /** Default: `['connect-failure', 'refused-stream']`, which are safe for every method. */
  on?: RetryCondition[];
  /** Also status codes, e.g. [429]. */
  statusCodes?: number[];
  /** First back-off; doubles, with full jitter. Default: `25ms`. */
  backoff?: Duration;
  /** Default: `250ms`. */
  maxBackoff?: Duration;
}

export type LoadBalancerConfig =
  | 'round-robin'
  | 'weighted'
  | 'least-request'
  | 'random'
  | {
      /** Consistent hashing: equal keys go to the same instance. Exactly one of the three. */
      ringHash: { header?: string; cookie?: string; source?: true };
    }
  | {
      /** Weights by subset or instance name; others weigh 1. */
      weighted: Record<string, number>;
    };

/** Checks of the proxies on their own account, beside the readiness of processes; `external` services need it most. */
export interface HealthCheckConfig {
  /** GET this path; 200-399 is healthy. Exactly one of http, tcp, grpc on each level. */
  http?: string;
  tcp?: true;
  grpc?: { service?: string };
  /** Default: `5s`. */
  interval?: Duration;
  /** Default: `1s`. */
  timeout?: Duration;
  /** Default: 3. */
  unhealthyThreshold?: number;
  /** Default: 1. */
  healthyThreshold?: number;
}

/** Requests that arrive while no instance is ready but one is expected wait for it. */
export interface ParkingConfig {
  /** Longest wait; `0s` turns parking off. Default: `10s`. */
  timeout?: Duration;
  /** Most requests waiting for one service. Default: 1024. */
  maxRequests?: number;
}

export interface RouteConfig {
  /** Shown in `mesh routes`, tap and traces. Default: `<service>-<number>`. */
  name?: string;
  /** The route applies if one of these does. Default: every request. */
  matches?: MatchConfig[];
  /** What is done to the request and its response. */
  filters?: FiltersConfig;
  /** Where requests go. Default: all instances of the service. */
  backends?: RouteBackendConfig[];
  timeouts?: RouteTimeoutsConfig;
  retries?: RetriesConfig | false;
}

export interface GatewayRouteConfig extends Omit<RouteConfig, 'backends'> {
  /** Host names it applies to, `*.` in front for one or more labels. Default: all. */
  hosts?: string[];
  /** A backend without a subset follows the service's own routes. Left out only beside a redirect. */
  backends?: GatewayBackendConfig[];
}

export interface RouteBackendConfig {
  /** Default: all subsets. */
  subset?: string;
  /** Another service. Default: this one. */
  service?: string;
  /** Share of requests among the backends. Default: 1. */
  weight?: number;
}

export interface GatewayBackendConfig extends RouteBackendConfig {
  service: string;
}

/** All fields of one match must agree (and); several matches of a route are alternatives (or). */
export interface MatchConfig {
  /** A prefix holds whole path elements: `/api` matches `/api` and `/api/x`, not `/apix`. A regex must match the whole path. */
  path?: { exact: string } | { prefix: string } | { regex: string };
  method?: string | string[];
  headers?: Record<string, ValueMatchConfig>;
  query?: Record<string, ValueMatchConfig>;
  /** Full service name `pkg.Service` and method name, at least one of them. Instead of `path`. */
  grpc?: { service?: string; method?: string };
}

/** A string must be equal; a regex must match the whole value; `present: false` asks for absence. */
export type ValueMatchConfig = string | { prefix: string } | { regex: string } | { present: boolean };

/** Filters by policy, run in the order of src/proxy/filter-chain.ts whatever the order here. */
export interface FiltersConfig {
  requestHeaders?: HeaderChangesConfig;
  responseHeaders?: HeaderChangesConfig;
  rewrite?: {
    /** `replacePrefix` replaces what the matched prefix matched; `replaceFull` the whole path, query kept. */
    path?: { replacePrefix: string } | { replaceFull: string };
    host?: string;
  };
  redirect?: {
    scheme?: 'http' | 'https';
    host?: string;
    port?: number;
    path?: { replacePrefix: string } | { replaceFull: string };
    /** Default: 302. */
    status?: 301 | 302 | 303 | 307 | 308;
  };
}

/** Applied in the order remove, set, add. Names in any case. */
export interface HeaderChangesConfig {
  set?: Record<string, string>;
  add?: Record<string, string>;
  remove?: string[];
}
