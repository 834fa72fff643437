import type { RuntimeState } from '../model/compile.ts';
import { problem } from '../model/errors.ts';
import type { StatGrouping, StatRow, TapBatch, TapFilter } from '../model/events.ts';
import type { ExplainQuery, Explanation } from '../model/explanation.ts';
import type { InjectionRequest, InjectionStatus } from '../model/injection.ts';
import type { ResolvedConfig } from '../model/resolved.ts';
import { fail, ok, type Problem, type Result } from '../model/result.ts';
import type { Identity } from '../model/snapshot.ts';
import type { CertificateStatus, EndpointStatus, LogLine, MeshStatus, RouteStatus } from '../model/status.ts';
import type { Trace, TraceQuery, TraceSummary } from '../model/trace.ts';
import { type Bodies, createBodies } from './bodies/bodies.ts';
import { systemClock } from './clock.ts';
import type { LoadedConfig } from './config/config-loader.ts';
import type { LogQuery, MeshControl, MeshNotice } from './control/mesh-control.ts';
import { explainRequest, explainSources } from './explain/explain-request.ts';
import type { CertificateAuthority, Svid } from './identity/certificate-authority.ts';
import { IdentityRotation } from './identity/rotation.ts';
import { createInjections } from './injection/create-injections.ts';
import type { Injections } from './injection/injections.ts';
import { checkEnvFiles } from './injection/own-environment.ts';
import { AppPorts } from './network/app-ports.ts';
import { GatewayPorts } from './network/gateway-ports.ts';
import { MeshNetwork } from './network/mesh-network.ts';
import { MeshResources } from './resources/mesh-resources.ts';
import { DATA_PLANE, type DataPlaneLauncher } from './snapshot/data-plane-launcher.ts';
import { Publisher } from './snapshot/publisher.ts';
import type { Ledger } from './state/ledger.ts';
import { createStatusFeed } from './status-feed.ts';
import { certificateStatus, endpointStatus, routeStatus } from './status-views.ts';
import { withDependencies } from './supervisor/dependency-graph.ts';
import type { LogStore } from './supervisor/log-files.ts';
import { Supervisor, unknownService } from './supervisor/supervisor.ts';
import { Telemetry } from './telemetry/telemetry.ts';
import { servicesWithoutReceiver } from './tracing/late-receiver.ts';
import { Tracing } from './tracing/tracing.ts';

/** Notices kept for clients that attach later. */
const NOTICES_KEPT = 100;

export interface MeshOptions {
  loaded: LoadedConfig;
  /** Services asked for; empty: all. */
  services: readonly string[];
  authority: CertificateAuthority;
  ledger: Ledger;
  logs: LogStore;
  launcher: DataPlaneLauncher;
  /** `.mesh`. */
  stateDir: string;
  /** Variables with the paths of CA bundles, for every service. */
  trustEnvironment: Record<string, string>;
  /** The mesh is down, and whoever asked for that is about to be told. */
  onEnded: () => void;
}

/**
 * A running mesh: the parts of the control plane wired together, and what its clients can ask of it. Configurations come
 * in by `reload`, one at a time; each is in force everywhere or nowhere.
 */
export class Mesh implements MeshControl {
  private loaded: LoadedConfig;
  private loadedAt = new Date();
  private problems: Problem[] = [];
  private state: MeshStatus['state'] = 'starting';
  private readonly selection: readonly string[] | undefined;
  private readonly started = new Set<string>();
  private readonly rotation: IdentityRotation;
  private readonly network: MeshNetwork;
  private readonly publisher: Publisher;
  private readonly supervisor: Supervisor;
  private readonly gateway: GatewayPorts;
  readonly databases: MeshResources;
  private readonly injected: Injections;
  private readonly statusFeed = createStatusFeed(() => this.status(), systemClock);
  private readonly noticeListeners = new Set<(notice: MeshNotice) => void>();
  private readonly notices: MeshNotice[] = [];
  private readonly telemetry: Telemetry;
  private readonly tracing: Tracing;
  private readonly bodies: Bodies;
  /** The start and reloads, one after another. */
  private queue: Promise<unknown> = Promise.resolve();
  /** Services may run. */
  private booted = false;
  private stopping: Promise<Result<void>> | null = null;

  constructor(private readonly options: MeshOptions) {
    this.loaded = options.loaded;
    this.selection = options.services.length > 0 ? options.services : undefined;
    const config = this.loaded.config;
    this.rotation = new IdentityRotation({
      authority: options.authority,
      clock: systemClock,
      ttlMs: config.identity.ttlMs,
      namespace: config.namespace,
      onProblem: (p) => this.tell('error', '', p.message, [p]),
    });
    this.network = new MeshNetwork({
      config: () => this.injected.overlay(this.loaded.config),
      publish: () => this.publish(),
      gatewayPort: () => this.gateway.port,
      environment: (service, ports) => ({
        ...options.trustEnvironment,
        ...this.tracing.environment(),
        ...this.databases.environment(service, ports.dependencies),
      }),
      appPorts: new AppPorts(Math.random),
    });
    this.gateway = new GatewayPorts(this.network);
    this.telemetry = new Telemetry({
      clock: systemClock,
      subsetOf: (id) => this.network.subset(id),
      status: () => this.status(),
      certificates: () => this.certificates(),
      onTaps: (taps, redactHeaders) => this.publisher.setTaps(taps, redactHeaders),
      onTotals: () => this.statusFeed.moved(),
      print: (service, lines) => options.logs.write(service, service, lines),
      spanDrops: () => this.tracing.dropped,
      codec: () => this.tracing.otlp(),
      onNotice: (level, text, problems) => this.tell(level, '', text, problems),
    });
    this.bodies = createBodies({
      config: () => this.loaded.config,
      services: () => this.supervisor.status(),
      now: () => performance.now(),
    });
    this.tracing = new Tracing({
      stateDir: options.stateDir,
      clock: systemClock,
      random: Math.random,
      onSettings: (settings) => this.publisher.setTracing(settings),
      onProblem: (p) => this.tell('warning', '', p.message, [p]),
    });
    this.publisher = new Publisher({
      source: () => ({ config: this.injected.overlay(this.activeConfig()), state: this.runtimeState() }),
      socket: (listener) => this.network.socket(listener),
      spawn: (events) => options.launcher.spawn(events),
      onGone: (pid) => options.launcher.gone(pid),
      onInFlight: (workload, port, requests, dataPlane) => this.network.onInFlight(workload, port, requests, dataPlane),
      onDied: (dataPlane) => {
        this.network.onDataPlaneDied(dataPlane);
        this.telemetry.onDataPlaneDied(dataPlane);
      },
      onTraffic: (totals, dataPlane) => this.telemetry.setTotals(dataPlane, totals),
      onCounters: (slots, dataPlane) => this.telemetry.fold(dataPlane, slots),
      onEvents: (batches) => this.telemetry.deliver(batches),
      onSpans: (spans, dropped) => this.tracing.onProxySpans(this.telemetry.withoutSecrets(spans), dropped),
      onNotice: (level, service, text) => this.tell(level, service, text),
    });
    this.databases = new MeshResources({
      clock: systemClock,
      config: () => this.loaded.config,
      instances: () => this.network.instances(),
      run: (what, service) => this.supervisor[what](service),
      services: () => this.supervisor.status(),
      onNotice: (level, service, text, problems) => this.tell(level, service, text, problems),
    });
    this.supervisor = new Supervisor({
      resources: this.databases,
      network: this.network,
      ledger: options.ledger,
      logs: options.logs,
      clock: systemClock,
      random: Math.random,
      isForeign: (instance) => instance.startsWith(DATA_PLANE),
      standsIn: (service) => this.injected.standsIn(service),
    });
    this.injected = this.createInjections();
    this.supervisor.onChange(() => this.changed());
    this.supervisor.onNotice((notice) => this.keep(notice));
  }

  /** Binds the gateway, starts data planes and services. Problems: nothing was started, or it was stopped meanwhile. */
  boot(): Promise<Result<void>> {
    const run = this.queue.then(() => this.bootOnce());
    this.queue = run.catch(() => undefined);
    return run;
  }

  private async bootOnce(): Promise<Result<void>> {
    const config = this.loaded.config;
    const names = Object.keys(config.services);
    const unknown = (this.selection ?? []).filter((name) => !names.includes(name));
    if (unknown.length > 0) return fail(...unknown.map((name) => unknownService(name, names)));
    const bound = await this.gateway.bind(config.gateway);
    if (!bound.ok) return bound;
    const issued = this.issueFor(config);
    if (!issued.ok) return issued;
    if (this.stopping !== null) return fail(stoppedMeanwhile());
    const started = await this.publisher.start(config.proxies);
    if (this.stopping !== null) return fail(stoppedMeanwhile());
    if (!started)
      return fail(problem('MESH-R130', { message: 'the data plane does not start', hint: 'see .mesh/data-plane.log' }));
    await this.injected.restore();
    const published = await this.publisher.publish();
    if (this.stopping !== null) return fail(stoppedMeanwhile());
    if (!published.ok) return published;
    bound.value.commit();
    this.rotation.onChange(() => void this.publish());
    await this.telemetry.configure(config.telemetry);
    await this.tracing.configure(config.tracing);
    this.databases.configure(config);
    await this.supervisor.apply(config, this.selection);
    this.booted = true;
    void this.injected.verifyRestored();
    if (this.stopping === null) this.state = 'running';
    this.changed();
    return ok(undefined);
  }

  /** A saved configuration: puts it in force, or says why not and changes nothing. */
  reload(result: Result<LoadedConfig>): Promise<void> {
    const run = this.queue.then(() => this.applyReload(result));
    this.queue = run.catch(() => undefined);
    return run;
  }

  /** Files whose change means a reload: the configuration, what it imports and the env files. */
  get watchedFiles(): string[] {
    return [
      ...this.loaded.dependencies,
      ...Object.values(this.loaded.config.services).flatMap((service) => service.envFiles),
    ];
  }

  get isStopping(): boolean {
    return this.stopping !== null;
  }

  private async applyReload(result: Result<LoadedConfig>): Promise<void> {
    if (this.stopping !== null) return;
    if (!result.ok) {
      this.refuse(result.problems);
      return;
    }
    const began = performance.now();
    const before = this.loaded;
    const next = result.value;
    const fixed = immutableChanges(before.config, next.config);
    if (fixed.length > 0) {
      this.refuse(fixed);
      return;
    }
    const bound = await this.gateway.bind(next.config.gateway);
    if (!bound.ok) {
      this.refuse(bound.problems);
      return;
    }
    const issued = this.issueFor(next.config);
    if (!issued.ok) {
      bound.value.rollback();
      this.refuse(issued.problems);
      return;
    }
    this.loaded = next;
    this.injected.refit(before.config, next.config);
    this.rotation.setTtl(next.config.identity.ttlMs);
    const published = await this.publisher.publish();
    if (!published.ok) {
      this.loaded = before;
      this.injected.refit(next.config, before.config);
      bound.value.rollback();
      this.refuse(published.problems);
      return;
    }
    bound.value.commit();
    await this.telemetry.configure(next.config.telemetry);
    if (await this.tracing.configure(next.config.tracing)) {
      const without = servicesWithoutReceiver(this.supervisor.status(), before.config, next.config);
      if (without !== null) this.tell('warning', '', without.message, [without]);
    }
    this.databases.configure(next.config);
    this.loadedAt = new Date();
    this.problems = [];
    const took = performance.now() - began;
    this.tell(
      'info',
      '',
      `mesh.config.ts reloaded: version ${published.value.version} in force after ${took.toFixed(0)} ms`,
    );
    await this.supervisor.apply(
      next.config,
      this.selection === undefined ? Object.keys(next.config.services) : undefined,
    );
    for (const name of Object.keys(before.config.services))
      if (!(name in next.config.services) && !this.injected.services().includes(name)) this.rotation.forget(name);
    this.changed();
  }

  private refuse(problems: readonly Problem[]): void {
    this.problems = [...problems];
    const n = problems.length;
    this.tell(
      'error',
      '',
      `mesh.config.ts has ${n === 1 ? 'a problem' : `${n} problems`}; the configuration before stays in force`,
      problems,
    );
    this.changed();
  }

  // -- MeshControl ------------------------------------------------------------------------------------------------

  status(): MeshStatus {
    const { config } = this.loaded;
    const selected = this.selectedServices();
    return {
      mesh: config.name,
      state: this.state,
      pid: process.pid,
      dataPlanePids: this.publisher.pids,
      gateway: { http: config.gateway?.http ?? undefined, https: config.gateway?.https ?? undefined },
      config: {
        version: this.publisher.snapshot?.version ?? 0,
        loadedAt: this.loadedAt.toISOString(),
        problems: this.problems,
      },
      services: this.injected.withStatus(
        this.supervisor
          .status()
          .filter((service) => selected.has(service.name))
          .map((service) => ({
            ...service,
            instances: service.instances.map((instance) => this.withMeshPorts(instance)),
          }))
          .map((service) => this.databases.withHealth(service)),
      ),
      traffic: this.telemetry.trafficStatus(),
    };
  }

  watchStatus(listener: (status: MeshStatus) => void): () => void {
    return this.statusFeed.watch(listener);
  }

  watchNotices(listener: (notice: MeshNotice) => void): () => void {
    for (const notice of this.notices) listener(notice);
    this.noticeListeners.add(listener);
    return () => this.noticeListeners.delete(listener);
  }

  logs(query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine[]> {
    return this.options.logs.query(query, signal);
  }

  tap(filter: TapFilter, signal: AbortSignal): AsyncIterable<TapBatch> {
    return this.bodies.present(this.telemetry.tap(filter, signal), filter);
  }

  stats(windowMs: number, by?: StatGrouping): StatRow[] {
    return this.telemetry.stats(windowMs, by);
  }

  watchStats(windowMs: number, listener: (rows: StatRow[]) => void, by?: StatGrouping): () => void {
    return this.telemetry.watchStats(windowMs, listener, by);
  }

  traces(query: TraceQuery): Promise<TraceSummary[]> {
    return this.tracing.traces(query);
  }

  trace(id: string): Promise<Result<Trace>> {
    return this.tracing.trace(id);
  }

  async explain(query: ExplainQuery): Promise<Result<Explanation>> {
    const { loaded, loadedAt, publisher, tracing } = this;
    return explainRequest(query, explainSources({ loaded, loadedAt, status: this.status(), publisher, tracing }));
  }

  async start(service: string): Promise<Result<void>> {
    if (service in this.loaded.config.services) {
      for (const name of this.closure([service])) this.started.add(name);
      const issued = this.issueFor(this.loaded.config);
      if (!issued.ok) return issued;
      await this.publish();
    }
    return this.injected.foreign(service) ?? this.supervisor.start(service);
  }

  stop(service: string): Promise<Result<void>> {
    return this.injected.foreign(service) ?? this.supervisor.stop(service);
  }

  restart(service: string): Promise<Result<void>> {
    return this.injected.foreign(service) ?? this.supervisor.restart(service);
  }

  scale(service: string, subset: string | null, replicas: number): Promise<Result<void>> {
    return this.injected.foreign(service) ?? this.supervisor.scale(service, subset, replicas);
  }

  routes(): RouteStatus[] {
    const snapshot = this.publisher.snapshot;
    return snapshot === null ? [] : routeStatus(snapshot, this.loaded.sources);
  }

  endpoints(): EndpointStatus[] {
    const snapshot = this.publisher.snapshot;
    return snapshot === null ? [] : endpointStatus(snapshot);
  }

  certificates(): CertificateStatus[] {
    const held: Svid[] = [...this.rotation.list()];
    const gateway = this.rotation.gateway();
    if (gateway !== undefined) held.push(gateway);
    return held.map((svid) => certificateStatus(svid, Date.now()));
  }

  async rotateCertificates(service: string | null): Promise<Result<CertificateStatus[]>> {
    const rotated = this.rotation.rotate(service ?? undefined);
    if (!rotated.ok) return rotated;
    const published = await this.publisher.publish();
    if (!published.ok) return published;
    return ok(rotated.value.map((svid) => certificateStatus(svid, Date.now())));
  }

  inject(request: InjectionRequest): Promise<Result<InjectionStatus>> {
    if (this.stopping !== null || !this.booted) return Promise.resolve(fail(stoppedMeanwhile()));
    const files = checkEnvFiles(this.loaded.config, request);
    return files.ok ? this.injected.inject(request) : Promise.resolve(files);
  }

  updateInjection(instance: string, update: { pid: number }): Promise<Result<void>> {
    return this.injected.update(instance, update);
  }

  eject(name: string | null): Promise<Result<string[]>> {
    return this.injected.eject(name);
  }

  injections(): InjectionStatus[] {
    return this.injected.list();
  }

  down(timeoutMs: number, progress: (line: string) => void): Promise<Result<void>> {
    if (this.stopping !== null) {
      // Asked again: what is left is killed.
      void this.supervisor.stopAll(0, progress);
      return this.stopping;
    }
    this.state = 'stopping';
    this.changed();
    this.stopping = this.shutDown(timeoutMs, progress);
    return this.stopping;
  }

  // -- inside -----------------------------------------------------------------------------------------------------

  /** Tells every attached client, and those that attach later. */
  tell(level: MeshNotice['level'], service: string, text: string, problems: readonly Problem[] = []): void {
    this.keep({ time: new Date().toISOString(), level, service, text, problems: [...problems] });
  }

  private async shutDown(timeoutMs: number, progress: (line: string) => void): Promise<Result<void>> {
    // A start that waits for its data planes waits no longer.
    if (!this.booted) await this.publisher.stop();
    await this.queue;
    const stopped = await this.supervisor.stopAll(timeoutMs, progress);
    await this.injected.close();
    this.rotation.close();
    await this.publisher.stop();
    await this.telemetry.close();
    await this.tracing.close();
    this.databases.close();
    this.network.closeAll();
    this.state = 'stopped';
    this.changed();
    setImmediate(this.options.onEnded);
    return stopped;
  }

  private keep(notice: MeshNotice): void {
    this.notices.push(notice);
    if (this.notices.length > NOTICES_KEPT) this.notices.shift();
    for (const listener of [...this.noticeListeners]) listener(notice);
  }

  private changed(): void {
    this.statusFeed.changed();
  }

  private async publish(): Promise<void> {
    if (this.state === 'stopped') return;
    const result = await this.publisher.publish();
    if (!result.ok) this.tell('error', '', 'the proxies refused a change', result.problems);
  }

  private createInjections(): Injections {
    const { options, supervisor, rotation, network, publisher } = this;
    return createInjections({
      ...{ stateDir: options.stateDir, ledger: options.ledger, dataPlanes: options.launcher },
      ...{ supervisor, network, identity: rotation },
      config: () => this.activeConfig(),
      select: (service) => this.started.add(service),
      publish: () => publisher.publish(),
      dataPlanePids: () => publisher.pids,
      trust: () => ({ anchors: options.authority.trustAnchors, trustDomain: this.loaded.config.trustDomain }),
      notice: (level, service, text, problems) => this.tell(level, service, text, problems),
      changed: () => this.changed(),
    });
  }

  /** Certificates for every service that may run, and for the gateway. */
  private issueFor(config: ResolvedConfig): Result<void> {
    for (const service of Object.values(config.services)) {
      if (service.external !== null) continue;
      const issued = this.rotation.ensure(service.name);
      if (!issued.ok) return issued;
    }
    if (config.gateway !== null) {
      const issued = this.rotation.ensure('gateway');
      if (!issued.ok) return issued;
      const server = this.rotation.ensureGateway(this.gatewayHosts(config));
      if (!server.ok) return server;
    }
    return ok(undefined);
  }

  /** Names a browser may use: each service's, the mesh's, and those of the routes. */
  private gatewayHosts(config: ResolvedConfig): string[] {
    const hosts = new Set([
      `${config.name}.localhost`,
      ...Object.keys(config.services).map((name) => `${name}.localhost`),
    ]);
    for (const route of config.gateway?.routes ?? []) for (const host of route.hosts) hosts.add(host);
    return [...hosts];
  }

  private runtimeState(): Omit<RuntimeState, 'version'> {
    const identities: Record<string, Identity> = {};
    for (const svid of this.rotation.list()) identities[svid.spiffeId] = identityOf(svid);
    const gateway = this.rotation.gateway();
    if (gateway !== undefined) identities.gateway = identityOf(gateway);
    return {
      trustAnchors: [...this.options.authority.trustAnchors],
      identities,
      instances: this.network.instances(),
      gateway: this.gateway.ports,
    };
  }

  /** Services asked for and what they depend on: the others are not part of this run. */
  private selectedServices(): Set<string> {
    const names = Object.keys(this.loaded.config.services);
    if (this.selection === undefined) return new Set(names);
    return new Set([...this.closure(this.selection), ...this.started].filter((name) => names.includes(name)));
  }

  private closure(names: readonly string[]): string[] {
    const dependencies = Object.fromEntries(
      Object.values(this.loaded.config.services).map((service) => [service.name, service.dependsOn]),
    );
    return withDependencies(dependencies, names);
  }

  private activeConfig(): ResolvedConfig {
    const { config } = this.loaded;
    const selected = this.selectedServices();
    if (selected.size === Object.keys(config.services).length) return config;
    return {
      ...config,
      services: Object.fromEntries(Object.entries(config.services).filter(([name]) => selected.has(name))),
    };
  }

  private withMeshPorts<T extends { id: string; inboundPort: number | null; outboundPort: number | null }>(
    instance: T,
  ): T {
    const ports = this.network.ports(instance.id);
    if (ports === undefined) return instance;
    return { ...instance, inboundPort: ports.app === null ? null : ports.inbound, outboundPort: ports.outbound };
  }
}

function identityOf(svid: Svid): Identity {
  return {
    spiffeId: svid.spiffeId,
    certificate: svid.certificatePem,
    privateKey: svid.privateKeyPem,
    notAfter: svid.notAfter,
  };
}

export const stoppedMeanwhile = (): Problem =>
  problem('MESH-R106', { message: 'the mesh was stopped while it started', hint: 'start it again with `mesh up`' });

/** What a running mesh cannot change under its feet: identities and the number of data planes. */
function immutableChanges(before: ResolvedConfig, next: ResolvedConfig): Problem[] {
  const changed = (['name', 'trustDomain', 'namespace', 'proxies'] as const).filter(
    (field) => before[field] !== next[field],
  );
  return changed.map((field) =>
    problem('MESH-R131', {
      message: `${field} changed from ${JSON.stringify(before[field])} to ${JSON.stringify(next[field])}, which needs a new start`,
      hint: 'run `mesh down` and `mesh up`, or take the change back',
      path: [field],
    }),
  );
}
