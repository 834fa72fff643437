import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import chokidar, { type FSWatcher } from 'chokidar';
import type { Problem, Result } from '../../model/result.ts';
import { type Clock, systemClock, type Timer } from '../clock.ts';
import type { ConfigLoader, LoadAttempt, LoadedConfig } from './config-loader.ts';
import { TypeCheck } from './type-check.ts';

export interface ConfigWatcherOptions {
  loader: ConfigLoader;
  /** The configuration, absolute. */
  file: string;
  /** What is in force; null: nothing could be loaded yet. */
  initial: LoadedConfig | null;
  /** Other files whose change means a reload, e.g. env files; asked for after every load. */
  extraFiles?: () => readonly string[];
  /** Each load, in order; those that are overtaken by a newer one are left out. */
  onLoaded(result: Result<LoadedConfig>): void;
  /** A save was noticed, and the load begins. */
  onReload?(): void;
  /** What the project's compiler has to say. Default: it is not asked. */
  onWarnings?(problems: readonly Problem[]): void;
  clock?: Clock;
}

/** Editors touch a file several times for one save. */
const COALESCE_MS = 5;
/** Between the moments when a file is gone or empty and when it is there again, while it is being saved. */
const SETTLE_MS = 50;

/** Null: it is not there. */
type Contents = ReadonlyMap<string, string | null>;

/**
 * Loads a configuration anew when it, a file it imports or one of `extraFiles` is saved with other contents. Watches the
 * directories of the files: an editor that saves by renaming replaces the file that was watched.
 */
export class ConfigWatcher {
  private readonly options: ConfigWatcherOptions;
  private readonly clock: Clock;
  private readonly watcher: FSWatcher;
  private readonly typeCheck: TypeCheck;
  /** Files of the last load that found any. */
  private dependencies: readonly string[];
  private missing: readonly string[] = [];
  private wanted = new Set<string>();
  private directories = new Set<string>();
  /** What the last load saw. */
  private known = new Map<string, string | null>();
  private pending: { timer: Timer; delayMs: number } | null = null;
  /** Whether a file that is gone or empty is given time to come back. */
  private settling: 'no' | 'waiting' | 'over' = 'no';
  private readonly timers = new Set<Timer>();
  private checking: Promise<void> = Promise.resolve();
  private lastLoad = 0;
  private closed = false;
  /** Resolves when no change can be missed any more. */
  readonly ready: Promise<void>;

  constructor(options: ConfigWatcherOptions) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.dependencies = options.initial?.dependencies ?? [];
    for (const [file, text] of options.initial?.sources.files ?? []) this.known.set(file, text);
    this.typeCheck = new TypeCheck({
      file: options.file,
      scratchDir: path.join(path.dirname(options.file), '.mesh'),
      clock: this.clock,
    });
    this.decideWhatCounts();
    this.watcher = chokidar.watch([...this.directories], {
      ignoreInitial: true,
      depth: 0,
      // It would hold renames back for 100 ms; contents are compared instead.
      atomic: false,
      ignored: (file) => !this.wanted.has(file) && !this.directories.has(file),
    });
    this.watcher.on('all', (_, file) => this.notice(path.resolve(file)));
    // The event of the system itself: `all` comes after a look at the file.
    this.watcher.on('raw', (_, name, details) => this.noticeRaw(name, details));
    // A directory that cannot be watched (too many watches): the configuration in force stays.
    this.watcher.on('error', () => {});
    this.ready = new Promise<void>((resolve) => this.watcher.once('ready', resolve)).then(() => this.start());
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const timer of this.timers) this.clock.clearTimeout(timer);
    await Promise.all([this.watcher.close(), this.typeCheck.close(), this.checking]);
  }

  private async start(): Promise<void> {
    if (this.options.initial === null) {
      this.reload(await this.contents());
      return;
    }
    // It may have been saved since it was loaded.
    await this.compare();
    this.checkTypes(this.dependencies);
  }

  private decideWhatCounts(): void {
    const { file, extraFiles } = this.options;
    this.wanted = new Set([file, ...this.dependencies, ...this.missing, ...(extraFiles?.() ?? [])]);
    this.directories = new Set([...this.wanted].map(existingDirectory));
    for (const known of this.known.keys()) if (!this.wanted.has(known)) this.known.delete(known);
  }

  /** Brings what is watched in line with the files that count now. */
  private follow(): { moved: boolean } {
    const before = this.directories;
    this.decideWhatCounts();
    const added = [...this.directories].filter((directory) => !before.has(directory));
    const removed = [...before].filter((directory) => !this.directories.has(directory));
    if (removed.length > 0) this.watcher.unwatch(removed);
    if (added.length > 0) this.watcher.add(added);
    return { moved: added.length > 0 };
  }

  private noticeRaw(name: unknown, details: unknown): void {
    const { watchedPath } = details as { watchedPath?: string };
    if (watchedPath === undefined) return;
    const inside = this.directories.has(watchedPath) && typeof name === 'string';
    this.notice(inside ? path.join(watchedPath, name) : watchedPath);
  }

  private notice(file: string): void {
    // Of a file whose directory is not there yet, the directory appears first.
    const counts = this.wanted.has(file) || [...this.wanted].some((one) => one.startsWith(file + path.sep));
    if (counts) this.schedule(COALESCE_MS);
  }

  /** Looks at the files after so long, or earlier if that was already planned. */
  private schedule(delayMs: number): void {
    if (this.closed || (this.pending !== null && this.pending.delayMs <= delayMs)) return;
    if (this.pending !== null) this.cancelTimer(this.pending.timer);
    const timer = this.startTimer(delayMs, () => {
      this.pending = null;
      this.checking = this.checking.then(() => this.compare());
    });
    this.pending = { timer, delayMs };
  }

  private async compare(): Promise<void> {
    if (this.closed) return;
    // A directory that was made or removed is to be watched, or no longer.
    const { moved } = this.follow();
    // A file may have come into a new directory before the watch on it.
    if (moved) this.schedule(SETTLE_MS);
    const contents = await this.contents();
    if (this.closed) return;
    const changed = [...contents].filter(([file, text]) => this.differs(file, text));
    if (changed.length === 0) {
      this.settling = 'no';
      return;
    }
    const unfinished = changed.some(([file, text]) => isBlank(text) && !isBlank(this.known.get(file) ?? null));
    if (unfinished && this.settling !== 'over') {
      if (this.settling === 'no') this.settle();
      return;
    }
    this.settling = 'no';
    this.reload(contents);
  }

  private differs(file: string, text: string | null): boolean {
    const known = this.known.get(file);
    if (known !== undefined) return known !== text;
    // Seen for the first time: an env file, say, that whoever asked for it reads by himself.
    this.known.set(file, text);
    return false;
  }

  private settle(): void {
    this.settling = 'waiting';
    this.startTimer(SETTLE_MS, () => {
      if (this.settling !== 'waiting') return;
      this.settling = 'over';
      this.schedule(0);
    });
  }

  private startTimer(delayMs: number, callback: () => void): Timer {
    const timer = this.clock.setTimeout(() => {
      this.timers.delete(timer);
      callback();
    }, delayMs);
    this.timers.add(timer);
    return timer;
  }

  private cancelTimer(timer: Timer): void {
    this.clock.clearTimeout(timer);
    this.timers.delete(timer);
  }

  private async contents(): Promise<Contents> {
    const texts = [...this.wanted].map(async (file): Promise<[string, string | null]> => {
      return [file, await readFile(file, 'utf8').catch(() => null)];
    });
    return new Map(await Promise.all(texts));
  }

  private reload(contents: Contents): void {
    this.known = new Map(contents);
    this.typeCheck.cancel();
    const load = ++this.lastLoad;
    this.options.onReload?.();
    // Not waited for: a newer save has to be noticed while a configuration takes its time.
    void this.options.loader.attempt(this.options.file).then((attempt) => {
      if (load === this.lastLoad && !this.closed) this.finish(attempt, contents);
    });
  }

  private finish({ result, files, missing }: LoadAttempt, contents: Contents): void {
    // A load that was cut short does not know its files; those of the one before still count.
    if (files.size > 0) this.dependencies = [...files.keys()];
    this.missing = missing;
    for (const file of missing) this.known.set(file, null);
    for (const [file, text] of files) this.known.set(file, text);
    this.options.onLoaded(result);
    this.follow();
    // Files that came with this load may have changed since it read them, before they were watched.
    if ([...this.wanted].some((file) => !contents.has(file))) this.schedule(COALESCE_MS);
    if (result.ok) this.checkTypes(result.value.dependencies);
  }

  private checkTypes(dependencies: readonly string[]): void {
    const { onWarnings } = this.options;
    if (onWarnings === undefined) return;
    void this.typeCheck.check(dependencies).then((problems) => {
      if (problems !== null && problems.length > 0 && !this.closed) onWarnings(problems);
    });
  }
}

const isBlank = (text: string | null): boolean => text === null || text.trim() === '';

function existingDirectory(file: string): string {
  let directory = path.dirname(file);
  while (!existsSync(directory) && path.dirname(directory) !== directory) directory = path.dirname(directory);
  return directory;
}
