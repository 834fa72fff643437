import { problem } from '../../model/errors.ts';
import type { ResourceSpans } from '../../model/otlp.ts';
import type { ProxySpan } from '../../model/proxy-span.ts';
import type { Problem } from '../../model/result.ts';
import type { Clock, Timer } from '../clock.ts';
import { resourceSpansOf, resourceSpansOfProxies } from './join.ts';
import type { Delivery, OtlpTransport } from './otlp-transport.ts';
import type { ServiceSpan } from './trace-index.ts';

export interface SpanExporterOptions {
  transport: OtlpTransport<ResourceSpans>;
  /** For people. */
  endpoint: string;
  clock: Clock;
  random: () => number;
  /** Told once when the collector fails, and again only after it has worked in between. */
  onProblem: (problem: Problem) => void;
}

/** Spans of one request to the collector; the SDKs' own default. */
const BATCH = 512;
/** Spans that wait; more are left out, the newest first, as SDKs do. */
const MOST_WAITING = 8 * BATCH;
/** A batch that is not full leaves after so long. */
const INTERVAL_MS = 1_000;
const SEND_TIMEOUT_MS = 10_000;
const FIRST_BACKOFF_MS = 500;
const MOST_BACKOFF_MS = 30_000;
/** What could not be delivered for so long is given up. */
const GIVE_UP_AFTER_MS = 5 * 60_000;

type Waiting = { proxy: ProxySpan } | { service: ServiceSpan };

/**
 * Exports spans in batches, one at a time, with growing pauses while the collector fails. Nothing waits for it: what
 * does not fit into the queue is counted and left out.
 */
export class SpanExporter {
  exported = 0;
  dropped = 0;
  private waiting: Waiting[] = [];
  private timer: Timer | null = null;
  private sending: Promise<void> | null = null;
  private told = false;
  private closed = false;
  private readonly abort = new AbortController();
  private wake: (() => void) | null = null;

  constructor(private readonly options: SpanExporterOptions) {}

  addProxySpans(spans: readonly ProxySpan[]): void {
    for (const proxy of spans) this.add({ proxy });
  }

  addSpans(spans: readonly ServiceSpan[]): void {
    for (const service of spans) this.add({ service });
  }

  /** Sends what waits, as far as the collector takes it at once; the rest is left. @param graceMs at most */
  async close(graceMs: number): Promise<void> {
    this.closed = true;
    if (this.timer !== null) this.options.clock.clearTimeout(this.timer);
    this.timer = null;
    this.wake?.();
    const deadline = this.options.clock.setTimeout(() => this.abort.abort(), graceMs);
    await this.drain();
    this.options.clock.clearTimeout(deadline);
    this.options.transport.close();
  }

  private add(span: Waiting): void {
    if (this.closed || this.waiting.length >= MOST_WAITING) {
      this.dropped++;
      return;
    }
    this.waiting.push(span);
    if (this.waiting.length >= BATCH) void this.drain();
    else if (this.timer === null && this.sending === null) {
      this.timer = this.options.clock.setTimeout(() => {
        this.timer = null;
        void this.drain();
      }, INTERVAL_MS);
      this.timer.unref();
    }
  }

  private drain(): Promise<void> {
    this.sending ??= this.sendAll().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  private async sendAll(): Promise<void> {
    while (this.waiting.length > 0 && !this.abort.signal.aborted) {
      await this.deliver(this.waiting.splice(0, BATCH));
    }
  }

  private async deliver(batch: Waiting[]): Promise<void> {
    const { clock, transport } = this.options;
    const spans = [
      ...resourceSpansOfProxies(batch.flatMap((each) => ('proxy' in each ? [each.proxy] : []))),
      ...resourceSpansOf(batch.flatMap((each) => ('service' in each ? [each.service] : []))),
    ];
    let waitedMs = 0;
    for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(MOST_BACKOFF_MS, backoffMs * 2)) {
      const outcome = await transport
        .send(spans, this.timeout())
        .catch(
          (error: Error): Delivery => ({ kind: 'refused', reason: `it cannot be written as OTLP: ${error.message}` }),
        );
      if (outcome.kind === 'taken') {
        this.exported += batch.length - outcome.rejected;
        this.dropped += outcome.rejected;
        this.told = false;
        if (outcome.rejected > 0) this.tell(`it rejected ${outcome.rejected} spans: ${outcome.message}`);
        return;
      }
      this.tell(outcome.reason);
      // Half of it for certain, the rest by chance, so that meshes do not knock in step.
      const pauseMs = outcome.kind === 'later' ? (outcome.afterMs ?? backoffMs * (0.5 + this.options.random() / 2)) : 0;
      waitedMs += pauseMs;
      if (outcome.kind === 'refused' || this.closed || waitedMs > GIVE_UP_AFTER_MS) {
        this.dropped += batch.length;
        return;
      }
      await new Promise<void>((resolve) => {
        const timer = clock.setTimeout(resolve, pauseMs);
        timer.unref();
        this.wake = () => {
          clock.clearTimeout(timer);
          resolve();
        };
      });
      this.wake = null;
    }
  }

  private timeout(): AbortSignal {
    return AbortSignal.any([this.abort.signal, AbortSignal.timeout(SEND_TIMEOUT_MS)]);
  }

  private tell(reason: string): void {
    if (this.told) return;
    this.told = true;
    this.options.onProblem(
      problem('MESH-R143', {
        message: `traces cannot be exported to ${this.options.endpoint}: ${reason}`,
        hint: 'is a collector running there? See telemetry.otlp in mesh.config.ts',
        path: 'telemetry.otlp',
        severity: 'warning',
      }),
    );
  }
}
