import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile, type InstanceState } from '../../../src/model/compile.ts';
import type { MeshConfig } from '../../../src/model/config.ts';
import { type ExplainQuery, type Explanation, NO_QUERY } from '../../../src/model/explanation.ts';
import type { ProxySpan } from '../../../src/model/proxy-span.ts';
import { resolveConfig } from '../../../src/model/resolve.ts';
import { fail, ok } from '../../../src/model/result.ts';
import type { MeshStatus, ServiceStatus } from '../../../src/model/status.ts';
import type { ClusterView, EndpointView } from '../../../src/proxy/cluster/cluster-view.ts';
import { type ExplainSources, explainRequest } from '../../../src/runtime/explain/explain-request.ts';
import { timingParts } from '../../../src/runtime/explain/outcome-facts.ts';
import { keptRequest } from '../../../src/runtime/tracing/kept-request.ts';
import { BEGAN_MS, proxySpan } from '../../support/spans.ts';

const CONFIG: MeshConfig = {
  version: 1,
  name: 'shop',
  gateway: {
    http: 8080,
    routes: [
      {
        name: 'api',
        matches: [{ path: { prefix: '/api' } }],
        filters: { rewrite: { path: { replacePrefix: '/' } } },
        timeouts: { request: '3s' },
        backends: [{ service: 'orders' }],
      },
      { name: 'away', matches: [{ path: { prefix: '/away' } }], filters: { redirect: { path: { replaceFull: '/' } } } },
      { name: 'rest', matches: [{ path: { prefix: '/web' } }], backends: [{ service: 'web' }] },
    ],
  },
  services: {
    web: { command: 'x', dependsOn: ['orders', 'cache', 'pay'] },
    orders: {
      command: 'x',
      timeouts: { request: '5s' },
      healthCheck: { http: '/health' },
      subsets: { v1: { replicas: 2 }, canary: {} },
      routes: [
        { name: 'canary', matches: [{ headers: { 'x-canary': '1' } }], backends: [{ subset: 'canary' }] },
        {
          name: 'split',
          matches: [{ path: { prefix: '/items' } }],
          backends: [
            { subset: 'v1', weight: 3 },
            { subset: 'canary', weight: 1 },
          ],
        },
      ],
    },
    cache: { command: 'x', protocol: 'tcp' },
    pay: { external: 'https://pay.test' },
    job: { command: 'x', task: true },
  },
};

const instance = (id: string, service: string, over: Partial<InstanceState> = {}): InstanceState => ({
  id,
  service,
  subset: 'default',
  state: 'ready',
  ports: { app: 3000, inbound: 3001, outbound: 3002, dependencies: { orders: 4001, cache: 4002, pay: 4003 } },
  ...over,
});

const identity = (name: string) => ({
  spiffeId: `spiffe://shop.local/ns/default/sa/${name}`,
  certificate: '',
  privateKey: '',
  notAfter: BEGAN_MS,
});

const INSTANCES = [
  instance('web-1', 'web'),
  instance('orders-v1-1', 'orders', { subset: 'v1' }),
  instance('orders-v1-2', 'orders', { subset: 'v1' }),
  instance('orders-canary-1', 'orders', { subset: 'canary' }),
  instance('cache-1', 'cache'),
];

const service = (name: string, over: Partial<ServiceStatus> = {}): ServiceStatus => ({
  name,
  protocol: 'http',
  external: false,
  task: false,
  waitingFor: [],
  instances: INSTANCES.filter((each) => each.service === name).map(({ id, subset }) => ({
    id,
    subset,
    state: 'ready',
    reason: id === 'orders-v1-2' ? 'exited with code 1' : '',
    pid: 1,
    appPort: 3000,
    inboundPort: 3001,
    outboundPort: 3002,
    restarts: 0,
    startedAt: null,
    readyAfterMs: null,
    spiffeId: '',
  })),
  ...over,
});

const STATUS = {
  services: [
    service('web'),
    service('orders'),
    service('cache', { protocol: 'tcp' }),
    service('pay', { external: true }),
    service('job', { task: true }),
  ],
} as MeshStatus;

const seen = (id: string, over: Partial<EndpointView> = {}): EndpointView => ({
  id,
  healthy: true,
  checkFailure: '',
  inFlight: 0,
  requests: 0,
  failures: 0,
  consecutiveFailures: 0,
  chance: 0,
  ...over,
});
const viewOf = (...endpoints: EndpointView[]): ClusterView => ({
  endpoints,
  hashed: false,
  waiting: 0,
  expects: false,
});

function sources(
  part: { instances?: InstanceState[]; view?: ClusterView | null; spans?: ProxySpan[]; loadedAt?: number } = {},
): ExplainSources {
  const resolved = resolveConfig(structuredClone(CONFIG), { baseDir: '/' });
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.problems));
  const identities = Object.fromEntries(
    ['web', 'orders', 'cache', 'gateway'].map((name) => [identity(name).spiffeId, identity(name)]),
  );
  const {
    instances = INSTANCES,
    view = viewOf(seen('orders-v1-1', { chance: 1 }), seen('orders-v1-2'), seen('orders-canary-1')),
  } = part;
  return {
    snapshot: compile(
      resolved.value,
      { version: 7, trustAnchors: [], identities, instances, gateway: { http: 8080, https: null } },
      null,
    ),
    config: CONFIG,
    locate: (path) => `/shop/mesh.config.ts#${path}`,
    loadedAt: new Date(part.loadedAt ?? BEGAN_MS - 1),
    status: STATUS,
    view: async () => view,
    kept: async (id) => {
      const kept = keptRequest(part.spans ?? [], id === 'trace' ? '' : id);
      return kept === null ? fail({ code: 'MESH-X101', message: 'none' }) : ok(kept);
    },
  };
}

async function explain(query: Partial<ExplainQuery>, from = sources()): Promise<Explanation> {
  const result = await explainRequest({ ...NO_QUERY, headersKnown: query.id === undefined, ...query }, from);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const code = async (query: Partial<ExplainQuery>) => {
  const result = await explainRequest({ ...NO_QUERY, ...query }, sources());
  return result.ok ? '' : `${result.problems[0].code} ${result.problems[0].message}; ${result.problems[0].hint ?? ''}`;
};

describe('a request that might happen', () => {
  it('goes by the port of the dependency, the rule that agrees and the larger share', async () => {
    const found = await explain({ from: 'web', to: 'orders', path: '/items/7' });
    expect(found).toMatchObject({
      kind: 'might-happen',
      name: { by: 'port', service: 'orders' },
      listener: { name: 'web-1/to/orders', port: 4001, kind: 'dependency' },
      backend: { service: 'orders', subset: 'v1' },
      identity: { presented: identity('web').spiffeId, expected: identity('orders').spiffeId },
      tls: { mode: 'mesh' },
      reply: null,
    });
    expect(found.backend!.candidates.map(({ share }) => share)).toEqual([0.75, 0.25]);
    const [{ taken, earlier }] = found.tables;
    expect(taken).toMatchObject({
      route: 'split',
      position: 1,
      source: '/shop/mesh.config.ts#services.orders.routes[1]',
    });
    expect(earlier).toEqual([]);
    expect(found.endpoints!.endpoints.map(({ choice, why }) => [choice, why])).toEqual([
      ['next', 'round-robin: its turn'],
      ['skipped', 'round-robin: not its turn'],
      ['skipped', "of subset canary, which gets 25 % of this route's requests"],
    ]);
  });

  it('says why earlier rules did not take it, and that there is no route', async () => {
    const found = await explain({ from: 'web', to: 'orders', path: '/other', headers: [['X-Canary', '2']] });
    expect(found.tables[0].taken).toBeNull();
    expect(
      found.tables[0].earlier.map(({ route, differences }) => [route, differences.map(({ text }) => text)]),
    ).toEqual([
      ['split', ['path /other is not under /items']],
      ['canary', ['header x-canary is "2", wanted "1"']],
    ]);
    expect(found).toMatchObject({ backend: null, endpoints: null, reply: { status: 404, flag: 'NR' } });
  });

  it('goes through the gateway and then the routes of the service', async () => {
    const found = await explain({ from: 'gateway', path: '/api/items', headers: [['x-canary', '1']] });
    expect(found.tables.map(({ table, taken }) => [table, taken?.route])).toEqual([
      ['gateway', 'api'],
      ['orders', 'split'],
    ]);
    expect(found.policy.filters).toEqual([
      { table: 'gateway', route: 'api', filter: 'rewrite', on: 'request', changes: ['path /api/items becomes /items'] },
    ]);
    const timeouts = Object.fromEntries(found.timeouts.map(({ name, ms, origin }) => [name, `${ms} ${origin.level}`]));
    expect(timeouts).toEqual({
      request: '3000 gateway route',
      idle: '3600000 built-in',
      connect: '5000 built-in',
      parking: '10000 built-in',
    });
    expect(found.request.to).toBe('orders');
  });

  it('is answered by a redirect', async () => {
    const found = await explain({ from: 'gateway', path: '/away' });
    expect(found).toMatchObject({ backend: null, reply: { status: 302, flag: '' } });
    expect(found.policy.filters[0].changes).toEqual(['answers 302 with location http://localhost:8080/']);
  });

  it('passes by endpoints that are not ready, fail their check or are of another subset', async () => {
    const instances = INSTANCES.map((each) => (each.id === 'orders-v1-2' ? { ...each, state: 'down' as const } : each));
    const view = viewOf(
      seen('orders-v1-1', { healthy: false, checkFailure: 'status 500' }),
      seen('orders-v1-2'),
      seen('orders-canary-1'),
    );
    const found = await explain({ from: 'web', to: 'orders', path: '/items' }, sources({ instances, view }));
    expect(found.endpoints!.endpoints.map(({ choice, why }) => [choice, why])).toEqual([
      ['skipped', 'unhealthy: it fails its health http check: status 500'],
      ['skipped', 'down: exited with code 1'],
      ['skipped', "of subset canary, which gets 25 % of this route's requests"],
    ]);
    expect(found.reply).toMatchObject({ status: 503, flag: 'UH' });
    const waits = await explain(
      { from: 'web', to: 'orders', path: '/items' },
      sources({ instances, view: { ...view, expects: true } }),
    );
    expect(waits.reply).toBeNull();
    expect(waits.notes.join()).toContain('waits for it, at most 10000 ms');
  });

  it('is told from what the control plane knows where the data plane is silent', async () => {
    const found = await explain({ from: 'web', to: 'orders', path: '/items' }, sources({ view: null }));
    expect(found.endpoints).toMatchObject({ live: false });
    expect(found.endpoints!.endpoints[0]).toMatchObject({ choice: 'possible', chance: null });
  });

  it('may be a TCP connection, a gRPC call or one to a service outside', async () => {
    const tcp = await explain({ from: 'web', to: 'cache' }, sources({ view: viewOf(seen('cache-1', { chance: 1 })) }));
    expect(tcp).toMatchObject({
      request: { protocol: 'tcp', method: 'CONNECT', path: '' },
      listener: { port: 4002 },
      reply: null,
    });
    expect(tcp.timeouts.map(({ name }) => name)).toEqual(['idle', 'connect', 'parking']);

    const grpc = await explain({
      from: 'web',
      to: 'orders',
      method: 'POST',
      path: '/items/Get',
      headers: [
        ['content-type', 'application/grpc'],
        ['grpc-timeout', '200m'],
      ],
    });
    expect(grpc.request.protocol).toBe('grpc');
    expect(grpc.timeouts[0]).toEqual({
      name: 'request',
      ms: 200,
      origin: { level: 'request', path: 'grpc-timeout', source: '' },
    });

    const outside = await explain({ from: 'web', to: 'pay' }, sources({ view: viewOf(seen('pay', { chance: 1 })) }));
    expect(outside).toMatchObject({
      identity: { presented: null, expected: null },
      tls: { mode: 'external', serverName: 'pay.test' },
    });
    expect(outside.notes).toContain('the service outside is asked as Host: pay.test');
  });

  it('notes what is not declared, and takes a host name of the mesh', async () => {
    const found = await explain({ from: 'cache', to: 'web' }, sources({ view: null }));
    expect(found.listener).toMatchObject({ kind: 'outbound' });
    expect(found.notes[0]).toContain('does not declare web in dependsOn');
    const byHost = await explain({ from: 'web', to: 'orders.localhost', path: '/items' });
    expect(byHost).toMatchObject({ name: { by: 'host', service: 'orders' }, listener: { kind: 'outbound' } });
  });

  it('is refused where it names nobody', async () => {
    expect(await code({ from: 'wep', to: 'orders' })).toMatch(
      /^MESH-U103 there is no service `wep`; did you mean 'web'/,
    );
    expect(await code({ from: 'web', to: 'order' })).toMatch(/^MESH-U103 .*did you mean 'orders'/);
    expect(await code({ from: 'web', to: 'gateway' })).toMatch(/^MESH-U102 .*--from gateway/);
    expect(await code({ from: 'pay', to: 'orders' })).toMatch(/^MESH-U102 pay is external/);
    expect(await code({ from: 'web', to: 'job' })).toMatch(/^MESH-X105 job is a task/);
  });
});

describe('a request that happened', () => {
  const caller = proxySpan({
    spanId: 'c'.repeat(16),
    other: 'orders',
    endpoint: 'orders-canary-1',
    authority: '127.0.0.1:4001',
    path: '/items',
    route: 'split',
    status: 502,
    flags: 'UC',
    retries: 1,
    tried: ['orders-v1-1'],
    pickedAfterMs: 2,
    firstByteAfterMs: 8,
  });
  const called = proxySpan({
    spanId: 'd'.repeat(16),
    parentSpanId: caller.spanId,
    side: 'inbound',
    service: 'orders',
    instance: 'orders-canary-1',
    other: 'web',
    startMs: BEGAN_MS + 3,
    firstByteAfterMs: 4,
    durationMs: 4.5,
  });
  const later = proxySpan({ spanId: 'e'.repeat(16), startMs: BEGAN_MS + 5, service: 'orders', other: 'cache' });

  it('is explained as it was decided, from either side and from its trace', async () => {
    const from = sources({ spans: [later, called, caller] });
    for (const id of ['trace', caller.spanId, called.spanId]) {
      const found = await explain({ id }, from);
      expect(found).toMatchObject({
        kind: 'happened',
        request: { from: 'web', to: 'orders', headersKnown: false },
        listener: { name: 'web-1/to/orders' },
        backend: { subset: 'canary' },
        outcome: { id: caller.spanId, status: 502, retries: 1, flags: [{ flag: 'UC' }] },
      });
      expect(found.tables[0].taken!.route).toBe('split');
      expect(found.endpoints!.endpoints.map(({ choice, why }) => [choice, why])).toEqual([
        ['tried', 'try 1: picked by round-robin, and failed'],
        ['skipped', "of subset v1, which gets 75 % of this route's requests"],
        ['picked', 'try 2: picked by round-robin'],
      ]);
      expect(found.outcome!.timing).toEqual([
        { part: 'earlier tries, until the last endpoint was picked', ms: 2 },
        { part: 'to the proxy of orders-canary-1', ms: 1 },
        { part: 'application, until its first byte', ms: 4 },
        { part: 'back to the caller', ms: 1 },
        { part: 'rest of the response', ms: 2 },
      ]);
      expect(found.outcome!.others).toHaveLength(1);
    }
  });

  it('infers what depended on headers, unless they are known', async () => {
    const missed = { ...caller, path: '/items', route: '', flags: 'NR', status: 404, endpoint: '', other: '' };
    const from = sources({ spans: [missed] });
    const found = await explain({ id: caller.spanId }, from);
    expect(found.tables[0].taken).toBeNull();
    const canary = found.tables[0].earlier.find(({ route }) => route === 'canary')!;
    expect(canary.differences).toMatchObject([{ part: 'header', certain: false, found: null }]);
    const known = await explain({ id: caller.spanId, headers: [['x-canary', '2']], headersKnown: true }, from);
    expect(known.tables[0].earlier.find(({ route }) => route === 'canary')!.differences).toMatchObject([
      { certain: true, found: '2' },
    ]);
  });

  it('may have found no route of the service behind the gateway', async () => {
    const lost = proxySpan({
      side: 'gateway',
      service: 'gateway',
      instance: 'gateway',
      authority: 'localhost:8080',
      path: '/api/other',
      other: '',
      endpoint: '',
      route: 'api',
      gatewayRoute: 'api',
      flags: 'NR',
      status: 404,
    });
    const found = await explain({ id: 'trace' }, sources({ spans: [lost] }));
    expect(found.tables.map(({ table, taken }) => [table, taken?.route])).toEqual([
      ['gateway', 'api'],
      ['orders', undefined],
    ]);
    expect(found).toMatchObject({ backend: null, outcome: { flags: [{ flag: 'NR' }] } });
    expect(found.notes.join()).not.toContain('would not take it now');
  });

  it('says so where the configuration is another by now', async () => {
    const gone = sources({ spans: [{ ...caller, route: 'removed' }], loadedAt: BEGAN_MS + 1 });
    const found = await explain({ id: caller.spanId }, gone);
    expect(found.config.reloadedSince).toBe(true);
    expect(found.notes.join('; ')).toMatch(/reloaded since.*route removed of orders took it/);
  });

  it('is explained from the called side where that is all there is', async () => {
    const found = await explain({ id: called.spanId }, sources({ spans: [called] }));
    expect(found).toMatchObject({
      request: { from: 'web', to: 'orders' },
      listener: null,
      outcome: { id: called.spanId },
    });
    expect(found.notes.join()).toContain('only the called side');
  });

  it('may have gone outside the mesh', async () => {
    const outside = proxySpan({ authority: 'example.test', other: '', route: '', endpoint: '', peer: '', tls: false });
    const found = await explain({ id: 'trace' }, sources({ spans: [outside] }));
    expect(found).toMatchObject({ name: { by: 'outside', service: null }, tables: [], backend: null, reply: null });
  });
});

describe('the parts of the time', () => {
  const some = fc.option(fc.double({ min: 0, max: 200, noNaN: true }), { nil: undefined });
  const span = fc.record({
    startMs: fc.double({ min: -50, max: 50, noNaN: true }),
    durationMs: fc.double({ min: 0, max: 100, noNaN: true }),
    pickedAfterMs: some,
    firstByteAfterMs: some,
  });

  it('are never negative and add up to the whole, whatever the clocks say', () => {
    fc.assert(
      fc.property(fc.option(span), fc.option(span), (a, b) => {
        if (a === null && b === null) return;
        const caller = a === null ? null : proxySpan(a);
        const called = b === null ? null : proxySpan(b);
        const parts = timingParts(caller, called);
        for (const { ms } of parts) expect(ms).toBeGreaterThanOrEqual(0);
        const total = parts.reduce((sum, { ms }) => sum + ms, 0);
        expect(Math.abs(total - (caller ?? called!).durationMs)).toBeLessThan(0.01);
      }),
    );
  });
});
