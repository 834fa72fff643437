import * as fs from 'node:fs';
import path from 'node:path';
import { fail, ok, type Result } from '../../model/result.ts';
import type { LogLine } from '../../model/status.ts';
import type { Clock } from '../clock.ts';
import type { LogQuery } from '../control/mesh-control.ts';
import { storageProblem } from '../state/mesh-directory.ts';
import { InstanceLog } from './instance-log.ts';
import { LogCursor } from './log-cursor.ts';
import type { LogStream } from './log-lines.ts';
import { OutputSpool, parseSpoolName, spoolBuffer, spoolName } from './output-spool.ts';

export interface LogStoreOptions {
  /** `.mesh/logs` and `.mesh/output`. */
  directory: { logs: string; output: string };
  clock: Clock;
  /** An instance's log is this long at most, twice: the current file and the one before. Default: 32 MiB. */
  maxLogBytes?: number;
  /** Unread output of a stream beyond this is left out. Default: 32 MiB. */
  maxSpoolBytes?: number;
}

/** Output of one process on its way into the log of its instance. */
export interface ProcessOutput {
  /** For the spawn. */
  descriptors: { stdout: number; stderr: number };
  /** Called with lines as they are read; returns the unsubscription. */
  onLines(listener: (texts: readonly string[]) => void): () => void;
  /** What the process wrote last, on both streams; it stays to be had after `finish`. */
  recentLines(): readonly string[];
  /** The process has ended: what it wrote last is put into the log, and its files are removed. */
  finish(): void;
}

const BATCH_LINES = 500;
/** Lines of a process kept at hand, to be shown with its failure. */
const RECENT_LINES = 30;
const MIB = 1024 * 1024;
const POLL_MS = 1_000;
/** Where changes cannot be watched: no inotify instances left, or a file system without. */
const UNWATCHED_POLL_MS = 100;

/**
 * The logs of a mesh. Processes write to files in `output/`; the store reads them as they grow, stamps each line with
 * the time it was seen, and appends it to `logs/<service>/<instance>.log`, which is what is queried and kept.
 */
export class LogStore {
  private readonly options: Required<LogStoreOptions>;
  private readonly logs = new Map<string, InstanceLog>();
  private readonly spools = new Set<OutputSpool>();
  private readonly dirty = new Set<OutputSpool>();
  private readonly appended = new Set<() => void>();
  private readonly buffer = spoolBuffer();
  private watcher: fs.FSWatcher | null = null;
  private timer: NodeJS.Timeout | null = null;
  private pumping: NodeJS.Immediate | null = null;

  constructor(options: LogStoreOptions) {
    this.options = { maxLogBytes: 32 * MIB, maxSpoolBytes: 32 * MIB, ...options };
  }

  /** Files for the output of a process about to be started. */
  collect(service: string, instance: string, id: string): Result<ProcessOutput> {
    const log = this.logOf(service, instance);
    const listeners = new Set<(texts: readonly string[]) => void>();
    let recent: string[] = [];
    const sink = {
      lines: (stream: LogStream, texts: readonly string[]): void => {
        this.append(log, stream, texts);
        recent = [...recent, ...texts.slice(-RECENT_LINES)].slice(-RECENT_LINES);
        for (const listener of listeners) listener(texts);
      },
      dropped: (stream: LogStream, bytes: number): void => {
        const amount = `${Math.round(bytes / MIB)} MiB of ${stream} left out`;
        this.append(log, 'mesh', [`${amount}: it writes faster than can be read`]);
      },
    };
    let spool: OutputSpool;
    try {
      const name = spoolName(service, instance, id);
      spool = new OutputSpool(this.options.directory.output, name, sink, this.options.maxSpoolBytes, this.buffer);
    } catch (error) {
      return fail(storageProblem(this.options.directory.output, error));
    }
    this.spools.add(spool);
    this.watch();
    return ok({
      descriptors: spool.output,
      onLines: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      recentLines: () => {
        if (this.spools.has(spool)) this.guard(() => spool.pump());
        return recent;
      },
      finish: () => {
        if (!this.spools.delete(spool)) return;
        this.dirty.delete(spool);
        this.guard(() => spool.drain());
        spool.remove();
        if (this.spools.size === 0) this.unwatch();
      },
    });
  }

  /** A line of mesh's own about an instance. */
  note(service: string, instance: string, text: string): void {
    this.append(this.logOf(service, instance), 'mesh', text.split('\n'));
  }

  /** Lines that mesh writes on a service's behalf, an access log's. False: the disk took nothing. */
  write(service: string, instance: string, texts: readonly string[]): boolean {
    return this.append(this.logOf(service, instance), 'mesh', texts);
  }

  /** The last lines of one instance, as they are shown beside a failure. */
  tail(service: string, instance: string, count: number): LogLine[] {
    for (const spool of this.spools) if (spool.instance === instance) this.guard(() => spool.pump());
    const cursor = new LogCursor(this.logOf(service, instance));
    const lines: LogLine[] = [];
    try {
      cursor.seek(count, null);
      for (let line = cursor.peek(); line !== null; line = cursor.peek()) {
        lines.push(line);
        cursor.take();
      }
    } finally {
      cursor.close();
    }
    return lines;
  }

  /** Puts into the logs what processes wrote after their daemon died. To be called when those processes have ended. */
  collectLeftovers(): void {
    for (const file of listFolder(this.options.directory.output)) {
      const name = /^(.*)\.read$/.exec(file)?.[1];
      if (name === undefined || [...this.spools].some((spool) => spool.owns(`${name}.stdout`))) continue;
      const owner = parseSpoolName(name);
      if (owner === null) continue;
      const log = this.logOf(owner.service, owner.instance);
      const sink = {
        lines: (stream: LogStream, texts: readonly string[]): void => void this.append(log, stream, texts),
        dropped: () => {},
      };
      this.guard(() => {
        const folder = this.options.directory.output;
        const spool = new OutputSpool(folder, name, sink, Number.POSITIVE_INFINITY, this.buffer);
        spool.drain();
        spool.remove();
      });
    }
  }

  /** Lines of all instances of these services by time; batches, the backlog first and then, without gap or repetition, what follows. */
  async *query(query: LogQuery, signal: AbortSignal): AsyncGenerator<LogLine[], void> {
    const cursors = new Map<string, LogCursor>();
    const wanted = (service: string): boolean => query.services.length === 0 || query.services.includes(service);
    let grown = false;
    let wake = (): void => {};
    const onAppended = (): void => {
      grown = true;
      wake();
    };
    signal.addEventListener('abort', onAppended);
    this.appended.add(onAppended);
    try {
      for (const spool of this.spools) if (wanted(spool.service)) this.guard(() => spool.pump());
      this.findLogs();
      for (const log of this.logs.values()) {
        if (!wanted(log.service)) continue;
        const cursor = new LogCursor(log);
        cursors.set(log.file, cursor);
        cursor.seek(query.tail, query.sinceMs);
      }
      while (!signal.aborted) {
        grown = false;
        yield* merge([...cursors.values()], signal);
        if (!query.follow) return;
        if (!grown && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
        for (const log of this.logs.values())
          if (wanted(log.service) && !cursors.has(log.file)) cursors.set(log.file, new LogCursor(log));
      }
    } finally {
      this.appended.delete(onAppended);
      signal.removeEventListener('abort', onAppended);
      for (const cursor of cursors.values()) cursor.close();
    }
  }

  /** Reads what has been written so far. Processes that still run keep their files. */
  close(): void {
    this.unwatch();
    for (const spool of this.spools) {
      this.guard(() => {
        while (spool.pump());
      });
      spool.close();
    }
    this.spools.clear();
    for (const log of this.logs.values()) log.close();
    this.logs.clear();
  }

  private append(log: InstanceLog, stream: LogStream, texts: readonly string[]): boolean {
    const written = log.append(this.options.clock.now(), stream, texts);
    for (const wake of this.appended) wake();
    return written;
  }

  private logOf(service: string, instance: string): InstanceLog {
    const key = `${service}/${instance}`;
    let log = this.logs.get(key);
    if (log === undefined) {
      log = new InstanceLog(this.options.directory.logs, service, instance, this.options.maxLogBytes);
      this.logs.set(key, log);
    }
    return log;
  }

  /** Logs of instances that did not run since this store was made. */
  private findLogs(): void {
    for (const service of listFolder(this.options.directory.logs))
      for (const file of listFolder(path.join(this.options.directory.logs, service)))
        if (file.endsWith('.log')) this.logOf(service, file.slice(0, -4));
  }

  private watch(): void {
    if (this.timer !== null) return;
    try {
      this.watcher = fs.watch(this.options.directory.output, { persistent: false }, (_event, name) => {
        for (const spool of this.spools) if (name === null || spool.owns(name)) this.dirty.add(spool);
        this.schedulePump();
      });
      this.watcher.on('error', () => this.watcher?.close());
    } catch {
      this.watcher = null;
    }
    // macOS tells late, and not always, of growing files: there the poll does the work.
    const poll = this.watcher !== null && process.platform === 'linux' ? POLL_MS : UNWATCHED_POLL_MS;
    let polls = 0;
    this.timer = setInterval(() => {
      const second = ++polls % (POLL_MS / poll) === 0;
      for (const spool of this.spools) {
        this.dirty.add(spool);
        if (second) spool.poll();
      }
      this.schedulePump();
    }, poll);
    this.timer.unref();
  }

  private unwatch(): void {
    this.watcher?.close();
    this.watcher = null;
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    if (this.pumping !== null) clearImmediate(this.pumping);
    this.pumping = null;
  }

  private schedulePump(): void {
    if (this.pumping !== null || this.dirty.size === 0) return;
    this.pumping = setImmediate(() => {
      this.pumping = null;
      for (const spool of [...this.dirty]) {
        this.dirty.delete(spool);
        this.guard(() => {
          if (spool.pump()) this.dirty.add(spool);
        });
      }
      this.schedulePump();
    });
  }

  /** A folder deleted under us, or a disk that fails, must not take the mesh down with it. */
  private guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
}

function listFolder(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

/** What all cursors have by now, the earliest line first. */
function* merge(cursors: readonly LogCursor[], signal: AbortSignal): Generator<LogLine[]> {
  let batch: LogLine[] = [];
  while (!signal.aborted) {
    let first: LogCursor | null = null;
    let firstLine: LogLine | null = null;
    for (const cursor of cursors) {
      const line = cursor.peek();
      if (line === null || (firstLine !== null && line.time >= firstLine.time)) continue;
      first = cursor;
      firstLine = line;
    }
    if (first === null || firstLine === null) break;
    first.take();
    batch.push(firstLine);
    if (batch.length < BATCH_LINES) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
