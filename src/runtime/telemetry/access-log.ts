import { problem } from '../../model/errors.ts';
import type { RequestEvent, TapBatch } from '../../model/events.ts';
import type { AccessLogTarget, ResolvedTelemetry } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';
import { accessLogLine, eventDocument, jsonLine } from './event-text.ts';
import { LineFile } from './line-file.ts';

/** What cannot be written is tried again after so long. */
const RETRY_INTERVAL_MS = 5_000;
/** Between two words about missing lines. */
const REPORT_INTERVAL_MS = 10_000;

export type AccessLogSettings = NonNullable<ResolvedTelemetry['accessLog']>;

export interface AccessLogOptions {
  settings: AccessLogSettings;
  now: () => number;
  /** Puts lines among the output of a service. False: the disk took nothing. */
  print: (service: string, lines: readonly string[]) => boolean;
  /** The log cannot be written, or can be again, or has gaps. */
  onNotice: (level: 'info' | 'warning', text: string, problems?: readonly Problem[]) => void;
}

/** Where lines go, and whether they got there lately. */
interface Sink {
  /** For people. */
  readonly name: string;
  /** Null: the output of services. */
  readonly file: LineFile | null;
  failing: boolean;
  failedAtMs: number;
}

/** Lines of one batch for one sink, by the service that they are about. */
type Lines = Map<string, string[]>;

/** Writes requests to files and into the output of services, a batch at a time. A disk that fails stops it and nothing else. */
export class AccessLog {
  /** Requests without a line since the start. */
  missed = 0;
  private settings: AccessLogSettings;
  /** By file; the output of services has the empty name. */
  private readonly sinks = new Map<string, Sink>();
  private reported = 0;
  private reportedAtMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: AccessLogOptions) {
    this.settings = options.settings;
  }

  /** Other settings from the next batch on: no request is lost between the two. */
  use(settings: AccessLogSettings): void {
    this.settings = settings;
  }

  /** Resolves when everything is written and the iteration has ended. */
  async follow(batches: AsyncIterable<TapBatch>): Promise<void> {
    try {
      for await (const batch of batches) await this.write(batch);
    } finally {
      for (const sink of this.sinks.values()) await sink.file?.close();
      this.sinks.clear();
    }
  }

  private async write({ events, dropped }: TapBatch): Promise<void> {
    this.missed += dropped;
    const bySink = new Map<string, Lines>();
    for (const event of events) {
      const target = this.targetOf(event);
      if (target === null) continue;
      const name = target.file ?? '';
      let lines = bySink.get(name);
      if (lines === undefined) bySink.set(name, (lines = new Map()));
      // What reached no service is told beside what its caller says.
      const service = name === '' ? event.destination || event.source : '';
      const line = target.format === 'json' ? jsonLine(eventDocument(event)) : accessLogLine(event);
      const list = lines.get(service);
      if (list === undefined) lines.set(service, [line]);
      else list.push(line);
    }
    for (const [name, lines] of bySink) await this.append(this.sinkOf(name), lines);
    await this.forgetUnused();
    this.reportGaps();
  }

  private targetOf({ destination }: RequestEvent): AccessLogTarget | null {
    const { mesh, services } = this.settings;
    const own = services[destination];
    return own === undefined ? mesh : own;
  }

  private async append(sink: Sink, lines: Lines): Promise<void> {
    const now = this.options.now();
    const count = [...lines.values()].reduce((sum, list) => sum + list.length, 0);
    if (sink.failing && now - sink.failedAtMs < RETRY_INTERVAL_MS) {
      this.missed += count;
      return;
    }
    const reason = sink.file === null ? this.print(lines) : await writeTo(sink.file, lines);
    if (reason !== null) {
      if (!sink.failing) this.tellFailure(sink, reason);
      sink.failing = true;
      sink.failedAtMs = now;
      this.missed += count;
      return;
    }
    if (sink.failing) this.options.onNotice('info', `${sink.name} is written again`);
    sink.failing = false;
  }

  private print(lines: Lines): string | null {
    let taken = true;
    for (const [service, texts] of lines) taken = this.options.print(service, texts) && taken;
    return taken ? null : 'the disk takes nothing';
  }

  private tellFailure(sink: Sink, reason: string): void {
    const text = `${sink.name} cannot be written: ${reason}`;
    this.options.onNotice('warning', text, [
      problem('MESH-T102', {
        message: text,
        hint: 'free some space, or see whether the path can be written by you; requests go on',
        path: 'telemetry.accessLog',
        severity: 'warning',
      }),
    ]);
  }

  private sinkOf(name: string): Sink {
    let sink = this.sinks.get(name);
    if (sink === undefined) {
      sink = {
        name: name === '' ? 'the access log in .mesh/logs' : `the access log ${name}`,
        file: name === '' ? null : new LineFile(name, this.options.now),
        failing: false,
        failedAtMs: 0,
      };
      this.sinks.set(name, sink);
    }
    return sink;
  }

  /** Closes what the settings name no more. */
  private async forgetUnused(): Promise<void> {
    const { mesh, services } = this.settings;
    const used = new Set(
      [mesh, ...Object.values(services)].flatMap((each) => (each === null ? [] : [each.file ?? ''])),
    );
    for (const [name, sink] of this.sinks) {
      if (used.has(name)) continue;
      this.sinks.delete(name);
      await sink.file?.close();
    }
  }

  private reportGaps(): void {
    const missing = this.missed - this.reported;
    if (missing === 0 || [...this.sinks.values()].some(({ failing }) => failing)) return;
    const now = this.options.now();
    if (now - this.reportedAtMs < REPORT_INTERVAL_MS) return;
    this.options.onNotice('warning', `the access log misses ${missing} requests: more came than could be written`);
    this.reportedAtMs = now;
    this.reported = this.missed;
  }
}

/** @returns why not; null: it is written */
async function writeTo(file: LineFile, lines: Lines): Promise<string | null> {
  try {
    for (const list of lines.values()) await file.append(`${list.join('\n')}\n`);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
