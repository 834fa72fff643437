import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface Outcome {
  code: number | null;
  /** stdout and stderr, as they came. */
  output: string;
}

/** Runs a program to its end, or kills it when the time is up. */
export function run(
  file: string,
  args: readonly string[],
  options: SpawnOptions & { input?: string; timeoutMs?: number } = {},
): Promise<Outcome> {
  const { input, timeoutMs = 15_000, ...rest } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...rest, stdio: 'pipe' });
    const chunks: Buffer[] = [];
    child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr!.on('data', (chunk: Buffer) => chunks.push(chunk));
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output: Buffer.concat(chunks).toString() });
    });
    child.stdin!.on('error', () => {});
    child.stdin!.end(input);
  });
}

export interface Server {
  readonly child: ChildProcess;
  /** What it has written so far. */
  output(): string;
  /** SIGKILL unless something else is said. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts a program that listens on `port` of 127.0.0.1 and waits until it does. */
export async function startServer(
  file: string,
  args: readonly string[],
  port: number,
  options: SpawnOptions = {},
): Promise<Server> {
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr!.on('data', (chunk: Buffer) => chunks.push(chunk));
  let failure = '';
  child.on('error', (error) => (failure = error.message));
  const output = () => Buffer.concat(chunks).toString() + failure;
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const stop = async (signal: NodeJS.Signals = 'SIGKILL') => {
    child.kill(signal);
    await ended;
  };
  const deadline = performance.now() + 15_000;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || failure !== '' || performance.now() > deadline) {
      await stop();
      throw new Error(`${file} does not listen on ${port}: ${output()}`);
    }
    await delay(20);
  }
  return { child, output, stop };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true));
    socket.on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
