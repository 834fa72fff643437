import type { Clock } from '../clock.ts';
import type { Ledger } from '../state/ledger.ts';
import {
  commandOf,
  familyOf,
  isRunning,
  listProcesses,
  type ProcessEntry,
  signalGroup,
  signalProcess,
} from '../state/process-table.ts';
import type { StartedProcess } from './process.ts';

/** What stands in the way of an end. */
export interface Blocker {
  instance: string;
  pid: number;
  command: string;
  /** Since the first signal, in running time. */
  waitedMs: number;
}

export interface EndOptions {
  clock: Clock;
  ledger: Ledger;
  scan: ProcessScan;
  signal: NodeJS.Signals;
  /** Between the signal and SIGKILL. */
  graceMs: number;
  /** Aborted: SIGKILL at once. */
  force?: AbortSignal;
  /** Called every second with what still runs. */
  onBlocked?: (blockers: Blocker[]) => void;
}

/** Lists all processes; calls that come within a few milliseconds share one look, since many services end together. */
export type ProcessScan = () => Promise<readonly ProcessEntry[]>;

export function createProcessScan(clock: Clock, gatherMs = 5): ProcessScan {
  let next: Promise<readonly ProcessEntry[]> | null = null;
  return () => {
    next ??= new Promise((resolve) => {
      clock.setTimeout(() => {
        next = null;
        resolve(listProcesses());
      }, gatherMs);
    });
    return next;
  };
}

/** Time for the kernel to end what got SIGKILL; longer only in uninterruptible sleep (a dead network disk). */
const KILL_MS = 3_000;

/**
 * Ends a process with everything it started: its group, its descendants, and those with its marker that left both.
 * Also to be called after it exited by itself, for the children it left. The value is what even SIGKILL did not end;
 * empty means that all is gone, and that the ledger says so.
 */
export async function endProcess(target: StartedProcess, options: EndOptions): Promise<Blocker[]> {
  const { clock, force } = options;
  const startedMs = performance.now();
  const members = new Map<number, ProcessEntry>();
  const pause = createPause(clock);
  let signal: NodeJS.Signals = force?.aborted ? 'SIGKILL' : options.signal;
  let givenUp = false;
  let giveUpTimer = undefined as ReturnType<Clock['setTimeout']> | undefined;
  const toKill = (): void => {
    signal = 'SIGKILL';
    giveUpTimer ??= clock.setTimeout(() => {
      givenUp = true;
      pause.wake();
    }, KILL_MS);
    pause.wake();
  };
  if (signal === 'SIGKILL') toKill();
  const graceTimer = clock.setTimeout(toKill, options.graceMs);
  force?.addEventListener('abort', toKill, { once: true });
  void target.exited.then(() => pause.wake());

  const blockers = (): Blocker[] =>
    [...members.values()].filter(isRunning).map(({ pid }) => ({
      instance: target.instance,
      pid,
      command: commandOf(pid),
      waitedMs: performance.now() - startedMs,
    }));
  let reportTimer = clock.setTimeout(function report() {
    options.onBlocked?.(blockers());
    reportTimer = clock.setTimeout(report, 1_000);
  }, 1_000);

  try {
    const sent = new Map<number, NodeJS.Signals>();
    let groupGot: NodeJS.Signals | null = null;
    let passes = 0;
    for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 2, 100)) {
      // Looked at before the first signal too: a child in another session and with another environment is known by
      // its parent alone, which is about to go.
      const listed = familyOf({ pid: target.pid, startOrder: target.startOrder }, target.marker, await options.scan());
      for (const entry of listed) members.set(entry.pid, entry);
      for (const [pid, entry] of members) if (!listed.includes(entry) && !isRunning(entry)) members.delete(pid);
      if (members.size === 0 && target.exit !== null) break;
      if (givenUp) return blockers();
      if (groupGot !== signal) {
        groupGot = signal;
        signalGroup(target.pid, signal);
      }
      for (const entry of members.values()) {
        if (sent.get(entry.pid) === signal) continue;
        // In the group and there when it was signalled: has it. SIGKILL cannot be given twice to harm.
        if (entry.pgid !== target.pid || passes > 0) signalProcess(entry, signal);
        sent.set(entry.pid, signal);
      }
      passes++;
      await pause.wait(pauseMs);
    }
  } finally {
    clock.clearTimeout(graceTimer);
    clock.clearTimeout(reportTimer);
    if (giveUpTimer !== undefined) clock.clearTimeout(giveUpTimer);
    force?.removeEventListener('abort', toKill);
  }
  options.ledger.ended(target.marker);
  return [];
}

/** A pause that can be cut short. */
function createPause(clock: Clock): { wait(ms: number): Promise<void>; wake(): void } {
  let wake = (): void => {};
  return {
    wait: (ms) =>
      new Promise((resolve) => {
        const timer = clock.setTimeout(resolve, ms);
        wake = () => {
          clock.clearTimeout(timer);
          resolve();
        };
      }),
    wake: () => wake(),
  };
}
