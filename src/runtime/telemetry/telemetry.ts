import { deepEqual } from '../../model/deep-equal.ts';
import type { StatGrouping, StatRow, TapBatch, TapFilter } from '../../model/events.ts';
import { ANY_REQUEST } from '../../model/events.ts';
import { fieldSet, redactQuery } from '../../model/redact.ts';
import type { ResolvedTelemetry } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';
import type { CertificateStatus, MeshStatus, TrafficStatus } from '../../model/status.ts';
import type { TelemetryDrop } from '../../model/telemetry-drops.ts';
import type { TapSpec, TrafficTotals } from '../../proxy/channel.ts';
import type { CounterData } from '../../proxy/telemetry/counters.ts';
import type { Clock, Timer } from '../clock.ts';
import type { OtlpCodec } from '../tracing/otlp-codec.ts';
import { METRICS, openTransport } from '../tracing/otlp-transport.ts';
import { AccessLog, type AccessLogSettings } from './access-log.ts';
import { type AdminServer, openAdminServer } from './admin-server.ts';
import type { Exposition } from './metrics.ts';
import { type MetricsExporter, startMetricsExporter } from './metrics-exporter.ts';
import { otlpMetrics } from './otlp-metrics.ts';
import { renderMetrics } from './prometheus.ts';
import { createTapHub, type TapHub } from './tap-hub.ts';
import { createTrafficHistory, type TrafficHistory } from './traffic-history.ts';

const STATS_INTERVAL_MS = 1_000;
/** For the last metrics when the mesh goes down. */
const EXPORT_GRACE_MS = 1_000;

/** What of the configuration concerns traffic. */
type TrafficSettings = Pick<ResolvedTelemetry, 'admin' | 'accessLog' | 'redactHeaders' | 'redactFields' | 'otlp'>;

export interface TelemetryOptions {
  clock: Clock;
  /** Of an instance; empty where it is not known. */
  subsetOf: (instance: string) => string;
  status: () => MeshStatus;
  certificates: () => CertificateStatus[];
  /** Tells every data plane who looks at requests from now on. */
  onTaps: (taps: TapSpec[], redactHeaders: string[]) => void;
  /** Puts lines among the output of a service. False: the disk took nothing. */
  print: (service: string, lines: readonly string[]) => boolean;
  /** What tracing had to leave out since the start. */
  spanDrops: () => { proxies: number; store: number; export: number };
  /** Loaded when the first metrics are sent as OTLP. */
  codec: () => OtlpCodec;
  /** The totals of a data plane have changed. */
  onTotals?: () => void;
  onNotice: (level: 'info' | 'warning' | 'error', text: string, problems?: readonly Problem[]) => void;
}

/** What comes up from the data planes about traffic, and everything that is made of it. */
export class Telemetry {
  private readonly history: TrafficHistory;
  private readonly hub: TapHub;
  private readonly totals = new Map<number, TrafficTotals>();
  private settings: TrafficSettings = { admin: null, accessLog: null, redactHeaders: [], redactFields: [], otlp: null };
  private secretFields = fieldSet([]);
  private admin: AdminServer | null = null;
  private accessLog: { log: AccessLog; abort: AbortController; ended: Promise<void> } | null = null;
  /** Of access logs that are closed. */
  private missedBefore = 0;
  private exporter: MetricsExporter | null = null;
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
    this.options.onTotals?.();
  }

  deliver(batches: readonly { tap: number; batch: TapBatch }[]): void {
    for (const { batch } of batches) this.withoutSecrets(batch.events);
    this.hub.deliver(batches);
  }

  /** The same requests, without the values of secret parameters in their paths: here they come from the data planes. */
  withoutSecrets<Item extends { path: string }>(requests: readonly Item[]): readonly Item[] {
    for (const each of requests) each.path = redactQuery(each.path, this.secretFields);
    return requests;
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
    const sum: TrafficStatus = {
      requests: 0,
      activeRequests: 0,
      activeConnections: 0,
      flags: {},
      refusedPeers: {},
      telemetryDropped: this.drops(),
    };
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

  /** Only what there is: most meshes never drop anything. */
  private drops(): Record<string, number> {
    const { proxies, store, export: exported } = this.options.spanDrops();
    const drops: Record<TelemetryDrop, number> = {
      taps: this.hub.dropped,
      access_log: this.missedBefore + (this.accessLog?.log.missed ?? 0),
      spans: proxies,
      trace_store: store,
      trace_export: exported,
      metric_export: this.exporter?.dropped ?? 0,
    };
    return Object.fromEntries(Object.entries(drops).filter(([, n]) => n > 0));
  }

  metrics(): string {
    return renderMetrics(this.exposition());
  }

  private exposition(): Exposition {
    const { user, system } = process.cpuUsage();
    return {
      series: this.history.series(),
      status: this.options.status(),
      certificates: this.options.certificates(),
      connections: [...this.totals.values()].map(({ connections }) => connections),
      process: {
        startedAt: this.startedAt,
        residentBytes: process.memoryUsage.rss(),
        cpuSeconds: (user + system) / 1e6,
      },
    };
  }

  // -- settings ---------------------------------------------------------------------------------------------------

  /** Puts settings in force. What cannot be had is told and left out: traffic does not depend on it. */
  async configure({ admin, accessLog, redactHeaders, redactFields, otlp }: TrafficSettings): Promise<void> {
    const before = this.settings;
    const next = { admin, accessLog, redactHeaders, redactFields, otlp };
    this.settings = next;
    this.secretFields = fieldSet(redactFields);
    if (!deepEqual(before.redactHeaders, next.redactHeaders)) this.options.onTaps(this.hub.specs(), next.redactHeaders);
    if (next.accessLog === null) await this.stopAccessLog();
    else if (this.accessLog === null) this.startAccessLog(next.accessLog);
    else this.accessLog.log.use(next.accessLog);
    if (!deepEqual(before.otlp, next.otlp)) {
      // The old one may still be at it; nobody waits for that.
      void this.exporter?.close(EXPORT_GRACE_MS);
      this.exporter = next.otlp === null ? null : this.openExporter(next.otlp);
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
    await this.exporter?.close(EXPORT_GRACE_MS);
    this.exporter = null;
    await this.admin?.close();
    this.admin = null;
  }

  private openExporter({ intervalMs, ...address }: NonNullable<ResolvedTelemetry['otlp']>): MetricsExporter {
    const { clock, codec, onNotice } = this.options;
    return startMetricsExporter({
      transport: openTransport(address, METRICS, codec),
      endpoint: address.endpoint,
      intervalMs,
      collect: () => otlpMetrics(this.exposition(), clock.now()),
      clock,
      random: Math.random,
      onProblem: (each) => onNotice('warning', each.message, [each]),
    });
  }

  private async openAdmin(port: number): Promise<void> {
    const opened = await openAdminServer(port, {
      metrics: () => this.metrics(),
      unhealthy: () => unhealthy(this.options.status()),
    });
    if (opened.ok) this.admin = opened.value;
    else this.options.onNotice('error', opened.problems[0].message, opened.problems);
  }

  private startAccessLog(settings: AccessLogSettings): void {
    const abort = new AbortController();
    const log = new AccessLog({
      settings,
      now: () => this.options.clock.now(),
      print: (service, lines) => this.options.print(service, lines),
      onNotice: (level, text, problems) => this.options.onNotice(level, text, problems),
    });
    // The caller's side sees every request once, what never reached a service included.
    const ended = log.follow(this.hub.open({ ...ANY_REQUEST, direction: 'outbound' }, abort.signal, true));
    this.accessLog = { log, abort, ended };
  }

  private async stopAccessLog(): Promise<void> {
    const { accessLog } = this;
    if (accessLog === null) return;
    accessLog.abort.abort();
    await accessLog.ended;
    this.missedBefore += accessLog.log.missed;
    this.accessLog = null;
  }
}

/** Whether the mesh itself works; its services are the business of whoever watches them. */
function unhealthy({ state, dataPlanePids }: MeshStatus): string | null {
  if (state !== 'running') return `the mesh is ${state}`;
  return dataPlanePids.length === 0 ? 'no data plane runs' : null;
}
