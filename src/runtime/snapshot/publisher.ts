import { compile, diff, type RuntimeState } from '../../model/compile.ts';
import type { TapBatch } from '../../model/events.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { Listener, Snapshot } from '../../model/snapshot.ts';
import type { ClusterQuery, TapSpec, TrafficTotals } from '../../proxy/channel.ts';
import type { ClusterView } from '../../proxy/cluster/cluster-view.ts';
import type { CounterData } from '../../proxy/telemetry/counters.ts';
import type { TraceSettings } from '../../proxy/telemetry/trace-recorder.ts';
import type { BoundSocket } from '../network/bound-socket.ts';
import type { DataPlaneEvents, DataPlaneProcess } from './data-plane-process.ts';

/** Pauses between attempts to replace a data plane that dies at once. */
const REPLACE_BACKOFF_MS = [0, 100, 500, 2_000];

export interface PublisherOptions {
  /** Everything the next snapshot is made of, asked for when it is made. */
  source: () => { config: ResolvedConfig; state: Omit<RuntimeState, 'version'> };
  /** Sockets by listener name. */
  socket: (listener: string) => BoundSocket | undefined;
  spawn: (events: DataPlaneEvents) => DataPlaneProcess;
  /** A data plane has ended, by itself or asked to. */
  onGone: (pid: number) => void;
  onInFlight: (workload: string, port: number, requests: number, dataPlane: number) => void;
  onNotice: DataPlaneEvents['onNotice'];
  onTraffic: (totals: TrafficTotals, dataPlane: number) => void;
  onCounters: (slots: CounterData[], dataPlane: number) => void;
  onEvents: (batches: { tap: number; batch: TapBatch }[]) => void;
  onSpans: DataPlaneEvents['onSpans'];
  /** A data plane died; what it had under way is gone with it. */
  onDied: (dataPlane: number) => void;
}

/** One place in the row of data planes; the process in it may be replaced. */
interface Slot {
  index: number;
  process: DataPlaneProcess | null;
  /** What the process runs on. */
  snapshot: Snapshot | null;
  /** Sockets it has got, by listener name. */
  sockets: Map<string, BoundSocket>;
  deaths: number;
  replacing: boolean;
}

/**
 * Brings snapshots into force in every data plane at once: all prepare, and only if all succeed all commit. Requests to
 * publish that come in while one is under way are served together by the next.
 */
export class Publisher {
  private readonly slots: Slot[] = [];
  /** All that are not gone yet, also those that are not ready or on their way out. */
  private readonly processes = new Set<DataPlaneProcess>();
  private current: Snapshot | null = null;
  private version = 0;
  /** Who looks at requests; data planes to come are told too. */
  private taps: { specs: TapSpec[]; redactHeaders: string[] } = { specs: [], redactHeaders: [] };
  /** What is reported for traces; the same. */
  private tracing: TraceSettings | null = null;
  private running = false;
  private waiting: ((result: Result<Snapshot>) => void)[] = [];
  private closed = false;

  constructor(private readonly options: PublisherOptions) {}

  /** In force now. */
  get snapshot(): Snapshot | null {
    return this.current;
  }

  get pids(): number[] {
    return this.slots.flatMap((slot) => (slot.process === null ? [] : [slot.process.pid]));
  }

  /** Starts the data planes. */
  async start(count: number): Promise<boolean> {
    for (let index = 0; index < count; index++) {
      this.slots.push({ index, process: null, snapshot: null, sockets: new Map(), deaths: 0, replacing: false });
    }
    const started = await Promise.all(this.slots.map((slot) => this.spawn(slot)));
    return started.every(Boolean);
  }

  setTaps(specs: TapSpec[], redactHeaders: string[]): void {
    this.taps = { specs, redactHeaders };
    for (const { process } of this.slots) if (process !== null) this.tellTaps(process);
  }

  setTracing(settings: TraceSettings | null): void {
    this.tracing = settings;
    for (const { process } of this.slots) process?.trace(settings);
  }

  /** What the data plane of a workload knows of a service's endpoints; null: no such service, or no answer. */
  view(workload: string, query: ClusterQuery): Promise<ClusterView | null> {
    const slot = this.slots[shardOf(workload, Math.max(1, this.slots.length))];
    return slot?.process?.view(query) ?? Promise.resolve(null);
  }

  /** Resolves when everything known at the time of the call is in force everywhere, or was refused. */
  publish(): Promise<Result<Snapshot>> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      if (!this.running) void this.run();
    });
  }

  /** Ends the data planes, those that are just starting included. */
  async stop(): Promise<void> {
    this.closed = true;
    for (const slot of this.slots) slot.process = null;
    await Promise.all(
      [...this.processes].map(async (process) => {
        await process.stop();
        this.gone(process);
      }),
    );
  }

  private async run(): Promise<void> {
    this.running = true;
    // Changes made in the same turn belong together.
    await Promise.resolve();
    while (this.waiting.length > 0) {
      const served = this.waiting;
      this.waiting = [];
      const result = await this.round();
      for (const resolve of served) resolve(result);
    }
    this.running = false;
  }

  private async round(): Promise<Result<Snapshot>> {
    const { config, state } = this.options.source();
    const next = compile(config, { ...state, version: ++this.version }, this.current);
    const targets = this.slots.flatMap((slot) => {
      const process = slot.process;
      return process === null ? [] : [{ slot, process, part: this.shard(next, slot.index) }];
    });
    const sockets = targets.map(({ slot }) => new Map(slot.sockets));
    const prepared = await Promise.all(
      targets.map(({ slot, process, part }) => {
        this.giveSockets(slot, process, part);
        return process.prepare(diff(slot.snapshot, part));
      }),
    );
    // No answer (null) is a process that died: its successor gets the snapshot that is current then.
    const problems = prepared.flatMap((outcome) => outcome ?? []);
    if (problems.length > 0) {
      targets.forEach(({ slot, process }, i) => {
        process.abort(next.version);
        slot.sockets = sockets[i];
      });
      return fail(...problems);
    }
    this.current = next;
    await Promise.all(
      targets.map(async ({ slot, process, part }, i) => {
        if (prepared[i] !== null && (await process.commit(next.version)) && slot.process === process)
          slot.snapshot = part;
      }),
    );
    return ok(next);
  }

  private giveSockets(slot: Slot, process: DataPlaneProcess, part: Snapshot): void {
    for (const name of Object.keys(part.listeners)) {
      const socket = this.options.socket(name);
      // A listener that moves to another port keeps its name.
      if (socket === undefined || slot.sockets.get(name) === socket) continue;
      slot.sockets.set(name, socket);
      process.giveSocket(name, socket.handle);
    }
    for (const name of slot.sockets.keys()) if (!(name in part.listeners)) slot.sockets.delete(name);
  }

  /** The part of a snapshot that one of several data planes needs: the listeners of its workloads, and all the rest. */
  private shard(snapshot: Snapshot, index: number): Snapshot {
    if (this.slots.length === 1) return snapshot;
    const listeners: Record<string, Listener> = {};
    for (const [name, listener] of Object.entries(snapshot.listeners)) {
      if (shardOf(listener.workload, this.slots.length) === index) listeners[name] = listener;
    }
    return { ...snapshot, listeners };
  }

  private async spawn(slot: Slot): Promise<boolean> {
    const process: DataPlaneProcess = this.options.spawn({
      onInFlight: (workload, port, requests) => this.options.onInFlight(workload, port, requests, slot.index),
      onNotice: this.options.onNotice,
      onTraffic: (totals) => this.options.onTraffic(totals, slot.index),
      onCounters: (slots) => this.options.onCounters(slots, slot.index),
      onEvents: this.options.onEvents,
      onSpans: this.options.onSpans,
      onDied: (reason) => void this.replace(slot, process, reason),
    });
    this.processes.add(process);
    if (!(await process.ready()) || this.closed) return false;
    slot.process = process;
    slot.snapshot = null;
    slot.sockets = new Map();
    if (this.taps.specs.length > 0) this.tellTaps(process);
    if (this.tracing !== null) process.trace(this.tracing);
    return true;
  }

  /** Each data plane has its share of what a tap may show in a second. */
  private tellTaps(process: DataPlaneProcess): void {
    const specs = this.taps.specs.map(({ id, filter }) => ({
      id,
      filter: { ...filter, maxPerSecond: Math.ceil(filter.maxPerSecond / this.slots.length) },
    }));
    process.tap(specs, this.taps.redactHeaders);
  }

  private gone(process: DataPlaneProcess): void {
    if (this.processes.delete(process)) this.options.onGone(process.pid);
  }

  private async replace(slot: Slot, dead: DataPlaneProcess, reason: string): Promise<void> {
    this.gone(dead);
    // One that was never ready is the business of whoever waits for it.
    if (this.closed || slot.replacing || slot.process !== dead) return;
    slot.replacing = true;
    slot.process = null;
    slot.snapshot = null;
    const began = performance.now();
    this.options.onDied(slot.index);
    this.options.onNotice('error', '', `the data plane (pid ${dead.pid}) ${reason}; starting another`);
    while (!this.closed) {
      const pause = REPLACE_BACKOFF_MS[Math.min(slot.deaths, REPLACE_BACKOFF_MS.length - 1)];
      slot.deaths++;
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      if (await this.spawn(slot)) break;
    }
    slot.replacing = false;
    if (this.closed) return;
    const result = await this.publish();
    if (!result.ok) return;
    setTimeout(() => {
      slot.deaths = 0;
    }, 10_000).unref();
    this.options.onNotice('info', '', `the data plane is back after ${Math.round(performance.now() - began)} ms`);
  }
}

/** FNV-1a: the same workload always goes to the same data plane. */
function shardOf(workload: string, count: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < workload.length; i++) hash = Math.imul(hash ^ workload.charCodeAt(i), 0x01000193) >>> 0;
  return hash % count;
}
