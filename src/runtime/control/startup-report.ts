/**
 * How a daemon tells the `mesh up` that spawned it how its start went: one line of JSON on the file descriptor named
 * by `--report-fd`, once, either when its control socket answers or when it gives up.
 */
import { closeSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Problem, Result } from '../../model/result.ts';

/** Problems: the daemon is about to exit. The reader may be gone, which is no concern of the daemon. */
export function writeStartupReport(fd: number, result: Result<void>): void {
  const report = result.ok ? { problems: [] } : { problems: result.problems };
  try {
    writeSync(fd, `${JSON.stringify(report)}\n`);
    closeSync(fd);
  } catch {
    // EPIPE or EBADF: nobody waits for the report.
  }
}

/** The report, or null if the writer ended without one. */
export async function readStartupReport(pipe: Readable): Promise<Problem[] | null> {
  let text = '';
  try {
    for await (const chunk of pipe) {
      text += chunk;
      const end = text.indexOf('\n');
      if (end >= 0) return (JSON.parse(text.slice(0, end)) as { problems: Problem[] }).problems;
    }
  } catch {
    return null;
  }
  return null;
}
