import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import type { Problem } from '../../model/result.ts';
import { type Clock, systemClock } from '../clock.ts';

export interface TypeCheckOptions {
  /** The configuration, absolute. */
  file: string;
  /** Directory for a project file that exists while the compiler runs, inside the project so that it finds its packages. */
  scratchDir: string;
  /** Default: 60000. */
  timeoutMs?: number;
  clock?: Clock;
}

const TIMEOUT_MS = 60_000;
const NICENESS = 10;
const MAX_OUTPUT_BYTES = 1024 * 1024;
/** Mesh runs configurations as they are: that the package is not installed, or how a path ends, does not matter. */
const IRRELEVANT = /^(?:TS5097|TS2307: Cannot find module 'localmesh')/;

let scratchFiles = 0;

/**
 * Checks the types of a configuration in the background with the project's own compiler. Only warns, and only about the
 * files of the configuration. One check at a time: starting another kills the one before.
 */
export class TypeCheck {
  private readonly options: TypeCheckOptions;
  private running: ChildProcess | null = null;
  private finished: Promise<unknown> = Promise.resolve();
  private latest = 0;

  constructor(options: TypeCheckOptions) {
    this.options = options;
  }

  /**
   * @param dependencies the files to report about, absolute.
   * @returns null if there is nothing to check with (no compiler, no tsconfig.json), or if another check took its place.
   */
  async check(dependencies: readonly string[]): Promise<Problem[] | null> {
    this.cancel();
    const turn = this.latest;
    const tools = findTools(path.dirname(this.options.file));
    if (tools === null || !existsSync(this.options.scratchDir)) return null;
    const run = this.run(tools, turn);
    this.finished = Promise.allSettled([this.finished, run]);
    const output = await run;
    return output === null || turn !== this.latest ? null : problemsOf(output, dependencies);
  }

  /** Kills the check that is in progress. */
  cancel(): void {
    this.latest++;
    const pid = this.running?.pid;
    this.running = null;
    if (pid !== undefined) endGroup(pid);
  }

  /** Resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.cancel();
    await this.finished;
  }

  private async run({ compiler, project }: Tools, turn: number): Promise<Output | null> {
    const { file, scratchDir, timeoutMs = TIMEOUT_MS, clock = systemClock } = this.options;
    const scratch = path.join(scratchDir, `typecheck-${process.pid}-${++scratchFiles}.json`);
    try {
      await writeFile(scratch, JSON.stringify(projectFile(project, file)));
    } catch {
      // A full disk or a directory that cannot be written is somebody else's to report; types only ever warn.
      return null;
    }
    try {
      return turn === this.latest ? await this.compile(compiler, scratch, clock, timeoutMs) : null;
    } finally {
      await rm(scratch, { force: true });
    }
  }

  private compile(compiler: string, project: string, clock: Clock, timeoutMs: number): Promise<Output | null> {
    const cwd = path.dirname(this.options.file);
    // A group of its own: the compiler is a script that starts a program.
    const child = spawn(compiler, ['-p', project, '--pretty', 'false'], {
      cwd,
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.running = child;
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (text.length < MAX_OUTPUT_BYTES) text += chunk;
    });
    if (child.pid !== undefined) yieldTo(child.pid);
    const timer = clock.setTimeout(() => child.pid !== undefined && endGroup(child.pid), timeoutMs);
    return new Promise((resolve) => {
      const done = (output: Output | null) => {
        clock.clearTimeout(timer);
        if (this.running === child) this.running = null;
        resolve(output);
      };
      child.once('error', () => done(null));
      child.once('close', (_, signal) => done(signal === null ? { text, cwd } : null));
    });
  }
}

interface Output {
  text: string;
  /** Paths in the text are relative to it. */
  cwd: string;
}

interface Tools {
  compiler: string;
  project: string;
}

function findTools(directory: string): Tools | null {
  const compiler = nearest(directory, path.join('node_modules', '.bin', 'tsc'));
  const project = nearest(directory, 'tsconfig.json');
  return compiler === null || project === null ? null : { compiler, project };
}

function nearest(start: string, name: string): string | null {
  for (let directory = start; ; directory = path.dirname(directory)) {
    const file = path.join(directory, name);
    if (existsSync(file)) return file;
    if (path.dirname(directory) === directory) return null;
  }
}

/** The project's own settings, for the configuration alone. */
const projectFile = (project: string, file: string) => ({
  extends: project,
  files: [file],
  include: [],
  references: [],
  compilerOptions: { noEmit: true, composite: false, incremental: false, skipLibCheck: true },
});

function problemsOf({ text, cwd }: Output, dependencies: readonly string[]): Problem[] {
  const files = new Set(dependencies);
  const problems: Problem[] = [];
  for (const line of text.split('\n')) {
    const found = /^(.+)\((\d+),(\d+)\): error (TS\d+: .*)$/.exec(line.trimEnd());
    if (found === null) continue;
    const file = path.resolve(cwd, found[1]);
    if (!files.has(file) || IRRELEVANT.test(found[4])) continue;
    const warning = problem('MESH-C011', { message: found[4].replace(/\.$/, ''), severity: 'warning' });
    problems.push({ ...warning, file, line: Number(found[2]), column: Number(found[3]) });
  }
  return problems;
}

/** Services are started while it runs, and they come first. */
function yieldTo(pid: number): void {
  try {
    os.setPriority(pid, NICENESS);
  } catch {
    // It is over already.
  }
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is over already.
  }
}
