import { problem } from '../../model/errors.ts';
import type { Command, ResolvedService, ResolvedSubset } from '../../model/resolved.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { EndpointState } from '../../model/snapshot.ts';
import type { InstanceState, InstanceStatus } from '../../model/status.ts';
import type { Timer } from '../clock.ts';
import { describeOwner, portOwner } from '../state/port-owner.ts';
import type { InstanceNetwork, InstancePorts } from './contract.ts';
import { inheritedEnvironment, readEnvFiles } from './instance-environment.ts';
import { InstanceRecord, type RecordContext } from './instance-record.ts';
import { describeExit, type ProcessExit } from './process.ts';
import type { Blocker } from './process-end.ts';
import { type Readiness, Run, type RunContext } from './run.ts';

export interface InstanceContext extends RunContext, RecordContext {
  network: InstanceNetwork;
  /** In [0, 1). */
  random(): number;
  /** What is laid over the inherited environment. `files`: of the service's env files. */
  environment(instance: InstanceSpec, ports: InstancePorts, files: Record<string, string>): Record<string, string>;
  /** What services inherit from whoever started the mesh. */
  inherited: Readonly<Record<string, string | undefined>>;
  /** How services that stand for a resource are run. */
  resources?: ResourceLaunches;
  /** Builds the service, or joins the build that runs. */
  build(service: ResolvedService): Promise<Result<void>>;
}

/** What the rest of the daemon knows about running resources. */
export interface ResourceLaunches {
  /** What to run instead of the service's command; null: nothing else. `env`: what a service of the user's would get. */
  prepare(instance: InstanceSpec, port: number | null, env: Launch['env']): Promise<Result<Launch | null>>;
  /** What the last lines of one that ended say, where that is known better than by its exit. */
  diagnose(service: ResolvedService, lines: readonly string[]): Problem | null;
}

/** How a process is started. */
export interface Launch {
  command: Command;
  /** The whole environment. */
  env: Record<string, string | undefined>;
  cwd: string;
  /** Whom it runs as, where not as we do. */
  account: { readonly uid: number; readonly gid: number } | null;
}

export interface InstanceSpec {
  id: string;
  service: ResolvedService;
  subset: ResolvedSubset;
}

/** An instance that stayed ready for so long starts anew with its count of failures. */
const STREAK_RESET_MS = 60_000;
/**
 * One instance: keeps a process running as its service's restart policy says, tells the network what state it is in,
 * and replaces the process without a gap when asked to.
 *
 * Whatever takes time remembers the `life` it began in; `stop` and cold restarts begin a new one, and what belongs to
 * an old one finds out at its next step and leaves the rest to them.
 */
export class Instance {
  spec: InstanceSpec;
  ports: InstancePorts | null = null;
  private readonly context: InstanceContext;
  readonly record: InstanceRecord;
  /** Whether it ought to run. */
  private active = false;
  private life = 0;
  private stops = 0;
  private current: Run | null = null;
  private successor: Run | null = null;
  /** All that are not gone yet. */
  private readonly runs = new Set<Run>();
  private spawning: Promise<void> = Promise.resolve();
  /** Failures in a row. */
  private streak = 0;
  private lastFailure = '';
  private retryTimer: Timer | null = null;
  private streakTimer: Timer | null = null;
  private stopping: Promise<Blocker[]> | null = null;
  private rolling: Promise<unknown> = Promise.resolve();

  constructor(spec: InstanceSpec, context: InstanceContext) {
    this.spec = spec;
    this.context = context;
    this.record = new InstanceRecord(spec.service.name, spec.id, context);
  }

  get progress(): { state: InstanceState; reason: string; started: boolean } {
    return {
      state: this.record.state,
      reason: this.record.reason,
      started: this.current !== null || this.record.state === 'completed',
    };
  }

  /** Resolves when a stop that is under way has ended. */
  async stopped(): Promise<void> {
    await this.stopping;
  }

  get isRunning(): boolean {
    return this.active || this.runs.size > 0 || this.stopping !== null;
  }

  status(spiffeId: string): InstanceStatus {
    const run = this.current ?? this.successor;
    return {
      id: this.spec.id,
      subset: this.spec.subset.name,
      state: this.record.state,
      reason: this.record.reason,
      pid: run?.process.exit === null ? run.process.pid : null,
      appPort: this.current?.port ?? this.ports?.app ?? null,
      inboundPort: this.ports?.inbound ?? null,
      outboundPort: this.ports?.outbound ?? null,
      restarts: this.record.restarts,
      startedAt: this.record.startedAt,
      readyAfterMs: this.record.readyAfterMs,
      spiffeId,
    };
  }

  /** Begins to run it, unless it does already. */
  start(): void {
    if (this.active) return;
    this.active = true;
    this.streak = 0;
    const life = ++this.life;
    void this.launch(life, false);
  }

  /** Ends it. `drain`: requests in flight may end first, for as long as the grace period. The value is what would not end. */
  stop(options: { drain: boolean }): Promise<Blocker[]> {
    this.life++;
    this.stops++;
    this.active = false;
    this.stopping ??= this.stopOnce(options.drain).finally(() => {
      this.stopping = null;
    });
    return this.stopping;
  }

  /**
   * Replaces the process by a new one, from the present spec. Where the port is assigned, the old one serves until the
   * new one is ready, and goes on if that never is; where it is fixed, requests are parked meanwhile.
   */
  restart(cause: string): Promise<Result<void>> {
    const { stops } = this;
    // A stop that came while it waited for its turn has the last word.
    const next = this.rolling.then(() => (stops === this.stops ? this.replace(cause) : fail(this.stoppedProblem())));
    this.rolling = next;
    return next;
  }

  /** First start of the processes of a life, and every further one. Parks requests until the instance is ready. */
  private async launch(life: number, built: boolean): Promise<void> {
    const { context } = this;
    if (this.stopping !== null) await this.stopping;
    if (life !== this.life) return;
    this.record.change('starting', this.sinceFailure());
    await this.publish('starting', null);
    if (life !== this.life) return;
    const { service } = this.spec;
    if (service.build !== null && !built) {
      this.record.change('starting', 'building');
      const outcome = await context.build(service);
      if (life !== this.life) return;
      if (!outcome.ok) return this.giveUp('the build failed', outcome.problems);
    }
    const opened = await this.openPorts();
    if (life !== this.life) return;
    const port = opened.ok ? await this.freePort(opened.value) : opened;
    if (life !== this.life) return;
    if (!port.ok)
      return this.retry(
        port.problems[0].message,
        null,
        port.problems[0].code === 'MESH-N101' ? 'MESH-N101' : 'MESH-N103',
      );
    if (!opened.ok) return;
    const startedMs = performance.now();
    const run = await this.startRun(opened.value, port.value);
    if (!run.ok) return life === this.life ? this.giveUp(run.problems[0].message, run.problems) : undefined;
    if (life !== this.life) return void this.endRun(run.value);
    this.current = run.value;
    this.record.change('starting', this.sinceFailure());
    const readiness = await run.value.readiness;
    if (life !== this.life) return;
    if (readiness.ok) await this.becomeReady(run.value, startedMs);
    else await this.fail(run.value, await this.explain(run.value, readiness), readiness.exit);
  }

  private async openPorts(): Promise<Result<InstancePorts>> {
    const { id, service, subset } = this.spec;
    return this.fromNetwork(async (network) => {
      this.ports = await network.open({ id, service: service.name, subset: subset.name });
      return this.ports;
    });
  }

  /** Ports run out, and so do descriptors: that fails the instance, not the mesh. */
  private async fromNetwork<T>(ask: (network: InstanceNetwork) => Promise<T>): Promise<Result<T>> {
    try {
      return ok(await ask(this.context.network));
    } catch (error) {
      const message = `${this.spec.id}: ${(error as Error).message}`;
      return fail(problem('MESH-N103', { message, hint: 'stop what uses so many ports, or raise `ulimit -n`' }));
    }
  }

  /** The application port to start on. */
  private async freePort(ports: InstancePorts): Promise<Result<number | null>> {
    if (ports.app === null) return ok(null);
    const owner = await portOwner(ports.app);
    if (owner === null) return ok(ports.app);
    // Reserved is not bound: somebody may have taken it meanwhile.
    if (this.spec.service.port === null) return this.fromNetwork((network) => network.nextAppPort(this.spec.id));
    return fail(problem('MESH-N101', { message: `port ${ports.app} is in use by ${describeOwner(owner)}` }));
  }

  private async startRun(ports: InstancePorts, port: number | null): Promise<Result<Run>> {
    const { context, spec } = this;
    const { service, subset, id } = spec;
    const files = readEnvFiles(service);
    if (!files.ok) return files;
    const own = context.environment(spec, { ...ports, app: port }, files.value);
    const env = { ...inheritedEnvironment(context.inherited), ...own };
    const special = await this.prepare(port, env);
    if (!special.ok) return special;
    const command = special.value?.command ?? subset.command ?? service.command;
    if (command === null) throw new Error(`${id} has no command`);
    const used = [...(port === null ? [] : [port]), ports.inbound, ports.outbound];
    const spawning = Run.start({ id, service, command, env, port, ports: used, ...special.value }, context);
    this.spawning = spawning.then((started) => void (started.ok && this.runs.add(started.value)));
    const run = await spawning;
    await this.spawning;
    if (!run.ok) return run;
    this.record.startedAt = new Date(context.clock.now()).toISOString();
    this.record.note(`starting, pid ${run.value.process.pid}${port === null ? '' : `, port ${port}`}`);
    return run;
  }

  /** A stop waits for it, and it is the last thing then. */
  private async prepare(port: number | null, env: Launch['env']): Promise<Result<Launch | null>> {
    const { context, spec, life } = this;
    if (spec.service.resource === undefined || context.resources === undefined) return ok(null);
    const preparing = context.resources.prepare(spec, port, env);
    this.spawning = preparing.then(() => undefined);
    const prepared = await preparing;
    return life === this.life ? prepared : fail(this.stoppedProblem());
  }

  private async becomeReady(run: Run, startedMs: number): Promise<void> {
    const { clock } = this.context;
    await this.publish('ready', run.port);
    if (this.current !== run) return;
    this.record.readyAfterMs = Math.round(performance.now() - startedMs);
    if (!this.spec.service.task) this.record.note(`ready in ${formatMs(this.record.readyAfterMs)}`);
    this.clearTimers();
    this.streakTimer = clock.setTimeout(() => {
      this.streak = 0;
    }, STREAK_RESET_MS);
    this.record.change('ready', '');
    this.record.settle(ok(undefined));
    run.follow({
      ready: () => {
        this.record.change('ready', '');
        this.record.note('ready again');
        void this.publish('ready', run.port);
      },
      unhealthy: (reason) => {
        this.record.change('unhealthy', reason);
        this.record.note(`not ready: ${reason}`);
        void this.publish('unhealthy', run.port);
      },
      failed: (reason) => void this.fail(run, reason, null),
      exited: (exit) => void this.fail(run, describeExit(exit), exit),
    });
  }

  /** The current process exited, or has to be replaced. */
  private async fail(run: Run, reason: string, exit: ProcessExit | null): Promise<void> {
    if (this.current !== run) return;
    const { life } = this;
    run.follow(null);
    this.current = null;
    this.clearTimers();
    const { service } = this.spec;
    if (exit?.code === 0 && (service.task || service.restart.policy !== 'always') && this.successor === null) {
      await this.endRun(run);
      if (life !== this.life) return;
      await this.publish('down', null);
      if (life !== this.life) return;
      this.record.note(service.task ? 'completed' : 'exited with code 0');
      this.record.change('completed', service.task ? '' : 'exited with code 0');
      this.record.settle(ok(undefined));
      return;
    }
    this.record.change('starting', reason);
    // At once, so that requests are parked rather than refused while the rest is cleared away.
    const parked = this.publish('starting', null);
    // A successor is already on its way: it takes over, or replaceBeside tries again.
    const covered = this.successor !== null;
    await this.endRun(run);
    await parked;
    if (life !== this.life || covered) return;
    this.retry(await this.blamePort(run, reason), run, service.task ? 'MESH-P109' : failureCode(exit));
  }

  /** Tries again after a back-off, unless policy or attempts forbid. */
  private retry(reason: string, run: Run | null, code: FailureCode): void {
    const { context, spec } = this;
    const { restart, parking } = spec.service;
    this.streak++;
    this.lastFailure = reason;
    const known = run === null ? undefined : context.resources?.diagnose(spec.service, run.recentLines());
    const cause =
      known ??
      problem(code, {
        message: `${spec.id}: ${reason}`,
        hint:
          code === 'MESH-N101' ? 'stop that process, or choose another port' : `see \`mesh logs ${spec.service.name}\``,
      });
    if (restart.policy === 'never') {
      this.giveUp(reason, [cause], run);
      return;
    }
    if (restart.attempts !== null && this.streak >= restart.attempts) {
      const times = this.streak === 1 ? 'once' : `${this.streak} times in a row`;
      this.giveUp(`${reason}; it failed ${times} and is not restarted`, [problem('MESH-P105'), cause], run);
      return;
    }
    const exponential = restart.backoffMs * 2 ** Math.min(this.streak - 1, 30);
    const delayMs = Math.min(restart.maxBackoffMs, Math.round(exponential * (0.75 + context.random() / 2)));
    const text = `${reason}, restarting in ${formatMs(delayMs)}`;
    this.record.report(this.streak === 1 ? 'error' : 'warning', text, [cause], this.streak === 1 ? run : null);
    this.record.change('starting', text);
    this.record.settle(fail(cause));
    // Whoever cannot be answered before parking ends is better refused now.
    if (parking.timeoutMs > 0 && delayMs > parking.timeoutMs) void this.publish('down', null);
    const { life } = this;
    this.retryTimer = context.clock.setTimeout(() => {
      this.retryTimer = null;
      if (life !== this.life) return;
      this.record.restarts++;
      void this.launch(life, false);
    }, delayMs);
  }

  /** Stays failed until somebody starts or restarts it. */
  private giveUp(reason: string, problems: readonly Problem[], run: Run | null = null): void {
    this.active = false;
    this.life++;
    this.record.report('error', reason, problems, run);
    this.record.change('failed', reason);
    this.record.settle(fail(...problems));
    void this.publish('down', null);
  }

  private async replace(cause: string): Promise<Result<void>> {
    if (this.stopping !== null) await this.stopping;
    const { current } = this;
    if (current === null || (this.record.state !== 'ready' && this.record.state !== 'unhealthy'))
      return this.restartCold(cause);
    const { life } = this;
    const opened = await this.openPorts();
    if (life !== this.life) return fail(this.stoppedProblem());
    if (this.current !== current) return this.restartCold(cause);
    if (!opened.ok) return opened;
    const ports = opened.value;
    const fixed = this.spec.service.port !== null;
    // Two servers on one data directory would destroy it.
    const alone = this.spec.service.resource?.kind === 'postgres';
    if (ports.app === null || current.port === null || alone || (fixed && ports.app === current.port))
      return this.replaceInPlace(current, cause);
    const port = fixed ? ok(ports.app) : await this.fromNetwork((network) => network.nextAppPort(this.spec.id));
    return port.ok ? this.replaceBeside(current, ports, port.value, cause) : port;
  }

  /** It does not serve: end what there is, begin anew. */
  private async restartCold(cause: string): Promise<Result<void>> {
    const life = ++this.life;
    this.active = true;
    this.streak = 0;
    this.clearTimers();
    this.record.note(cause);
    this.record.change('starting', '');
    const outcome = this.record.nextSettled();
    const runs = [...this.runs];
    this.current = null;
    this.successor = null;
    for (const run of runs) run.follow(null);
    await Promise.all(runs.map((run) => this.endRun(run)));
    if (runs.length > 0) this.record.restarts++;
    if (life === this.life) void this.launch(life, true);
    return outcome;
  }

  private async replaceInPlace(old: Run, cause: string): Promise<Result<void>> {
    const life = ++this.life;
    old.follow(null);
    this.clearTimers();
    this.record.note(cause);
    this.record.change('starting', 'restarting');
    const outcome = this.record.nextSettled();
    await this.publish('starting', null);
    await this.drained(old);
    await this.endRun(old);
    if (life !== this.life) return fail(this.stoppedProblem());
    this.current = null;
    this.record.restarts++;
    this.streak = 0;
    void this.launch(life, true);
    return outcome;
  }

  private async replaceBeside(old: Run, ports: InstancePorts, port: number, cause: string): Promise<Result<void>> {
    const { life } = this;
    this.record.note(cause);
    const startedMs = performance.now();
    const startedAt = this.record.startedAt;
    const started = await this.startRun(ports, port);
    if (!started.ok) {
      this.record.report('error', `${started.problems[0].message}; the old process keeps serving`, started.problems);
      return started;
    }
    const next = started.value;
    if (life !== this.life || this.current === null) {
      // Stopped or crashed meanwhile: that goes its own way.
      await this.endRun(next);
      return life === this.life ? this.record.nextSettled() : fail(this.stoppedProblem());
    }
    this.successor = next;
    this.record.change(this.record.state, `a successor is starting, pid ${next.process.pid}`);
    const readiness = await next.readiness;
    if (life !== this.life) return fail(this.stoppedProblem());
    this.successor = null;
    if (!readiness.ok) {
      const reason = await this.explain(next, readiness);
      await this.endRun(next);
      if (life !== this.life) return fail(this.stoppedProblem());
      const cause = problem(failureCode(readiness.exit), { message: `${this.spec.id}: the new process ${reason}` });
      if (this.current === null) {
        // The old one crashed while its successor was starting.
        this.retry(reason, next, failureCode(readiness.exit));
        return fail(cause);
      }
      this.record.startedAt = startedAt;
      this.record.report('error', `the new process ${reason}; the old one keeps serving`, [cause], next);
      this.record.change(this.record.state, 'the last restart failed; the old process keeps serving');
      return fail(cause);
    }
    old.follow(null);
    this.current = next;
    this.record.restarts++;
    this.streak = 0;
    await this.becomeReady(next, startedMs);
    await this.drained(old);
    await this.endRun(old);
    return ok(undefined);
  }

  private async stopOnce(drain: boolean): Promise<Blocker[]> {
    this.clearTimers();
    // A process that is being spawned this very moment is one to end.
    await this.spawning;
    const runs = [...this.runs];
    for (const run of runs) run.follow(null);
    const { current } = this;
    if (runs.length > 0) {
      this.record.change('stopping', '');
      if (drain && current !== null) {
        await this.publish('draining', current.port);
        await this.drained(current);
      }
    }
    const left = (await Promise.all(runs.map((run) => this.endRun(run)))).flat();
    this.current = null;
    this.successor = null;
    await this.publish('down', null);
    if (runs.length > 0) this.record.note('stopped');
    if (left.length > 0) this.record.change('failed', `pid ${left[0].pid} (${left[0].command}) does not end`);
    else this.record.change('stopped', '');
    this.record.settle(fail(this.stoppedProblem()));
    return left;
  }

  private async endRun(run: Run): Promise<Blocker[]> {
    const left = await run.end();
    this.runs.delete(run);
    return left;
  }

  /** Until no request is in flight towards the old process, for as long as the grace period. */
  private async drained(run: Run): Promise<void> {
    const { clock, network, force } = this.context;
    if (run.port === null) return;
    let expired = false;
    const timer = clock.setTimeout(() => {
      expired = true;
    }, this.spec.service.stop.graceMs);
    for (let pauseMs = 5; network.inFlight(this.spec.id, run.port) > 0 && !expired && !force.aborted; pauseMs *= 1.5)
      await new Promise<void>((resolve) => clock.setTimeout(resolve, Math.min(pauseMs, 100)));
    clock.clearTimeout(timer);
  }

  private async explain(run: Run, readiness: Readiness & { ok: false }): Promise<string> {
    return readiness.exit === null ? readiness.reason : this.blamePort(run, readiness.reason);
  }

  /** A process that could not have its port says EADDRINUSE in one way or another: name who has it. */
  private async blamePort(run: Run, reason: string): Promise<string> {
    if (run.port === null) return reason;
    const inUse = /EADDRINUSE|address (is )?already in use/i;
    if (!run.recentLines().some((line) => inUse.test(line))) return reason;
    const owner = await portOwner(run.port);
    const port = `port ${run.port}`;
    return `${reason}: ${owner === null ? `${port} was in use` : `${port} is in use by ${describeOwner(owner)}`}`;
  }

  private sinceFailure(): string {
    return this.streak === 0 ? '' : `attempt ${this.streak + 1}: before, it ${this.lastFailure}`;
  }

  private stoppedProblem(): Problem {
    return problem('MESH-P102', { message: `${this.spec.id} was stopped` });
  }

  private clearTimers(): void {
    const { clock } = this.context;
    if (this.retryTimer !== null) clock.clearTimeout(this.retryTimer);
    if (this.streakTimer !== null) clock.clearTimeout(this.streakTimer);
    this.retryTimer = null;
    this.streakTimer = null;
  }

  private publish(state: EndpointState, appPort: number | null): Promise<void> {
    return this.context.network.publish(this.spec.id, state, appPort);
  }
}

type FailureCode = 'MESH-N101' | 'MESH-N103' | 'MESH-P102' | 'MESH-P103' | 'MESH-P109';

/** It ended by itself, or it was mesh that gave it up. */
const failureCode = (exit: ProcessExit | null): FailureCode => (exit === null ? 'MESH-P103' : 'MESH-P102');

/** `400 ms`, `1.2 s` */
export function formatMs(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}
