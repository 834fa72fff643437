import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import type { TapBatch } from '../../model/events.ts';
import type { ResolvedTelemetry } from '../../model/resolved.ts';
import { accessLogLine, eventDocument, jsonLine } from './event-text.ts';

/** Between two looks at whether the file is still where it was. */
const CHECK_INTERVAL_MS = 1_000;
/** A file that cannot be written is tried again after so long. */
const RETRY_INTERVAL_MS = 5_000;

export interface AccessLogOptions {
  settings: NonNullable<ResolvedTelemetry['accessLog']>;
  now: () => number;
  /** The log cannot be written, or can be again, or has gaps. */
  onNotice: (level: 'info' | 'warning', text: string) => void;
}

/** Writes requests to a file, a batch at a time. A file that was rotated away is opened anew. */
export class AccessLog {
  private file: FileHandle | null = null;
  private inode = 0;
  private checkedAtMs = Number.NEGATIVE_INFINITY;
  private failedAtMs = Number.NEGATIVE_INFINITY;
  private failing = false;
  /** Requests that no line tells of, since the last word about it. */
  private missing = 0;
  private reportedAtMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: AccessLogOptions) {}

  /** Resolves when everything is written, or the iteration has ended. */
  async follow(batches: AsyncIterable<TapBatch>): Promise<void> {
    try {
      for await (const batch of batches) await this.write(batch);
    } finally {
      await this.file?.close().catch(() => undefined);
      this.file = null;
    }
  }

  private async write({ events, dropped }: TapBatch): Promise<void> {
    const { format, except } = this.options.settings;
    const wanted = except.length === 0 ? events : events.filter(({ destination }) => !except.includes(destination));
    this.missing += dropped;
    if (wanted.length > 0) {
      const lines = wanted.map((event) => (format === 'json' ? jsonLine(eventDocument(event)) : accessLogLine(event)));
      if (!(await this.append(`${lines.join('\n')}\n`))) this.missing += wanted.length;
    }
    this.reportGaps();
  }

  private async append(text: string): Promise<boolean> {
    const now = this.options.now();
    if (this.failing && now - this.failedAtMs < RETRY_INTERVAL_MS) return false;
    try {
      if (now - this.checkedAtMs >= CHECK_INTERVAL_MS) await this.reopenIfMoved(now);
      await this.file!.appendFile(text);
    } catch (error) {
      if (!this.failing)
        this.options.onNotice(
          'warning',
          `the access log ${this.options.settings.file} cannot be written: ${(error as Error).message}`,
        );
      this.failing = true;
      this.failedAtMs = now;
      await this.file?.close().catch(() => undefined);
      this.file = null;
      this.checkedAtMs = Number.NEGATIVE_INFINITY;
      return false;
    }
    if (this.failing) this.options.onNotice('info', `the access log ${this.options.settings.file} is written again`);
    this.failing = false;
    return true;
  }

  private async reopenIfMoved(now: number): Promise<void> {
    const { file } = this.options.settings;
    this.checkedAtMs = now;
    if (this.file !== null) {
      const there = await stat(file).catch(() => null);
      if (there !== null && there.ino === this.inode) return;
      await this.file.close();
      this.file = null;
    }
    await mkdir(path.dirname(file), { recursive: true });
    // Paths may hold secrets: for the owner alone.
    this.file = await open(file, 'a', 0o600);
    this.inode = (await this.file.stat()).ino;
  }

  /** At most once in ten seconds. */
  private reportGaps(): void {
    if (this.missing === 0 || this.failing) return;
    const now = this.options.now();
    if (now - this.reportedAtMs < 10_000) return;
    this.options.onNotice('warning', `the access log misses ${this.missing} requests: more came than could be written`);
    this.reportedAtMs = now;
    this.missing = 0;
  }
}
