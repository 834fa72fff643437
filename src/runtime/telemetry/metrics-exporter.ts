import { problem } from '../../model/errors.ts';
import { pointsOf, type ResourceMetrics } from '../../model/otlp-metrics.ts';
import type { Problem } from '../../model/result.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Delivery, OtlpTransport } from '../tracing/otlp-transport.ts';
import { inParts } from './otlp-metrics.ts';

export interface MetricsExporterOptions {
  transport: OtlpTransport<ResourceMetrics>;
  /** For people. */
  endpoint: string;
  intervalMs: number;
  /** Everything as it is now. */
  collect: () => ResourceMetrics[];
  clock: Clock;
  random: () => number;
  /** Told once when the collector fails, and again only after it has worked in between. */
  onProblem: (problem: Problem) => void;
}

export interface MetricsExporter {
  /** Points that the collector rejected or refused. What it could not be reached for comes again with the next export. */
  readonly dropped: number;
  /** Sends everything once more, if the collector takes it at once. @param graceMs at most */
  close(graceMs: number): Promise<void>;
}

/** Points of one request: some 200 bytes each, and collectors take 4 MiB. */
const MOST_POINTS = 5_000;
const SEND_TIMEOUT_MS = 10_000;
const FIRST_BACKOFF_MS = 500;
const MOST_BACKOFF_MS = 30_000;

/**
 * Exports metrics at an interval, one request at a time, with growing pauses while the collector fails. Nothing is
 * queued: sums are cumulative, so the next export says all that a failed one would have said.
 */
export function startMetricsExporter(options: MetricsExporterOptions): MetricsExporter {
  const { transport, clock, intervalMs } = options;
  const abort = new AbortController();
  let dropped = 0;
  let told = false;
  let closed = false;
  let backoffMs = FIRST_BACKOFF_MS;
  let sending: Promise<number> | null = null;
  let timer: Timer;

  const tell = (reason: string): void => {
    if (told) return;
    told = true;
    options.onProblem(
      problem('MESH-T103', {
        message: `metrics cannot be exported to ${options.endpoint}: ${reason}`,
        hint: "does the collector there take metrics? If not: signals: ['traces'] in telemetry.otlp",
        path: 'telemetry.otlp',
        severity: 'warning',
      }),
    );
  };

  /** @returns null: it was taken or will never be; else when to try again, null for as usual */
  const deliver = async (part: ResourceMetrics[]): Promise<{ afterMs: number | null } | null> => {
    const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(SEND_TIMEOUT_MS)]);
    const outcome: Delivery = await transport.send(part, signal).catch((error: Error) => ({
      kind: 'refused',
      reason: `it cannot be written as OTLP: ${error.message}`,
    }));
    if (outcome.kind === 'taken') {
      dropped += outcome.rejected;
      if (outcome.rejected > 0) tell(`it rejected ${outcome.rejected} points: ${outcome.message}`);
      else told = false;
      return null;
    }
    tell(outcome.reason);
    if (outcome.kind === 'later') return { afterMs: outcome.afterMs };
    for (const { scopeMetrics } of part)
      for (const { metrics } of scopeMetrics) for (const metric of metrics) dropped += pointsOf(metric).length;
    return null;
  };

  /** @returns milliseconds until the next one */
  const exportAll = async (): Promise<number> => {
    for (const part of inParts(options.collect(), MOST_POINTS)) {
      const failed = await deliver(part);
      if (failed === null) continue;
      // Half of it for certain, the rest by chance, so that meshes do not knock in step.
      const pauseMs = failed.afterMs ?? backoffMs * (0.5 + options.random() / 2);
      backoffMs = Math.min(MOST_BACKOFF_MS, backoffMs * 2);
      return pauseMs;
    }
    backoffMs = FIRST_BACKOFF_MS;
    return intervalMs;
  };

  const run = (): void => {
    sending = exportAll();
    void sending.then((pauseMs) => {
      sending = null;
      if (!closed) schedule(pauseMs);
    });
  };
  const schedule = (delayMs: number): void => {
    timer = clock.setTimeout(run, delayMs);
    timer.unref();
  };
  schedule(intervalMs);

  return {
    get dropped() {
      return dropped;
    },
    async close(graceMs) {
      closed = true;
      clock.clearTimeout(timer);
      const deadline = clock.setTimeout(() => abort.abort(), graceMs);
      await sending;
      if (!abort.signal.aborted) await exportAll();
      clock.clearTimeout(deadline);
      transport.close();
    },
  };
}
