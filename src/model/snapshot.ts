import type { Protocol } from './config.ts';
import type { HealthCheck, LoadBalancer, Parking, ResolvedRoute } from './resolved.ts';

/**
 * Everything the proxies run on, immutable and versioned. It is split into named resources so that a change
 * travels as what changed (`SnapshotDelta`): one ready instance of one service is one cluster, not the mesh.
 */
export interface Snapshot {
  version: number;
  mesh: MeshResource;
  /** By listener name. */
  listeners: Record<string, Listener>;
  /** By service name; `gateway` is the gateway's table. */
  routes: Record<string, RouteTableResource>;
  /** By service name. */
  clusters: Record<string, Cluster>;
  /** By SPIFFE ID; `gateway` is the certificate that the gateway shows to the user's clients. */
  identities: Record<string, Identity>;
}

export interface MeshResource {
  name: string;
  trustDomain: string;
  /** PEM certificates that peers' chains must lead to. */
  trustAnchors: string[];
}

/** The URL scheme of listeners and endpoints is implied: 127.0.0.1, IPv4. */
export interface Listener {
  name: string;
  /** Instance it belongs to (`orders-1`), or `gateway`. */
  workload: string;
  /** Service of that workload. */
  service: string;
  /**
   * `outbound`: plain, faces the workload's own process, picks the service by authority;
   * `dependency`: the same for one service only, `destination`;
   * `inbound`: mutual TLS, faces other proxies;
   * `gateway`: faces the user.
   */
  kind: 'outbound' | 'dependency' | 'inbound' | 'gateway';
  port: number;
  /** Server certificate of TLS listeners, client certificate of the links behind plain ones: key of `identities`. */
  identity: string;
  /** `gateway` only: terminates TLS with the identity `gateway`. */
  tls: boolean;
  /** `dependency`: the service that it stands for. */
  destination: string | null;
  /** `inbound`: where the application listens, and what it speaks. */
  app: {
    host: string;
    port: number;
    protocol: Protocol;
    /** Spoken with TLS; its certificate is not verified. Left out: no. Only injected applications do. */
    tls?: boolean;
  } | null;
  /** `dependency`: declared protocol; `tcp` forwards bytes without looking at them. */
  protocol: Protocol;
}

export interface RouteTableResource {
  service: string;
  /** In the order in which they are tried. */
  routes: ResolvedRoute[];
}

export interface Cluster {
  service: string;
  protocol: Protocol;
  /** Identity that every endpoint must present; null for external ones, which are outside the mesh. */
  spiffeId: string | null;
  /** External: TLS towards it. */
  tls: boolean;
  /** Host name to present (SNI, Host) to external services. */
  host: string | null;
  loadBalancer: LoadBalancer;
  healthCheck: HealthCheck | null;
  parking: Parking;
  connectTimeoutMs: number;
  /** Subset names in order of declaration. */
  subsets: string[];
  /** A subset that is not meant where a backend names none. */
  asideSubset?: string;
  endpoints: Endpoint[];
}

/** `starting`: expected to become ready, so requests wait for it; `down`: not expected (stopped, failed). */
export type EndpointState = 'starting' | 'ready' | 'unhealthy' | 'draining' | 'down';

export interface Endpoint {
  /** Instance name. */
  id: string;
  subset: string;
  host: string;
  /** Port of the inbound listener (mesh), or of the service itself (external). */
  port: number;
  /** Where active health checks go: the application itself. */
  health: { host: string; port: number /** It insists on TLS, with whatever certificate. */; tls?: true };
  state: EndpointState;
  weight: number;
}

export interface Identity {
  spiffeId: string;
  /** Leaf, then intermediate, PEM. */
  certificate: string;
  privateKey: string;
  /** Milliseconds since the epoch. */
  notAfter: number;
}

/** What changed from `base` to `version`; null removes a resource. A data plane whose version is not `base` asks for all. */
export interface SnapshotDelta {
  /** 0: from nothing. */
  base: number;
  version: number;
  mesh: MeshResource | null;
  listeners: Record<string, Listener | null>;
  routes: Record<string, RouteTableResource | null>;
  clusters: Record<string, Cluster | null>;
  identities: Record<string, Identity | null>;
}
