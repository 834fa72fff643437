import net from 'node:net';
import { listeningLocally } from '../state/port-owner.ts';
import { isRunning } from '../state/process-table.ts';
import { isLocal } from './checks.ts';
import type { Injected } from './injected.ts';

/** Time between two looks; a death is seen within two of them. */
const INTERVAL_MS = 100;
/** Elsewhere than on Linux a look at a process starts `ps`, and one at a port makes a connection. */
const SLOW_INTERVAL_MS = 500;
/** Remote addresses: time between two connections, time for each, and failures in a row that count. */
const REMOTE_INTERVAL_MS = 400;
const REMOTE_TIMEOUT_MS = 1_000;

export interface LivenessOptions {
  subjects: () => readonly Injected[];
  /** One that was waited for accepts connections. */
  onUp: (injected: Injected) => void;
  onGone: (injected: Injected, why: string) => void;
  onTick: () => void;
}

/**
 * Sees injected processes come and go. On Linux by /proc alone, which costs them nothing; where that says nothing, by
 * connections that are closed again at once.
 */
export class Liveness {
  private timer: NodeJS.Timeout | null = null;
  private readonly lookedAtMs = new Map<string, number>();
  private readonly failures = new Map<string, number>();
  private looking = false;

  constructor(private readonly options: LivenessOptions) {}

  /** Looks for as long as there is anybody to look after. */
  watch(): void {
    this.timer ??= setInterval(() => void this.look(), INTERVAL_MS);
  }

  close(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    const subjects = this.options.subjects();
    if (subjects.length === 0) {
      this.close();
      return;
    }
    this.looking = true;
    try {
      const listening = listeningLocally();
      await Promise.all(subjects.map((injected) => this.lookAt(injected, listening)));
      this.options.onTick();
    } finally {
      this.looking = false;
    }
  }

  private async lookAt(injected: Injected, listening: ReturnType<typeof listeningLocally>): Promise<void> {
    const { instance, host, port, pid, startTime, state, leaving } = injected;
    if (leaving) return;
    const local = isLocal(host);
    if ((!local || listening === null) && !this.isDue(instance, local ? SLOW_INTERVAL_MS : REMOTE_INTERVAL_MS)) return;
    const runs = pid === null || startTime === null || isRunning({ pid, startTime });
    if (!runs && state !== 'gone') return this.options.onGone(injected, `pid ${pid} has ended`);
    const up = local && listening !== null ? listening(host, port) : await accepts(host, port, REMOTE_TIMEOUT_MS);
    if (state !== 'ready') {
      if (up) this.options.onUp(injected);
      return;
    }
    if (up) {
      this.failures.delete(instance);
      return;
    }
    const failures = (this.failures.get(instance) ?? 0) + 1;
    this.failures.set(instance, failures);
    if (failures < 2) return;
    this.failures.delete(instance);
    this.options.onGone(injected, `it no longer listens on ${local ? 'port ' : `${host}:`}${port}`);
  }

  private isDue(instance: string, intervalMs: number): boolean {
    const now = performance.now();
    if (now - (this.lookedAtMs.get(instance) ?? Number.NEGATIVE_INFINITY) < intervalMs) return false;
    this.lookedAtMs.set(instance, now);
    return true;
  }
}

/** Whether something accepts connections there. */
export function accepts(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    const finish = (up: boolean): void => {
      clearTimeout(timer);
      // In good order, as a reset is an error event in the application.
      if (up) socket.resume().end();
      else socket.destroy();
      socket.setTimeout(1_000, () => socket.destroy());
      resolve(up);
    };
    const timer = setTimeout(() => finish(false), timeoutMs);
    socket.once('connect', () => finish(true));
    socket.on('error', () => finish(false));
  });
}
