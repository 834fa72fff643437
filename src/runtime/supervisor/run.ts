import type { Command, ResolvedProbe, ResolvedService } from '../../model/resolved.ts';
import { ok, type Result } from '../../model/result.ts';
import type { Clock } from '../clock.ts';
import type { Ledger } from '../state/ledger.ts';
import { describeOwner, listeningPorts, portOwner } from '../state/port-owner.ts';
import { familyOf, listProcesses, readProcess } from '../state/process-table.ts';
import type { LogStore, ProcessOutput } from './log-files.ts';
import { probeOnce } from './probe-actions.ts';
import { ProbeLoop } from './probes.ts';
import { describeExit, type ProcessExit, type StartedProcess, startProcess } from './process.ts';
import { type Blocker, endProcess, type ProcessScan } from './process-end.ts';

/** What running processes takes, shared by all of a mesh. */
export interface RunContext {
  clock: Clock;
  ledger: Ledger;
  logs: LogStore;
  scan: ProcessScan;
  baseDir: string;
  /** Aborted: everything that is being ended gets SIGKILL at once. */
  force: AbortSignal;
  /** Something takes long to end. */
  onBlocked(blockers: Blocker[]): void;
}

export interface RunSpec {
  id: string;
  service: ResolvedService;
  command: Command;
  /** Instead of the service's. */
  cwd?: string;
  /** Whom it runs as, where not as we do. */
  account?: { readonly uid: number; readonly gid: number } | null;
  env: Record<string, string | undefined>;
  /** Where it has to listen; null: it takes no requests. */
  port: number | null;
  /** For the ledger, `port` included. */
  ports: readonly number[];
}

export type Readiness = { ok: true } | { ok: false; reason: string; exit: ProcessExit | null };

/** What happens to a run after it was ready. */
export interface RunEvents {
  ready(): void;
  unhealthy(reason: string): void;
  /** Its liveness probe says that it has to be replaced. */
  failed(reason: string): void;
  exited(exit: ProcessExit): void;
}

/** One process of an instance with its probes, from the spawn until everything it started is gone. */
export class Run {
  readonly process: StartedProcess;
  readonly port: number | null;
  /** Resolves once: ready, or why it will not be (exit, deadline, ended). */
  readonly readiness: Promise<Readiness>;
  private readonly spec: RunSpec;
  private readonly context: RunContext;
  private readonly output: ProcessOutput;
  private readonly loops: ProbeLoop[] = [];
  private events: RunEvents | null = null;
  private settle: (readiness: Readiness) => void = () => {};
  private ending: Promise<Blocker[]> | null = null;

  static async start(spec: RunSpec, context: RunContext): Promise<Result<Run>> {
    const { service, id } = spec;
    const output = context.logs.collect(service.name, id, crypto.randomUUID());
    if (!output.ok) return output;
    const started = await startProcess(
      {
        instance: id,
        owner: service.name,
        command: spec.command,
        cwd: spec.cwd ?? service.cwd,
        account: spec.account,
        baseDir: context.baseDir,
        env: spec.env,
        ports: spec.ports,
        output: output.value.descriptors,
      },
      context.ledger,
    );
    if (!started.ok) {
      output.value.finish();
      return started;
    }
    return ok(new Run(spec, context, started.value, output.value));
  }

  private constructor(spec: RunSpec, context: RunContext, process: StartedProcess, output: ProcessOutput) {
    this.spec = spec;
    this.context = context;
    this.process = process;
    this.output = output;
    this.port = spec.port;
    this.readiness = new Promise((resolve) => {
      this.settle = resolve;
    });
    void process.exited.then((exit) => this.onExit(exit));
    this.startProbes();
  }

  /** What it wrote last. */
  recentLines(): readonly string[] {
    return this.output.recentLines();
  }

  /** From now on events go there; one that was missed comes at once. Null: nobody listens. */
  follow(events: RunEvents | null): void {
    this.events = events;
    if (this.process.exit !== null) events?.exited(this.process.exit);
  }

  /** Ends it and all it started; also due after it exited by itself. Once ended, its output is in the log. */
  end(): Promise<Blocker[]> {
    this.ending ??= this.endOnce();
    return this.ending;
  }

  private async endOnce(): Promise<Blocker[]> {
    const { clock, ledger, scan, force } = this.context;
    const { signal, graceMs } = this.spec.service.stop;
    for (const loop of this.loops) loop.stop();
    this.settle({ ok: false, reason: 'it was stopped', exit: this.process.exit });
    const onBlocked = (blockers: Blocker[]): void => this.context.onBlocked(blockers);
    const left = await endProcess(this.process, { clock, ledger, scan, signal, graceMs, force, onBlocked });
    this.output.finish();
    return left;
  }

  private async onExit(exit: ProcessExit): Promise<void> {
    for (const loop of this.loops) loop.stop();
    this.settle({ ok: false, reason: describeExit(exit), exit });
    this.events?.exited(exit);
  }

  private startProbes(): void {
    const { service } = this.spec;
    const readiness = service.readiness ?? (this.port !== null && !service.task ? DEFAULT_READINESS : null);
    let wasReady = false;
    const startReadiness = (): void => {
      if (readiness === null) {
        wasReady = true;
        this.settle({ ok: true });
        startLiveness();
        return;
      }
      this.loop(readiness, {
        onPass: () => {
          if (wasReady) return this.events?.ready();
          void this.settleReady(() => {
            wasReady = true;
            startLiveness();
          });
        },
        onFail: (reason) => this.events?.unhealthy(reason),
        onDeadline: (reason) => void this.settleLate(readiness, reason),
      });
    };
    const startLiveness = (): void => {
      // Only now, so that a slow start is the readiness deadline's business, not a reason to be shot.
      if (service.liveness === null) return;
      const onFail = (reason: string): void => this.events?.failed(`liveness: ${reason}`);
      this.loop(service.liveness, { onPass: () => {}, onFail, onDeadline: null });
    };
    const { startup } = service;
    if (startup === null) startReadiness();
    else
      this.loop(startup, {
        onPass: startReadiness,
        onFail: () => {},
        onDeadline: (reason) => void this.settleLate(startup, reason),
      });
  }

  private loop(
    probe: ResolvedProbe,
    on: { onPass(): void; onFail(reason: string): void; onDeadline: ((reason: string) => void) | null },
  ): void {
    const { action } = probe;
    let first = true;
    const loop = new ProbeLoop({
      probe,
      clock: this.context.clock,
      check: (signal) =>
        action.kind === 'log'
          ? Promise.resolve({ ok: false, reason: '' })
          : probeOnce(action, { port: this.port, protocol: this.spec.service.protocol, run: this.runCommand }, signal),
      ...on,
      onPass: () => {
        // A startup probe stands back for the others; the rest go on.
        if (first && on.onPass !== undefined && probe === this.spec.service.startup) loop.stop();
        first = false;
        on.onPass();
      },
    });
    this.loops.push(loop);
    if (action.kind === 'log') {
      const pattern = new RegExp(action.pattern);
      const unsubscribe = this.output.onLines((texts) => {
        if (!texts.some((text) => pattern.test(text))) return;
        unsubscribe();
        loop.lineMatched();
      });
    }
    loop.start();
  }

  /** A fixed port that answers may answer for somebody older than this process. */
  private async settleReady(then: () => void): Promise<void> {
    const foreign = this.spec.service.port === null ? null : await this.foreignListener();
    if (foreign !== null) this.settle({ ok: false, reason: foreign, exit: null });
    else if (this.ending === null && this.process.exit === null) {
      then();
      this.settle({ ok: true });
    }
  }

  private async foreignListener(): Promise<string | null> {
    if (this.port === null) return null;
    const owner = await portOwner(this.port);
    const entry = owner === null || owner.pid === null ? null : readProcess(owner.pid);
    // What started later may serve for it (a container's port, a server it handed over to).
    if (owner === null || entry === null || entry.startOrder >= this.process.startOrder) return null;
    return `port ${this.port} is held by ${describeOwner(owner)}`;
  }

  private async settleLate(probe: ResolvedProbe, reason: string): Promise<void> {
    const seconds = Math.round(probe.deadlineMs / 100) / 10;
    const elsewhere = await this.listensElsewhere();
    this.settle({ ok: false, reason: `not ready within ${seconds} s: ${reason}${elsewhere}`, exit: null });
  }

  /** Most services that never become ready ignore PORT: say where they listen. */
  private async listensElsewhere(): Promise<string> {
    if (this.port === null) return '';
    const family = familyOf(this.process, this.process.marker, listProcesses());
    const sockets = await listeningPorts(family.map(({ pid }) => pid));
    const reachable = sockets.some(
      ({ port, address }) => port === this.port && ['127.0.0.1', '0.0.0.0', '::'].includes(address),
    );
    if (reachable || sockets.length === 0) return '';
    const where = sockets.map(({ port, address }) =>
      address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`,
    );
    const wanted = this.spec.service.port === null ? `127.0.0.1:${this.port} (PORT)` : `127.0.0.1:${this.port}`;
    return `; it listens on ${[...new Set(where)].join(', ')}, not on ${wanted}`;
  }

  private readonly runCommand = async (
    command: Command,
    signal: AbortSignal,
  ): Promise<{ code: number | null; reason: string }> => {
    const { service, id, env } = this.spec;
    const { clock, ledger, scan, baseDir } = this.context;
    const request = { instance: `probe of ${id}`, owner: service.name, command, cwd: service.cwd, baseDir, env };
    const started = await startProcess({ ...request, ports: [], output: 'ignore' }, ledger);
    if (!started.ok) return { code: null, reason: started.problems[0].message };
    const end = (): Promise<Blocker[]> =>
      endProcess(started.value, { clock, ledger, scan, signal: 'SIGKILL', graceMs: 0 });
    const aborted = new Promise<null>((resolve) => {
      if (signal.aborted) resolve(null);
      signal.addEventListener('abort', () => resolve(null), { once: true });
    });
    const exit = await Promise.race([started.value.exited, aborted]);
    await end();
    return exit === null
      ? { code: null, reason: 'gave no answer in time' }
      : { code: exit.code, reason: describeExit(exit) };
  };
}

/** Where a service declares none: its port accepts connections. */
const DEFAULT_READINESS: ResolvedProbe = {
  action: { kind: 'tcp', port: null },
  initialDelayMs: 0,
  intervalMs: null,
  timeoutMs: 1_000,
  failureThreshold: 3,
  successThreshold: 1,
  deadlineMs: 60_000,
};
