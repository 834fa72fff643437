import { type ChildProcess, fork } from 'node:child_process';
import type { Clock } from '../clock.ts';
import type { LoaderEntry } from './loader-entry.ts';
import type { LoaderAnswer, LoaderInputs, LoaderMessage, LoaderRequest } from './loader-messages.ts';

const MAX_HEAP_MIB = 512;

export interface LoaderChildEvents {
  onInputs(inputs: LoaderInputs): void;
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
      // What is experimental here is none of the user's business.
      execArgv: [...entry.execArgv, `--max-old-space-size=${MAX_HEAP_MIB}`, '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', outputFd, outputFd, 'ipc'],
    });
    this.process.on('message', (message: LoaderMessage) => {
      if (this.ending) return;
      if (message.kind === 'alive') this.pings.get(message.id)?.();
      else if (message.kind === 'inputs') events.onInputs(message);
      else events.onAnswer(message);
    });
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null) => {
        resolve();
        if (!this.ending) events.onEnd({ code, signal });
        this.ending = true;
      };
      this.process.once('exit', end);
      // It could not be started; or a write to a process that just died, of which `exit` tells the rest.
      this.process.on('error', () => {
        if (this.process.pid === undefined) end(null, null);
      });
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
