import type { ResolvedProbe } from '../../model/resolved.ts';
import type { Clock, Timer } from '../clock.ts';
import type { ProbeOutcome } from './probe-actions.ts';

/** Until the first success, starting here: what is ready after 30 ms shall not wait for a second look at 200. */
const FIRST_INTERVAL_MS = 10;
/** A command costs a process each time. */
const FIRST_COMMAND_INTERVAL_MS = 100;
const INTERVAL_GROWTH = 1.3;
const STARTING_INTERVAL_MS = 200;
const STEADY_INTERVAL_MS = 5_000;

export interface ProbeLoopOptions {
  probe: ResolvedProbe;
  clock: Clock;
  /** Probes once; not called for `log` probes. */
  check(signal: AbortSignal): Promise<ProbeOutcome>;
  /** The threshold of successes was reached, at first or after failures. */
  onPass(): void;
  /** The threshold of failures was reached after a success, or for a liveness probe also before any. */
  onFail(reason: string): void;
  /** Called once if the first success takes longer than the deadline. Null: no deadline. */
  onDeadline: ((reason: string) => void) | null;
}

/**
 * One probe of one process, repeated until `stop`. Before the first pass failures are expected: they are only
 * remembered for the deadline's message. (A liveness probe, which has no deadline, counts them from the start.)
 */
export class ProbeLoop {
  /** Whether the last threshold reached was that of successes. */
  passed = false;
  /** Of the last failure. */
  lastReason = 'not probed yet';
  private readonly options: ProbeLoopOptions;
  private everPassed = false;
  private successes = 0;
  private failures = 0;
  private intervalMs: number;
  /** Until the next round, or within one until its timeout. */
  private timer: Timer | null = null;
  private deadline: Timer | null = null;
  private stopped = false;
  private running: AbortController | null = null;

  constructor(options: ProbeLoopOptions) {
    this.options = options;
    this.intervalMs = options.probe.action.kind === 'command' ? FIRST_COMMAND_INTERVAL_MS : FIRST_INTERVAL_MS;
  }

  start(): void {
    const { probe, clock, onDeadline } = this.options;
    if (onDeadline !== null && probe.deadlineMs > 0)
      this.deadline = clock.setTimeout(() => {
        this.deadline = null;
        if (!this.stopped && !this.everPassed) onDeadline(this.lastReason);
      }, probe.deadlineMs);
    if (probe.action.kind === 'log') this.lastReason = `no line matched /${probe.action.pattern}/`;
    else this.schedule(probe.initialDelayMs);
  }

  stop(): void {
    this.stopped = true;
    const { clock } = this.options;
    if (this.timer !== null) clock.clearTimeout(this.timer);
    if (this.deadline !== null) clock.clearTimeout(this.deadline);
    this.timer = null;
    this.deadline = null;
    this.running?.abort();
  }

  /** A matching line of a `log` probe, which has come true for good. */
  lineMatched(): void {
    if (!this.stopped && !this.everPassed) this.pass();
  }

  private schedule(delayMs: number): void {
    this.timer = this.options.clock.setTimeout(() => {
      this.timer = null;
      void this.round();
    }, delayMs);
  }

  private async round(): Promise<void> {
    const { probe, clock, check } = this.options;
    const controller = new AbortController();
    this.running = controller;
    let timedOut = false;
    this.timer = clock.setTimeout(() => {
      this.timer = null;
      timedOut = true;
      controller.abort();
    }, probe.timeoutMs);
    const outcome = await check(controller.signal);
    if (this.timer !== null) clock.clearTimeout(this.timer);
    this.timer = null;
    this.running = null;
    if (this.stopped) return;
    if (outcome.ok && !timedOut) this.succeed();
    else this.fail(outcome.ok ? 'no answer in time' : outcome.reason);
    if (!this.stopped) this.schedule(this.nextDelayMs());
  }

  private succeed(): void {
    this.failures = 0;
    if (++this.successes >= this.options.probe.successThreshold && !this.passed) this.pass();
  }

  private pass(): void {
    this.passed = true;
    this.everPassed = true;
    if (this.deadline !== null) this.options.clock.clearTimeout(this.deadline);
    this.deadline = null;
    this.options.onPass();
  }

  private fail(reason: string): void {
    this.lastReason = reason;
    this.successes = 0;
    this.failures++;
    const counts = this.passed || (!this.everPassed && this.options.onDeadline === null);
    if (!counts || this.failures < this.options.probe.failureThreshold) return;
    this.passed = false;
    this.failures = 0;
    this.options.onFail(reason);
  }

  private nextDelayMs(): number {
    const { intervalMs } = this.options.probe;
    if (this.passed) return intervalMs ?? STEADY_INTERVAL_MS;
    if (this.everPassed || this.options.onDeadline === null) return intervalMs ?? STARTING_INTERVAL_MS;
    const longest = intervalMs ?? STARTING_INTERVAL_MS;
    const delay = Math.min(this.intervalMs, longest);
    this.intervalMs = Math.min(Math.ceil(this.intervalMs * INTERVAL_GROWTH), longest);
    return delay;
  }
}
