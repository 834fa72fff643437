import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { defineMesh } from '../../src/index.ts';
import type {
  DefaultsConfig,
  GatewayRouteConfig,
  MeshConfig,
  RouteConfig,
  ServiceConfig,
} from '../../src/model/config.ts';
import { REDACTED_FIELDS } from '../../src/model/redact.ts';
import { resolveConfig } from '../../src/model/resolve.ts';
import type { ResolvedConfig, ResolvedRoute, ResolvedService } from '../../src/model/resolved.ts';

const BASE = path.resolve('/srv/shop');

function resolved(config: MeshConfig): ResolvedConfig {
  const result = resolveConfig(config, { baseDir: BASE });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const mesh = (services: Record<string, ServiceConfig>, more: Partial<MeshConfig> = {}): ResolvedConfig =>
  resolved({ version: 1, name: 'shop', services, ...more });
const service = (config: ServiceConfig, defaults?: DefaultsConfig): ResolvedService =>
  mesh({ orders: { command: 'x', ...config } }, { defaults }).services.orders;
const routes = (...list: RouteConfig[]): ResolvedRoute[] => service({ routes: list }).routes;

/** The example of the conventions, word for word. */
const shop = defineMesh({
  version: 1,
  name: 'shop',
  gateway: {
    http: 8080,
    https: 8443,
    routes: [
      { matches: [{ path: { prefix: '/api/orders' } }], backends: [{ service: 'orders' }] },
      { backends: [{ service: 'web' }] },
    ],
  },
  defaults: { timeouts: { request: '15s' } },
  services: {
    web: {
      command: 'tsx src/web.ts',
      cwd: 'examples/shop',
      protocol: 'http',
      dependsOn: ['orders'],
      readiness: { http: '/health/ready' },
    },
    orders: {
      command: ['node', 'orders.js'],
      protocol: 'grpc',
      replicas: 2,
      dependsOn: { inventory: 'ready', migrate: 'completed' },
      readiness: { grpc: {} },
    },
    inventory: {
      command: 'tsx src/inventory.ts',
      protocol: 'http',
      watch: ['src'],
      loadBalancer: 'least-request',
      subsets: { stable: { env: { VERSION: 'v1' } }, canary: { env: { VERSION: 'v2' } } },
      routes: [
        { name: 'canary-by-header', matches: [{ headers: { 'x-canary': 'true' } }], backends: [{ subset: 'canary' }] },
        {
          backends: [
            { subset: 'stable', weight: 90 },
            { subset: 'canary', weight: 10 },
          ],
          timeouts: { request: '10s' },
          retries: { attempts: 3, perTryTimeout: '2s', on: ['gateway-error', 'connect-failure', 'refused-stream'] },
        },
      ],
    },
    migrate: { command: 'node migrate.js', task: true },
    search: { command: 'python3 search.py', port: 9000, readiness: { tcp: {} } },
    legacy: { external: 'https://127.0.0.1:8444' },
  },
});

describe('the example of the conventions', () => {
  const result = resolveConfig(shop, { baseDir: BASE });
  const config = (result as { value: ResolvedConfig }).value;

  it('has neither errors nor warnings, as an object and as JSON', () => {
    expect(result).toEqual({ ok: true, value: expect.anything() });
    expect(resolveConfig(JSON.parse(JSON.stringify(shop)), { baseDir: BASE })).toEqual(result);
  });

  it('has the names, and the defaults of a mesh', () => {
    expect(config).toMatchObject({
      name: 'shop',
      trustDomain: 'shop.local',
      namespace: 'default',
      identity: { ttlMs: 86_400_000 },
      proxies: 1,
      baseDir: BASE,
      gateway: { http: 8080, https: 8443 },
    });
    expect(Object.keys(config.services)).toEqual(['web', 'orders', 'inventory', 'migrate', 'search', 'legacy']);
  });

  it('has a service in full', () => {
    expect(config.services.web).toEqual({
      name: 'web',
      command: { shell: true, argv: ['tsx src/web.ts'] },
      external: null,
      cwd: path.join(BASE, 'examples/shop'),
      env: {},
      protos: [],
      envFiles: [],
      protocol: 'http',
      port: null,
      subsets: [{ name: 'default', env: {}, command: null, replicas: 1 }],
      dependsOn: [{ service: 'orders', condition: 'ready' }],
      readiness: {
        action: { kind: 'http', path: '/health/ready', port: null },
        initialDelayMs: 0,
        intervalMs: null,
        timeoutMs: 1_000,
        failureThreshold: 3,
        successThreshold: 1,
        deadlineMs: 60_000,
      },
      liveness: null,
      startup: null,
      restart: { policy: 'on-failure', backoffMs: 200, maxBackoffMs: 10_000, attempts: null },
      watch: [],
      build: null,
      stop: { signal: 'SIGTERM', graceMs: 5_000 },
      task: false,
      routes: [
        {
          name: 'web',
          path: 'services.web',
          hosts: [],
          matches: [{ path: null, methods: [], headers: [], query: [] }],
          filters: { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null },
          backends: [{ service: 'web', subset: null, weight: 1 }],
          timeouts: { requestMs: 15_000, idleMs: 3_600_000 },
          retries: {
            attempts: 2,
            perTryTimeoutMs: 0,
            on: ['connect-failure', 'refused-stream'],
            statusCodes: [],
            backoffMs: 25,
            maxBackoffMs: 250,
          },
        },
      ],
      loadBalancer: { kind: 'round-robin' },
      healthCheck: null,
      parking: { timeoutMs: 10_000, maxRequests: 1_024 },
      connectTimeoutMs: 5_000,
    });
  });

  it('has the routes of a service with its subsets', () => {
    const { inventory } = config.services;
    expect(inventory.subsets.map(({ name, env }) => [name, env])).toEqual([
      ['stable', { VERSION: 'v1' }],
      ['canary', { VERSION: 'v2' }],
    ]);
    expect(inventory.watch).toEqual([path.join(BASE, 'src')]);
    expect(
      inventory.routes.map(({ name, path: place, backends, timeouts, retries }) => ({
        name,
        place,
        backends,
        timeouts,
        attempts: retries?.attempts,
      })),
    ).toEqual([
      {
        name: 'canary-by-header',
        place: 'services.inventory.routes[0]',
        backends: [{ service: 'inventory', subset: 'canary', weight: 1 }],
        timeouts: { requestMs: 15_000, idleMs: 3_600_000 },
        attempts: 2,
      },
      {
        name: 'inventory-2',
        place: 'services.inventory.routes[1]',
        backends: [
          { service: 'inventory', subset: 'stable', weight: 90 },
          { service: 'inventory', subset: 'canary', weight: 10 },
        ],
        timeouts: { requestMs: 10_000, idleMs: 3_600_000 },
        attempts: 3,
      },
    ]);
  });

  it('has tasks without routes and probes, and externals without probes', () => {
    expect(config.services.migrate).toMatchObject({
      task: true,
      routes: [],
      readiness: null,
      restart: { policy: 'never' },
    });
    expect(config.services.legacy).toMatchObject({
      command: null,
      external: { host: '127.0.0.1', port: 8444, tls: true },
      readiness: null,
    });
    expect(config.services.search).toMatchObject({ port: 9000, readiness: { action: { kind: 'tcp', port: null } } });
    expect(config.services.orders.dependsOn).toEqual([
      { service: 'inventory', condition: 'ready' },
      { service: 'migrate', condition: 'completed' },
    ]);
  });
});

describe('what is given back', () => {
  it('is all problems, or the value with its warnings', () => {
    const bad = resolveConfig({ version: 1, name: 'X', services: { a: {} } }, { baseDir: BASE });
    expect(bad).toMatchObject({ ok: false, problems: [{ code: 'MESH-C108' }, { code: 'MESH-C201' }] });
    const doubtful = resolveConfig(
      { version: 1, name: 'x', services: { a: { command: 'x', env: { PORT: '1' } } } },
      { baseDir: BASE },
    );
    expect(doubtful).toMatchObject({ ok: true, warnings: [{ code: 'MESH-C220', severity: 'warning' }] });
  });
});

describe('telemetry', () => {
  it('is off but for what is secret', () => {
    expect(mesh({}).telemetry).toEqual({
      admin: null,
      accessLog: null,
      redactHeaders: ['authorization', 'cookie', 'proxy-authorization', 'set-cookie', 'x-api-key'],
      redactFields: [...REDACTED_FIELDS],
      otlp: null,
    });
  });

  it('is filled in', () => {
    expect(mesh({}, { telemetry: { admin: 9090, redactHeaders: ['X-Token', 'cookie'] } }).telemetry).toMatchObject({
      admin: 9090,
      accessLog: null,
    });
    expect(
      mesh({}, { telemetry: { redactHeaders: ['X-Token', 'Cookie'] } }).telemetry.redactHeaders.filter((name) =>
        /token|^cookie/.test(name),
      ),
    ).toEqual(['cookie', 'x-token']);
  });
});

describe('precedence', () => {
  it('goes from defaults over the service to the route, field by field', () => {
    const { routes: resolvedRoutes, connectTimeoutMs } = service(
      {
        timeouts: { idle: '2m', connect: '2s' },
        retries: { attempts: 5, backoff: '1s' },
        routes: [
          { name: 'own', matches: [{ method: 'GET' }], timeouts: { request: '3s' }, retries: { attempts: 1 } },
          { name: 'inherited' },
        ],
      },
      {
        timeouts: { request: '15s', idle: '1m', connect: '1s' },
        retries: { attempts: 9, on: ['5xx'], backoff: '2s', maxBackoff: '3s' },
      },
    );
    expect(connectTimeoutMs).toBe(2_000);
    expect(resolvedRoutes.map(({ name, timeouts, retries }) => ({ name, ...timeouts, ...retries }))).toEqual([
      {
        name: 'own',
        requestMs: 3_000,
        idleMs: 120_000,
        attempts: 1,
        perTryTimeoutMs: 0,
        on: ['5xx'],
        statusCodes: [],
        backoffMs: 1_000,
        maxBackoffMs: 3_000,
      },
      {
        name: 'inherited',
        requestMs: 15_000,
        idleMs: 120_000,
        attempts: 5,
        perTryTimeoutMs: 0,
        on: ['5xx'],
        statusCodes: [],
        backoffMs: 1_000,
        maxBackoffMs: 3_000,
      },
    ]);
  });

  it('lets retries be turned off and on again, forgetting what was below', () => {
    const off = service(
      { retries: false, routes: [{ matches: [{ method: 'GET' }], retries: { attempts: 1 } }, {}] },
      { retries: { attempts: 9, on: ['5xx'] } },
    );
    expect(off.routes.map(({ retries }) => retries)).toEqual([
      expect.objectContaining({ attempts: 1, on: ['connect-failure', 'refused-stream'] }),
      null,
    ]);
    expect(service({ retries: { attempts: 0 } }).routes[0].retries).toBeNull();
  });

  it('replaces the action of a health check but keeps its times', () => {
    const defaults: DefaultsConfig = { healthCheck: { http: '/up', interval: '9s' } };
    expect(service({}, defaults).healthCheck).toMatchObject({
      action: { kind: 'http', path: '/up' },
      intervalMs: 9_000,
    });
    expect(service({ healthCheck: { tcp: true } }, defaults).healthCheck).toMatchObject({
      action: { kind: 'tcp' },
      intervalMs: 9_000,
    });
    expect(service({ healthCheck: { grpc: {} } }).healthCheck).toEqual({
      action: { kind: 'grpc', service: '' },
      intervalMs: 5_000,
      timeoutMs: 1_000,
      unhealthyThreshold: 3,
      healthyThreshold: 1,
    });
    expect(service({}, { healthCheck: { interval: '1s' } }).healthCheck).toBeNull();
  });

  it('leaves out what of the defaults does not fit tasks and TCP', () => {
    const defaults: DefaultsConfig = {
      restart: { policy: 'always', backoff: '1s' },
      healthCheck: { http: '/up' },
      loadBalancer: { ringHash: { header: 'a' } },
    };
    expect(service({ task: true }, defaults)).toMatchObject({
      restart: { policy: 'never', backoffMs: 1_000 },
      healthCheck: null,
    });
    expect(service({ task: true, restart: { policy: 'on-failure' } }, defaults).restart.policy).toBe('on-failure');
    expect(service({ protocol: 'tcp' }, defaults)).toMatchObject({
      healthCheck: { action: { kind: 'tcp' } },
      loadBalancer: { kind: 'round-robin' },
    });
  });
});

describe('routes', () => {
  it('are sorted, and split where their matches differ in rank', () => {
    const list = routes(
      { name: 'rest' },
      {
        name: 'mixed',
        matches: [
          { path: { prefix: '/a' } },
          { path: { exact: '/a' } },
          { path: { exact: '/b' } },
          { headers: { h: '1' } },
        ],
      },
    );
    expect(
      list.map(({ name, path: place, matches }) => [name, place, matches.map((m) => m.path?.value ?? 'any')]),
    ).toEqual([
      ['mixed', 'services.orders.routes[1]', ['/a', '/b']],
      ['mixed', 'services.orders.routes[1]', ['/a']],
      ['mixed', 'services.orders.routes[1]', ['any']],
      ['rest', 'services.orders.routes[0]', ['any']],
    ]);
  });

  it('keep equal ones apart, in order of the file', () => {
    const get = { matches: [{ method: 'GET' }] };
    const list = routes({ name: 'a', ...get, matches: [{ method: 'PUT' }] }, { name: 'b', ...get });
    expect(list.map(({ name, matches }) => [name, matches.length])).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
  });

  it('have their filters in form', () => {
    const [rewritten, redirected] = routes(
      {
        matches: [{ path: { prefix: '/a' } }],
        filters: {
          requestHeaders: { set: { 'X-A': '1' }, add: { b: '2' }, remove: ['C'] },
          rewrite: { path: { replacePrefix: '/b' }, host: 'other' },
        },
      },
      { filters: { redirect: { scheme: 'https', path: { replaceFull: '/' } } } },
    );
    expect(rewritten.filters).toEqual({
      requestHeaders: { set: [['x-a', '1']], add: [['b', '2']], remove: ['c'] },
      responseHeaders: null,
      rewrite: { path: { kind: 'prefix', value: '/b' }, host: 'other' },
      redirect: null,
    });
    expect(redirected).toMatchObject({
      backends: [],
      filters: {
        redirect: { scheme: 'https', host: null, port: null, path: { kind: 'full', value: '/' }, status: 302 },
      },
    });
  });
});

describe('routes of the gateway', () => {
  const gateway = (...list: GatewayRouteConfig[]): ResolvedRoute[] =>
    mesh(
      { a: { command: 'x', timeouts: { request: '60s' }, subsets: { s: {} } }, b: { command: 'x' } },
      { gateway: { http: 8080, routes: list }, defaults: { timeouts: { request: '15s' } } },
    ).gateway!.routes;

  it('add nothing of their own where the routes of the service decide', () => {
    expect(gateway({ backends: [{ service: 'a' }, { service: 'b' }] })[0]).toMatchObject({
      timeouts: { requestMs: 0, idleMs: 0 },
      retries: null,
    });
    const own = gateway({ backends: [{ service: 'a' }], timeouts: { request: '1s' }, retries: { attempts: 1 } })[0];
    expect(own).toMatchObject({
      timeouts: { requestMs: 1_000, idleMs: 0 },
      retries: { attempts: 1, on: ['connect-failure', 'refused-stream'] },
    });
  });

  it('inherit where a subset passes these by', () => {
    expect(gateway({ backends: [{ service: 'a', subset: 's' }] })[0]).toMatchObject({
      timeouts: { requestMs: 60_000, idleMs: 3_600_000 },
      retries: { attempts: 2 },
    });
    expect(gateway({ backends: [{ service: 'a', subset: 's' }, { service: 'b' }] })[0].timeouts.requestMs).toBe(15_000);
  });

  it('are split by how specific their hosts are', () => {
    const list = gateway(
      { name: 'x', hosts: ['A.localhost', '*.localhost'], backends: [{ service: 'a' }] },
      { hosts: ['*'], backends: [{ service: 'b' }] },
    );
    expect(list.map(({ name, hosts }) => [name, hosts])).toEqual([
      ['x', ['a.localhost']],
      ['x', ['*.localhost']],
      ['gateway-2', []],
    ]);
  });
});

describe('services', () => {
  it.each<[ServiceConfig['loadBalancer'], ResolvedService['loadBalancer']]>([
    ['random', { kind: 'random' }],
    ['weighted', { kind: 'weighted', weights: {} }],
    [{ weighted: { 'orders-1': 3 } }, { kind: 'weighted', weights: { 'orders-1': 3 } }],
    [{ ringHash: { header: 'X-User' } }, { kind: 'ring-hash', key: { kind: 'header', name: 'x-user' } }],
    [{ ringHash: { cookie: 'Sid' } }, { kind: 'ring-hash', key: { kind: 'cookie', name: 'Sid' } }],
    [{ ringHash: { source: true } }, { kind: 'ring-hash', key: { kind: 'source' } }],
  ])('balance by %j', (config, expected) => {
    expect(service({ loadBalancer: config }).loadBalancer).toEqual(expected);
  });

  it.each<[NonNullable<ServiceConfig['readiness']>, object]>([
    [{ http: { path: '/up', port: 1 } }, { kind: 'http', path: '/up', port: 1 }],
    [{ tcp: { port: 2 } }, { kind: 'tcp', port: 2 }],
    [{ grpc: { service: 'a.B' } }, { kind: 'grpc', service: 'a.B' }],
    [{ command: ['test', '-e', 'x'] }, { kind: 'command', command: { shell: false, argv: ['test', '-e', 'x'] } }],
    [{ log: 'listening' }, { kind: 'log', pattern: 'listening' }],
  ])('are probed by %j', (config, action) => {
    expect(service({ readiness: config }).readiness?.action).toEqual(action);
  });

  it.each([
    ['http://example.com', { host: 'example.com', port: 80, tls: false }, 'http'],
    ['https://Example.com/', { host: 'example.com', port: 443, tls: true }, 'http'],
    ['tcp://127.0.0.1:5432', { host: '127.0.0.1', port: 5432, tls: false }, 'tcp'],
    ['http://[::1]:81', { host: '::1', port: 81, tls: false }, 'http'],
  ])('are external at %s', (external, address, protocol) => {
    expect(mesh({ a: { external } }).services.a).toMatchObject({ external: address, protocol, command: null });
  });

  it('have subsets with their own numbers, and paths made absolute', () => {
    const config = service({
      replicas: 2,
      cwd: 'sub',
      envFile: '.env',
      watch: 'src',
      subsets: { a: { replicas: 0 }, b: { command: ['y'] } },
    });
    expect(config.subsets.map(({ name, replicas, command }) => [name, replicas, command?.argv])).toEqual([
      ['a', 0, undefined],
      ['b', 2, ['y']],
    ]);
    expect([config.cwd, config.envFiles, config.watch]).toEqual([
      path.join(BASE, 'sub'),
      [path.join(BASE, '.env')],
      [path.join(BASE, 'sub/src')],
    ]);
  });

  it('wait for the end of tasks that they list', () => {
    const { services } = mesh({
      t: { command: 'x', task: true },
      a: { command: 'x' },
      b: { command: 'x', dependsOn: ['t', 'a', 'a'] },
    });
    expect(services.b.dependsOn).toEqual([
      { service: 't', condition: 'completed' },
      { service: 'a', condition: 'ready' },
    ]);
  });
});
