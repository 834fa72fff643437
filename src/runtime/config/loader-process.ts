import { isMainThread, Worker, workerData } from 'node:worker_threads';

/**
 * Entry of the loader process, and of a thread in it that ends the process when its parent is gone: the main thread
 * may be caught in an endless loop of the user's and would never notice.
 */
const LOOK_MS = 500;

if (isMainThread) {
  const watchdog = new Worker(process.argv[1], { workerData: { parent: process.ppid } });
  watchdog.unref();
  // Not needed in the thread, and it brings esbuild with it.
  const { serveLoads } = await import('./loader-service.ts');
  serveLoads();
} else {
  const { parent } = workerData as { parent: number };
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
  }, LOOK_MS);
}
