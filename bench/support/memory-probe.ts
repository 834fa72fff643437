/**
 * Loaded into a measured process by `--import`: on SIGUSR2 it collects garbage and writes what is left to the file that
 * MESH_BENCH_PROBE names. Costs nothing before.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface MemoryReport {
  /** Grows with every report. */
  serial: number;
  rss: number;
  heapUsed: number;
  external: number;
}

let serial = 0;
let gc: (() => void) | null = null;
process.on('SIGUSR2', () => {
  if (gc === null) {
    setFlagsFromString('--expose-gc');
    gc = runInNewContext('gc') as () => void;
  }
  gc();
  gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  const file = process.env.MESH_BENCH_PROBE!;
  writeFileSync(`${file}.new`, JSON.stringify({ serial: ++serial, rss, heapUsed, external } satisfies MemoryReport));
  renameSync(`${file}.new`, file);
});
