import path from 'node:path';
import { deepEqual } from '../../model/deep-equal.ts';
import { problem } from '../../model/errors.ts';
import type { ProxySpan } from '../../model/proxy-span.ts';
import type { ResolvedTracing } from '../../model/resolved.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { Trace, TraceQuery, TraceSummary } from '../../model/trace.ts';
import type { TraceSettings } from '../../proxy/telemetry/trace-recorder.ts';
import type { Clock } from '../clock.ts';
import { joinTrace } from './join.ts';
import { type KeptRequest, keptRequest, requestOf } from './kept-request.ts';
import { loadOtlpCodec, type OtlpCodec } from './otlp-codec.ts';
import { SpanExporter } from './otlp-exporter.ts';
import { type OtlpReceiver, startOtlpReceiver } from './otlp-receiver.ts';
import { openTransport, SPANS } from './otlp-transport.ts';
import { TraceStore } from './trace-store.ts';

/** For what waits to be exported when the mesh goes down. */
const EXPORT_GRACE_MS = 1_000;

export interface TracingOptions {
  /** `.mesh`. */
  stateDir: string;
  clock: Clock;
  random: () => number;
  /** Tells every data plane what to report from now on; null: nothing. */
  onSettings: (settings: TraceSettings | null) => void;
  onProblem: (problem: Problem) => void;
}

/** Spans on their way from proxies and services into the store and to a collector. */
export class Tracing {
  private settings: ResolvedTracing = { traces: null, otlp: null };
  private readonly store: TraceStore;
  private receiver: OtlpReceiver | null = null;
  private exporter: SpanExporter | null = null;
  private codec: OtlpCodec | null = null;
  /** Spans that data planes could not get rid of. */
  private droppedByProxies = 0;
  /** By exporters that are closed. */
  private exportDroppedBefore = 0;

  constructor(private readonly options: TracingOptions) {
    const { stateDir, clock, onProblem } = options;
    this.store = new TraceStore({ directory: path.join(stateDir, 'traces'), clock, onProblem });
  }

  /** Spans kept nowhere since the start: proxies, store and export. */
  get dropped(): { proxies: number; store: number; export: number } {
    return {
      proxies: this.droppedByProxies,
      store: this.store.dropped,
      export: this.exportDroppedBefore + (this.exporter?.dropped ?? 0),
    };
  }

  /**
   * Puts settings in force. What cannot be had is told and left out: traffic does not depend on it.
   * @returns whether the receiver for services was opened by that: those that run already do not know of it
   */
  async configure(next: ResolvedTracing): Promise<boolean> {
    const before = this.settings;
    this.settings = next;
    if (!deepEqual(before.traces, next.traces)) this.options.onSettings(next.traces);
    // Once open it stays so: services that run were told its port.
    const opens = next.traces !== null && this.receiver === null;
    if (opens) await this.openReceiver();
    const opened = opens && this.receiver !== null;
    if (deepEqual(before.otlp, next.otlp)) return opened;
    const old = this.exporter;
    this.exporter = next.otlp === null ? null : this.openExporter(next.otlp);
    // The old one may still be at it; nobody waits for that.
    this.exportDroppedBefore += old?.dropped ?? 0;
    void old?.close(EXPORT_GRACE_MS);
    return opened;
  }

  /** Where services send their spans, also while traces are off: they may be turned on again. Empty: nowhere of ours. */
  environment(): Record<string, string> {
    if (this.receiver === null) return {};
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.receiver.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    };
  }

  /** Word from a data plane. */
  onProxySpans(spans: readonly ProxySpan[], dropped: number): void {
    this.droppedByProxies += dropped;
    this.store.addProxySpans(spans);
    this.exporter?.addProxySpans(spans);
  }

  traces(query: TraceQuery): Promise<TraceSummary[]> {
    return this.store.query(query);
  }

  /** @param id of the trace or of a span in it, or the beginning of one */
  async trace(id: string): Promise<Result<Trace>> {
    const found = await this.store.find(id);
    if (!found.ok) return found;
    const record = await this.store.read(found.value);
    if (record === null) return fail(problem('MESH-R140', { message: `trace ${found.value} is not kept any more` }));
    return ok(joinTrace(record, this.store.edgesAround(found.value)));
  }

  /**
   * What proxies know of the request, and of the others of its trace.
   * @param id of the request, its trace, or a span that a service sent in it, or the beginning of one
   * @returns MESH-X101 where nothing is kept, with what is; MESH-X102 where several begin so
   */
  async request(id: string): Promise<Result<KeptRequest>> {
    const found = await this.store.findRequest(id);
    if (!found.ok) return fail(...found.problems.map((each) => this.withReason(each)));
    const { traceId, spanId } = found.value;
    const record = await this.store.read(traceId);
    const kept = record === null ? null : keptRequest(record.proxies, requestOf(record, spanId));
    if (kept !== null) return ok(kept);
    return fail(this.withReason(problem('MESH-X101', { message: `no proxy's part of trace ${traceId} is kept` })));
  }

  /** Which requests are kept, beside what is wrong with the one asked for. */
  private withReason(found: Problem): Problem {
    if (found.code !== 'MESH-X101') return found;
    const { traces } = this.settings;
    const why =
      traces === null
        ? 'telemetry.traces is false, so no request is kept'
        : `kept are ${traces.headRate === 1 ? 'all' : `${traces.headRate * 100} %`} of the traces${
            traces.maxPerSecond > 0 ? `, at most ${traces.maxPerSecond} a second` : ''
          }, and what failed${traces.slowMs > 0 ? ` or took ${traces.slowMs} ms or more` : ''}`;
    const hint = [found.hint, why, '`mesh trace` lists them; new ones are there after half a second']
      .filter(Boolean)
      .join('; ');
    return { ...found, hint };
  }

  async close(): Promise<void> {
    await this.receiver?.close();
    await this.exporter?.close(EXPORT_GRACE_MS);
    await this.store.close();
  }

  private async openReceiver(): Promise<void> {
    const started = await startOtlpReceiver({
      codec: () => this.otlp(),
      onSpans: (spans) => {
        if (this.settings.traces === null) return;
        this.store.addSpans(spans);
        this.exporter?.addSpans(spans);
      },
      onLogs: (logs) => {
        if (this.settings.traces !== null) this.store.addLogs(logs);
      },
    });
    if (started.ok) this.receiver = started.value;
    else for (const each of started.problems) this.options.onProblem(each);
  }

  private openExporter(address: NonNullable<ResolvedTracing['otlp']>): SpanExporter {
    const { clock, random, onProblem } = this.options;
    const transport = openTransport(address, SPANS, this.otlp);
    return new SpanExporter({ transport, endpoint: address.endpoint, clock, random, onProblem });
  }

  /** Loaded when it is first needed. */
  readonly otlp = (): OtlpCodec => {
    this.codec ??= loadOtlpCodec();
    return this.codec;
  };
}
