import { deepEqual } from '../../model/deep-equal.ts';
import type { StatGrouping, StatRow, TapBatch, TapFilter } from '../../model/events.ts';
import { ANY_REQUEST } from '../../model/events.ts';
import type { ResolvedTelemetry } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';
import type { CertificateStatus, MeshStatus, TrafficStatus } from '../../model/status.ts';
import type { TapSpec, TrafficTotals } from '../../proxy/channel.ts';
import type { CounterData } from '../../proxy/telemetry/counters.ts';
import type { Clock, Timer } from '../clock.ts';
import { AccessLog } from './access-log.ts';
import { type AdminServer, openAdminServer } from './admin-server.ts';
import { renderMetrics } from './prometheus.ts';
import { createTapHub, type TapHub } from './tap-hub.ts';
import { createTrafficHistory, type TrafficHistory } from './traffic-history.ts';

const STATS_INTERVAL_MS = 1_000;

/** What of the configuration concerns traffic. */
type TrafficSettings = Pick<ResolvedTelemetry, 'admin' | 'accessLog' | 'redactHeaders'>;

export interface TelemetryOptions {
  clock: Clock;
  /** Of an instance; empty where it is not known. */
  subsetOf: (instance: string) => string;
  status: () => MeshStatus;
  certificates: () => CertificateStatus[];
  /** Tells every data plane who looks at requests from now on. */
  onTaps: (taps: TapSpec[], redactHeaders: string[]) => void;
  onNotice: (level: 'info' | 'warning' | 'error', text: string, problems?: readonly Problem[]) => void;
}

/** What comes up from the data planes about traffic, and everything that is made of it. */
export class Telemetry {
  private readonly history: TrafficHistory;
  private readonly hub: TapHub;
  private readonly totals = new Map<number, TrafficTotals>();
  private settings: TrafficSettings = { admin: null, accessLog: null, redactHeaders: [] };
  private admin: AdminServer | null = null;
  private accessLog: { abort: AbortController; ended: Promise<void> } | null = null;
  private readonly watchers = new Set<{ timer: Timer }>();
  private readonly startedAt: number;

  constructor(private readonly options: TelemetryOptions) {
    const { clock, subsetOf } = options;
    this.startedAt = clock.now() / 1_000;
    this.history = createTrafficHistory({ now: () => clock.now(), subsetOf });
    this.hub = createTapHub(() => this.options.onTaps(this.hub.specs(), this.settings.redactHeaders));
  }

  // -- from the data planes ---------------------------------------------------------------------------------------

  fold(dataPlane: number, slots: readonly CounterData[]): void {
    this.history.fold(dataPlane, slots);
  }

  setTotals(dataPlane: number, totals: TrafficTotals): void {
    this.totals.set(dataPlane, totals);
  }

  deliver(batches: readonly { tap: number; batch: TapBatch }[]): void {
    this.hub.deliver(batches);
  }

  onDataPlaneDied(dataPlane: number): void {
    this.history.forget(dataPlane);
    this.totals.delete(dataPlane);
  }

  // -- for clients ------------------------------------------------------------------------------------------------

  tap(filter: TapFilter, signal: AbortSignal): AsyncIterable<TapBatch> {
    return this.hub.open(filter, signal);
  }

  stats(windowMs: number, by: StatGrouping = 'each'): StatRow[] {
    return this.history.rows(windowMs, by);
  }

  watchStats(windowMs: number, listener: (rows: StatRow[]) => void, by: StatGrouping = 'each'): () => void {
    const { clock } = this.options;
    const look = () => {
      watcher.timer = clock.setTimeout(look, STATS_INTERVAL_MS);
      listener(this.stats(windowMs, by));
    };
    const watcher = { timer: clock.setTimeout(look, STATS_INTERVAL_MS) };
    this.watchers.add(watcher);
    listener(this.stats(windowMs, by));
    return () => {
      clock.clearTimeout(watcher.timer);
      this.watchers.delete(watcher);
    };
  }

  /** Over all data planes that run. */
  trafficStatus(): TrafficStatus {
    const sum: TrafficStatus = { requests: 0, activeRequests: 0, activeConnections: 0, flags: {}, refusedPeers: {} };
    for (const totals of this.totals.values()) {
      sum.requests += totals.requests;
      sum.activeRequests += totals.activeRequests;
      sum.activeConnections += totals.activeConnections;
      for (const kind of ['flags', 'refusedPeers'] as const) {
        for (const [key, n] of Object.entries(totals[kind])) sum[kind][key] = (sum[kind][key] ?? 0) + n;
      }
    }
    return sum;
  }

  metrics(): string {
    const { user, system } = process.cpuUsage();
    return renderMetrics({
      series: this.history.series(),
      status: this.options.status(),
      certificates: this.options.certificates(),
      connections: [...this.totals.values()].map(({ connections }) => connections),
      process: {
        startedAt: this.startedAt,
        residentBytes: process.memoryUsage.rss(),
        cpuSeconds: (user + system) / 1e6,
      },
    });
  }

  // -- settings ---------------------------------------------------------------------------------------------------

  /** Puts settings in force. What cannot be had is told and left out: traffic does not depend on it. */
  async configure({ admin, accessLog, redactHeaders }: TrafficSettings): Promise<void> {
    const before = this.settings;
    const next = { admin, accessLog, redactHeaders };
    this.settings = next;
    if (!deepEqual(before.redactHeaders, next.redactHeaders)) this.options.onTaps(this.hub.specs(), next.redactHeaders);
    if (!deepEqual(before.accessLog, next.accessLog)) {
      await this.stopAccessLog();
      if (next.accessLog !== null) this.startAccessLog(next.accessLog);
    }
    if (before.admin !== next.admin || (next.admin !== null && this.admin === null)) {
      await this.admin?.close();
      this.admin = null;
      if (next.admin !== null) await this.openAdmin(next.admin);
    }
  }

  async close(): Promise<void> {
    for (const watcher of this.watchers) this.options.clock.clearTimeout(watcher.timer);
    this.watchers.clear();
    await this.stopAccessLog();
    await this.admin?.close();
    this.admin = null;
  }

  private async openAdmin(port: number): Promise<void> {
    const opened = await openAdminServer(port, {
      metrics: () => this.metrics(),
      unhealthy: () => unhealthy(this.options.status()),
    });
    if (opened.ok) this.admin = opened.value;
    else this.options.onNotice('error', opened.problems[0].message, opened.problems);
  }

  private startAccessLog(settings: NonNullable<ResolvedTelemetry['accessLog']>): void {
    const abort = new AbortController();
    const log = new AccessLog({
      settings,
      now: () => this.options.clock.now(),
      onNotice: (level, text) => this.options.onNotice(level, text),
    });
    // The caller's side sees every request once, what never reached a service included.
    const ended = log.follow(this.hub.open({ ...ANY_REQUEST, direction: 'outbound' }, abort.signal));
    this.accessLog = { abort, ended };
  }

  private async stopAccessLog(): Promise<void> {
    this.accessLog?.abort.abort();
    await this.accessLog?.ended;
    this.accessLog = null;
  }
}

/** Whether the mesh itself works; its services are the business of whoever watches them. */
function unhealthy({ state, dataPlanePids }: MeshStatus): string | null {
  if (state !== 'running') return `the mesh is ${state}`;
  return dataPlanePids.length === 0 ? 'no data plane runs' : null;
}
