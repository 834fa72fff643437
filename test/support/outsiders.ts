import { type ChildProcess, spawn } from 'node:child_process';
import net from 'node:net';
import { afterEach } from 'vitest';
import { freePort } from './e2e.ts';

/** A process that no mesh started. */
export interface Outsider {
  readonly pid: number;
  readonly port: number;
  /** Resolves when it has ended. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

export interface OutsiderOptions {
  cwd?: string;
  /** On top of PATH and PORT. */
  env?: Record<string, string>;
  /** Default: a free one. */
  port?: number;
  /** Where it listens. Default: 127.0.0.1. */
  host?: string;
  /** Whom it runs as. Default: as the test. */
  account?: { uid: number; gid: number } | null;
}

const live = new Set<ChildProcess>();

/** Ends after each test what it left. Call once in each test file. */
export function cleanUpOutsiders(): void {
  afterEach(() => {
    for (const child of live) child.kill('SIGKILL');
    live.clear();
  });
}

/**
 * Starts a program and waits until it accepts connections on its port, which it finds in PORT or, written as `PORT`,
 * among its arguments. Its environment has nothing of a mesh's, nor of the test's.
 */
export async function startOutsider(argv: readonly string[], options: OutsiderOptions = {}): Promise<Outsider> {
  const port = options.port ?? (await freePort());
  const [program, ...rest] = argv.map((word) => word.replaceAll('PORT', String(port)));
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(program, rest, {
    cwd: options.cwd,
    env: { PATH, HOME, PORT: String(port), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.account == null ? {} : { uid: options.account.uid, gid: options.account.gid }),
  });
  live.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      live.delete(child);
      resolve();
    });
    child.once('error', (error) => {
      output += error.message;
      live.delete(child);
      resolve();
    });
  });
  const deadline = performance.now() + 20_000;
  while (!(await accepts(port, options.host))) {
    if (performance.now() > deadline || child.exitCode !== null) throw new Error(`${argv.join(' ')}: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    pid: child.pid!,
    port,
    async end(signal = 'SIGTERM') {
      child.kill(signal);
      await ended;
    },
  };
}

export function accepts(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    socket.once('connect', () => {
      socket.end().resume();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
