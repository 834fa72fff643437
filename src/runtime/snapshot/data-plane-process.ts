import { type ChildProcess, fork } from 'node:child_process';
import type { TapBatch } from '../../model/events.ts';
import type { ProxySpan } from '../../model/proxy-span.ts';
import type { Problem } from '../../model/result.ts';
import type { SnapshotDelta } from '../../model/snapshot.ts';
import type { ClusterQuery, FromDataPlane, TapSpec, ToDataPlane, TrafficTotals } from '../../proxy/channel.ts';
import type { ClusterView } from '../../proxy/cluster/cluster-view.ts';
import type { CounterData } from '../../proxy/telemetry/counters.ts';
import type { TraceSettings } from '../../proxy/telemetry/trace-recorder.ts';

/** A data plane that does not answer for so long is taken for hung and replaced. */
const ANSWER_TIMEOUT_MS = 10_000;
const SHUTDOWN_TIMEOUT_MS = 2_000;
/** Who asks for a view waits no longer: it is only to look at. */
const VIEW_TIMEOUT_MS = 1_000;

export interface DataPlaneEvents {
  onInFlight(workload: string, port: number, requests: number): void;
  onNotice(level: 'info' | 'warning' | 'error', service: string, text: string): void;
  onTraffic(totals: TrafficTotals): void;
  onCounters(slots: CounterData[]): void;
  onEvents(batches: { tap: number; batch: TapBatch }[]): void;
  onSpans(spans: ProxySpan[], dropped: number): void;
  /** The process is gone without having been asked to. */
  onDied(reason: string): void;
}

/**
 * The buffers that pass through a data plane count as old memory for V8, which starts from a heap of a few megabytes and
 * so marks all of it some twenty times a second under load. Measured (HTTP/1.1, 32 connections): 63 us of CPU time a
 * request with V8's own choice, 44 us with these, and no more memory.
 */
const HEAP_FLAGS = ['--initial-old-space-size=64', '--min-semi-space-size=8', '--max-semi-space-size=8'];

/** One data-plane process and the conversation with it. */
export class DataPlaneProcess {
  private readonly child: ChildProcess;
  private waiting: {
    type: FromDataPlane['type'];
    version: number;
    resolve: (message: FromDataPlane | null) => void;
  } | null = null;
  /** Questions for a view that have no answer yet. */
  private readonly views = new Map<number, (view: ClusterView | null) => void>();
  private lastView = 0;
  private closing = false;
  private gone = false;
  private readonly started: Promise<boolean>;

  constructor(
    entry: string,
    environment: NodeJS.ProcessEnv,
    stderr: number | 'ignore',
    private readonly events: DataPlaneEvents,
  ) {
    this.child = fork(entry, [], {
      env: environment,
      execArgv: HEAP_FLAGS,
      // Its own group: a signal to the terminal's foreground group is not meant for it.
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', stderr, 'ipc'],
    });
    this.started = new Promise((resolve) => {
      this.child.on('message', (message: FromDataPlane) => {
        if (message.type === 'ready') resolve(true);
        else this.onMessage(message);
      });
      this.child.on('exit', (code, signal) => {
        resolve(false);
        this.onExit(signal === null ? `exited with code ${code}` : `was ended by ${signal}`);
      });
      this.child.on('error', (error) => {
        resolve(false);
        this.onExit(`could not be started: ${error.message}`);
      });
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** False: it ended before it was ready. */
  ready(): Promise<boolean> {
    return this.started;
  }

  giveSocket(listener: string, handle: unknown): void {
    this.send({ type: 'socket', listener }, handle);
  }

  /** First phase. Problems, or null when the process died meanwhile. */
  async prepare(delta: SnapshotDelta): Promise<readonly Problem[] | null> {
    const answer = await this.ask({ type: 'prepare', delta }, 'prepared', delta.version);
    return answer?.type === 'prepared' ? answer.problems : null;
  }

  /** Second phase. */
  async commit(version: number): Promise<boolean> {
    return (await this.ask({ type: 'commit', version }, 'committed', version)) !== null;
  }

  /** Who looks at requests from now on. */
  tap(taps: TapSpec[], redactHeaders: string[]): void {
    this.send({ type: 'tap', taps, redactHeaders });
  }

  /** What to report for traces from now on. */
  trace(settings: TraceSettings | null): void {
    this.send({ type: 'trace', settings });
  }

  /** What it knows of a service's endpoints; null: there is no such service, or no answer. */
  view(query: ClusterQuery): Promise<ClusterView | null> {
    if (this.gone) return Promise.resolve(null);
    const id = ++this.lastView;
    return new Promise((resolve) => {
      const settle = (view: ClusterView | null) => {
        clearTimeout(timer);
        this.views.delete(id);
        resolve(view);
      };
      const timer = setTimeout(() => settle(null), VIEW_TIMEOUT_MS);
      this.views.set(id, settle);
      this.send({ type: 'view', id, query });
    });
  }

  abort(version: number): void {
    this.send({ type: 'abort', version });
  }

  async stop(): Promise<void> {
    this.closing = true;
    if (this.gone) return;
    const ended = new Promise<void>((resolve) => this.child.once('exit', () => resolve()));
    this.send({ type: 'shutdown' });
    const timer = setTimeout(() => this.child.kill('SIGKILL'), SHUTDOWN_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  private send(message: ToDataPlane, handle?: unknown): void {
    if (this.gone || !this.child.connected) return;
    // An error here means that the process is ending; its exit says the rest.
    this.child.send(message, handle as never, () => {});
  }

  private ask(message: ToDataPlane, type: FromDataPlane['type'], version: number): Promise<FromDataPlane | null> {
    if (this.gone) return Promise.resolve(null);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.events.onNotice(
          'error',
          '',
          `the data plane (pid ${this.pid}) did not answer within ${ANSWER_TIMEOUT_MS / 1000} s and is replaced`,
        );
        this.child.kill('SIGKILL');
      }, ANSWER_TIMEOUT_MS);
      this.waiting = {
        type,
        version,
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
      };
      this.send(message);
    });
  }

  private onMessage(message: FromDataPlane): void {
    switch (message.type) {
      case 'prepared':
      case 'committed': {
        const waiting = this.waiting;
        if (waiting === null || waiting.type !== message.type || waiting.version !== message.version) return;
        this.waiting = null;
        waiting.resolve(message);
        return;
      }
      case 'in-flight':
        this.events.onInFlight(message.workload, message.port, message.requests);
        return;
      case 'notice':
        this.events.onNotice(message.level, message.service, message.text);
        return;
      case 'traffic':
        this.events.onTraffic(message.totals);
        return;
      case 'counters':
        this.events.onCounters(message.slots);
        return;
      case 'events':
        this.events.onEvents(message.batches);
        return;
      case 'view':
        this.views.get(message.id)?.(message.view);
        return;
      case 'spans':
        this.events.onSpans(message.spans, message.dropped);
        return;
    }
  }

  private onExit(reason: string): void {
    if (this.gone) return;
    this.gone = true;
    const waiting = this.waiting;
    this.waiting = null;
    waiting?.resolve(null);
    for (const settle of [...this.views.values()]) settle(null);
    if (!this.closing) this.events.onDied(reason);
  }
}
