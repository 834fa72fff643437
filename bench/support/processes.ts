import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import { sleep } from './mesh.ts';

const START_DEADLINE_MS = 10_000;
const STOP_DEADLINE_MS = 5_000;

/** Whether a program can be started here. */
export function installed(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The core for the proxies and the one for client and backend; null: they are not pinned. */
export interface Cores {
  readonly proxy: string | null;
  readonly load: string | null;
}

export function chooseCores(): Cores {
  const pinned = os.cpus().length >= 2 && installed('taskset');
  return pinned ? { proxy: '0', load: '1' } : { proxy: null, load: null };
}

/** Everything this process has started and that has not ended. */
const running = new Set<number>();
let watching = false;

/** A process that must not outlive this one, however it ends. */
export function own(pid: number): void {
  if (!watching) {
    watching = true;
    process.on('exit', () => {
      for (const each of running) kill(each, 'SIGKILL');
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  }
  running.add(pid);
}

export function disown(pid: number): void {
  running.delete(pid);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

/** A program that runs until it is stopped. */
export interface Running {
  readonly pid: number;
  /** First line of its standard output. */
  readonly firstLine: Promise<string>;
  /** Ends it and returns all that it printed. */
  stop(): Promise<string>;
}

/** Starts a program on one core. `taskset` becomes the program, so the process ID is the program's. */
export function start(
  core: string | null,
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Running {
  const [file, argv] = pinned(core, program, args);
  const child = spawn(file, argv, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${program} cannot be started`);
  own(pid);
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4_000);
  });
  let stopping = false;
  let output = '';
  const firstLine = new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      if (output.length < 64_000) output += chunk;
      if (output.includes('\n')) resolve(output.slice(0, output.indexOf('\n')));
    });
    child.once('exit', (code, signal) => {
      disown(pid);
      reject(new Error(`${program} ended with ${code ?? signal}: ${errors}`));
      if (!stopping) process.stderr.write(`${program} ended with ${code ?? signal}: ${errors}\n`);
    });
  });
  firstLine.catch(() => {});
  return {
    pid,
    firstLine,
    async stop() {
      stopping = true;
      await end(child);
      return output;
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  // Not `exit`: what it printed last may still be in the pipe.
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await ended;
  clearTimeout(timer);
}

/** Runs a program to its end and returns what it printed. */
export function run(core: string | null, program: string, args: readonly string[]): Promise<string> {
  const [file, argv] = pinned(core, program, args);
  return new Promise((resolve, reject) => {
    const child = execFile(file, argv, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (child.pid !== undefined) disown(child.pid);
      if (error === null) resolve(stdout);
      else reject(new Error(`${program} ${args.join(' ')}: ${stderr}${stdout}`));
    });
    if (child.pid !== undefined) own(child.pid);
  });
}

function pinned(core: string | null, program: string, args: readonly string[]): [string, string[]] {
  return core === null ? [program, [...args]] : ['taskset', ['-c', core, program, ...args]];
}

/** Moves a process that runs already, with all its threads. */
export async function pin(pid: number, core: string | null): Promise<void> {
  if (core !== null) await run(null, 'taskset', ['-acp', core, String(pid)]);
}

/** Resolves when something accepts connections on the port. */
export async function untilListening(port: number, of: Running | null = null): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  let gone: Error | null = null;
  of?.firstLine.catch((error: Error) => {
    gone = error;
  });
  while (!(await accepts(port))) {
    if (gone !== null) throw gone;
    if (performance.now() > deadline) throw new Error(`nothing listens on port ${port} after ${START_DEADLINE_MS} ms`);
    await sleep(20);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

let ticksPerSecond: number | null = null;

/** CPU time of a process and its threads so far, user and system, in seconds; null where there is no /proc. */
export async function cpuSeconds(pid: number): Promise<number | null> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  // proc(5): the name may hold spaces; utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Most file descriptors a process may have. */
export function fileLimit(): number {
  const text = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  return text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
}
