import type { RouteTable } from './route-table.ts';
import type { Protocol } from '../model/config.ts';
import type { MeshResource } from '../model/snapshot.ts';
import type { Backend } from '../model/resolved.ts';
import { hostKey } from './authority.ts';
import type { AppUpstream } from './app-upstream.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { Deadlines } from './deadlines.ts';
import { type DownstreamConnection, Exchange } from './exchange.ts';
import { RESPOND, runRequestFilters, type Verdict } from './filter-chain.ts';
import { isGrpcContentType } from './grpc-status.ts';
import { formatGrpcTimeout, parseGrpcTimeout } from './grpc-timeout.ts';
import type { ListenerContext } from './listener-context.ts';
import { filterReply, localReply } from './local-reply.ts';
import { deleteHeader, header, type RequestHead, setHeader } from './message.ts';
import type { PeerInfo } from './peer-info.ts';
import type { Router } from './router.ts';
import { type Counters, countStart } from './telemetry/counters.ts';
import { createIdSource, continueTrace } from './trace-context.ts';
import type { UpstreamPool } from './upstream.ts';

const XFCC = 'x-forwarded-client-cert';

/** What is in force now; replaced as a whole by a commit. */
export interface RoutingState {
  readonly mesh: MeshResource;
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** By service; `gateway` is the gateway's. */
  readonly tables: ReadonlyMap<string, RouteTable>;
}

export interface ConnectionManagerOptions {
  state: () => RoutingState;
  /** The application behind an inbound listener. */
  app: (listener: ListenerContext) => AppUpstream | null;
  /** Pool towards a host outside the mesh, for absolute-form and CONNECT requests of services that use us as their HTTP proxy. */
  outside: (authority: string, tunnel: boolean, scheme: string) => UpstreamPool | null;
  router: Router;
  deadlines: Deadlines;
  random: () => number;
  counters: Counters;
  onProtocolError: (listener: ListenerContext, remoteAddress: string, message: string) => void;
}

/** Takes requests from the codecs, decides where they go and hands them to the router. */
export class ConnectionManager {
  readonly deadlines: Deadlines;
  private readonly ids = createIdSource();

  constructor(private readonly options: ConnectionManagerOptions) {
    this.deadlines = options.deadlines;
  }

  /** Opens the record of a request. */
  begin(downstream: DownstreamConnection, listener: ListenerContext, peer: PeerInfo, head: RequestHead, ended: boolean): Exchange {
    const scheme = listener.spec.kind === 'gateway' && listener.spec.tls ? 'https' : 'http';
    const x = new Exchange(listener, this.options.router, this.deadlines, downstream, head, scheme, ended, performance.now());
    x.peer = peer;
    return x;
  }

  /** Decides and forwards, or answers. */
  route(x: Exchange): void {
    const request = x.request;
    const headers = request.headers;
    x.grpc = isGrpcContentType(header(headers, 'content-type'));
    if (request.scheme === '') request.scheme = x.scheme;
    deleteHeader(headers, XFCC);
    const trace = continueTrace(headers, this.ids);
    x.traceId = trace.traceId;
    x.spanId = trace.spanId;
    x.sampled = trace.sampled;
    switch (x.listener.spec.kind) {
      case 'inbound':
        this.routeInbound(x);
        return;
      case 'gateway':
        this.routeGateway(x);
        return;
      case 'dependency':
        this.routeToService(x, x.listener.spec.destination!, null);
        return;
      case 'outbound':
        this.routeOutbound(x);
        return;
    }
  }

  protocolError(listener: ListenerContext, remoteAddress: string, message: string): void {
    this.options.onProtocolError(listener, remoteAddress, message);
  }

  /** The service a host name means here: its name, alone or under one of the mesh's own suffixes. Null: none. */
  serviceByHost(host: string): string | null {
    const { clusters, mesh } = this.options.state();
    if (clusters.has(host)) return host;
    const dot = host.indexOf('.');
    if (dot < 0) return null;
    const suffix = host.slice(dot + 1);
    if (suffix !== 'localhost' && suffix !== 'mesh' && suffix !== mesh.trustDomain) return null;
    const name = host.slice(0, dot);
    return clusters.has(name) ? name : null;
  }

  /** The protocol that a service declares, null where there is no such service. */
  protocolOf(service: string): Protocol | null {
    return this.options.state().clusters.get(service)?.spec.protocol ?? null;
  }

  private routeInbound(x: Exchange): void {
    const app = this.options.app(x.listener);
    if (app === null) {
      localReply(x, 503, 'UF', `${x.listener.spec.workload} is not running`);
      return;
    }
    const request = x.request;
    if (x.peer !== null && x.peer.forwardedClientCert !== '') request.headers.push(XFCC, x.peer.forwardedClientCert);
    x.pool = app.poolFor(request);
    this.count(x, x.peer?.spiffeId ?? '', x.listener.spec.service, '', 'inbound');
    x.appInFlight = app.enter();
    // One transparent second try on a fresh connection, for idempotent requests whose pooled connection had just closed.
    x.canReplay = true;
    this.options.router.forward(x);
  }

  private routeGateway(x: Exchange): void {
    const request = x.request;
    const table = this.options.state().tables.get('gateway');
    const match = table?.match(request) ?? null;
    if (match === null) {
      localReply(x, 404, 'NR', `no route of the gateway for ${request.method} ${request.authority}${pathOnly(request.path)}; see \`mesh routes gateway\``);
      return;
    }
    appendForwarded(x);
    x.route = match.route;
    x.matchIndex = match.matchIndex;
    this.filter(x, () => {
      const backend = match.route.backends.pick(this.options.random());
      if (backend === null) {
        localReply(x, 500, 'NR', `route ${match.route.name} has no backend with a weight`);
        return;
      }
      if (backend.subset === null) this.routeToService(x, backend.service, match.route.timeouts.requestMs);
      else this.send(x, backend, null);
    });
  }

  private routeOutbound(x: Exchange): void {
    const request = x.request;
    const service = this.serviceByHost(hostKey(request.authority));
    if (service !== null) {
      this.routeToService(x, service, null);
      return;
    }
    const asProxy = request.method === 'CONNECT' || x.absoluteForm;
    const pool = asProxy ? this.options.outside(request.authority, request.method === 'CONNECT', request.scheme) : null;
    if (pool === null) {
      const names = [...this.options.state().clusters.keys()].join(', ');
      localReply(x, 404, 'NC', `${request.authority || 'the request'} names no service of this mesh; there are: ${names}`);
      return;
    }
    x.pool = pool;
    this.options.router.forward(x);
  }

  /** Applies the routes of a service. `capMs`: request timeout of the gateway's route, which holds too. */
  private routeToService(x: Exchange, service: string, capMs: number | null): void {
    const match = this.options.state().tables.get(service)?.match(x.request) ?? null;
    if (match === null) {
      localReply(x, 404, 'NR', `no route of ${service} for ${x.request.method} ${pathOnly(x.request.path)}; see \`mesh routes ${service}\``);
      return;
    }
    x.route = match.route;
    x.matchIndex = match.matchIndex;
    this.filter(x, () => {
      const backend = match.route.backends.pick(this.options.random());
      if (backend === null) {
        localReply(x, 500, 'NR', `route ${match.route.name} has no backend with a weight`);
        return;
      }
      this.send(x, backend, capMs);
    });
  }

  /** Runs the route's filters, then `next`, unless one of them answers. */
  private filter(x: Exchange, next: () => void): void {
    const filters = x.route!.requestFilters;
    if (filters.length === 0) {
      next();
      return;
    }
    const verdict = runRequestFilters(filters, x);
    if (typeof verdict === 'number') settle(verdict);
    else verdict.then(settle, (error: unknown) => localReply(x, 500, 'OM', `a filter failed: ${String(error)}`));

    function settle(v: Verdict): void {
      if (x.finished) return;
      if (v === RESPOND) filterReply(x);
      else next();
    }
  }

  private send(x: Exchange, backend: Backend, capMs: number | null): void {
    const cluster = this.options.state().clusters.get(backend.service);
    if (cluster === undefined) {
      localReply(x, 503, 'NC', `${backend.service} is not running in this mesh`);
      return;
    }
    x.backend = backend;
    x.cluster = cluster;
    this.count(x, x.listener.spec.workload, backend.service, x.route!.name, 'outbound');
    this.armTimeouts(x, capMs);
    if (cluster.spec.spiffeId === null && cluster.spec.host !== null) {
      // Outside the mesh nobody knows the service by its name here.
      x.request.authority = cluster.spec.host;
      x.request.scheme = cluster.spec.tls ? 'https' : 'http';
    }
    this.options.router.forward(x);
  }

  private count(x: Exchange, source: string, destination: string, route: string, direction: 'inbound' | 'outbound'): void {
    const slots = x.listener.slots;
    const key = direction === 'inbound' ? source : `${destination} ${route}`;
    let slot = slots.get(key);
    if (slot === undefined) slots.set(key, (slot = this.options.counters.slot({ source, destination, route, direction })));
    x.counter = slot;
    countStart(slot);
  }

  private armTimeouts(x: Exchange, capMs: number | null): void {
    const route = x.route!;
    let requestMs = route.timeouts.requestMs;
    if (capMs !== null && capMs > 0 && (requestMs === 0 || capMs < requestMs)) requestMs = capMs;
    if (x.grpc) {
      const wanted = header(x.request.headers, 'grpc-timeout');
      const wantedMs = wanted === undefined ? null : parseGrpcTimeout(wanted);
      if (wantedMs !== null && (requestMs === 0 || wantedMs < requestMs)) requestMs = wantedMs;
      else if (requestMs > 0) setHeader(x.request.headers, 'grpc-timeout', formatGrpcTimeout(requestMs));
    }
    if (requestMs > 0 && x.request.method !== 'CONNECT') x.arm('request', requestMs);
    x.idleMs = route.timeouts.idleMs;
    if (x.idleMs > 0) x.arm('idle', x.idleMs);
  }
}

/** Without the query, which may hold secrets, and cut where it would fill a terminal. */
function pathOnly(path: string): string {
  const query = path.indexOf('?');
  const bare = query < 0 ? path : path.slice(0, query);
  return bare.length > 200 ? `${bare.slice(0, 200)}...` : bare;
}

/** What a reverse proxy tells the application about the client (de facto, as Envoy and nginx). */
function appendForwarded(x: Exchange): void {
  const headers = x.request.headers;
  const before = header(headers, 'x-forwarded-for');
  const address = x.downConn.remoteAddress;
  setHeader(headers, 'x-forwarded-for', before === undefined ? address : `${before}, ${address}`);
  setHeader(headers, 'x-forwarded-proto', x.scheme);
  if (x.request.authority !== '') setHeader(headers, 'x-forwarded-host', x.request.authority);
}
