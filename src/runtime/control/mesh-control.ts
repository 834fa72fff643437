import type { StatGrouping, StatRow, TapBatch, TapFilter } from '../../model/events.ts';
import type { ExplainQuery, Explanation } from '../../model/explanation.ts';
import type { InjectionRequest, InjectionStatus } from '../../model/injection.ts';
import type { Problem, Result } from '../../model/result.ts';
import type { CertificateStatus, EndpointStatus, LogLine, MeshStatus, RouteStatus } from '../../model/status.ts';
import type { Trace, TraceQuery, TraceSummary } from '../../model/trace.ts';
import type { DatabaseControl } from './database-wire.ts';

export interface LogQuery {
  /** Empty: all. */
  services: string[];
  /** Last so many lines of each instance before following; null: all. */
  tail: number | null;
  /** Milliseconds since the epoch; null: no limit. */
  sinceMs: number | null;
  follow: boolean;
}

/** Something to tell whoever is attached: a reload, a broken save, a refused peer, a restart. */
export interface MeshNotice {
  time: string;
  level: 'info' | 'warning' | 'error';
  /** Empty when it is about the mesh. */
  service: string;
  text: string;
  problems: Problem[];
}

/** What the daemon can do for its clients: the control API serves exactly this. */
export interface MeshControl {
  status(): MeshStatus;
  /** Calls back with the current status at once and then on changes (at most every 50 ms). Returns the unsubscription. */
  watchStatus(listener: (status: MeshStatus) => void): () => void;
  watchNotices(listener: (notice: MeshNotice) => void): () => void;
  /** Ends by itself unless `follow`; stops when the signal aborts. */
  logs(query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine[]>;
  /** Finished requests as they happen, until the signal aborts. Proxies look at requests only while there is a tap. */
  tap(filter: TapFilter, signal: AbortSignal): AsyncIterable<TapBatch>;
  /**
   * Traffic over the last `windowMs`, at most ten minutes.
   * @param by what is put together; per (source, destination, route) unless given
   */
  stats(windowMs: number, by?: StatGrouping): StatRow[];
  /** Calls back with `stats` at once and then once a second. Returns the unsubscription. */
  watchStats(windowMs: number, listener: (rows: StatRow[]) => void, by?: StatGrouping): () => void;
  /** The latest first. */
  traces(query: TraceQuery): Promise<TraceSummary[]>;
  /** By its ID or the beginning of it. */
  trace(id: string): Promise<Result<Trace>>;
  /** Why a request went, or would go, where it does. Sends nothing. */
  explain(query: ExplainQuery): Promise<Result<Explanation>>;
  start(service: string): Promise<Result<void>>;
  stop(service: string): Promise<Result<void>>;
  restart(service: string): Promise<Result<void>>;
  /** Of each subset, or of one when `subset` is given. */
  scale(service: string, subset: string | null, replicas: number): Promise<Result<void>>;
  routes(): RouteStatus[];
  endpoints(): EndpointStatus[];
  certificates(): CertificateStatus[];
  /** Null: all services. Resolves when the new certificates are in force. */
  rotateCertificates(service: string | null): Promise<Result<CertificateStatus[]>>;
  /** Takes a process that mesh did not start into the mesh. Resolves when its endpoint is in force and was probed. */
  inject(request: InjectionRequest): Promise<Result<InjectionStatus>>;
  /** The process that was announced with an `own` target has started. */
  updateInjection(instance: string, update: { pid: number }): Promise<Result<void>>;
  /**
   * Puts everything back as it was before. Resolves when requests under way have ended.
   * @param name of an instance or a service; null: every injection
   * @returns the instances that left
   */
  eject(name: string | null): Promise<Result<string[]>>;
  injections(): InjectionStatus[];
  readonly databases: DatabaseControl;
  /** Stops everything; progress names what is still in the way with its pid. Resolves when all is gone. */
  down(timeoutMs: number, progress: (line: string) => void): Promise<Result<void>>;
}
