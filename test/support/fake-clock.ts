import type { Clock, Timer } from '../../src/runtime/clock.ts';

interface Pending extends Timer {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/**
 * A clock that moves only when told to. Timers count running time, as Node's do: `advance` moves both running time
 * and wall clock, `jump` the wall clock alone (a laptop that slept, a user who set the clock).
 */
export class FakeClock implements Clock {
  private wallMs: number;
  private runningMs = 0;
  private order = 0;
  private readonly timers = new Set<Pending>();

  constructor(startMs: number = Date.UTC(2026, 0, 15, 12, 0, 0)) {
    this.wallMs = startMs;
  }

  /** Timers not yet fired or cleared. */
  get pending(): number {
    return this.timers.size;
  }

  now(): number {
    return this.wallMs;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: Pending = {
      dueMs: this.runningMs + Math.max(0, delayMs),
      order: this.order++,
      callback,
      unref: () => undefined,
    };
    this.timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer): void {
    this.timers.delete(timer as Pending);
  }

  /** Moves time on, firing each timer at its own moment, timers set meanwhile included. */
  advance(ms: number): void {
    const end = this.runningMs + ms;
    for (let next = this.next(end); next !== undefined; next = this.next(end)) {
      this.fire(next);
    }
    this.move(end);
  }

  /** Like `advance`, but lets promises settle after each timer. */
  async advanceAsync(ms: number): Promise<void> {
    const end = this.runningMs + ms;
    await settle();
    for (let next = this.next(end); next !== undefined; next = this.next(end)) {
      this.fire(next);
      await settle();
    }
    this.move(end);
    await settle();
  }

  /** Sets the wall clock forward or back without any running time passing. */
  jump(ms: number): void {
    this.wallMs += ms;
  }

  private next(endMs: number): Pending | undefined {
    let first: Pending | undefined;
    for (const timer of this.timers) {
      if (timer.dueMs > endMs) continue;
      if (first === undefined || timer.dueMs < first.dueMs) first = timer;
      else if (timer.dueMs === first.dueMs && timer.order < first.order) first = timer;
    }
    return first;
  }

  private fire(timer: Pending): void {
    this.move(timer.dueMs);
    this.timers.delete(timer);
    timer.callback();
  }

  private move(toMs: number): void {
    if (toMs <= this.runningMs) return;
    this.wallMs += toMs - this.runningMs;
    this.runningMs = toMs;
  }
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
