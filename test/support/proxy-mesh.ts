import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Protocol } from '../../src/model/config.ts';
import type { FilterPolicies, ResolvedRoute } from '../../src/model/resolved.ts';
import type { Cluster, Endpoint, Identity, Listener, SnapshotDelta } from '../../src/model/snapshot.ts';
import { Proxies } from '../../src/proxy/proxy.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import {
  type CertificateAuthority,
  openCertificateAuthority,
} from '../../src/runtime/identity/certificate-authority.ts';

const NO_FILTERS: FilterPolicies = { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null };

/** A service of a test mesh: its instances' application ports, or what differs from the usual. */
export interface TestService {
  protocol?: Protocol;
  apps: { port: number; subset?: string; state?: Endpoint['state'] }[];
  routes?: Partial<ResolvedRoute>[];
  cluster?: Partial<Cluster>;
}

export interface TestMesh {
  proxy: Proxies;
  authority: CertificateAuthority;
  /** Of its data and state; gone after `close`. */
  directory: string;
  identities: Record<string, Identity>;
  notices: string[];
  inFlight: { workload: string; port: number; requests: number }[];
  /** Port of the outbound listener of `client`, by authority. */
  outbound: number;
  /** Ports of `client` for one service each. */
  dependency: Record<string, number>;
  /** Inbound ports by instance. */
  inbound: Record<string, number>;
  gateway: number;
  gatewayTls: number;
  /** Puts other services in force. */
  update(services: Record<string, TestService>): void;
  rotate(service: string): void;
  close(): Promise<void>;
}

export function route(part: Partial<ResolvedRoute> & { service?: string } = {}): ResolvedRoute {
  const service = part.service ?? 'app';
  return {
    name: part.name ?? service,
    path: '',
    hosts: [],
    matches: [{ path: null, methods: [], headers: [], query: [] }],
    backends: [{ service, subset: null, weight: 1 }],
    timeouts: { requestMs: 0, idleMs: 0 },
    retries: null,
    ...part,
    filters: { ...NO_FILTERS, ...part.filters },
  };
}

/** Proxies of this process for a client workload, a gateway and some services, as the daemon would set them up. */
export async function startTestMesh(
  initial: Record<string, TestService>,
  gatewayRoutes: ResolvedRoute[] = [],
): Promise<TestMesh> {
  const dir = await mkdtemp(join(tmpdir(), 'mesh-proxy-'));
  const opened = await openCertificateAuthority({
    dataDir: join(dir, 'data'),
    stateDir: join(dir, 'state'),
    mesh: 'test',
    trustDomain: 'test.local',
    clock: systemClock,
    ttlMs: 3_600_000,
  });
  if (!opened.ok) throw new Error(opened.problems[0].message);
  const authority = opened.value;
  const identities: Record<string, Identity> = {};
  const issue = (service: string) => {
    const svid = authority.issueSvid(service);
    if (!svid.ok) throw new Error(svid.problems[0].message);
    const { spiffeId, certificatePem, privateKeyPem, notAfter } = svid.value;
    identities[spiffeId] = { spiffeId, certificate: certificatePem, privateKey: privateKeyPem, notAfter };
    return spiffeId;
  };
  const gatewayCert = authority.issueGateway(['shop.localhost']);
  if (!gatewayCert.ok) throw new Error(gatewayCert.problems[0].message);
  identities.gateway = {
    spiffeId: '',
    certificate: gatewayCert.value.certificatePem,
    privateKey: gatewayCert.value.privateKeyPem,
    notAfter: gatewayCert.value.notAfter,
  };
  const notices: string[] = [];
  const inFlight: TestMesh['inFlight'] = [];
  const proxy = new Proxies({
    random: Math.random,
    onInFlight: (workload, port, requests) => inFlight.push({ workload, port, requests }),
    onNotice: (_level, service, text) => notices.push(`${service}: ${text}`),
  });
  const ports = new Map<string, number>();
  // Bound from here on, as by the daemon: nobody else can take a port before the proxies listen.
  const bound = new Map<string, Server>();
  const portOf = async (name: string) => {
    if (ports.has(name)) return;
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    bound.set(name, server);
    ports.set(name, (server.address() as { port: number }).port);
  };
  for (const name of ['client/outbound', 'gateway/http', 'gateway/https']) await portOf(name);
  for (const [service, spec] of Object.entries(initial)) {
    await portOf(`client/to/${service}`);
    for (let i = 1; i <= Math.max(4, spec.apps.length); i++) await portOf(`${service}-${i}/inbound`);
  }
  issue('client');
  issue('gateway');
  for (const service of Object.keys(initial)) issue(service);
  const spiffe = (service: string) => `spiffe://test.local/ns/default/sa/${service}`;

  let version = 0;
  let listenerNames: string[] = [];
  let current = initial;
  const apply = (services: Record<string, TestService>) => {
    const listeners: Record<string, Listener | null> = Object.fromEntries(listenerNames.map((name) => [name, null]));
    const add = (part: Partial<Listener> & Pick<Listener, 'name' | 'workload' | 'service' | 'kind'>) => {
      listeners[part.name] = {
        port: ports.get(part.name)!,
        identity: spiffe(part.service),
        tls: false,
        destination: null,
        app: null,
        protocol: 'http',
        ...part,
      };
    };
    add({ name: 'client/outbound', workload: 'client', service: 'client', kind: 'outbound' });
    add({ name: 'gateway/http', workload: 'gateway', service: 'gateway', kind: 'gateway' });
    add({ name: 'gateway/https', workload: 'gateway', service: 'gateway', kind: 'gateway', tls: true });
    const delta: SnapshotDelta = {
      base: version,
      version: version + 1,
      mesh: { name: 'test', trustDomain: 'test.local', trustAnchors: [...authority.trustAnchors] },
      listeners,
      routes: { gateway: { service: 'gateway', routes: gatewayRoutes } },
      clusters: {},
      identities,
    };
    for (const [service, spec] of Object.entries(services)) {
      const protocol = spec.protocol ?? 'http';
      add({
        name: `client/to/${service}`,
        workload: 'client',
        service: 'client',
        kind: 'dependency',
        destination: service,
        protocol,
      });
      const endpoints: Endpoint[] = spec.apps.map((app, i) => {
        const name = `${service}-${i + 1}/inbound`;
        add({
          name,
          workload: `${service}-${i + 1}`,
          service,
          kind: 'inbound',
          app: { host: '127.0.0.1', port: app.port, protocol },
        });
        return {
          id: `${service}-${i + 1}`,
          subset: app.subset ?? 'default',
          host: '127.0.0.1',
          port: ports.get(name)!,
          health: { host: '127.0.0.1', port: app.port },
          state: app.state ?? 'ready',
          weight: 1,
        };
      });
      delta.clusters[service] = {
        service,
        protocol,
        spiffeId: spiffe(service),
        tls: false,
        host: null,
        loadBalancer: { kind: 'round-robin' },
        healthCheck: null,
        parking: { timeoutMs: 2_000, maxRequests: 100 },
        connectTimeoutMs: 2_000,
        subsets: [...new Set(endpoints.map((e) => e.subset))],
        endpoints,
        ...spec.cluster,
      };
      delta.routes[service] = { service, routes: (spec.routes ?? [{}]).map((part) => route({ service, ...part })) };
    }
    for (const name of Object.keys(listeners)) {
      const server = bound.get(name);
      if (server !== undefined && listeners[name] !== null) proxy.giveSocket(name, server);
      bound.delete(name);
    }
    for (const service of Object.keys(current)) {
      if (service in services) continue;
      delta.clusters[service] = null;
      delta.routes[service] = null;
    }
    listenerNames = Object.keys(listeners).filter((name) => listeners[name] !== null);
    const prepared = proxy.prepare(delta);
    if (Array.isArray(prepared)) throw new Error(JSON.stringify(prepared));
    prepared.commit();
    version++;
  };
  apply(initial);
  return {
    proxy,
    authority,
    directory: dir,
    identities,
    notices,
    inFlight,
    outbound: ports.get('client/outbound')!,
    dependency: Object.fromEntries(Object.keys(initial).map((s) => [s, ports.get(`client/to/${s}`)!])),
    inbound: Object.fromEntries(
      [...ports].filter(([n]) => n.endsWith('/inbound')).map(([n, p]) => [n.slice(0, -8), p]),
    ),
    gateway: ports.get('gateway/http')!,
    gatewayTls: ports.get('gateway/https')!,
    update(services) {
      apply(services);
      current = services;
    },
    rotate(service) {
      issue(service);
      apply(current);
    },
    async close() {
      proxy.destroy();
      for (const server of bound.values()) server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
