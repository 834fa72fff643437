import { changedServices, type ServiceChanges } from '../../model/changes.ts';
import { serviceEnvironment } from '../../model/environment.ts';
import { problem } from '../../model/errors.ts';
import { nearest } from '../../model/nearest.ts';
import type { ResolvedConfig, ResolvedService } from '../../model/resolved.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { formatSpiffeId } from '../../model/spiffe.ts';
import type { ServiceStatus } from '../../model/status.ts';
import type { Clock } from '../clock.ts';
import type { MeshNotice } from '../control/mesh-control.ts';
import type { Ledger } from '../state/ledger.ts';
import { describeOwner, portOwners } from '../state/port-owner.ts';
import { recover } from '../state/recovery.ts';
import type { InstanceNetwork, InstancePorts } from './contract.ts';
import { type Dependencies, runningDependents, unmetDependencies, withDependencies } from './dependency-graph.ts';
import type { Instance, InstanceContext, InstanceSpec } from './instance.ts';
import type { LogStore } from './log-files.ts';
import { type Blocker, createProcessScan } from './process-end.ts';
import { Service } from './service.ts';

export interface SupervisorOptions {
  network: InstanceNetwork;
  ledger: Ledger;
  logs: LogStore;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  /** How services that stand for a resource are run. */
  resources?: InstanceContext['resources'];
  /** What services inherit. Default: the environment of this process. */
  inherited?: Readonly<Record<string, string | undefined>>;
  /** Ledger entries that are not services and not to be ended with them (data planes): by their `instance`. */
  isForeign?(instance: string): boolean;
  /** Whether a process that mesh did not start does all the work of a service: it is ready, and not to be started. */
  standsIn?(service: string): boolean;
}

export function unknownService(name: string, names: readonly string[]): Problem {
  const alike = nearest(name, names);
  const all = `there is: ${names.join(', ')}`;
  const hint = alike === undefined ? all : `did you mean '${alike}'? ${all}`;
  return problem('MESH-U103', { message: `there is no service ${name}`, hint });
}

/** SIGKILL has been sent long before; what is left after that is reported. */
const AFTER_KILL_MS = 4_000;

/** Runs the services of a mesh: start order, restarts, scaling, the end. The composition of everything in this folder. */
export class Supervisor {
  private config: ResolvedConfig | null = null;
  private selection: readonly string[] | undefined;
  /** The selection with what it depends on. */
  private asked: ReadonlySet<string> = new Set();
  private readonly options: SupervisorOptions;
  private readonly services = new Map<string, Service>();
  /** Services that left the configuration, until they are gone: the same name may come back before. */
  private readonly retiring = new Map<string, Promise<unknown>>();
  private readonly changeListeners = new Set<() => void>();
  private readonly noticeListeners = new Set<(notice: MeshNotice) => void>();
  private readonly force = new AbortController();
  private readonly scan;
  private changeScheduled = false;
  private stoppingAll: Promise<Result<void>> | null = null;
  private progress: (line: string) => void = () => {};

  constructor(options: SupervisorOptions) {
    this.options = options;
    this.scan = createProcessScan(options.clock);
  }

  /**
   * Makes what runs agree with a configuration: starts what was added as its dependencies allow, ends what was
   * removed, restarts what changed, and leaves everything else alone. `selection` names the services asked for; they
   * and what they depend on run. Left out: as before, at first all. Resolves when all of that is under way; how it
   * goes shows in `status`.
   */
  async apply(config: ResolvedConfig, selection?: readonly string[]): Promise<void> {
    if (this.stoppingAll !== null) return;
    const previous = this.config;
    this.config = config;
    // Of processes that outlived the daemon before this one.
    if (previous === null) this.options.logs.collectLeftovers();
    if (selection !== undefined) this.selection = selection;
    const changes = previous === null ? NOTHING_RUNS(config) : changedServices(previous, config);
    for (const name of changes.removed) this.remove(name);
    for (const name of changes.added) this.add(config.services[name]);
    const fresh = new Set<Instance>();
    for (const name of [...changes.restart, ...changes.rescale, ...changes.updated])
      for (const instance of this.services.get(name)?.update(config.services[name]) ?? []) fresh.add(instance);
    // Only what is asked for anew: a service that somebody stopped stays so, whatever is saved.
    const asked = new Set(withDependencies(this.dependencies(), this.selection));
    for (const name of asked) {
      const service = this.services.get(name);
      if (service !== undefined && (changes.added.includes(name) || !this.asked.has(name)))
        service.wanted = !this.standsIn(name);
    }
    this.asked = asked;
    this.advance();
    for (const name of changes.restart) {
      const service = this.services.get(name);
      const concerns = (instance: Instance): boolean =>
        !fresh.has(instance) && changes.restartSubsets[name].includes(instance.spec.subset.name);
      if (service?.launched) void service.restart('restarting: its configuration changed', concerns);
    }
    this.changed();
  }

  /** Starts a service and what it depends on. Resolves when it is ready or completed, or failed at its first attempt. */
  async start(name: string): Promise<Result<void>> {
    const service = this.find(name);
    if (!service.ok) return service;
    const external = this.refuseExternal(service.value);
    if (external !== null) return external;
    for (const each of withDependencies(this.dependencies(), [name])) {
      const dependency = this.services.get(each);
      if (dependency === undefined) continue;
      const { state } = summarize(dependency);
      // What failed or completed before is asked to run again only by its own name.
      if (each === name && dependency.launched && (state === 'failed' || state === 'completed'))
        return dependency.restart('starting');
      if (each === name || !this.standsIn(each)) dependency.wanted = true;
    }
    this.advance();
    return this.settled(service.value);
  }

  /** Ends a service once its requests in flight have ended; services that call it go on without. */
  async stop(name: string): Promise<Result<void>> {
    const service = this.find(name);
    if (!service.ok) return service;
    const external = this.refuseExternal(service.value);
    if (external !== null) return external;
    service.value.wanted = false;
    return blockedResult(await service.value.stop({ drain: true }));
  }

  /** Replaces its processes one after another without a gap; a service that does not run is started. */
  async restart(name: string): Promise<Result<void>> {
    const service = this.find(name);
    if (!service.ok) return service;
    const external = this.refuseExternal(service.value);
    if (external !== null) return external;
    return service.value.launched ? service.value.restart('restarting: asked to') : this.start(name);
  }

  async scale(name: string, subset: string | null, replicas: number): Promise<Result<void>> {
    const found = this.find(name);
    if (!found.ok) return found;
    const { service } = found.value;
    const external = this.refuseExternal(found.value);
    if (external !== null) return external;
    if (service.task) return fail(problem('MESH-U107', { message: `${name} is a task, which cannot be scaled` }));
    if (subset !== null && !service.subsets.some((each) => each.name === subset))
      return fail(
        problem('MESH-U107', {
          message: `${name} has no subset ${subset}`,
          hint: `there is: ${service.subsets.map((each) => each.name).join(', ')}`,
        }),
      );
    if (!Number.isSafeInteger(replicas) || replicas < 0 || replicas > 1_000)
      return fail(problem('MESH-U107', { message: `${name} cannot have ${replicas} instances` }));
    const others = service.subsets.filter((each) => subset !== null && each.name !== subset);
    const total = others.reduce(
      (sum, each) => sum + each.replicas,
      replicas * (subset === null ? service.subsets.length : 1),
    );
    if (service.port !== null && total > 1)
      return fail(
        problem('MESH-U107', {
          message: `${name} has the fixed port ${service.port}, so there can be only one instance of it`,
          hint: 'leave `port` out and let the service listen on PORT',
        }),
      );
    return found.value.scale(subset, replicas);
  }

  /** In the order of declaration. */
  status(): ServiceStatus[] {
    const { config } = this;
    if (config === null) return [];
    const order = Object.keys(config.services);
    return [...this.services.entries()]
      .sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))
      .map(([name, service]) => {
        const { trustDomain, namespace } = config;
        return service.status(formatSpiffeId({ trustDomain, namespace, service: name }));
      });
  }

  /** Called after changes of the status, once for those of one turn of the event loop. */
  onChange(listener: () => void): () => void {
    this.changeListeners.add(listener);
    return () => this.changeListeners.delete(listener);
  }

  onNotice(listener: (notice: MeshNotice) => void): () => void {
    this.noticeListeners.add(listener);
    return () => this.noticeListeners.delete(listener);
  }

  /**
   * Ends everything, dependents before what they depend on. After `timeoutMs`, or when called again, SIGKILL for all
   * that is left. Progress names what is in the way. The result is a failure if something survives even that, or a
   * port of the mesh's services stays taken.
   */
  stopAll(timeoutMs: number, progress: (line: string) => void): Promise<Result<void>> {
    this.progress = progress;
    if (this.stoppingAll !== null) {
      this.force.abort();
      return this.stoppingAll;
    }
    this.stoppingAll = this.stopEverything(timeoutMs);
    return this.stoppingAll;
  }

  private async stopEverything(timeoutMs: number): Promise<Result<void>> {
    const { clock } = this.options;
    for (const service of this.services.values()) service.wanted = false;
    const timer = clock.setTimeout(() => {
      this.progress(`not ended after ${Math.round(timeoutMs / 100) / 10} s: ending the rest with SIGKILL`);
      this.force.abort();
    }, timeoutMs);
    const dependencies = this.dependencies();
    const endings = new Map<string, Promise<Blocker[]>>();
    const end = (name: string): Promise<Blocker[]> => {
      let ending = endings.get(name);
      if (ending === undefined) {
        // Entered before anything runs, so that a dependent reached twice is awaited twice but ended once.
        ending = (async () => {
          const dependents = runningDependents(
            name,
            dependencies,
            (each) => this.services.get(each)?.isRunning ?? false,
          );
          if (!this.force.signal.aborted)
            await Promise.race([Promise.all(dependents.map(end)), aborted(this.force.signal)]);
          return (await this.services.get(name)?.stop({ drain: false })) ?? [];
        })();
        endings.set(name, ending);
      }
      return ending;
    };
    const left = (await Promise.all([...this.services.keys()].map(end))).flat();
    await Promise.all(this.retiring.values());
    clock.clearTimeout(timer);
    const problems = [...blockedProblems(left), ...(await this.sweep(left))];
    return problems.length === 0 ? ok(undefined) : fail(...problems);
  }

  /** What escaped every group and every service's own end, and ports that are still taken. */
  private async sweep(known: readonly Blocker[]): Promise<Problem[]> {
    const { ledger, clock, isForeign = () => false } = this.options;
    const report = await recover(ledger, {
      clock,
      graceMs: this.force.signal.aborted ? 0 : 500,
      killMs: AFTER_KILL_MS,
      keep: (entry) => isForeign(entry.instance),
      progress: this.progress,
    });
    const problems = report.remaining
      .filter(({ pid }) => !known.some((blocker) => blocker.pid === pid))
      .map(({ pid, command, instance }) => blockedProblem({ pid, command, instance }));
    const ports = new Map<number, string>();
    for (const { service } of this.services.values())
      if (service.port !== null && service.external === null) ports.set(service.port, service.name);
    // A port that was taken before the service could have it is not one that it left.
    for (const [port, owner] of await portOwners([...ports.keys()]))
      if (owner.pid !== null && report.remaining.some(({ pid }) => pid === owner.pid))
        problems.push(
          problem('MESH-N101', {
            message: `port ${port} of ${ports.get(port)} is still held by ${describeOwner(owner)}`,
          }),
        );
    return problems;
  }

  private add(service: ResolvedService): void {
    const { options } = this;
    const context: Omit<InstanceContext, 'build'> = {
      clock: options.clock,
      ledger: options.ledger,
      logs: options.logs,
      scan: this.scan,
      baseDir: this.config?.baseDir ?? service.cwd,
      force: this.force.signal,
      network: options.network,
      random: options.random,
      environment: (instance, ports, files) => this.environment(instance, ports, files),
      inherited: options.inherited ?? process.env,
      resources: options.resources,
      onBlocked: (blockers) => this.reportBlocked(blockers),
      changed: () => this.changed(),
      notice: (level, name, text, problems = []) => this.notice(level, name, text, problems),
    };
    this.services.set(service.name, new Service(service, context));
  }

  private environment({ id, service, subset }: InstanceSpec, ports: InstancePorts, files: Record<string, string>) {
    if (this.config === null) throw new Error('no configuration yet');
    const extra = this.options.network.environment(id);
    const names = { service: service.name, subset: subset.name, instance: id };
    return serviceEnvironment({ config: this.config, ...names, ports, extra, files });
  }

  private remove(name: string): void {
    const service = this.services.get(name);
    if (service === undefined) return;
    this.services.delete(name);
    service.wanted = false;
    const before = this.retiring.get(name);
    const retired = (async () => {
      await before;
      const left = await service.remove();
      for (const blocked of blockedProblems(left)) this.notice('error', name, blocked.message, [blocked]);
    })().finally(() => {
      if (this.retiring.get(name) === retired) this.retiring.delete(name);
      this.advance();
    });
    this.retiring.set(name, retired);
  }

  /** Starts every service that is wanted and whose dependencies are met. */
  private advance(): void {
    if (this.stoppingAll !== null) return;
    const dependencies = this.dependencies();
    const progress = (name: string) => (this.standsIn(name) ? STANDS_IN : (this.services.get(name)?.progress ?? null));
    for (const [name, service] of this.services) {
      if (!service.wanted || service.launched || service.service.external !== null) continue;
      service.unmet = unmetDependencies(name, dependencies, progress);
      if (service.unmet.length > 0 || this.retiring.has(name)) continue;
      void service.launch();
    }
  }

  /** Resolves when the service was launched and its instances are ready, completed or have failed once. */
  private settled(service: Service): Promise<Result<void>> {
    return new Promise((resolve) => {
      const look = (): void => {
        const { state, reason } = summarize(service);
        const failed = service.unmet.find((unmet) => unmet.failed !== null);
        let outcome: Result<void> | null = null;
        if (state === 'ready' || state === 'completed') outcome = ok(undefined);
        else if (!service.wanted)
          outcome = fail(problem('MESH-P102', { message: `${service.service.name} was stopped` }));
        else if (service.launched && state === 'failed')
          outcome = fail(problem('MESH-P102', { message: `${service.service.name}: ${reason}` }));
        else if (!service.launched && failed !== undefined)
          outcome = fail(problem('MESH-P110', { message: `${failed.service} failed: ${failed.failed}` }));
        if (outcome === null) return;
        unsubscribe();
        resolve(outcome);
      };
      const unsubscribe = this.onChange(look);
      look();
    });
  }

  private standsIn(name: string): boolean {
    return this.options.standsIn?.(name) ?? false;
  }

  /** Whether it is asked to run, whether or not it does yet. */
  isWanted(name: string): boolean {
    return this.services.get(name)?.wanted ?? false;
  }

  private dependencies(): Dependencies {
    return Object.fromEntries([...this.services].map(([name, { service }]) => [name, service.dependsOn]));
  }

  private find(name: string): Result<Service> {
    const service = this.services.get(name);
    if (service !== undefined) return ok(service);
    return fail(unknownService(name, [...this.services.keys()]));
  }

  private refuseExternal({ service }: Service): { ok: false; problems: readonly Problem[] } | null {
    if (service.external === null) return null;
    return fail(problem('MESH-U107', { message: `${service.name} is external: mesh does not run it` }));
  }

  private changed(): void {
    if (this.changeScheduled) return;
    this.changeScheduled = true;
    queueMicrotask(() => {
      this.changeScheduled = false;
      this.advance();
      for (const listener of [...this.changeListeners]) listener();
    });
  }

  private notice(level: MeshNotice['level'], service: string, text: string, problems: readonly Problem[]): void {
    const time = new Date(this.options.clock.now()).toISOString();
    for (const listener of [...this.noticeListeners]) listener({ time, level, service, text, problems: [...problems] });
  }

  private reportBlocked(blockers: readonly Blocker[]): void {
    for (const { instance, pid, command, waitedMs } of blockers)
      this.progress(`waiting for ${instance}: pid ${pid} (${command}), ${Math.round(waitedMs / 1_000)} s`);
  }
}

const STANDS_IN = { started: true, ready: true, completed: false, failed: null };

const NOTHING_RUNS = (config: ResolvedConfig): ServiceChanges => ({
  added: Object.keys(config.services),
  removed: [],
  restart: [],
  restartSubsets: {},
  rescale: [],
  updated: [],
});

/** The state of the instance that is worst off, as long as one of them matters. */
function summarize(service: Service): { state: string; reason: string } {
  const { ready, completed, failed } = service.progress;
  if (failed !== null) return { state: 'failed', reason: failed };
  return { state: completed ? 'completed' : ready ? 'ready' : 'starting', reason: '' };
}

function blockedProblem({ instance, pid, command }: { instance: string; pid: number; command: string }): Problem {
  return problem('MESH-P106', {
    message: `${instance}: pid ${pid} (${command}) does not end, not even on SIGKILL`,
    hint: 'it waits inside the system, for a device or a network file system: see to that, or restart the machine',
  });
}

const blockedProblems = (left: readonly Blocker[]): Problem[] => left.map(blockedProblem);

function blockedResult(left: readonly Blocker[]): Result<void> {
  return left.length === 0 ? ok(undefined) : fail(...blockedProblems(left));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
