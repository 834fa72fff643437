import type { Socket } from 'node:net';
import type { Listener } from '../model/snapshot.ts';
import type { CounterSlot } from './telemetry/counters.ts';

/** A downstream connection as its listener sees it. */
export interface DrainableConnection {
  /** Finish what is under way, take nothing new. */
  drain(): void;
  /** Close at once. */
  kill(): void;
}

export interface RecentSlot {
  readonly destination: string;
  readonly gatewayRoute: string;
  readonly route: string;
  readonly slot: CounterSlot;
}

/** A listener together with what its connections need to know; survives changes of the listener's resource. */
export interface ListenerContext {
  /** In force now; replaced by a commit. */
  spec: Listener;
  /** Open downstream connections. */
  readonly connections: Set<DrainableConnection>;
  /** Counters of its requests by destination, gateway's route and route, or by caller on inbound listeners. */
  readonly slots: Map<string, CounterSlot>;
  /** The slot used last and what for: the next request most often wants the same, and need not build its key. */
  recentSlot: RecentSlot | null;
  /** A CONNECT to a service was accepted on this socket: what follows is a connection of its own. */
  acceptTunnel(socket: Socket, first: Buffer, service: string): void;
}
