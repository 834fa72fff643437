/** Interval at which what is still under way is counted while something drains. */
const INTERVAL_MS = 20;

interface Watched {
  workload: string;
  port: number;
  count: () => number;
  reported: number;
}

/**
 * Tells the control plane how many requests are still under way towards applications that are about to be stopped, so
 * that it stops them as soon as the last one has ended. Costs nothing while nothing drains.
 */
export class DrainWatch {
  private readonly watched = new Map<string, Watched>();
  private timer: NodeJS.Timeout | null = null;

  constructor(private readonly report: (workload: string, port: number, requests: number) => void) {}

  /** Reports at once if something is under way, then every change until nothing is. */
  watch(workload: string, port: number, count: () => number): void {
    const key = `${workload}:${port}`;
    const requests = count();
    if (requests === 0) return;
    this.watched.set(key, { workload, port, count, reported: requests });
    this.report(workload, port, requests);
    this.timer ??= setInterval(() => this.look(), INTERVAL_MS).unref();
  }

  /** What is under way there is no longer of interest. */
  forget(workload: string, port: number): void {
    if (this.watched.delete(`${workload}:${port}`)) this.report(workload, port, 0);
  }

  close(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
    this.watched.clear();
  }

  private look(): void {
    for (const [key, watched] of this.watched) {
      const requests = watched.count();
      if (requests === watched.reported) continue;
      watched.reported = requests;
      this.report(watched.workload, watched.port, requests);
      if (requests === 0) this.watched.delete(key);
    }
    if (this.watched.size === 0) this.close();
  }
}
