import type { Protocol } from './config.ts';

/** How an injected process shares a service's requests with the instances that the mesh runs. */
export type Takeover =
  /** All requests; the mesh's own instances are stopped until the eject. */
  | { kind: 'all' }
  /** Requests with this header; the others stay with the mesh's own instances. */
  | { kind: 'match'; header: string; value: string }
  /** So many of 100 requests. */
  | { kind: 'weight'; weight: number };

/** A request to take a process that mesh did not start into the mesh. */
export interface InjectionRequest {
  /** Service to be: one of the configuration, or a new one. */
  service: string;
  /**
   * `address`: it already listens there. `own`: the client is about to start it (`mesh inject -- COMMAND`): the daemon
   * picks the application port, and the endpoint becomes ready when that port accepts connections.
   */
  target: { kind: 'address'; host: string; port: number } | { kind: 'own'; port: number | null };
  /** Null: not known (a remote address), or told afterwards. */
  pid: number | null;
  /** Null: found out by probing. */
  protocol: Protocol | null;
  /** Null: the service is new, or the process joins as one more replica. */
  takeover: Takeover | null;
  /** Taken in again when something listens at the same address after it was gone. */
  sticky: boolean;
  /** Redirect the process tree's outbound connections with nftables. Linux, with the rights. */
  transparent: boolean;
  /** Point the clients of a live Node.js process at its outbound listener through the inspector. */
  attach: boolean;
}

/** One direction, or one kind of client, of an injected process: whether the mesh sees it, as a probe found. */
export interface Coverage {
  direction: 'inbound' | 'outbound';
  /** `http`, `dns`, `orders (127.0.0.1:9000)`... Empty: the direction as a whole. */
  subject: string;
  covered: boolean;
  /** `127.0.0.1:9000 via :24101, mutual TLS`; or why not. */
  detail: string;
  /** The one line that would fix it; empty when it is covered. */
  fix: string;
}

export interface InjectionStatus {
  /** Instance name: `orders-injected-1`. */
  instance: string;
  service: string;
  pid: number | null;
  host: string;
  port: number;
  protocol: Protocol;
  /** How the protocol was found: `declared`, `configured`, or what the probe saw. */
  protocolFrom: string;
  state: 'waiting' | 'ready' | 'gone' | 'ejecting';
  inboundPort: number;
  outboundPort: number;
  spiffeId: string;
  takeover: Takeover | null;
  sticky: boolean;
  transparent: boolean;
  attach: boolean;
  /** RFC 3339. */
  injectedAt: string;
  /** What a process in this workload needs in its environment: PORT, <NAME>_URL, http_proxy, CA bundles and the rest. */
  environment: Record<string, string>;
  coverage: Coverage[];
}
