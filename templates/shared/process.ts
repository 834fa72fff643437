import type { Log } from './log.ts';

export interface Running {
  /** Finishes what is in flight, then resolves. */
  stop(): Promise<void>;
}

/** For a process: starts, and stops in order at the first SIGTERM or SIGINT; a second one ends it at once. */
export async function runUntilSignal(log: Log, start: () => Promise<Running>): Promise<void> {
  let running: Running;
  try {
    running = await start();
  } catch (error) {
    log.error('cannot start', { error });
    process.exitCode = 1;
    return;
  }
  let stopping = false;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info('stopping', { signal });
    try {
      await running.stop();
      log.info('stopped');
    } catch (error) {
      log.error('did not stop in order', { error });
      process.exitCode = 1;
    }
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** A port from the environment; 0 takes a free one. */
export function portFrom(env: NodeJS.ProcessEnv, preset: number): number {
  const port = Number(env.PORT ?? preset);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`PORT must be a port; it is ${env.PORT}`);
  return port;
}

export function required(env: NodeJS.ProcessEnv, name: string, example: string): string {
  const value = env[name];
  if (value === undefined || value === '') throw new Error(`${name} must be set, like ${name}=${example}`);
  return value;
}

/** Tries until it succeeds or the signal aborts, with growing pauses up to 5 s. */
export async function retrying(
  work: () => Promise<void>,
  signal: AbortSignal,
  failed: (error: unknown) => void,
): Promise<void> {
  for (let pauseMs = 100; !signal.aborted; pauseMs = Math.min(5_000, pauseMs * 2)) {
    try {
      await work();
      return;
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
    }
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, pauseMs);
      signal.addEventListener('abort', done);
    });
  }
}
