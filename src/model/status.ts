import type { Problem } from './result.ts';

/** State of one instance, as `mesh ps` shows it. */
export type InstanceState = 'starting' | 'ready' | 'unhealthy' | 'stopping' | 'stopped' | 'completed' | 'failed';

export interface InstanceStatus {
  /** `orders-1`, or `inventory-canary-1` where the service declares subsets. */
  id: string;
  /** `default` where the service declares none. */
  subset: string;
  state: InstanceState;
  /** Why it is in this state, for people: `waiting for inventory (ready)`, `exited with code 1, restarting in 400 ms`. Empty when there is nothing to say. */
  reason: string;
  /** Null while no process runs, and for external services. */
  pid: number | null;
  appPort: number | null;
  inboundPort: number | null;
  outboundPort: number | null;
  restarts: number;
  /** RFC 3339; null before the first start. */
  startedAt: string | null;
  /** Milliseconds from start to first ready; null before. */
  readyAfterMs: number | null;
  spiffeId: string;
  /** A process that mesh did not start. Left out: no. */
  injected?: boolean;
}

export interface ServiceStatus {
  name: string;
  protocol: 'http' | 'http2' | 'grpc' | 'tcp';
  external: boolean;
  task: boolean;
  /** Names of services this one waits for right now, with the condition: `inventory (ready)`. */
  waitingFor: string[];
  instances: InstanceStatus[];
}

export interface ConfigStatus {
  /** Version of the snapshot in force in every data plane. */
  version: number;
  /** RFC 3339 time of the last successful load. */
  loadedAt: string;
  /** Problems of the last save; the previous configuration stays in force while there are errors. */
  problems: Problem[];
}

/** What the data planes have done since they started. */
export interface TrafficStatus {
  requests: number;
  /** Under way now. */
  activeRequests: number;
  activeConnections: number;
  /** Responses that a proxy made or cut off, by response flag. */
  flags: Record<string, number>;
  /** Peers that mutual TLS refused, by reason. */
  refusedPeers: Record<string, number>;
  /** What telemetry itself had to leave out since the daemon started, by what it was (`TELEMETRY_DROPS`). */
  telemetryDropped: Record<string, number>;
}

export interface MeshStatus {
  mesh: string;
  state: 'starting' | 'running' | 'stopping' | 'stopped';
  /** Of the daemon. */
  pid: number;
  /** Of the data planes. */
  dataPlanePids: number[];
  gateway: { http?: number; https?: number };
  config: ConfigStatus;
  services: ServiceStatus[];
  traffic: TrafficStatus;
}

export interface LogLine {
  /** RFC 3339 with milliseconds. */
  time: string;
  service: string;
  instance: string;
  stream: 'stdout' | 'stderr' | 'mesh';
  text: string;
}

export interface RouteStatus {
  /** Whose table: a service, or `gateway`. */
  table: string;
  name: string;
  /** Position in mesh.config.ts as `file:line`, where known. */
  source: string;
  hosts: string[];
  /** For people: `path prefix /api, method GET`. */
  matches: string[];
  backends: { service: string; subset: string | null; weight: number; share: number }[];
  timeoutMs: number;
  retries: number;
}

export interface EndpointStatus {
  service: string;
  instance: string;
  subset: string;
  address: string;
  state: 'starting' | 'ready' | 'unhealthy' | 'draining' | 'down';
  weight: number;
}

export interface CertificateStatus {
  service: string;
  spiffeId: string;
  serial: string;
  issuer: string;
  notBefore: string;
  notAfter: string;
  /** Seconds left. */
  expiresInSeconds: number;
}
