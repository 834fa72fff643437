import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyDelta, compile, diff, type InstanceState, type RuntimeState } from '../../src/model/compile.ts';
import type { MeshConfig } from '../../src/model/config.ts';
import { resolveConfig } from '../../src/model/resolve.ts';
import type { ResolvedConfig } from '../../src/model/resolved.ts';
import type { EndpointState, Identity, Snapshot } from '../../src/model/snapshot.ts';

const CONFIG: MeshConfig = {
  version: 1,
  name: 'shop',
  gateway: { http: 8080, https: 8443, routes: [{ backends: [{ service: 'web' }] }] },
  services: {
    web: { command: 'x', dependsOn: ['orders', 'db', 'migrate', 'gateway'] },
    orders: { command: 'x', protocol: 'grpc', loadBalancer: { weighted: { 'orders-2': 3 } } },
    migrate: { command: 'x', task: true },
    db: { external: 'tcp://127.0.0.1:5432' },
  },
};

function resolved(config: MeshConfig = CONFIG): ResolvedConfig {
  const result = resolveConfig(structuredClone(config), { baseDir: '/' });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const identity = (name: string, notAfter = 1): Identity => ({
  spiffeId: `spiffe://shop.local/ns/default/sa/${name}`,
  certificate: `certificate of ${name}`,
  privateKey: `key of ${name}`,
  notAfter,
});

const instance = (id: string, port: number, over: Partial<InstanceState> = {}): InstanceState => ({
  id,
  service: id.replace(/-\d+$/, ''),
  subset: 'default',
  state: 'ready',
  ports: { app: port, inbound: port + 1, outbound: port + 2, dependencies: {} },
  ...over,
});

function state(over: Partial<RuntimeState> = {}): RuntimeState {
  const dependencies = { orders: 103, db: 104, migrate: 105, gateway: 8080 };
  return {
    version: 1,
    trustAnchors: ['root'],
    identities: { 'spiffe://shop.local/ns/default/sa/web': identity('web'), gateway: identity('gateway') },
    instances: [
      instance('web-1', 100, { ports: { app: 100, inbound: 101, outbound: 102, dependencies } }),
      instance('orders-1', 200),
      instance('orders-2', 210, { state: 'starting' }),
      instance('migrate-1', 300, { ports: { app: null, inbound: 301, outbound: 302, dependencies: {} } }),
    ],
    gateway: { http: 8080, https: null },
    ...over,
  };
}

const withState = (base: RuntimeState, id: string, next: EndpointState): RuntimeState => ({
  ...base,
  version: base.version + 1,
  instances: base.instances.map((i) => (i.id === id ? { ...i, state: next } : i)),
});

/** What another process has after the snapshot went there as JSON. */
const sent = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

describe('a snapshot', () => {
  const snapshot = compile(resolved(), state({ gateway: { http: 8080, https: 8443 } }), null);

  it('has listeners for every workload and the gateway', () => {
    const spiffe = (name: string) => `spiffe://shop.local/ns/default/sa/${name}`;
    expect(Object.keys(snapshot.listeners)).toEqual([
      'web-1/outbound',
      'web-1/to/orders',
      'web-1/to/db',
      'web-1/inbound',
      'orders-1/outbound',
      'orders-1/inbound',
      'orders-2/outbound',
      'orders-2/inbound',
      'migrate-1/outbound',
      'gateway/http',
      'gateway/https',
    ]);
    expect(snapshot.listeners['web-1/to/orders']).toEqual({
      name: 'web-1/to/orders',
      workload: 'web-1',
      service: 'web',
      kind: 'dependency',
      port: 103,
      identity: spiffe('web'),
      tls: false,
      destination: 'orders',
      app: null,
      protocol: 'grpc',
    });
    expect(snapshot.listeners['web-1/to/db']).toMatchObject({ destination: 'db', protocol: 'tcp' });
    expect(snapshot.listeners['orders-2/inbound']).toEqual({
      name: 'orders-2/inbound',
      workload: 'orders-2',
      service: 'orders',
      kind: 'inbound',
      port: 211,
      identity: spiffe('orders'),
      tls: false,
      destination: null,
      app: { host: '127.0.0.1', port: 210, protocol: 'grpc' },
      protocol: 'grpc',
    });
    expect(snapshot.listeners['web-1/outbound']).toMatchObject({
      kind: 'outbound',
      port: 102,
      destination: null,
      app: null,
    });
    expect(snapshot.listeners['gateway/https']).toMatchObject({
      kind: 'gateway',
      port: 8443,
      tls: true,
      identity: spiffe('gateway'),
      workload: 'gateway',
    });
    expect(snapshot.listeners['gateway/http']).toMatchObject({ port: 8080, tls: false });
  });

  it('has a route table and a cluster for all that take requests', () => {
    expect(Object.keys(snapshot.routes)).toEqual(['gateway', 'web', 'orders', 'db']);
    expect(snapshot.routes.orders).toMatchObject({ service: 'orders', routes: [{ name: 'orders' }] });
    expect(Object.keys(snapshot.clusters)).toEqual(['web', 'orders', 'db']);
    expect(snapshot.clusters.orders).toMatchObject({
      protocol: 'grpc',
      spiffeId: 'spiffe://shop.local/ns/default/sa/orders',
      tls: false,
      host: null,
      subsets: ['default'],
      endpoints: [
        {
          id: 'orders-1',
          subset: 'default',
          host: '127.0.0.1',
          port: 201,
          health: { host: '127.0.0.1', port: 200 },
          state: 'ready',
          weight: 1,
        },
        { id: 'orders-2', port: 211, state: 'starting', weight: 3 },
      ],
    });
    expect(snapshot.clusters.db).toMatchObject({
      spiffeId: null,
      host: '127.0.0.1',
      endpoints: [{ id: 'db', subset: 'default', host: '127.0.0.1', port: 5432, state: 'ready', weight: 1 }],
    });
  });

  it('has the identities by the keys given, and the mesh', () => {
    expect(Object.keys(snapshot.identities)).toEqual(['spiffe://shop.local/ns/default/sa/web', 'gateway']);
    expect(snapshot.mesh).toEqual({ name: 'shop', trustDomain: 'shop.local', trustAnchors: ['root'] });
    expect(snapshot.version).toBe(1);
  });

  it('leaves out instances of services that are gone', () => {
    const odd = compile(resolved(), state({ instances: [instance('gone-1', 100)] }), null);
    expect(Object.keys(odd.listeners)).toEqual(['gateway/http']);
  });
});

describe('sharing', () => {
  it('keeps everything when nothing changed', () => {
    const first = compile(resolved(), state(), null);
    for (const config of [resolved()]) {
      const second = compile(config, state({ version: 2 }), first);
      for (const part of ['mesh', 'listeners', 'routes', 'clusters', 'identities'] as const)
        expect(second[part]).toBe(first[part]);
      expect(diff(first, second)).toEqual({
        base: 1,
        version: 2,
        mesh: null,
        listeners: {},
        routes: {},
        clusters: {},
        identities: {},
      });
    }
  });

  it('changes one cluster when one instance changed its state', () => {
    const config = resolved();
    const base = state();
    const first = compile(config, base, null);
    const second = compile(config, withState(base, 'orders-2', 'ready'), first);
    expect(diff(first, second)).toEqual({
      base: 1,
      version: 2,
      mesh: null,
      listeners: {},
      routes: {},
      clusters: { orders: second.clusters.orders },
      identities: {},
    });
    expect(second.clusters.orders.endpoints[1].state).toBe('ready');
    expect(second.clusters.web).toBe(first.clusters.web);
  });

  it('sees changes that the caller made in place', () => {
    const config = resolved();
    const instances = state().instances.map((i) => ({ ...i, ports: { ...i.ports } }));
    const first = compile(config, state({ instances }), null);
    instances[1].state = 'down';
    const second = compile(config, state({ version: 2, instances }), first);
    expect(second.clusters.orders.endpoints[0].state).toBe('down');
    instances[1].ports.app = 999;
    const third = compile(config, state({ version: 3, instances }), second);
    expect(third.listeners['orders-1/inbound'].app?.port).toBe(999);
    expect(Object.keys(diff(second, third).listeners)).toEqual(['orders-1/inbound']);
  });

  it('changes one identity when one certificate was rotated', () => {
    const config = resolved();
    const first = compile(config, state(), null);
    const key = 'spiffe://shop.local/ns/default/sa/web';
    const second = compile(
      config,
      state({ version: 2, identities: { [key]: identity('web', 2), gateway: identity('gateway') } }),
      first,
    );
    expect(diff(first, second)).toMatchObject({
      clusters: {},
      listeners: {},
      identities: { [key]: identity('web', 2) },
    });
    expect(Object.keys(diff(first, second).identities)).toEqual([key]);
  });

  it('changes one route table when one was edited', () => {
    const first = compile(resolved(), state(), null);
    const edited = structuredClone(CONFIG);
    edited.services.orders.timeouts = { request: '1s' };
    const second = compile(resolved(edited), state({ version: 2 }), first);
    expect(Object.keys(diff(first, second).routes)).toEqual(['orders']);
    expect(diff(first, second)).toMatchObject({ listeners: {}, clusters: {}, mesh: null });
  });

  it('removes what belongs to a service that is gone', () => {
    const first = compile(resolved(), state(), null);
    const edited = structuredClone(CONFIG);
    delete edited.services.orders;
    edited.services.web.dependsOn = ['db'];
    const second = compile(resolved(edited), state({ version: 2 }), first);
    expect(diff(first, second)).toMatchObject({
      listeners: { 'orders-1/inbound': null, 'web-1/to/orders': null },
      routes: { orders: null },
      clusters: { orders: null },
    });
  });

  it('gives what compiling from nothing gives, whatever came before', () => {
    fc.assert(
      fc.property(fc.array(change(), { maxLength: 8 }), (steps) => {
        let current: Snapshot | null = null;
        steps.forEach((step, i) => {
          const next = compile(step.config, { ...step.state, version: i + 1 }, current);
          expect(next).toEqual(compile(step.config, { ...step.state, version: i + 1 }, null));
          current = next;
        });
      }),
      { numRuns: 200 },
    );
  });
});

const CONFIGS: ResolvedConfig[] = [
  resolved(),
  resolved(),
  resolved({
    ...CONFIG,
    gateway: undefined,
    services: { ...CONFIG.services, web: { command: 'y', dependsOn: ['db'] } },
  }),
  resolved({ ...CONFIG, trustDomain: 'other', services: { orders: { command: 'x', task: true } }, gateway: undefined }),
  resolved({ ...CONFIG, services: { ...CONFIG.services, orders: { external: 'http://127.0.0.1:1' } } }),
];

function change(): fc.Arbitrary<{ config: ResolvedConfig; state: RuntimeState }> {
  const port = fc.constantFrom(1, 2);
  const arbitraryInstance = fc.record({
    id: fc.constantFrom('web-1', 'orders-1', 'orders-2', 'migrate-1', 'gone-1'),
    state: fc.constantFrom<EndpointState>('starting', 'ready', 'down'),
    app: fc.option(port),
    inbound: port,
    dependencies: fc.constantFrom<Record<string, number>>({}, { orders: 5 }, { orders: 6, db: 7 }),
  });
  return fc.record({
    config: fc.constantFrom(...CONFIGS),
    state: fc.record({
      version: fc.constant(0),
      trustAnchors: fc.constantFrom(['root'], ['root', 'old root']),
      identities: fc.constantFrom<Record<string, Identity>>(
        {},
        { gateway: identity('gateway') },
        { gateway: identity('gateway', 2), x: identity('x') },
      ),
      instances: fc
        .uniqueArray(arbitraryInstance, { selector: ({ id }) => id })
        .map((list) =>
          list.map(({ id, state, app, inbound, dependencies }) =>
            instance(id, 1, { state, ports: { app, inbound, outbound: 3, dependencies } }),
          ),
        ),
      gateway: fc.record({ http: fc.option(port), https: fc.option(port) }),
    }),
  });
}

describe('deltas', () => {
  it('lead from one snapshot to the next, also after a journey as JSON', () => {
    fc.assert(
      fc.property(fc.array(change(), { minLength: 1, maxLength: 6 }), (steps) => {
        let current: Snapshot | null = null;
        let remote: Snapshot | null = null;
        steps.forEach((step, i) => {
          const next = compile(step.config, { ...step.state, version: i + 1 }, current);
          const delta = diff(current, next);
          expect(applyDelta(current, delta)).toEqual(next);
          remote = applyDelta(remote, sent(delta));
          expect(remote).toEqual(sent(next));
          current = next;
        });
      }),
      { numRuns: 200 },
    );
  });

  it('lead from any snapshot to any other', () => {
    fc.assert(
      fc.property(change(), change(), (a, b) => {
        const first = compile(a.config, { ...a.state, version: 1 }, null);
        const second = compile(b.config, { ...b.state, version: 7 }, null);
        expect(applyDelta(first, diff(first, second))).toEqual(second);
      }),
      { numRuns: 200 },
    );
  });

  it('keep what they do not change', () => {
    const first = compile(resolved(), state(), null);
    const second = compile(resolved(), withState(state(), 'web-1', 'down'), first);
    const applied = applyDelta(first, diff(first, second));
    expect(applied.listeners).toBe(first.listeners);
    expect(applied.clusters.orders).toBe(first.clusters.orders);
  });

  it('refuse another base', () => {
    const first = compile(resolved(), state(), null);
    expect(() => applyDelta(null, { ...diff(first, first), base: 1 })).toThrow(/version 1 does not fit version 0/);
    expect(() => applyDelta(null, { ...diff(first, first), base: 0 })).toThrow(/nothing about the mesh/);
  });
});
