import { compile, diff, type InstanceState, type RuntimeState } from '../../src/model/compile.ts';
import type { MeshConfig, RouteConfig } from '../../src/model/config.ts';
import { resolveConfig } from '../../src/model/resolve.ts';

/** Milliseconds of every round, in order; the first one is what a user meets, before the code is optimised. */
export interface CompileCost {
  /** Validate and resolve. */
  resolve: number[];
  /** Compile from nothing. */
  compile: number[];
  /** Compile after one endpoint changed its state. */
  endpoint: number[];
  /** The change that this sends to the data planes. */
  diff: number[];
  /** Compile after a save that changed nothing. */
  same: number[];
}

/** `services` services in two subsets, each with `routes` routes and two dependencies. */
export function measureCompile(services: number, routes: number, rounds: number): CompileCost {
  const input = makeConfig(services, routes);
  const state: RuntimeState = {
    version: 1,
    trustAnchors: ['anchor'],
    identities: Object.fromEntries(
      Object.keys(input.services).map((name) => {
        const spiffeId = `spiffe://large.local/ns/default/sa/${name}`;
        return [spiffeId, { spiffeId, certificate: 'certificate', privateKey: 'key', notAfter: 1 }];
      }),
    ),
    instances: makeInstances(services),
    gateway: { http: 8080, https: null },
  };
  const changed = Math.min(77, state.instances.length - 1);
  const cost: CompileCost = { resolve: [], compile: [], endpoint: [], diff: [], same: [] };
  for (let round = 0; round < rounds; round++) {
    const resolved = timed(() => resolveConfig(input, { baseDir: '/' }));
    if (!resolved.value.ok) throw new Error(JSON.stringify(resolved.value.problems.slice(0, 3)));
    const config = resolved.value.value;
    const first = timed(() => compile(config, state, null));

    const changedInstances = state.instances.map((instance, i) =>
      i === changed ? { ...instance, state: 'unhealthy' as const } : instance,
    );
    const next = timed(() => compile(config, { ...state, version: 2, instances: changedInstances }, first.value));
    const delta = timed(() => diff(first.value, next.value));
    if (Object.keys(delta.value.clusters).length !== 1) throw new Error('expected one changed cluster');

    const again = resolveConfig(structuredClone(input), { baseDir: '/' });
    if (!again.ok) throw new Error('unreachable');
    const same = timed(() => compile(again.value, { ...state, version: 3 }, first.value));
    if (Object.keys(diff(first.value, same.value).routes).length > 0) throw new Error('expected no changed routes');

    cost.resolve.push(resolved.ms);
    cost.compile.push(first.ms);
    cost.endpoint.push(next.ms);
    cost.diff.push(delta.ms);
    cost.same.push(same.ms);
  }
  return cost;
}

function makeConfig(services: number, routes: number): MeshConfig {
  const config: MeshConfig = {
    version: 1,
    name: 'large',
    gateway: { http: 8080, routes: [] },
    defaults: { timeouts: { request: '15s' } },
    services: {},
  };
  for (let i = 0; i < services; i++) {
    const list: RouteConfig[] = [];
    for (let j = 0; j < routes - 1; j++) {
      list.push({
        name: `route-${j}`,
        matches: [{ path: { prefix: `/api/v${j}` }, method: ['GET', 'POST'], headers: { 'x-tenant': `t${j}` } }],
        filters: { requestHeaders: { set: { 'x-route': `r${j}` } } },
        timeouts: { request: '10s' },
        retries: { attempts: 3, perTryTimeout: '2s', on: ['gateway-error', 'connect-failure'] },
      });
    }
    list.push({
      backends: [
        { subset: 'stable', weight: 90 },
        { subset: 'canary', weight: 10 },
      ],
    });
    config.services[`service-${i}`] = {
      command: 'node app.js',
      dependsOn: i < 2 ? [] : [`service-${i - 1}`, `service-${i - 2}`],
      subsets: { stable: { env: { VERSION: 'v1' } }, canary: { env: { VERSION: 'v2' } } },
      routes: list,
    };
  }
  return config;
}

function makeInstances(services: number): InstanceState[] {
  const instances: InstanceState[] = [];
  let port = 20_000;
  for (let i = 0; i < services; i++) {
    for (const subset of ['stable', 'canary']) {
      instances.push({
        id: `service-${i}-${subset}-1`,
        service: `service-${i}`,
        subset,
        state: 'ready',
        ports: {
          app: port++,
          inbound: port++,
          outbound: port++,
          dependencies: i < 2 ? {} : { [`service-${i - 1}`]: port++, [`service-${i - 2}`]: port++ },
        },
      });
    }
  }
  return instances;
}

function timed<T>(work: () => T): { ms: number; value: T } {
  const start = performance.now();
  const value = work();
  return { ms: performance.now() - start, value };
}
