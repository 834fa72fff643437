import type { TapBatch, TapFilter } from '../model/events.ts';
import type { ProxySpan } from '../model/proxy-span.ts';
import type { Problem } from '../model/result.ts';
import type { SnapshotDelta } from '../model/snapshot.ts';
import type { ClusterView } from './cluster/cluster-view.ts';
import type { CounterData } from './telemetry/counters.ts';
import type { TraceSettings } from './telemetry/trace-recorder.ts';

/**
 * What the control plane and a data plane say to each other. The channel is that of `child_process.fork`, because
 * listening sockets are handed over on it: the daemon binds every port and keeps it, so that connections to a data plane
 * that was killed wait in the kernel's queue for its successor instead of being refused.
 */
export type ToDataPlane =
  /** A bound socket comes along, for the listener of that name. */
  | { type: 'socket'; listener: string }
  /** First phase: build everything, change nothing. Answered by `prepared`. */
  | { type: 'prepare'; delta: SnapshotDelta }
  /** Second phase; cannot fail. Answered by `committed`. */
  | { type: 'commit'; version: number }
  | { type: 'abort'; version: number }
  /** From now on these look at finished requests; none: nobody does. */
  | { type: 'tap'; taps: TapSpec[]; redactHeaders: string[] }
  /** What to report for traces from now on; null: nothing. */
  | { type: 'trace'; settings: TraceSettings | null }
  /** What is known of a service's endpoints now? Answered by `view`. */
  | { type: 'view'; id: number; query: ClusterQuery }
  | { type: 'shutdown' };

/** A request as far as the choice of its endpoint depends on it. */
export interface ClusterQuery {
  service: string;
  /** Null: all. */
  subset: string | null;
  /** Flat list of names and values. */
  headers: string[];
  /** Who sends: the client's address at the gateway, the calling instance in the mesh. */
  source: string;
}

/** One who looks at requests. */
export interface TapSpec {
  id: number;
  filter: TapFilter;
  /** It is read by people: under full load it gets fewer, so that traffic pays less for being looked at. */
  live?: boolean;
}

export type FromDataPlane =
  | { type: 'ready' }
  | { type: 'prepared'; version: number; problems: Problem[] }
  | { type: 'committed'; version: number }
  /** Requests under way towards an application port that is no longer in force; the last message says 0. */
  | { type: 'in-flight'; workload: string; port: number; requests: number }
  | { type: 'notice'; level: 'info' | 'warning' | 'error'; service: string; text: string }
  /** Counters since the start of the data plane, at most four times a second while they change. */
  | { type: 'traffic'; totals: TrafficTotals }
  /** Slots that have changed, since the start of the data plane, at most four times a second. */
  | { type: 'counters'; slots: CounterData[] }
  /** Requests for the taps, about every 50 ms while there are any. */
  | { type: 'events'; batches: { tap: number; batch: TapBatch }[] }
  /** Null: there is no such service. */
  | { type: 'view'; id: number; view: ClusterView | null }
  /** Spans for traces, and how many of them, or whole traces, had to be left out since the last time. */
  | { type: 'spans'; spans: ProxySpan[]; dropped: number };

/** What a data plane has done since it started. */
export interface TrafficTotals {
  requests: number;
  /** By response flag. */
  flags: Record<string, number>;
  /** Peers refused by mutual TLS, by reason. */
  refusedPeers: Record<string, number>;
  activeRequests: number;
  activeConnections: number;
  /** Open downstream connections by direction and service: `inbound orders`. */
  connections: Record<string, number>;
}
