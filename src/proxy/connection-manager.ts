import { performance } from 'node:perf_hooks';
import type { Protocol } from '../model/config.ts';
import type { Backend } from '../model/resolved.ts';
import type { MeshResource } from '../model/snapshot.ts';
import type { AppUpstream } from './app-upstream.ts';
import { hostKey } from './authority.ts';
import type { Cluster } from './cluster/cluster.ts';
import { coarseMs, type Deadlines } from './deadlines.ts';
import {
  appendForwarded,
  externalAuthority,
  idleTimeoutMs,
  requestTimeoutMs,
  serviceByHost,
  XFCC,
} from './decisions.ts';
import { type DownstreamConnection, Exchange } from './exchange.ts';
import { CONTINUE, RESPOND, runRequestFilters, type Verdict } from './filter-chain.ts';
import { isGrpcContentType } from './grpc-status.ts';
import { formatGrpcTimeout, parseGrpcTimeout } from './grpc-timeout.ts';
import { grpcWebExchange, grpcWebFormat } from './grpc-web.ts';
import type { ListenerContext } from './listener-context.ts';
import { filterReply, localReply } from './local-reply.ts';
import { deleteHeader, header, type RequestHead, setHeader } from './message.ts';
import type { PeerInfo } from './peer-info.ts';
import type { RouteTable } from './route-table.ts';
import type { Router } from './router.ts';
import type { BodyCaptures } from './telemetry/body-captures.ts';
import { type CounterSlot, type Counters, countStart } from './telemetry/counters.ts';
import { continueTrace, createIdSource } from './trace-context.ts';
import type { UpstreamPool } from './upstream.ts';

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
  /** Whether a trace that begins now is sampled. */
  sampleNew: () => boolean;
  counters: Counters;
  onProtocolError: (listener: ListenerContext, remoteAddress: string, message: string) => void;
}

/** Takes requests from the codecs, decides where they go and hands them to the router. */
export class ConnectionManager {
  readonly deadlines: Deadlines;
  /** Null while no tap asks for bodies. */
  bodies: BodyCaptures | null = null;
  private readonly ids = createIdSource();

  constructor(private readonly options: ConnectionManagerOptions) {
    this.deadlines = options.deadlines;
  }

  /** Opens the record of a request. */
  begin(
    downstream: DownstreamConnection,
    listener: ListenerContext,
    peer: PeerInfo,
    head: RequestHead,
    ended: boolean,
  ): Exchange {
    const scheme = listener.spec.kind === 'gateway' && listener.spec.tls ? 'https' : 'http';
    const { router } = this.options;
    const web = listener.spec.kind === 'gateway' ? grpcWebFormat(head) : null;
    const x =
      web === null
        ? new Exchange(listener, router, this.deadlines, downstream, head, scheme, ended, performance.now())
        : grpcWebExchange(web, listener, router, this.deadlines, downstream, head, scheme, ended, performance.now());
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
    const trace = continueTrace(headers, this.ids, this.options.sampleNew);
    x.traceId = trace.traceId;
    x.spanId = trace.spanId;
    x.parentSpanId = trace.parentSpanId;
    x.sampled = trace.sampled;
    if (this.bodies !== null) this.bodies.begin(x);
    switch (x.listener.spec.kind) {
      case 'inbound':
        this.routeInbound(x);
        return;
      case 'gateway':
        this.routeGateway(x);
        return;
      case 'dependency':
        this.routeToService(x, x.listener.spec.destination!);
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
    return serviceByHost(host, { clusters, trustDomain: mesh.trustDomain });
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
    this.count(x, x.listener.spec.service, '');
    x.appInFlight = app.enter();
    // One transparent second try on a fresh connection, for idempotent requests whose pooled connection had just closed.
    x.canReplay = true;
    this.options.router.forward(x);
  }

  private routeGateway(x: Exchange): void {
    const request = x.request;
    if (request.method === 'CONNECT') {
      localReply(x, 405, 'NR', 'the gateway is no forward proxy: it does not take CONNECT');
      return;
    }
    const table = this.options.state().tables.get('gateway');
    const match = table?.match(request) ?? null;
    if (match === null) {
      localReply(
        x,
        404,
        'NR',
        `no route of the gateway for ${request.method} ${request.authority}${pathOnly(request.path)}; see \`mesh routes gateway\``,
      );
      return;
    }
    appendForwarded(request, x.downConn.remoteAddress, x.scheme);
    x.route = match.route;
    x.matchIndex = match.matchIndex;
    this.filter(x, this.toGatewayBackend);
  }

  private readonly toGatewayBackend = (x: Exchange): void => {
    const route = x.route!;
    const backend = route.backends.pick(this.options.random());
    if (backend === null) {
      localReply(x, 500, 'NR', `route ${route.name} has no backend with a weight`);
    } else if (backend.subset === null) {
      x.outerRoute = route;
      this.routeToService(x, backend.service);
    } else {
      this.send(x, backend);
    }
  };

  private routeOutbound(x: Exchange): void {
    const request = x.request;
    const service = this.serviceByHost(hostKey(request.authority));
    if (service !== null) {
      this.routeToService(x, service);
      return;
    }
    const asProxy = request.method === 'CONNECT' || x.absoluteForm;
    const pool = asProxy ? this.options.outside(request.authority, request.method === 'CONNECT', request.scheme) : null;
    if (pool === null) {
      const names = [...this.options.state().clusters.keys()].join(', ');
      localReply(
        x,
        404,
        'NC',
        `${request.authority || 'the request'} names no service of this mesh; there are: ${names}`,
      );
      return;
    }
    x.pool = pool;
    this.options.router.forward(x);
  }

  /** Applies the routes of a service. */
  private routeToService(x: Exchange, service: string): void {
    const match = this.options.state().tables.get(service)?.match(x.request) ?? null;
    if (match === null) {
      const { method, path } = x.request;
      localReply(
        x,
        404,
        'NR',
        `no route of ${service} for ${method} ${pathOnly(path)}; see \`mesh routes ${service}\``,
      );
      return;
    }
    x.route = match.route;
    x.matchIndex = match.matchIndex;
    this.filter(x, this.toBackend);
  }

  private readonly toBackend = (x: Exchange): void => {
    const route = x.route!;
    const backend = route.backends.pick(this.options.random());
    if (backend === null) localReply(x, 500, 'NR', `route ${route.name} has no backend with a weight`);
    else this.send(x, backend);
  };

  /** Runs the route's filters, then `next`, unless one of them answers. */
  private filter(x: Exchange, next: (x: Exchange) => void): void {
    const filters = x.route!.requestFilters;
    const verdict = filters.length === 0 ? CONTINUE : runRequestFilters(filters, x);
    if (verdict === CONTINUE) next(x);
    else if (verdict === RESPOND) filterReply(x);
    else {
      const settle = (settled: Verdict) => {
        if (x.finished) return;
        if (settled === RESPOND) filterReply(x);
        else next(x);
      };
      verdict.then(settle, (error: unknown) => localReply(x, 500, 'OM', `a filter failed: ${String(error)}`));
    }
  }

  private send(x: Exchange, backend: Backend): void {
    const cluster = this.options.state().clusters.get(backend.service);
    if (cluster === undefined) {
      localReply(x, 503, 'NC', `${backend.service} is not running in this mesh`);
      return;
    }
    x.backend = backend;
    x.cluster = cluster;
    // What the gateway's route says itself comes before the service's own: on both levels retries would multiply.
    x.retry = x.outerRoute?.retry ?? x.route!.retry;
    this.count(x, backend.service, x.route!.name);
    this.armTimeouts(x);
    if (cluster.spec.spiffeId === null && cluster.spec.host !== null) {
      // Outside the mesh nobody knows the service by its name here.
      x.request.authority = externalAuthority(cluster.spec);
      x.request.scheme = cluster.spec.tls ? 'https' : 'http';
    }
    this.options.router.forward(x);
  }

  /** Counts an exchange that ended before it was sent anywhere: no route, a redirect, an application that does not run. */
  countUnsent(x: Exchange): CounterSlot {
    const { kind, destination, service } = x.listener.spec;
    const called =
      kind === 'inbound'
        ? service
        : (destination ?? (kind === 'outbound' ? this.serviceByHost(hostKey(x.authority)) : null));
    return this.count(x, called ?? '', x.route?.name ?? '');
  }

  private count(x: Exchange, destination: string, route: string): CounterSlot {
    const { listener } = x;
    const inbound = listener.spec.kind === 'inbound';
    const gatewayRoute = gatewayRouteOf(x);
    const recent = listener.recentSlot;
    let slot: CounterSlot | undefined;
    if (
      !inbound &&
      recent !== null &&
      recent.route === route &&
      recent.destination === destination &&
      recent.gatewayRoute === gatewayRoute
    ) {
      slot = recent.slot;
    } else {
      const key = inbound ? (x.peer?.spiffeId ?? '') : `${destination} ${gatewayRoute}\n${route}`;
      slot = listener.slots.get(key);
      if (slot === undefined)
        listener.slots.set(key, (slot = this.slotOf(x, destination, route, gatewayRoute, inbound)));
      if (!inbound) listener.recentSlot = { destination, gatewayRoute, route, slot };
    }
    x.counter = slot;
    if (x.capture !== null) this.bodies?.routed(x);
    countStart(slot);
    return slot;
  }

  private slotOf(
    { listener, peer }: Exchange,
    destination: string,
    route: string,
    gatewayRoute: string,
    inbound: boolean,
  ): CounterSlot {
    const { spec } = listener;
    return this.options.counters.slot({
      source: inbound ? serviceOf(peer?.spiffeId ?? '') : spec.service,
      destination,
      route,
      gatewayRoute,
      direction: inbound ? 'inbound' : 'outbound',
      instance: spec.workload,
      tls: inbound
        ? (peer?.tls ?? false)
        : (this.options.state().clusters.get(destination)?.spec.spiffeId ?? null) !== null,
    });
  }

  private armTimeouts(x: Exchange): void {
    const own = x.route!.timeouts;
    const outer = x.outerRoute?.timeouts;
    const requestMs = requestTimeoutMs(own, outer);
    let armMs = requestMs;
    if (x.grpc) {
      const wanted = header(x.request.headers, 'grpc-timeout');
      const wantedMs = wanted === undefined ? null : parseGrpcTimeout(wanted);
      if (wantedMs !== null && (requestMs === 0 || wantedMs < requestMs)) armMs = coarseMs(wantedMs);
      else if (requestMs > 0) setHeader(x.request.headers, 'grpc-timeout', formatGrpcTimeout(requestMs));
    }
    if (armMs > 0 && x.request.method !== 'CONNECT') x.arm('request', armMs);
    x.idleMs = idleTimeoutMs(own, outer);
    if (x.idleMs > 0) x.arm('idle', x.idleMs);
  }
}

/** Name of the gateway's route that decided, also where a service's own route decided after it; empty elsewhere. */
function gatewayRouteOf(x: Exchange): string {
  return x.listener.spec.kind === 'gateway' ? ((x.outerRoute ?? x.route)?.name ?? '') : '';
}

/** The last word of `spiffe://<trust domain>/ns/<namespace>/sa/<service>`. */
function serviceOf(spiffeId: string): string {
  return spiffeId.slice(spiffeId.lastIndexOf('/') + 1);
}

/** Without the query, which may hold secrets, and cut where it would fill a terminal. */
function pathOnly(path: string): string {
  const query = path.indexOf('?');
  const bare = query < 0 ? path : path.slice(0, query);
  return bare.length > 200 ? `${bare.slice(0, 200)}...` : bare;
}
