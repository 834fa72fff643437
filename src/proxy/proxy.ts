import { performance } from 'node:perf_hooks';
import tls from 'node:tls';
import { applyDelta } from '../model/compile.ts';
import type { Protocol } from '../model/config.ts';
import type { Problem } from '../model/result.ts';
import type {
  Cluster as ClusterSpec,
  Identity,
  Listener as ListenerSpec,
  Snapshot,
  SnapshotDelta,
} from '../model/snapshot.ts';
import { AppUpstream } from './app-upstream.ts';
import type { ClusterQuery } from './channel.ts';
import { Cluster } from './cluster/cluster.ts';
import type { ClusterView } from './cluster/cluster-view.ts';
import type { EndpointState } from './cluster/endpoint.ts';
import { HealthChecker } from './cluster/health-check.ts';
import { ConnectionManager, type RoutingState } from './connection-manager.ts';
import { externalTlsConnector, linkConnector, plainConnector } from './connector.ts';
import { Deadlines } from './deadlines.ts';
import { DrainWatch } from './drain-watch.ts';
import type { Exchange } from './exchange.ts';
import { GRPC_CANCELLED, GRPC_UNAVAILABLE, httpToGrpcStatus } from './grpc-status.ts';
import { APP_H2, LINK_H2, Listener, type ListenerOptions } from './listener.ts';
import type { ListenerContext } from './listener-context.ts';
import { balancerKey } from './load-balancers/balancer-key.ts';
import { OutsidePools } from './outside-pools.ts';
import { linkContextOptions } from './peer-identity.ts';
import { compileRouteTable, type RouteTable } from './route-table.ts';
import { Router } from './router.ts';
import { countBytes, countEnd, countHttp, createCounters } from './telemetry/counters.ts';
import { GRPC_CALL } from './telemetry/http-durations.ts';
import type { Taps } from './telemetry/taps.ts';
import type { TraceRecorder } from './telemetry/trace-recorder.ts';
import type { UpstreamPool } from './upstream.ts';
import { Http1Pool } from './upstream-http1.ts';
import { Http2Pool } from './upstream-http2.ts';
import { TcpPool } from './upstream-tcp.ts';

export interface ProxyOptions {
  random: () => number;
  onInFlight: (workload: string, port: number, requests: number) => void;
  onNotice: (level: 'info' | 'warning' | 'error', service: string, text: string) => void;
}

/** What to offer to a service outside the mesh. */
const ALPN: Readonly<Record<Protocol, string[]>> = { http: ['http/1.1'], http2: ['h2'], grpc: ['h2'], tcp: [] };

/** What a commit will put in force. */
export interface Prepared {
  readonly version: number;
  commit(): void;
}

/** Every proxy of the mesh that lives in this process: listeners, clusters, routes, and the snapshot they run on. */
export class Proxies {
  readonly counters = createCounters();
  readonly refusedPeers: Record<string, number> = {};
  readonly flags: Record<string, number> = {};
  /** Who looks at requests; null while nobody does. */
  taps: Taps | null = null;
  /** Takes down what becomes spans; null while traces are off. */
  traces: TraceRecorder | null = null;
  private snapshot: Snapshot | null = null;
  private routing: RoutingState = {
    mesh: { name: '', trustDomain: '', trustAnchors: [] },
    clusters: new Map(),
    tables: new Map(),
  };
  private readonly listeners = new Map<string, Listener>();
  /** Those that take no new connections and still have some. */
  private readonly closing = new Set<Listener>();
  private readonly apps = new Map<string, AppUpstream>();
  private readonly retiring = new Set<AppUpstream>();
  /** Bound sockets for listeners that a commit will open. */
  private readonly sockets = new Map<string, unknown>();
  private readonly checkers = new Map<string, HealthChecker>();
  private readonly contexts = new Map<string, { identity: Identity; anchors: string; context: tls.SecureContext }>();
  private readonly deadlines = new Deadlines();
  private readonly router: Router;
  readonly manager: ConnectionManager;
  private readonly listenerOptions: ListenerOptions;
  private readonly outside: OutsidePools;
  private readonly drains: DrainWatch;
  /** Last time a refusal of a kind was reported, so that a peer that keeps trying does not flood the log. */
  private readonly reportedAtMs = new Map<string, number>();

  constructor(private readonly options: ProxyOptions) {
    this.drains = new DrainWatch(options.onInFlight);
    this.outside = new OutsidePools(this.deadlines);
    this.router = new Router({ random: options.random, onFinished: (x) => this.record(x) });
    this.manager = new ConnectionManager({
      state: () => this.routing,
      app: (listener) => this.apps.get(listener.spec.name) ?? null,
      outside: (authority, tunnel, scheme) => this.outside.pool(authority, tunnel, scheme),
      router: this.router,
      deadlines: this.deadlines,
      random: options.random,
      sampleNew: () => this.traces?.sampleNew() ?? false,
      counters: this.counters,
      onProtocolError: (listener, remote, message) =>
        this.report('warning', listener, `invalid request from ${remote}: ${message}`),
    });
    this.listenerOptions = {
      manager: this.manager,
      trustDomain: () => this.routing.mesh.trustDomain,
      trustAnchors: () => this.routing.mesh.trustAnchors,
      onRefusedPeer: (listener, reason, message) => {
        this.refusedPeers[reason] = (this.refusedPeers[reason] ?? 0) + 1;
        this.report('warning', listener, `refused a peer (${reason}): ${message}`);
      },
      onSocketError: (listener, message) =>
        this.report('error', listener, `port ${listener.spec.port} of 127.0.0.1 cannot be served: ${message}`),
      onTlsError: (listener, message) => this.report('warning', listener, `TLS handshake failed: ${message}`),
    };
  }

  get version(): number {
    return this.snapshot?.version ?? 0;
  }

  /** Open downstream connections by direction and service: `inbound orders`. */
  connectionCounts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { spec, connections } of this.listeners.values()) {
      if (connections.size === 0) continue;
      const key = `${spec.kind === 'inbound' ? 'inbound' : 'outbound'} ${spec.service}`;
      counts[key] = (counts[key] ?? 0) + connections.size;
    }
    return counts;
  }

  /** What is known of a service's endpoints now; null: no such service. */
  view({ service, subset, headers, source }: ClusterQuery): ClusterView | null {
    const cluster = this.routing.clusters.get(service);
    if (cluster === undefined) return null;
    const key = balancerKey(cluster.spec.loadBalancer, headers, source);
    return cluster.view(subset, key, (id) => this.checkers.get(service)?.lastFailure(id) ?? '');
  }

  /** First phase: checks and builds everything that can fail. Nothing changes for traffic. */
  prepare(delta: SnapshotDelta): Prepared | Problem[] {
    if (delta.base !== 0 && delta.base !== this.version) {
      return [
        {
          code: 'MESH-R120',
          message: `the data plane runs version ${this.version}, not ${delta.base}`,
          hint: 'the control plane sends the whole snapshot',
        },
      ];
    }
    const base = delta.base === 0 ? null : this.snapshot;
    const next = applyDelta(base, delta);
    const problems: Problem[] = [];
    const tables = new Map<string, RouteTable>();
    for (const [service, resource] of Object.entries(next.routes)) {
      try {
        tables.set(service, compileRouteTable(resource, this.routing.tables.get(service)));
      } catch (error) {
        problems.push({
          code: 'MESH-R121',
          message: `the routes of ${service} do not compile: ${(error as Error).message}`,
        });
      }
    }
    for (const [key, identity] of Object.entries(next.identities)) {
      if (this.snapshot?.identities[key] === identity) continue;
      try {
        tls.createSecureContext(linkContextOptions(identity, next.mesh.trustAnchors));
      } catch (error) {
        problems.push({
          code: 'MESH-R122',
          message: `the certificate of ${key} cannot be used: ${(error as Error).message}`,
        });
      }
    }
    for (const listener of Object.values(next.listeners)) {
      for (const key of new Set([listener.identity, serverIdentity(listener)])) {
        if (key in next.identities) continue;
        problems.push({
          code: 'MESH-R122',
          message: `listener ${listener.name} has no certificate: ${key} is missing`,
        });
      }
    }
    if (problems.length > 0) return problems;
    return { version: next.version, commit: () => this.commit(next, tables) };
  }

  /** Hands over a socket that the control plane has bound for a listener to come. */
  giveSocket(listener: string, handle: unknown): void {
    this.sockets.set(listener, handle);
  }

  /** What was prepared is not to be: lets go of the sockets that were meant for it. */
  dropSockets(): void {
    for (const handle of this.sockets.values()) (handle as { close?(): void }).close?.();
    this.sockets.clear();
  }

  private commit(next: Snapshot, tables: Map<string, RouteTable>): void {
    const previous = this.snapshot;
    const clusters = this.reconcileClusters(previous, next);
    this.snapshot = next;
    this.routing = { mesh: next.mesh, clusters, tables };
    this.reconcileIdentities(previous, next);
    this.reconcileListeners(next);
    // Only now: parked requests and new endpoints must see all of the new state.
    for (const [name, spec] of Object.entries(next.clusters)) {
      if (previous?.clusters[name] !== spec) clusters.get(name)!.reconcile(spec);
    }
    this.watchDrains(previous, next);
    this.reconcileHealthChecks(next);
  }

  /** Instances that take no more requests, for now or for good: the control plane waits for those that they have. */
  private watchDrains(previous: Snapshot | null, next: Snapshot): void {
    for (const [name, spec] of Object.entries(next.clusters)) {
      if (previous?.clusters[name] === spec) continue;
      for (const endpoint of spec.endpoints) {
        const { port } = endpoint.health;
        if (endpoint.state === 'ready' || endpoint.state === 'unhealthy') {
          // It may be back on the port that it left, and in demand.
          this.drains.forget(endpoint.id, port);
          continue;
        }
        const app = this.apps.get(`${endpoint.id}/inbound`);
        this.drains.watch(endpoint.id, port, () =>
          Math.max(app?.active ?? 0, this.routing.clusters.get(name)?.inFlight(endpoint.id) ?? 0),
        );
      }
    }
  }

  private reconcileClusters(previous: Snapshot | null, next: Snapshot): Map<string, Cluster> {
    const clusters = new Map<string, Cluster>();
    for (const [name, spec] of Object.entries(next.clusters)) {
      clusters.set(name, this.routing.clusters.get(name) ?? this.createCluster(spec));
    }
    if (previous !== null) {
      for (const [name, cluster] of this.routing.clusters) if (!clusters.has(name)) cluster.close();
    }
    return clusters;
  }

  private createCluster(spec: ClusterSpec): Cluster {
    return new Cluster(
      spec,
      (cluster, endpoint, identity) => this.createPool(cluster, endpoint, identity),
      this.options.random,
      (x) => this.router.release(x),
    );
  }

  private createPool(cluster: Cluster, endpoint: EndpointState, identity: string): UpstreamPool {
    const { host, port } = endpoint.spec;
    const spec = cluster.spec;
    const timeoutMs = spec.connectTimeoutMs;
    if (spec.spiffeId === null) {
      const connector = spec.tls
        ? externalTlsConnector(host, port, timeoutMs, spec.host ?? host, ALPN[spec.protocol])
        : plainConnector(host, port, timeoutMs);
      if (spec.protocol === 'tcp') return new TcpPool(connector);
      return spec.protocol === 'http' ? new Http1Pool(connector, this.deadlines) : new Http2Pool(connector, APP_H2);
    }
    const expected = spec.spiffeId;
    return new Http2Pool(
      linkConnector(host, port, timeoutMs, {
        secureContext: () => this.linkContext(identity),
        trustDomain: this.routing.mesh.trustDomain,
        expectedSpiffeId: expected,
        serverName: cluster.name,
        refused: (reason, message) => {
          this.refusedPeers[reason] = (this.refusedPeers[reason] ?? 0) + 1;
          this.options.onNotice('warning', cluster.name, `refused ${endpoint.spec.id} (${reason}): ${message}`);
        },
      }),
      LINK_H2,
    );
  }

  private linkContext(key: string): tls.SecureContext {
    const identity = this.snapshot!.identities[key];
    const anchors = this.routing.mesh.trustAnchors.join('');
    const known = this.contexts.get(key);
    if (known !== undefined && known.identity === identity && known.anchors === anchors) return known.context;
    const context = tls.createSecureContext(linkContextOptions(identity, this.routing.mesh.trustAnchors));
    this.contexts.set(key, { identity, anchors, context });
    return context;
  }

  private reconcileIdentities(previous: Snapshot | null, next: Snapshot): void {
    if (previous === null) return;
    const renewed = new Set<string>();
    for (const [key, identity] of Object.entries(next.identities)) {
      const before = previous.identities[key];
      if (before !== undefined && before !== identity) renewed.add(key);
    }
    // Other authorities to believe concern everyone.
    if (previous.mesh.trustAnchors.join('') !== next.mesh.trustAnchors.join('')) {
      for (const key of Object.keys(next.identities)) renewed.add(key);
    }
    for (const key of this.contexts.keys()) if (!(key in next.identities)) this.contexts.delete(key);
    if (renewed.size === 0) return;
    for (const listener of this.listeners.values()) {
      const key = serverIdentity(listener.spec);
      if (renewed.has(key)) listener.presentIdentity(next.identities[key]);
    }
    for (const cluster of this.routing.clusters.values()) for (const key of renewed) cluster.renewIdentity(key);
  }

  private reconcileListeners(next: Snapshot): void {
    for (const [name, listener] of this.listeners) {
      const spec = next.listeners[name];
      if (
        spec !== undefined &&
        spec.port === listener.spec.port &&
        spec.kind === listener.spec.kind &&
        spec.tls === listener.spec.tls
      )
        continue;
      this.listeners.delete(name);
      this.closing.add(listener);
      listener.close(() => this.closing.delete(listener));
    }
    for (const [name, spec] of Object.entries(next.listeners)) {
      const listener = this.listeners.get(name);
      if (listener === undefined) this.open(spec, next);
      else listener.spec = spec;
      this.reconcileApp(name, spec);
    }
    for (const name of [...this.apps.keys()]) if (!(name in next.listeners)) this.retireApp(name, '');
  }

  private open(spec: ListenerSpec, next: Snapshot): void {
    const listener = new Listener(spec, this.listenerOptions, next.identities[serverIdentity(spec)]);
    this.listeners.set(spec.name, listener);
    listener.listen(this.sockets.get(spec.name));
    this.sockets.delete(spec.name);
  }

  /** The application moves to another port with a restart: new requests go there, old ones end where they are. */
  private reconcileApp(name: string, spec: ListenerSpec): void {
    const app = spec.app;
    const known = this.apps.get(name);
    if (
      known !== undefined &&
      app !== null &&
      known.host === app.host &&
      known.port === app.port &&
      known.protocol === app.protocol &&
      known.tls === (app.tls ?? false)
    )
      return;
    if (known !== undefined) this.retireApp(name, spec.workload);
    if (app === null) return;
    this.apps.set(
      name,
      new AppUpstream(app.host, app.port, app.protocol, app.tls ?? false, this.deadlines, APP_H2, (drained) =>
        this.retiring.delete(drained),
      ),
    );
  }

  private retireApp(name: string, workload: string): void {
    const app = this.apps.get(name);
    if (app === undefined) return;
    this.apps.delete(name);
    this.retiring.add(app);
    app.drain();
    if (workload !== '') this.drains.watch(workload, app.port, () => app.active);
  }

  private reconcileHealthChecks(next: Snapshot): void {
    for (const [name, spec] of Object.entries(next.clusters)) {
      const checker = this.checkers.get(name);
      if (spec.healthCheck === null) {
        checker?.close();
        this.checkers.delete(name);
        continue;
      }
      const peer = { tls: spec.tls ? { servername: spec.host ?? undefined } : null, authority: spec.host };
      if (checker !== undefined) {
        checker.reconcile(spec.endpoints, spec.healthCheck, peer);
        continue;
      }
      const created = new HealthChecker(
        name,
        spec.healthCheck,
        (endpoint, healthy, reason) => {
          this.routing.clusters.get(name)?.setHealthy(endpoint, healthy);
          this.options.onNotice(
            healthy ? 'info' : 'warning',
            name,
            healthy ? `${endpoint} passes its health check again` : `${endpoint} fails its health check: ${reason}`,
          );
        },
        peer,
      );
      this.checkers.set(name, created);
      created.reconcile(spec.endpoints);
    }
    for (const [name, checker] of this.checkers) {
      if (name in next.clusters) continue;
      checker.close();
      this.checkers.delete(name);
    }
  }

  private record(x: Exchange): void {
    if (x.flag !== '') this.flags[x.flag] = (this.flags[x.flag] ?? 0) + 1;
    const slot = x.counter ?? this.manager.countUnsent(x);
    const nowMs = performance.now();
    const durationMs = nowMs - x.startedAtMs;
    const broken = brokeOff(x);
    countEnd(slot, x.status, x.grpcStatus, broken, durationMs, Math.max(0, x.tries - 1));
    if (x.grpc) countHttp(slot, GRPC_CALL, callStatus(x, broken), broken, durationMs);
    else if (!x.tunnel) countHttp(slot, x.request.method, x.status, broken, durationMs);
    countBytes(slot, x.requestBytes, x.responseBytes);
    if (this.taps !== null) this.taps.see(x, nowMs);
    if (x.capture !== null) x.capture.release();
    if (this.traces !== null) this.traces.record(x, nowMs);
  }

  /** At most one report a second of each kind. */
  private report(level: 'warning' | 'error', listener: ListenerContext, text: string): void {
    const kind = `${listener.spec.name} ${text.slice(0, 40)}`;
    const now = performance.now();
    if (now - (this.reportedAtMs.get(kind) ?? Number.NEGATIVE_INFINITY) < 1_000) return;
    if (this.reportedAtMs.size > 1_000) this.reportedAtMs.clear();
    this.reportedAtMs.set(kind, now);
    this.options.onNotice(level, listener.spec.service, `${listener.spec.name}: ${text}`);
  }

  /** Closes every socket at once. */
  destroy(): void {
    this.drains.close();
    for (const checker of this.checkers.values()) checker.close();
    for (const listener of [...this.listeners.values(), ...this.closing]) listener.destroy();
    for (const cluster of this.routing.clusters.values()) cluster.destroy();
    for (const app of [...this.apps.values(), ...this.retiring]) app.destroy();
    this.outside.destroy();
  }
}

/** Whether the mesh or the service failed to finish it. What a proxy answered with a status below 500 was the client's mistake. */
function brokeOff({ flag, status, responseEnded }: Exchange): boolean {
  if (flag === '' || flag === 'DC' || flag === 'DPE') return false;
  return !responseEnded || status >= 500;
}

/** The gRPC status that the client saw, or makes of what it saw instead of one. */
function callStatus({ grpcStatus, status }: Exchange, broken: boolean): number {
  if (grpcStatus >= 0) return grpcStatus;
  if (status === 0) return broken ? GRPC_UNAVAILABLE : GRPC_CANCELLED;
  return httpToGrpcStatus(status);
}

/** Whose certificate a TLS listener shows: browsers must find host names in the gateway's, where peers look for an SVID. */
function serverIdentity(spec: ListenerSpec): string {
  return spec.tls ? 'gateway' : spec.identity;
}
