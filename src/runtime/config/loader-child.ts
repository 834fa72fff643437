import { type ChildProcess, fork } from 'node:child_process';
import type { Clock } from '../clock.ts';
import type { LoaderEntry } from './loader-entry.ts';
import type { LoaderAnswer, LoaderMessage, LoaderRequest } from './loader-messages.ts';

const MAX_HEAP_MIB = 512;

export interface LoaderChildEvents {
  onEvaluating(id: number): void;
  onAnswer(answer: LoaderAnswer): void;
  /** It is gone without `end` having been called. */
  onEnd(how: { code: number | null; signal: NodeJS.Signals | null }): void;
}

/** One loader process. */
export class LoaderChild {
  private readonly process: ChildProcess;
  private readonly ended: Promise<void>;
  private ending = false;
  private lastPing = 0;
  private readonly pings = new Map<number, () => void>();

  constructor(entry: LoaderEntry, outputFd: number, events: LoaderChildEvents) {
    this.process = fork(entry.modulePath, [], {
      execArgv: [...entry.execArgv, `--max-old-space-size=${MAX_HEAP_MIB}`],
      stdio: ['ignore', outputFd, outputFd, 'ipc'],
    });
    this.process.on('message', (message: LoaderMessage) => {
      if (this.ending) return;
      if (message.kind === 'alive') this.pings.get(message.id)?.();
      else if (message.kind === 'evaluating') events.onEvaluating(message.id);
      else events.onAnswer(message);
    });
    // A write to a process that just died; `exit` tells the rest.
    this.process.on('error', () => {});
    this.ended = new Promise((resolve) => {
      this.process.once('exit', (code, signal) => {
        resolve();
        if (!this.ending) events.onEnd({ code, signal });
      });
      if (this.process.pid === undefined) this.process.once('error', () => resolve());
    });
  }

  get pid(): number | null {
    return this.process.pid ?? null;
  }

  send(request: LoaderRequest): void {
    if (this.process.connected) this.process.send(request);
  }

  /** Whether its event loop turns. */
  isAlive(withinMs: number, clock: Clock): Promise<boolean> {
    return new Promise((resolve) => {
      const id = ++this.lastPing;
      const done = (alive: boolean) => {
        clock.clearTimeout(timer);
        this.pings.delete(id);
        resolve(alive);
      };
      const timer = clock.setTimeout(() => done(false), withinMs);
      this.pings.set(id, () => done(true));
      this.send({ kind: 'ping', id });
    });
  }

  /** Kills it, and resolves when it is gone. Its esbuild service ends with it. */
  end(): Promise<void> {
    this.ending = true;
    this.process.kill('SIGKILL');
    return this.ended;
  }
}
