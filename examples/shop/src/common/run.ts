import type { RunningService, StartOptions } from './service.ts';

/** The main program of every service: start on PORT, stop on SIGTERM or Ctrl-C. */
export async function run(start: (options: StartOptions) => Promise<RunningService>): Promise<void> {
  let service: RunningService;
  try {
    service = await start({ port: Number(process.env.PORT ?? 0), env: process.env });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
    return;
  }
  // Nothing keeps the process alive once the service has stopped, so it ends by itself. The same signal often comes
  // twice, to the process group and from a parent that passes it on: the second one must not cut the first one short.
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    void service.stop();
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}
