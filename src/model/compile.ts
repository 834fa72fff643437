import type { Protocol } from './config.ts';
import type { ResolvedConfig, ResolvedService } from './resolved.ts';
import { type Put, sameValues, shared, sharedRecord } from './sharing.ts';
import type {
  Cluster,
  Endpoint,
  EndpointState,
  Identity,
  Listener,
  MeshResource,
  RouteTableResource,
  Snapshot,
  SnapshotDelta,
} from './snapshot.ts';
import { formatSpiffeId } from './spiffe.ts';

/** Everything that is known only while the mesh runs. */
export interface RuntimeState {
  /** Of the snapshot to be made. */
  readonly version: number;
  /** PEM certificates that peers' chains must lead to. */
  readonly trustAnchors: readonly string[];
  /** By key of `Snapshot.identities`: a SPIFFE ID, or `gateway` for the gateway's server certificate. */
  readonly identities: Readonly<Record<string, Identity>>;
  readonly instances: readonly InstanceState[];
  /** Ports that the gateway's listeners are bound to; null: none. */
  readonly gateway: { readonly http: number | null; readonly https: number | null };
}

export interface InstanceState {
  /** `orders-1`. */
  readonly id: string;
  readonly service: string;
  readonly subset: string;
  readonly state: EndpointState;
  readonly ports: {
    /** Null: it takes no requests. */
    readonly app: number | null;
    readonly inbound: number;
    readonly outbound: number;
    /** By name of the service, `gateway` included. */
    readonly dependencies: Readonly<Record<string, number>>;
  };
  /** Of an injected process, where it differs: its application may be elsewhere and speak otherwise than the service. */
  readonly application?: { readonly host: string; readonly protocol: Protocol; readonly tls: boolean };
}

/** Table and workload of the way in. */
const GATEWAY = 'gateway';
const LOOPBACK = '127.0.0.1';

/**
 * What the proxies run on. Whatever says the same as in `previous` is the same object there, so that `diff` and the
 * proxies find changes by reference. Instances of unknown services are left out.
 */
export function compile(config: ResolvedConfig, state: RuntimeState, previous: Snapshot | null): Snapshot {
  const identityOf = spiffeIds(config);
  const origin = previous === null ? undefined : ORIGINS.get(previous);
  const facts = factsOf(state);
  const changed = origin?.config === config ? changedStates(origin.facts, facts) : null;
  const snapshot: Snapshot = {
    version: state.version,
    mesh: shared(previous?.mesh, {
      name: config.name,
      trustDomain: config.trustDomain,
      trustAnchors: [...state.trustAnchors],
    }),
    identities: sharedIdentities(previous?.identities, state.identities),
    ...(previous !== null && changed !== null
      ? {
          listeners: previous.listeners,
          routes: previous.routes,
          clusters: clustersWith(previous.clusters, changed, config, state, identityOf),
        }
      : {
          listeners: sharedRecord(previous?.listeners, (put) => putListeners(config, state, identityOf, put)),
          routes: sharedRecord(previous?.routes, (put) => putRoutes(config, previous?.routes, put)),
          clusters: sharedRecord(previous?.clusters, (put) => putClusters(config, state.instances, identityOf, put)),
        }),
  };
  ORIGINS.set(snapshot, { config, facts });
  return snapshot;
}

/** Ports and states of the gateway and all instances in a row, copied: the caller may keep its own in place. */
interface Facts {
  readonly fixed: readonly (string | number | null)[];
  /** By position of the instance. */
  readonly services: readonly string[];
  readonly states: readonly EndpointState[];
}

/**
 * What a snapshot was made from. Only there to save work: most compilations follow one instance that changed its state,
 * and need not look at the rest of a large mesh again. What comes out is the same without it.
 */
const ORIGINS = new WeakMap<Snapshot, { readonly config: ResolvedConfig; readonly facts: Facts }>();

function factsOf({ gateway, instances }: RuntimeState): Facts {
  const fixed: (string | number | null)[] = [gateway.http, gateway.https];
  const services: string[] = [];
  const states: EndpointState[] = [];
  for (const { id, service, subset, state, ports, application } of instances) {
    fixed.push(id, subset, ports.app, ports.inbound, ports.outbound);
    if (application !== undefined) fixed.push(application.host, application.protocol, Number(application.tls));
    for (const name in ports.dependencies) fixed.push(name, ports.dependencies[name]);
    services.push(service);
    states.push(state);
  }
  return { fixed, services, states };
}

/** Services of which an endpoint changed its state; null where more changed than that. */
function changedStates(before: Facts, now: Facts): ReadonlySet<string> | null {
  if (before.fixed.length !== now.fixed.length || before.states.length !== now.states.length) return null;
  for (let i = 0; i < now.fixed.length; i++) if (before.fixed[i] !== now.fixed[i]) return null;
  const changed = new Set<string>();
  for (let i = 0; i < now.states.length; i++) {
    if (before.services[i] !== now.services[i]) return null;
    if (before.states[i] !== now.states[i]) changed.add(now.services[i]);
  }
  return changed;
}

function sharedIdentities(
  previous: Record<string, Identity> | undefined,
  identities: RuntimeState['identities'],
): Record<string, Identity> {
  if (previous !== undefined && sameValues(previous, identities)) return previous;
  return sharedRecord(previous, (put) => {
    for (const key in identities) put(key, identities[key]);
  });
}

function clustersWith(
  previous: Record<string, Cluster>,
  changed: ReadonlySet<string>,
  config: ResolvedConfig,
  { instances }: RuntimeState,
  identityOf: (service: string) => string,
): Record<string, Cluster> {
  if (changed.size === 0) return previous;
  const clusters = { ...previous };
  const mine = instances.filter(({ service }) => changed.has(service));
  for (const name of changed) {
    const service = config.services[name];
    // Tasks have no cluster, and externals no instances.
    if (service === undefined || service.task || service.external !== null) continue;
    const own = mine.filter((instance) => instance.service === name);
    clusters[name] = shared(previous[name], clusterOf(service, own, identityOf));
  }
  return clusters;
}

/** SPIFFE IDs by service, made once for each. */
function spiffeIds({ trustDomain, namespace }: ResolvedConfig): (service: string) => string {
  const ids = new Map<string, string>();
  return (service) => {
    let id = ids.get(service);
    if (id === undefined) {
      id = formatSpiffeId({ trustDomain, namespace, service });
      ids.set(service, id);
    }
    return id;
  };
}

function putListeners(
  config: ResolvedConfig,
  { instances, gateway }: RuntimeState,
  identityOf: (service: string) => string,
  put: Put<Listener>,
): void {
  for (const { id: workload, service: name, ports, application } of instances) {
    const service = config.services[name];
    if (service === undefined) continue;
    const identity = identityOf(name);
    // Each in full, and with its fields in one order: spreading a common part took most of the time of a compilation.
    putListener(put, {
      name: `${workload}/outbound`,
      workload,
      service: name,
      kind: 'outbound',
      port: ports.outbound,
      identity,
      tls: false,
      destination: null,
      app: null,
      protocol: 'http',
    });
    for (const { service: destination } of service.dependsOn) {
      const port = ports.dependencies[destination];
      const target = config.services[destination];
      // GATEWAY_URL is the gateway's own port; a task takes no requests.
      if (port === undefined || target === undefined || target.task) continue;
      putListener(put, {
        name: `${workload}/to/${destination}`,
        workload,
        service: name,
        kind: 'dependency',
        port,
        identity,
        tls: false,
        destination,
        app: null,
        protocol: target.protocol,
      });
    }
    if (service.task || ports.app === null) continue;
    putListener(put, {
      name: `${workload}/inbound`,
      workload,
      service: name,
      kind: 'inbound',
      port: ports.inbound,
      identity,
      tls: false,
      destination: null,
      app:
        application === undefined
          ? { host: LOOPBACK, port: ports.app, protocol: service.protocol }
          : appOf(application, ports.app),
      protocol: service.protocol,
    });
  }
  if (config.gateway === null) return;
  for (const scheme of ['http', 'https'] as const) {
    const port = gateway[scheme];
    if (port === null) continue;
    putListener(put, {
      name: `${GATEWAY}/${scheme}`,
      workload: GATEWAY,
      service: GATEWAY,
      kind: 'gateway',
      port,
      identity: identityOf(GATEWAY),
      tls: scheme === 'https',
      destination: null,
      app: null,
      protocol: 'http',
    });
  }
}

const appOf = ({ host, protocol, tls }: NonNullable<InstanceState['application']>, port: number): Listener['app'] =>
  tls ? { host, port, protocol, tls } : { host, port, protocol };

const putListener = (put: Put<Listener>, listener: Listener): void => put(listener.name, listener);

function putRoutes(
  config: ResolvedConfig,
  previous: Record<string, RouteTableResource> | undefined,
  put: Put<RouteTableResource>,
): void {
  const table = (service: string, routes: RouteTableResource['routes']): void => {
    const before = previous?.[service];
    // The usual case, of an endpoint that changed: not even a wrapper is needed.
    put(service, before?.routes === routes ? before : { service, routes });
  };
  if (config.gateway !== null) table(GATEWAY, config.gateway.routes);
  for (const name in config.services) if (!config.services[name].task) table(name, config.services[name].routes);
}

function putClusters(
  config: ResolvedConfig,
  instances: readonly InstanceState[],
  identityOf: (service: string) => string,
  put: Put<Cluster>,
): void {
  const byService = new Map<string, InstanceState[]>();
  for (const instance of instances) {
    const mine = byService.get(instance.service);
    if (mine === undefined) byService.set(instance.service, [instance]);
    else mine.push(instance);
  }
  for (const name in config.services) {
    const service = config.services[name];
    if (!service.task) put(name, clusterOf(service, byService.get(name) ?? [], identityOf));
  }
}

function clusterOf(
  service: ResolvedService,
  instances: readonly InstanceState[],
  identityOf: (service: string) => string,
): Cluster {
  const { name, external } = service;
  const cluster: Cluster = {
    service: name,
    protocol: service.protocol,
    spiffeId: external === null ? identityOf(name) : null,
    tls: external?.tls ?? false,
    host: external?.host ?? null,
    loadBalancer: service.loadBalancer,
    healthCheck: service.healthCheck,
    parking: service.parking,
    connectTimeoutMs: service.connectTimeoutMs,
    subsets: service.subsets.map((subset) => subset.name),
    endpoints: external === null ? endpointsOf(service, instances) : [externalEndpoint(name, external)],
  };
  if (service.asideSubset !== undefined) cluster.asideSubset = service.asideSubset;
  return cluster;
}

function endpointsOf(service: ResolvedService, instances: readonly InstanceState[]): Endpoint[] {
  const weights = service.loadBalancer.kind === 'weighted' ? service.loadBalancer.weights : {};
  const endpoints: Endpoint[] = [];
  for (const { id, subset, state, ports, application } of instances) {
    if (ports.app === null) continue;
    endpoints.push({
      id,
      subset,
      host: LOOPBACK,
      port: ports.inbound,
      health: healthOf(application, ports.app),
      state,
      weight: weights[id] ?? weights[subset] ?? 1,
    });
  }
  return endpoints;
}

function healthOf(application: InstanceState['application'], port: number): Endpoint['health'] {
  const at = { host: application?.host ?? LOOPBACK, port };
  return application?.tls ? { ...at, tls: true } : at;
}

function externalEndpoint(service: string, { host, port }: { host: string; port: number }): Endpoint {
  return { id: service, subset: 'default', host, port, health: { host, port }, state: 'ready', weight: 1 };
}

const RECORDS = ['listeners', 'routes', 'clusters', 'identities'] as const;

/** What changed between two snapshots, by reference: those that `compile` made from one another. */
export function diff(previous: Snapshot | null, next: Snapshot): SnapshotDelta {
  const mesh: MeshResource | null = previous?.mesh === next.mesh ? null : next.mesh;
  const delta: SnapshotDelta = {
    base: previous?.version ?? 0,
    version: next.version,
    mesh,
    listeners: {},
    routes: {},
    clusters: {},
    identities: {},
  };
  for (const kind of RECORDS) delta[kind] = changed<object>(previous?.[kind] ?? {}, next[kind]) as never;
  return delta;
}

function changed<T>(previous: Record<string, T>, next: Record<string, T>): Record<string, T | null> {
  const changes: Record<string, T | null> = {};
  if (previous === next) return changes;
  for (const key in next) if (previous[key] !== next[key]) changes[key] = next[key];
  for (const key in previous) if (!Object.hasOwn(next, key)) changes[key] = null;
  return changes;
}

/**
 * The snapshot that a delta leads to; its unchanged resources are those of `base`. The caller makes sure that the delta
 * starts from `base`: one that does not is a bug, as the data plane asks for everything where versions do not meet.
 */
export function applyDelta(base: Snapshot | null, delta: SnapshotDelta): Snapshot {
  if (delta.base !== (base?.version ?? 0)) {
    throw new Error(`a change from version ${delta.base} does not fit version ${base?.version ?? 0}`);
  }
  const mesh = delta.mesh ?? base?.mesh;
  if (mesh === undefined) throw new Error('the first change says nothing about the mesh');
  return {
    version: delta.version,
    mesh,
    listeners: patched(base?.listeners, delta.listeners),
    routes: patched(base?.routes, delta.routes),
    clusters: patched(base?.clusters, delta.clusters),
    identities: patched(base?.identities, delta.identities),
  };
}

function patched<T>(base: Record<string, T> | undefined, changes: Record<string, T | null>): Record<string, T> {
  const keys = Object.keys(changes);
  if (base !== undefined && keys.length === 0) return base;
  const result: Record<string, T> = { ...base };
  for (const key of keys) {
    const value = changes[key];
    if (value === null) delete result[key];
    else result[key] = value;
  }
  return result;
}
