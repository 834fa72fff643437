/** A pending call, as returned by `Clock.setTimeout`. */
export interface Timer {
  /** Lets the process end although the call is still pending. */
  unref(): unknown;
}

/** Time, injected wherever behaviour depends on it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. It may jump: the user sets it, a laptop wakes up. */
  now(): number;
  /** Calls back once after `delayMs` of running time (which stands still while a laptop sleeps). */
  setTimeout(callback: () => void, delayMs: number): Timer;
  clearTimeout(timer: Timer): void;
}

/** What Node's timers can count; beyond it they fire after 1 ms instead. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** The machine's clock. A delay beyond 24 days is cut to that: whoever waits for a date has to look at `now()` again. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, Math.min(delayMs, LONGEST_DELAY_MS)),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};
