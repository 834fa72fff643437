import { problem } from '../../model/errors.ts';
import { injectedSubset, withInjections } from '../../model/injected-config.ts';
import type { InjectionRequest, InjectionStatus } from '../../model/injection.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { ServiceStatus } from '../../model/status.ts';
import type { FormerPorts } from '../network/mesh-network.ts';
import { listenerOf } from '../state/port-owner.ts';
import { isRunning, readProcess } from '../state/process-table.ts';
import { admit } from './admission.ts';
import { isLocal } from './checks.ts';
import type { InjectionsOptions } from './contract.ts';
import { endpointStateOf, type Injected, shareOf } from './injected.ts';
import { injectionStatus, withInjected } from './injection-views.ts';
import { Liveness } from './liveness.ts';
import { Oversight } from './oversight.ts';
import { restored, setProcess } from './restored.ts';
import { forgetInjections, type SavedInjection, savedInjections, saveInjections } from './saved.ts';

/** The mesh's own instances have so long to be ready before an injected process hands over to them all the same. */
const HAND_OVER_MS = 60_000;
/** After a death, until one of them is at least starting. Requests wait for a second in all. */
const EXPECTED_MS = 500;

/**
 * Processes that mesh did not start and that are in the mesh all the same. What they change of the configuration is an
 * overlay (`overlay`); their ports are the network's; what is here is their coming and going.
 */
export class Injections {
  private readonly all = new Map<string, Injected>();
  /** One thing after another for each service. */
  private readonly turns = new Map<string, Promise<unknown>>();
  private readonly liveness: Liveness;
  private overlays = new WeakMap<ResolvedConfig, ResolvedConfig>();
  private readonly oversight: Oversight;
  private closed = false;

  constructor(private readonly options: InjectionsOptions) {
    this.oversight = new Oversight(options);
    this.liveness = new Liveness({
      subjects: () => [...this.all.values()],
      onUp: (injected) => void this.inTurn(injected.service, () => this.arrived(injected)),
      onGone: (injected, why) => void this.inTurn(injected.service, () => this.gone(injected, why)),
      onTick: () => this.giveUpWaiting(),
    });
  }

  // -- what the rest of the mesh asks ------------------------------------------------------------------------------

  /** The configuration with the injections on it; the same object as long as neither changes. */
  overlay(config: ResolvedConfig): ResolvedConfig {
    if (this.all.size === 0) return config;
    let overlay = this.overlays.get(config);
    if (overlay === undefined) {
      const injected = [...this.all.values()].map((each) => ({
        service: each.service,
        protocol: each.protocol,
        share: shareOf(each, each.service in config.services),
      }));
      overlay = withInjections(config, injected);
      this.overlays.set(config, overlay);
    }
    return overlay;
  }

  /** Whether an injected process does all the work of a service, so that nothing of it is to be started. */
  standsIn(service: string): boolean {
    const injected = this.ofService(service);
    if (injected === undefined || injected.state !== 'ready' || injected.leaving) return false;
    const share = shareOf(injected, true);
    return share === 'joined' || (share !== 'aside' && share.kind === 'all');
  }

  list(): InjectionStatus[] {
    return [...this.all.values()].map((injected) => this.statusOf(injected));
  }

  services(): string[] {
    return [...this.all.values()].map(({ service }) => service);
  }

  /** The rows of `mesh ps` with those of the injected processes. */
  withStatus(services: readonly ServiceStatus[]): ServiceStatus[] {
    return withInjected(services, this.all.values(), this.options.config());
  }

  /** A refusal to start, stop or scale what only an injected process is. Null: the service is the mesh's own. */
  foreign(service: string): Promise<Result<void>> | null {
    if (service in this.options.config().services) return null;
    const injected = this.ofService(service);
    if (injected === undefined) return null;
    const refusal = problem('MESH-U107', {
      message: `${service} is injected (${injected.host}:${injected.port}): mesh does not run it`,
      hint: `\`mesh eject ${service}\` takes it out of the mesh`,
    });
    return Promise.resolve(fail(refusal));
  }

  // -- inject and eject --------------------------------------------------------------------------------------------

  inject(request: InjectionRequest): Promise<Result<InjectionStatus>> {
    return this.inTurn(request.service, () => this.injectOnce(request));
  }

  private async injectOnce(request: InjectionRequest): Promise<Result<InjectionStatus>> {
    const { service, target, takeover } = request;
    const admitted = await admit(request, this.ofService(service), this.options);
    if (!admitted.ok) return admitted;
    const declared = this.options.config().services[service];
    const { pid, detected } = admitted.value;
    const issued = this.options.identity.ensure(service);
    if (!issued.ok) return issued;
    const instance = this.freeName(service);
    const injected: Injected = {
      instance,
      service,
      own: target.kind === 'own',
      isNew: declared === undefined,
      host: target.kind === 'address' ? target.host : '127.0.0.1',
      port: target.port ?? (await this.options.network.nextAppPort(instance)),
      ...detected,
      pid,
      startTime: pid === null ? null : (readProcess(pid)?.startTime ?? null),
      takeover,
      sticky: request.sticky,
      transparent: request.transparent,
      attach: request.attach,
      injectedAt: new Date().toISOString(),
      state: target.kind === 'own' ? 'waiting' : 'ready',
      leaving: false,
      restoreOwn: declared !== undefined && this.options.own.isWanted(service),
      ports: NO_PORTS,
      coverage: [],
      goneAtMs: 0,
    };
    if (declared !== undefined) this.options.select(service);
    const entered = await this.enter(injected);
    if (!entered.ok) {
      if (injected.isNew) this.options.identity.forget(service);
      return entered;
    }
    if (injected.state === 'ready') this.stopOwn(injected);
    await this.oversight.begin(injected);
    const detail = injected.state === 'ready' ? `${injected.host}:${injected.port}` : `waits for port ${injected.port}`;
    this.options.notice('info', service, `${instance} is injected: ${detail}, ${injected.protocol}`);
    return ok(this.statusOf(injected));
  }

  async update(instance: string, { pid }: { pid: number }): Promise<Result<void>> {
    const injected = this.all.get(instance);
    if (injected === undefined) return fail(unknownInjection(instance, this.list()));
    return this.inTurn(injected.service, async () => {
      if (readProcess(pid) === null) return fail(problem('MESH-J102', { message: `there is no process ${pid}` }));
      setProcess(injected, pid);
      this.save();
      await this.oversight.begin(injected);
      return ok(undefined);
    });
  }

  /** @param name of an instance or a service; null: all of them */
  async eject(name: string | null): Promise<Result<string[]>> {
    const chosen = [...this.all.values()].filter(
      ({ instance, service }) => name === null || name === instance || name === service,
    );
    if (chosen.length === 0 && name !== null) return fail(unknownInjection(name, this.list()));
    const results = await Promise.all(
      chosen.map((injected) => this.inTurn(injected.service, () => this.ejectOnce(injected))),
    );
    const problems = results.flatMap((result) => (result.ok ? [] : result.problems));
    return problems.length > 0 ? fail(...problems) : ok(chosen.map(({ instance }) => instance));
  }

  private async ejectOnce(injected: Injected): Promise<Result<void>> {
    const { service, instance, port } = injected;
    if (!this.all.has(instance)) return ok(undefined);
    const back = this.givesBack(injected);
    // Before it drains: the mesh's own instances take requests by then.
    const started = back ? await withDeadline(this.options.own.start(service), HAND_OVER_MS) : ok(undefined);
    if (!started.ok) this.options.notice('warning', service, `${service} does not start again`, started.problems);
    if (injected.state === 'ready') {
      injected.state = 'ejecting';
      injected.leaving = true;
      const published = await this.enforce();
      if (!published.ok) {
        injected.state = 'ready';
        injected.leaving = false;
        this.forgetOverlays();
        return published;
      }
      await this.drained(instance, port, this.options.config().services[service]?.stop.graceMs ?? 5_000);
    }
    await this.leave(injected);
    this.options.notice('info', service, `${instance} is ejected`);
    return ok(undefined);
  }

  // -- coming and going --------------------------------------------------------------------------------------------

  /** In force everywhere, or nothing is changed. */
  private async enter(injected: Injected): Promise<Result<void>> {
    const { instance, host, port } = injected;
    if (this.closed) return fail(problem('MESH-R106', { message: 'the mesh is being stopped' }));
    // Another request for the same address may have come in while this one was probing.
    const ours = isLocal(host) ? this.options.network.describePort(port, host) : null;
    if (ours !== null) return fail(problem('MESH-J105', { message: `port ${port} is ${ours}` }));
    this.all.set(instance, injected);
    const published = await this.enforce();
    if (!published.ok) {
      this.drop(injected);
      await this.options.network.close(instance);
      return published;
    }
    this.save();
    this.liveness.watch();
    return ok(undefined);
  }

  /** Something listens where one was waited for. */
  private async arrived(injected: Injected): Promise<void> {
    if (!this.all.has(injected.instance) || injected.state === 'ready' || injected.leaving) return;
    if (injected.state === 'gone') {
      const owner = isLocal(injected.host) ? await listenerOf(injected.port, injected.host) : null;
      if (owner?.pid != null && this.options.describeProcess(owner.pid) !== null) return;
      injected.restoreOwn = injected.restoreOwn || this.options.own.isWanted(injected.service);
      setProcess(injected, owner?.pid ?? null);
      this.options.notice('info', injected.service, `${injected.instance} is back on port ${injected.port}`);
    } else if (injected.pid === null)
      setProcess(injected, (await listenerOf(injected.port, injected.host))?.pid ?? null);
    injected.state = 'ready';
    const published = await this.enforce();
    if (!published.ok) return;
    this.save();
    this.stopOwn(injected);
    await this.oversight.begin(injected);
  }

  private async gone(injected: Injected, why: string): Promise<void> {
    if (!this.all.has(injected.instance) || injected.leaving || injected.state === 'gone') return;
    const { service, instance, sticky, port } = injected;
    const cause = problem('MESH-J112', { message: `${instance}: ${why}`, severity: 'warning' });
    if (this.givesBack(injected)) await this.startAgain(service);
    // A command or shell of the user's that starts its server anew is a workload until it ends itself.
    const runs =
      injected.own && injected.pid !== null && isRunning({ pid: injected.pid, startTime: injected.startTime ?? '' });
    const after = sticky || runs ? `; taken in again when something listens on port ${port}` : '';
    if (!sticky && !runs) {
      injected.state = 'ejecting';
      injected.leaving = true;
      // Requests first: they need not wait until what was done to the process is undone.
      await this.enforce();
      await this.leave(injected);
    } else {
      injected.state = runs ? 'waiting' : 'gone';
      injected.goneAtMs = performance.now();
      if (!runs) setProcess(injected, null);
      injected.coverage = [];
      await this.enforce();
      await this.oversight.end(instance);
      this.save();
    }
    this.options.notice('warning', service, `${instance}: ${why}${after}`, [cause]);
  }

  /** Returns once an instance is expected, so that requests wait for it when the routes lead there again. */
  private async startAgain(service: string): Promise<void> {
    let settled = false;
    void this.options.own.start(service).then((started) => {
      settled = true;
      if (!started.ok) this.options.notice('error', service, `${service} does not start again`, started.problems);
    });
    const isExpected = (): boolean =>
      this.options.network
        .instances()
        .some((each) => each.service === service && !each.application && ['starting', 'ready'].includes(each.state));
    const deadline = performance.now() + EXPECTED_MS;
    while (!settled && !isExpected() && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** What waited in vain is refused from now on rather than made to wait. */
  private giveUpWaiting(): void {
    for (const injected of this.all.values()) {
      const shown = this.options.network.stateOf(injected.instance);
      if (shown !== undefined && shown !== endpointStateOf(injected, performance.now())) void this.enforce();
    }
  }

  /** Out of the mesh; requests have ended. */
  private async leave(injected: Injected): Promise<void> {
    const { instance, service } = injected;
    await this.oversight.end(instance);
    this.drop(injected);
    await this.options.network.close(instance);
    if (!(service in this.options.config().services)) this.options.identity.forget(service);
    this.save();
  }

  private drop(injected: Injected): void {
    this.all.delete(injected.instance);
    this.forgetOverlays();
    this.options.changed();
  }

  /** The mesh's own instances end once the injected endpoint has their requests. */
  private stopOwn(injected: Injected): void {
    const { service } = injected;
    if (!this.standsIn(service) || !this.options.own.isWanted(service)) return;
    injected.restoreOwn = true;
    this.save();
    void this.options.own.stop(service).then((stopped) => {
      if (!stopped.ok) this.options.notice('error', service, `${service} does not stop`, stopped.problems);
    });
  }

  private givesBack(injected: Injected): boolean {
    return injected.restoreOwn && this.standsIn(injected.service) && injected.service in this.options.config().services;
  }

  /** Until no request is in flight towards it, for as long as the grace period. */
  private async drained(instance: string, port: number, graceMs: number): Promise<void> {
    const deadline = performance.now() + graceMs;
    for (let pauseMs = 5; this.options.network.inFlight(instance, port) > 0; pauseMs = Math.min(pauseMs * 1.5, 100)) {
      if (performance.now() > deadline || this.closed) return;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  // -- the configuration changes, the daemon starts and ends --------------------------------------------------------

  /** A configuration is about to be published: ports and subsets follow it. */
  refit(before: ResolvedConfig, next: ResolvedConfig): void {
    const placed = this.placeAll();
    if (!placed.ok) this.options.notice('error', '', placed.problems[0].message, placed.problems);
    for (const injected of this.all.values()) {
      const { service, instance } = injected;
      const was = service in before.services;
      const is = service in next.services;
      if (is && !was) {
        injected.restoreOwn = true;
        this.options.notice(
          'warning',
          service,
          `mesh.config.ts now declares ${service}: ${instance} keeps its requests; \`mesh eject ${service}\` hands them to the mesh's own`,
        );
      }
      if (was && !is)
        this.options.notice(
          'info',
          service,
          `mesh.config.ts no longer declares ${service}: ${instance} stays in the mesh`,
        );
    }
  }

  /** Takes in again what an earlier daemon, which died, had taken in. Before anything is started or published. */
  async restore(): Promise<void> {
    for (const interception of this.options.interceptions) await interception.recover();
    for (const saved of savedInjections(this.options.stateDir)) await this.restoreOne(saved);
    this.save();
    if (this.all.size > 0) this.liveness.watch();
  }

  private async restoreOne(saved: SavedInjection): Promise<void> {
    const { service, instance } = saved;
    const injected = await restored(saved);
    if (typeof injected === 'string') {
      const cause = problem('MESH-J112', { message: `${instance}: ${injected}`, severity: 'warning' });
      this.options.notice('warning', service, `${instance} is not taken in again: ${injected}`, [cause]);
      return;
    }
    const issued = this.options.identity.ensure(service);
    if (!issued.ok) {
      this.options.notice('error', service, `${instance} is not taken in again`, issued.problems);
      return;
    }
    if (service in this.options.config().services) this.options.select(service);
    this.all.set(instance, injected);
    this.forgetOverlays();
    this.place(injected, saved.ports);
    this.options.notice('info', service, `${instance} is in the mesh again`);
  }

  /** After a restore, when its snapshot is in force. */
  async verifyRestored(): Promise<void> {
    for (const injected of [...this.all.values()]) {
      if (injected.state !== 'ready') continue;
      await this.oversight.begin(injected);
    }
  }

  /** The mesh goes down: what was done to processes is undone, and the next mesh begins without them. */
  async close(): Promise<void> {
    this.closed = true;
    this.liveness.close();
    await this.oversight.close();
    this.all.clear();
    this.forgetOverlays();
    forgetInjections(this.options.stateDir);
  }

  // -- inside ------------------------------------------------------------------------------------------------------

  private inTurn<T>(service: string, run: () => Promise<T>): Promise<T> {
    const turn = (this.turns.get(service) ?? Promise.resolve()).then(run);
    const settled = turn.catch(() => undefined);
    this.turns.set(service, settled);
    void settled.then(() => {
      if (this.turns.get(service) === settled) this.turns.delete(service);
    });
    return turn;
  }

  private ofService(service: string): Injected | undefined {
    return [...this.all.values()].find((injected) => injected.service === service);
  }

  private freeName(service: string): string {
    for (let n = 1; ; n++) {
      const name = `${service}-injected-${n}`;
      if (!this.all.has(name) && this.options.network.ports(name) === undefined) return name;
    }
  }

  /** Its place in the network, as state and configuration are now. */
  private place(injected: Injected, former?: FormerPorts): void {
    const { instance, service, host, port, protocol, tls } = injected;
    const config = this.options.config();
    const subset = injectedSubset(config, service, shareOf(injected, service in config.services));
    const state = endpointStateOf(injected, performance.now());
    injected.ports = this.options.network.adopt(
      { id: instance, service, subset },
      { host, port, protocol, tls },
      state,
      former,
    );
  }

  /** Everyone's place as it is now, since what one depends on may have come with another. MESH-N103: no ports left. */
  private async enforce(): Promise<Result<void>> {
    const placed = this.placeAll();
    if (!placed.ok) return placed;
    const published = await this.options.publish();
    this.options.changed();
    if (published.ok) void this.oversight.renew(this.all);
    return published.ok ? ok(undefined) : published;
  }

  private placeAll(): Result<void> {
    this.forgetOverlays();
    for (const injected of this.all.values()) {
      try {
        this.place(injected);
      } catch (error) {
        const message = `${injected.instance}: ${(error as Error).message}`;
        return fail(problem('MESH-N103', { message, hint: 'stop what uses so many ports, or raise `ulimit -n`' }));
      }
    }
    return ok(undefined);
  }

  private forgetOverlays(): void {
    this.overlays = new WeakMap();
  }

  private save(): void {
    if (this.closed) return;
    const refused = saveInjections(this.options.stateDir, [...this.all.values()]);
    if (refused !== null) this.options.notice('warning', '', refused.message, [refused]);
  }

  private statusOf(injected: Injected): InjectionStatus {
    const config = this.options.config();
    return injectionStatus(injected, config, this.options.environment(injected, this.overlay(config)));
  }
}

const NO_PORTS = { app: null, inbound: 0, outbound: 0, dependencies: {} };

function unknownInjection(name: string, all: readonly InjectionStatus[]): Problem {
  const names = all.map(({ instance }) => instance).join(', ');
  const hint = names === '' ? 'nothing is injected' : `injected: ${names}`;
  return problem('MESH-J110', { message: `nothing is injected as ${name}`, hint });
}

async function withDeadline(work: Promise<Result<void>>, ms: number): Promise<Result<void>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Result<void>>((resolve) => {
    timer = setTimeout(() => resolve(fail(problem('MESH-P103', { message: `not ready after ${ms / 1_000} s` }))), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
