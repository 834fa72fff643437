import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile, type InstanceState } from '../../src/model/compile.ts';
import type { MeshConfig, RouteConfig } from '../../src/model/config.ts';
import { type InjectedService, injectedSubset, withInjections } from '../../src/model/injected-config.ts';
import { resolveConfig } from '../../src/model/resolve.ts';
import type { ResolvedConfig } from '../../src/model/resolved.ts';
import type { Snapshot } from '../../src/model/snapshot.ts';
import { Cluster } from '../../src/proxy/cluster/cluster.ts';
import { compileRouteTable } from '../../src/proxy/route-table.ts';

function resolved(config: MeshConfig): ResolvedConfig {
  const result = resolveConfig(config, { baseDir: '/' });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const paths = fc.constantFrom('/', '/a', '/a/b', '/c');
const backends = fc.uniqueArray(
  fc.record(
    { subset: fc.constantFrom('stable', 'canary'), weight: fc.integer({ min: 1, max: 9 }) },
    { requiredKeys: ['weight'] },
  ),
  { minLength: 1, maxLength: 3, selector: ({ subset }) => subset },
);
const routes: fc.Arbitrary<RouteConfig[]> = fc
  .uniqueArray(fc.record({ prefix: paths, backends }), { maxLength: 4, selector: ({ prefix }) => prefix })
  .map((all) => all.map(({ prefix, backends }) => ({ matches: [{ path: { prefix } }], backends })));

/** `orders` with subsets and routes, `web` before it, one of whose routes goes to `orders` itself. */
const configs: fc.Arbitrary<ResolvedConfig> = fc
  .record({ own: routes, gateway: fc.boolean(), across: fc.boolean() })
  .map(({ own, gateway, across }) =>
    resolved({
      version: 1,
      name: 'shop',
      ...(gateway
        ? {
            gateway: {
              http: 8080,
              routes: [
                { matches: [{ path: { prefix: '/a' } }], backends: [{ service: 'orders', subset: 'canary' }] },
                { backends: [{ service: 'orders' }] },
              ],
            },
          }
        : {}),
      services: {
        web: {
          command: 'x',
          dependsOn: ['orders'],
          ...(across ? { routes: [{ backends: [{ service: 'orders', weight: 1 }, { weight: 2 }] }] } : {}),
        },
        orders: { command: 'x', subsets: { stable: {}, canary: {} }, ...(own.length > 0 ? { routes: own } : {}) },
        migrate: { command: 'x', task: true },
      },
    }),
  );

const shares: fc.Arbitrary<InjectedService['share']> = fc.oneof(
  fc.constant({ kind: 'all' } as const),
  fc.constant({ kind: 'match', header: 'X-Dev', value: 'me' } as const),
  fc.integer({ min: 1, max: 99 }).map((weight) => ({ kind: 'weight', weight }) as const),
  fc.constant('joined' as const),
  fc.constant('aside' as const),
);

const instance = (service: string, subset: string, n: number): InstanceState => ({
  id: `${service}-${subset}-${n}`,
  service,
  subset,
  state: 'ready',
  ports: { app: 1000 + n, inbound: 2000 + n, outbound: 3000 + n, dependencies: { orders: 4000 + n, legacy: 5000 + n } },
});

/** Snapshot with an instance of everything, the injected one included. */
function snapshotOf(config: ResolvedConfig, before: ResolvedConfig, injected: readonly InjectedService[]): Snapshot {
  let n = 0;
  const own = Object.values(before.services).flatMap(({ name, subsets }) =>
    subsets.map((subset) => instance(name, subset.name, ++n)),
  );
  const added = injected.map(({ service, share, protocol }) => ({
    ...instance(service, injectedSubset(before, service, share), ++n),
    id: `${service}-injected-1`,
    application: { host: '10.0.0.5', protocol, tls: false },
  }));
  return compile(
    config,
    {
      version: 1,
      trustAnchors: [],
      identities: {},
      instances: [...own, ...added],
      gateway: { http: 8080, https: null },
    },
    null,
  );
}

/** Instances that requests with this path and header can go to by the table of a service, with each one's share. */
function sharesOf(snapshot: Snapshot, service: string, path: string, dev: string | null): Map<string, number> {
  const table = compileRouteTable(snapshot.routes[service]);
  const headers = dev === null ? [] : ['x-dev', dev];
  const request = { method: 'GET', scheme: 'http', authority: service, path, headers, protocol: null };
  const match = table.match(request as never);
  const result = new Map<string, number>();
  if (match === null) return result;
  const total = match.route.backends.all.reduce((sum, { weight }) => sum + weight, 0);
  for (const backend of match.route.backends.all) {
    const cluster = snapshot.clusters[backend.service];
    const meant = cluster.endpoints.filter(({ subset }) =>
      backend.subset === null ? subset !== cluster.asideSubset : subset === backend.subset,
    );
    for (const { id } of meant) result.set(id, (result.get(id) ?? 0) + backend.weight / total / meant.length);
  }
  return result;
}

const rounded = (shares: Map<string, number>): [string, number][] =>
  [...shares].map(([id, share]): [string, number] => [id, Math.round(share * 1e9) / 1e9]).sort();

describe('withInjections', () => {
  it('is the configuration itself without injections, and leaves it as it was with some', () => {
    fc.assert(
      fc.property(configs, shares, (config, share) => {
        const copy = structuredClone(config);
        withInjections(config, [
          { service: 'orders', protocol: 'http', share },
          { service: 'legacy', protocol: 'tcp', share: 'joined' },
        ]);
        expect(config).toEqual(copy);
        expect(withInjections(config, [])).toBe(config);
      }),
    );
  });

  it('compiles to snapshots all of whose names lead somewhere', () => {
    fc.assert(
      fc.property(configs, shares, (config, share) => {
        const injected: InjectedService[] = [
          { service: 'orders', protocol: 'http', share },
          { service: 'legacy', protocol: 'grpc', share: 'joined' },
        ];
        const overlay = withInjections(config, injected);
        const { routes, clusters, listeners } = snapshotOf(overlay, config, injected);
        for (const table of Object.values(routes)) {
          for (const route of table.routes)
            for (const { service, subset, weight } of route.backends) {
              expect(clusters[service]).toBeDefined();
              if (subset !== null) expect(clusters[service].subsets).toContain(subset);
              expect(weight).toBeGreaterThan(0);
            }
          expect(() => compileRouteTable(table)).not.toThrow();
        }
        for (const { subset } of clusters.orders.endpoints) expect(clusters.orders.subsets).toContain(subset);
        expect(listeners['legacy-injected-1/to/orders'].destination).toBe('orders');
        expect(listeners['legacy-injected-1/to/migrate']).toBeUndefined();
        expect(listeners['legacy-injected-1/inbound'].app).toEqual({
          host: '10.0.0.5',
          port: expect.any(Number),
          protocol: 'grpc',
        });
      }),
    );
  });

  it('leads exactly the share of requests that was asked for to the injected endpoint', () => {
    const tables = fc.constantFrom('orders', 'web');
    fc.assert(
      fc.property(
        configs,
        shares,
        tables,
        paths,
        fc.constantFrom(null, 'me', 'you'),
        (config, share, table, path, dev) => {
          const injected: InjectedService[] = [{ service: 'orders', protocol: 'http', share }];
          // Without its endpoint a joined one would be no different.
          fc.pre(share !== 'joined');
          const before = sharesOf(snapshotOf(config, config, []), table, path, dev);
          const after = sharesOf(snapshotOf(withInjections(config, injected), config, injected), table, path, dev);
          const portion =
            typeof share === 'string'
              ? 0
              : share.kind === 'all'
                ? 1
                : share.kind === 'weight'
                  ? share.weight / 100
                  : dev === 'me'
                    ? 1
                    : 0;
          const expected = new Map<string, number>();
          for (const [id, part] of before) {
            if (!id.startsWith('orders')) expected.set(id, part);
            else {
              if (portion < 1) expected.set(id, part * (1 - portion));
              if (portion > 0)
                expected.set('orders-injected-1', (expected.get('orders-injected-1') ?? 0) + part * portion);
            }
          }
          expect(rounded(after)).toEqual(rounded(expected));
        },
      ),
    );
  });

  it('leads gateway routes with a subset of their own there as well', () => {
    fc.assert(
      fc.property(configs, (config) => {
        fc.pre(config.gateway !== null);
        const overlay = withInjections(config, [{ service: 'orders', protocol: 'http', share: { kind: 'all' } }]);
        expect(overlay.gateway?.routes.map(({ backends }) => backends[0].subset).sort()).toEqual(['injected', null]);
      }),
    );
  });

  it('takes a subset of another name where the service declares one called injected', () => {
    const config = resolved({
      version: 1,
      name: 'shop',
      services: { orders: { command: 'x', subsets: { injected: {}, stable: {} } } },
    });
    expect(injectedSubset(config, 'orders', { kind: 'all' })).toBe('injected-2');
    expect(injectedSubset(config, 'orders', 'joined')).toBe('injected');
    expect(injectedSubset(config, 'legacy', 'joined')).toBe('injected');
  });

  it('makes an external service one of the mesh while it is taken over as a whole', () => {
    const config = resolved({ version: 1, name: 'shop', services: { pay: { external: 'https://pay.example' } } });
    const injected: InjectedService[] = [{ service: 'pay', protocol: 'http', share: { kind: 'all' } }];
    const { clusters } = snapshotOf(withInjections(config, injected), config, injected);
    expect(clusters.pay).toMatchObject({ tls: false, spiffeId: 'spiffe://shop.local/ns/default/sa/pay' });
    expect(clusters.pay.endpoints.map(({ id }) => id)).toContain('pay-injected-1');
  });

  it('gives a new service the defaults of the file', () => {
    const config = resolved({
      version: 1,
      name: 'shop',
      defaults: {
        timeouts: { request: '7s', connect: '900ms' },
        retries: { attempts: 5 },
        loadBalancer: 'least-request',
        parking: { timeout: '3s' },
        healthCheck: { http: '/healthz', interval: '2s' },
      },
      services: { web: { command: 'x' } },
    });
    const { legacy, web } = withInjections(config, [{ service: 'legacy', protocol: 'http', share: 'joined' }]).services;
    const { loadBalancer, parking, connectTimeoutMs } = web;
    expect(legacy).toMatchObject({ loadBalancer, parking, connectTimeoutMs });
    expect(legacy.routes[0]).toMatchObject({ timeouts: { requestMs: 7_000 }, retries: web.routes[0].retries });
    // Of the check only that there is one: the path is one that the file's own services have.
    expect(legacy.healthCheck).toEqual({ ...web.healthCheck, action: { kind: 'tcp' } });
  });

  it('checks the health of a process that takes over in a way that it can answer', () => {
    const config = resolved({
      version: 1,
      name: 'shop',
      services: { orders: { command: 'x', healthCheck: { http: '/healthz' } } },
    });
    const check = (protocol: InjectedService['protocol']) =>
      withInjections(config, [{ service: 'orders', protocol, share: { kind: 'all' } }]).services.orders.healthCheck;
    expect(check('http')).toEqual(config.services.orders.healthCheck);
    expect(check('tcp')?.action).toEqual({ kind: 'tcp' });
  });
});

describe('a subset that stands aside', () => {
  it('gets only what names it', () => {
    const config = resolved({ version: 1, name: 'shop', services: { orders: { command: 'x' } } });
    const injected: InjectedService[] = [{ service: 'orders', protocol: 'http', share: 'aside' }];
    const { clusters } = snapshotOf(withInjections(config, injected), config, injected);
    const never = (): never => {
      throw new Error('no pool is needed');
    };
    const cluster = new Cluster(clusters.orders, never, Math.random, never);
    const picked = (subset: string | null) => cluster.pick(subset, 0 as never, null)?.spec.id;
    expect([picked(null), picked(null), picked('injected')]).toEqual([
      'orders-default-1',
      'orders-default-1',
      'orders-injected-1',
    ]);
  });
});
