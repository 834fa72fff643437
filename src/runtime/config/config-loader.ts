import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { resolveConfig } from '../../model/resolve.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import { fail, type Problem, type Result } from '../../model/result.ts';
import { type Clock, systemClock, type Timer } from '../clock.ts';
import { LoaderChild } from './loader-child.ts';
import { type LoaderEntry, loaderEntry } from './loader-entry.ts';
import type { LoaderAnswer } from './loader-messages.ts';
import { checkProtoPaths } from './proto-paths.ts';
import { type ConfigSources, configSources } from './source-locations.ts';

export interface LoadedConfig {
  config: ResolvedConfig;
  /** What the file exports, as plain data. */
  raw: unknown;
  /** Absolute paths of the local files that it consists of, itself first. */
  dependencies: string[];
  /** Where each part stands in those files. */
  sources: ConfigSources;
}

/** A load with what is known also where it failed. */
export interface LoadAttempt {
  result: Result<LoadedConfig>;
  /** Text by absolute path of the local files that were read. */
  files: ReadonlyMap<string, string>;
  /** Absolute paths that would satisfy an import which was not found. */
  missing: readonly string[];
}

export interface ConfigLoaderOptions {
  /** Default: that of this package. */
  entry?: LoaderEntry;
  /** For the user's code, from its first statement to its value. Default: 5000. */
  deadlineMs?: number;
  /** For the process to start and to bundle, on top. Default: 15000. */
  startupMs?: number;
  /** File descriptor that takes what the configuration prints. Default: 2. */
  outputFd?: number;
  clock?: Clock;
}

const DEADLINE_MS = 5_000;
const STARTUP_MS = 15_000;
/** How long a newer load waits for the one in progress before it takes its place by force. */
const SUPERSEDE_MS = 100;
/** An event loop that does not answer in this time is in an endless loop, not waiting. */
const PING_MS = 250;

interface Load {
  id: number;
  file: string;
  files: ReadonlyMap<string, string>;
  missing: readonly string[];
  waiting: ((attempt: LoadAttempt) => void)[];
}

/**
 * Loads configurations in a process of its own, which is kept warm between loads and replaced when a configuration has
 * harmed it. One load at a time; of several that are asked for meanwhile only the newest runs, and all get its result.
 */
export class ConfigLoader {
  private readonly entry: LoaderEntry;
  private readonly deadlineMs: number;
  private readonly startupMs: number;
  private readonly outputFd: number;
  private readonly clock: Clock;
  private child: LoaderChild | null = null;
  private current: Load | null = null;
  private next: Load | null = null;
  private lastId = 0;
  private closed = false;
  private deadline: Timer | null = null;
  private superseding: Timer | null = null;

  constructor(options: ConfigLoaderOptions = {}) {
    this.entry = options.entry ?? loaderEntry();
    this.deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.startupMs = options.startupMs ?? STARTUP_MS;
    this.outputFd = options.outputFd ?? 2;
    this.clock = options.clock ?? systemClock;
  }

  /** Process id of the loader process, or null. */
  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  /** All problems with file, line and column. Never rejects because of what the configuration does. */
  async load(file: string): Promise<Result<LoadedConfig>> {
    return (await this.attempt(file)).result;
  }

  /** Like `load`, with the files that were read also where it failed. */
  attempt(file: string): Promise<LoadAttempt> {
    if (this.closed) throw new Error('the config loader is closed');
    return new Promise((resolve) => {
      const waiting = [...(this.next?.waiting ?? []), resolve];
      this.next = { id: ++this.lastId, file: path.resolve(file), files: new Map(), missing: [], waiting };
      if (this.current === null) this.startNext();
      else this.superseding ??= this.clock.setTimeout(() => this.supersede(), SUPERSEDE_MS);
    });
  }

  /** Ends the process. Loads in progress fail. */
  async close(): Promise<void> {
    this.closed = true;
    this.clearTimers();
    const waiting = [...(this.current?.waiting ?? []), ...(this.next?.waiting ?? [])];
    this.current = null;
    this.next = null;
    const { child } = this;
    this.child = null;
    await child?.end();
    const result = fail(problem('MESH-C004', { message: 'loading was called off' }));
    for (const resolve of waiting) resolve({ result, files: new Map(), missing: [] });
  }

  private startNext(): void {
    const load = this.next;
    this.next = null;
    this.current = load;
    if (load === null) return;
    this.child ??= this.startChild();
    this.child.send({ kind: 'load', id: load.id, file: load.file });
    this.setDeadline(this.startupMs, load, `could not be bundled in ${seconds(this.startupMs)}`);
  }

  private startChild(): LoaderChild {
    const child: LoaderChild = new LoaderChild(this.entry, this.outputFd, {
      onInputs: (inputs) => {
        const load = this.current;
        if (inputs.id !== load?.id) return;
        load.files = new Map(inputs.files.map(({ path, text }) => [path, text]));
        load.missing = inputs.missing;
        this.setDeadline(this.deadlineMs, load, `took more than ${seconds(this.deadlineMs)}`);
      },
      onAnswer: (answer) => {
        if (answer.spent) this.replaceChild();
        if (answer.id === this.current?.id) this.settle(this.current, outcome(this.current, answer));
      },
      onEnd: (how) => {
        if (child !== this.child) return;
        this.child = null;
        if (this.current !== null) this.settle(this.current, fail({ ...endProblem(how), file: this.current.file }));
      },
    });
    return child;
  }

  /** The next load finds a warm process again. */
  private replaceChild(): void {
    const spent = this.child;
    this.child = null;
    void spent?.end();
    if (!this.closed) this.child = this.startChild();
  }

  private setDeadline(ms: number, load: Load, what: string): void {
    if (this.deadline !== null) this.clock.clearTimeout(this.deadline);
    this.deadline = this.clock.setTimeout(() => void this.expire(load, what), ms);
  }

  private async expire(load: Load, what: string): Promise<void> {
    const { child } = this;
    const alive = (await child?.isAlive(PING_MS, this.clock)) ?? false;
    // The answer may have come while the process was asked.
    if (this.current !== load || this.child !== child) return;
    this.replaceChild();
    const message = `${path.basename(load.file)} ${what}`;
    const hint = alive
      ? 'it waits for something that does not come: an await without an answer; leave slow work to a task service'
      : 'it is busy all the time: look for an endless loop in it or in what it imports';
    this.settle(load, fail({ ...problem('MESH-C004', { message, hint }), file: load.file }));
  }

  /** What is in progress is older than what is wanted, and takes its time: whoever waits for it gets the newer one. */
  private supersede(): void {
    this.superseding = null;
    if (this.current === null || this.next === null) return;
    this.next.waiting.unshift(...this.current.waiting);
    this.clearTimers();
    this.replaceChild();
    this.startNext();
  }

  private settle(load: Load, result: Result<LoadedConfig>): void {
    this.clearTimers();
    this.current = null;
    if (this.next !== null) this.next.waiting.unshift(...load.waiting);
    this.startNext();
    if (this.current !== null) return;
    for (const resolve of load.waiting) resolve({ result, files: load.files, missing: load.missing });
  }

  private clearTimers(): void {
    for (const timer of [this.deadline, this.superseding]) if (timer !== null) this.clock.clearTimeout(timer);
    this.deadline = null;
    this.superseding = null;
  }
}

function outcome({ file, files }: Load, answer: LoaderAnswer): Result<LoadedConfig> {
  const sources = configSources(file, files);
  if (answer.value === null) return { ok: false, problems: sources.locateAll(answer.problems) };
  const raw: unknown = JSON.parse(answer.value);
  const resolved = resolveConfig(raw, { baseDir: path.dirname(file) });
  if (!resolved.ok) return { ok: false, problems: sources.locateAll([...resolved.problems, ...answer.problems]) };
  const absent = checkProtoPaths(resolved.value);
  if (absent.length > 0) return { ok: false, problems: sources.locateAll([...absent, ...answer.problems]) };
  const value = { config: resolved.value, raw, dependencies: [...files.keys()], sources };
  const warnings = sources.locateAll([...(resolved.warnings ?? []), ...answer.problems]);
  return warnings.length === 0 ? { ok: true, value } : { ok: true, value, warnings };
}

function endProblem({ code, signal }: { code: number | null; signal: NodeJS.Signals | null }): Problem {
  // V8 aborts when the heap is full.
  const outOfMemory = signal === 'SIGABRT' || signal === 'SIGTRAP' || code === 134;
  if (outOfMemory) {
    const hint = 'look for a list that grows without end';
    return problem('MESH-C003', { message: 'it used up the memory that a configuration may have (512 MiB)', hint });
  }
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  return problem('MESH-C003', { message: `it ended the process that evaluates it: ${how}` });
}

const seconds = (ms: number): string => (ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`);
