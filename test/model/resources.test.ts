import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changedServices } from '../../src/model/changes.ts';
import type { MeshConfig } from '../../src/model/config.ts';
import { serviceEnvironment } from '../../src/model/environment.ts';
import { resolveConfig } from '../../src/model/resolve.ts';
import {
  kafka,
  nats,
  postgres,
  postgresBus,
  RESOURCE_FUNCTIONS,
  rabbitmq,
  redis,
} from '../../src/model/resource-config.ts';
import { resourceVariables } from '../../src/model/resource-environment.ts';
import { parseResourceUrl, shownUrl, urlAt } from '../../src/model/resource-url.ts';

const app = { command: 'node app.js' };
const login = { user: 'mesh', passwordOf: () => 'secret' };

function resolve(config: Partial<MeshConfig>) {
  const result = resolveConfig({ version: 1, name: 'shop', services: {}, ...config }, { baseDir: '/shop' });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

function problemsOf(config: Partial<MeshConfig> | Record<string, unknown>) {
  const result = resolveConfig({ version: 1, name: 'shop', services: {}, ...config }, { baseDir: '/shop' });
  return result.ok ? [] : result.problems.map(({ code, path, message, hint }) => ({ code, path, message, hint }));
}

describe('functions for resources', () => {
  it('return plain data', () => {
    expect(postgres()).toEqual({ kind: 'postgres' });
    expect(postgres({ migrations: 'db' })).toEqual({ kind: 'postgres', migrations: 'db' });
    expect(postgresBus({ database: 'db' })).toEqual({ kind: 'postgres-bus', database: 'db' });
    for (const make of [kafka, nats, rabbitmq, redis])
      expect(make({ url: 'x' })).toEqual({ kind: make.name, url: 'x' });
  });

  it('are all listed for configurations that are evaluated without the package', () => {
    const made = { postgres, postgresBus, kafka, nats, rabbitmq, redis };
    for (const [name, kind] of Object.entries(RESOURCE_FUNCTIONS))
      expect(made[name as keyof typeof made]({ url: 'x' })).toMatchObject({ kind });
    expect(Object.keys(RESOURCE_FUNCTIONS).sort()).toEqual(Object.keys(made).sort());
  });
});

describe('a database that mesh runs', () => {
  const config = resolve({
    resources: { 'orders-db': postgres({ migrations: 'db/migrations', settings: { work_mem: '8MB' } }) },
    services: { orders: { ...app, dependsOn: ['orders-db'] } },
  });

  it('is a TCP service that is restarted always and ready when it answers a query', () => {
    expect(config.services['orders-db']).toMatchObject({
      protocol: 'tcp',
      external: null,
      restart: { policy: 'always' },
      stop: { signal: 'SIGTERM' },
      readiness: { action: { kind: 'postgres', database: 'orders_db', dataDir: '/shop/.mesh/data/orders-db' } },
      resource: { kind: 'postgres', settings: { work_mem: '8MB' }, bus: false },
    });
    expect(config.services['orders-db'].routes[0].timeouts.idleMs).toBe(0);
  });

  it('is migrated by a task that stands between it and its dependants', () => {
    expect(config.services['orders-db-migrations']).toMatchObject({
      task: true,
      watch: ['/shop/db/migrations'],
      dependsOn: [{ service: 'orders-db', condition: 'ready' }],
      resource: { kind: 'migrations', scope: 'orders-db', database: 'orders-db', folders: ['/shop/db/migrations'] },
    });
    expect(config.services.orders.dependsOn).toEqual([
      { service: 'orders-db', condition: 'ready' },
      { service: 'orders-db-migrations', condition: 'completed' },
    ]);
  });

  it('comes before the services in every list', () => {
    expect(Object.keys(config.services)).toEqual(['orders-db', 'orders-db-migrations', 'orders']);
  });

  it('is told to services as DATABASE_URL and by its name, and the task not at all', () => {
    const ports = { 'orders-db': 1234, 'orders-db-migrations': 1235 };
    const url = 'postgres://mesh:secret@127.0.0.1:1234/orders_db';
    const extra = resourceVariables(config, 'orders', ports, login);
    expect(extra).toEqual({ ORDERS_DB_URL: url, DATABASE_URL: url });
    const names = { service: 'orders', subset: 'default', instance: 'orders-1' };
    const env = serviceEnvironment({
      config,
      ...names,
      ports: { app: 1, inbound: 2, outbound: 3, dependencies: ports },
      extra,
    });
    expect(env.ORDERS_DB_URL).toBe(url);
    expect(Object.keys(env).filter((name) => name.includes('MIGRATIONS'))).toEqual([]);
  });

  it('keeps the conditions of dependants, and waits for migrations unless only its start is wanted', () => {
    const { services } = resolve({
      resources: { db: postgres({ migrations: 'm' }) },
      services: {
        eager: { ...app, dependsOn: { db: 'started' } },
        patient: { ...app, dependsOn: { db: 'ready' } },
      },
    });
    expect(services.eager.dependsOn).toEqual([{ service: 'db', condition: 'started' }]);
    expect(services.patient.dependsOn).toEqual([
      { service: 'db', condition: 'ready' },
      { service: 'db-migrations', condition: 'completed' },
    ]);
  });

  it('gives no DATABASE_URL where there is a choice', () => {
    const two = resolve({
      resources: { a: postgres(), b: postgres() },
      services: { orders: { ...app, dependsOn: ['a', 'b'] } },
    });
    expect(Object.keys(resourceVariables(two, 'orders', { a: 1, b: 2 }, login)).sort()).toEqual(['A_URL', 'B_URL']);
  });

  it('starts anew for other settings, and its dependants for another database', () => {
    const before = resolve({ resources: { db: postgres() }, services: { orders: { ...app, dependsOn: ['db'] } } });
    const with_ = (options: Parameters<typeof postgres>[0]) =>
      changedServices(
        before,
        resolve({ resources: { db: postgres(options) }, services: { orders: { ...app, dependsOn: ['db'] } } }),
      ).restart;
    expect(with_({ settings: { work_mem: '8MB' } })).toEqual(['db']);
    expect(with_({ database: 'other' })).toContain('orders');
    expect(with_({})).toEqual([]);
  });
});

describe('migrations of a service', () => {
  it('run after those of its database and before it', () => {
    const { services } = resolve({
      resources: { db: postgres({ migrations: 'db' }) },
      services: { orders: { ...app, cwd: 'orders', dependsOn: ['db'], migrations: 'migrations' } },
    });
    expect(services['orders-migrations']).toMatchObject({
      cwd: '/shop/orders',
      dependsOn: [
        { service: 'db', condition: 'ready' },
        { service: 'db-migrations', condition: 'completed' },
      ],
      resource: { kind: 'migrations', scope: 'orders', database: 'db', folders: ['/shop/orders/migrations'] },
    });
    expect(services.orders.dependsOn).toContainEqual({ service: 'orders-migrations', condition: 'completed' });
  });

  it.each([[[]], [['a', 'b']]])('need exactly one database: %j', (dependsOn) => {
    const found = problemsOf({
      resources: { a: postgres(), b: postgres() },
      services: { orders: { ...app, dependsOn, migrations: 'm' } },
    });
    expect(found).toMatchObject([{ code: 'MESH-D113', path: 'services.orders.migrations' }]);
  });
});

describe('servers given by URL', () => {
  it('are external services, and told with their own login and path', () => {
    const config = resolve({
      resources: {
        db: postgres({ url: 'postgres://ann:p%40ss@db.example:6543/orders?sslmode=require' }),
        bus: rabbitmq({ url: 'amqp://guest:guest@127.0.0.1/shop' }),
        cache: redis({ url: 'redis://127.0.0.1:6380/2' }),
      },
      services: {
        orders: { ...app, dependsOn: ['db', 'bus'] },
        both: { ...app, dependsOn: ['bus', 'cache'] },
      },
    });
    expect(config.services.db.external).toEqual({ host: 'db.example', port: 6543, tls: false });
    expect(config.services.bus.external).toEqual({ host: '127.0.0.1', port: 5672, tls: false });
    expect(resourceVariables(config, 'orders', { db: 1, bus: 2 }, login)).toEqual({
      DB_URL: 'postgres://ann:p%40ss@127.0.0.1:1/orders?sslmode=require',
      DATABASE_URL: 'postgres://ann:p%40ss@127.0.0.1:1/orders?sslmode=require',
      BUS_URL: 'amqp://guest:guest@127.0.0.1:2/shop',
      MESH_BUS_KIND: 'rabbitmq',
    });
    expect(resourceVariables(config, 'both', { bus: 2, cache: 3 }, login)).toEqual({
      BUS_URL: 'amqp://guest:guest@127.0.0.1:2/shop',
      CACHE_URL: 'redis://127.0.0.1:3/2',
    });
  });

  it.each([
    ['postgres', 'mysql://h/db', 'the scheme is postgres:// or postgresql://'],
    ['postgres', 'postgres://h:5432', "write it with the database: 'postgres://h:5432/orders'"],
    ['postgres', 'postgres://u:p%@h/db', 'a % has to be written %25'],
    ['redis', 'localhost:6379', "write it with its scheme: 'redis://localhost:6379'"],
    ['kafka', 'http://h:9092', 'the scheme is kafka://'],
    ['nats', 'nats://', 'write it with its host'],
    [
      'nats',
      'nats://u:p/w@h',
      'write it like nats://127.0.0.1:4222; special characters in a password are percent-encoded',
    ],
  ] as const)('of %s: refuses %s', (kind, url, hint) => {
    expect(problemsOf({ resources: { it: { kind, url } } })).toMatchObject([
      { code: 'MESH-D114', path: 'resources.it.url', hint },
    ]);
  });

  it('never show the password in a problem', () => {
    const [found] = problemsOf({ resources: { it: redis({ url: 'http://u:hush@h' }) } });
    expect(found.message).not.toContain('hush');
  });

  it('have defaults for ports', () => {
    expect(parseResourceUrl('redis', 'rediss://h')).toMatchObject({ host: 'h', port: 6379 });
    expect(parseResourceUrl('rabbitmq', 'amqps://h')).toMatchObject({ port: 5671 });
    expect(parseResourceUrl('postgres', 'postgresql://[::1]/db')).toMatchObject({
      host: '::1',
      port: 5432,
      path: 'db',
    });
  });

  it('keep login, path and query at another address, whatever they are', () => {
    const word = fc.string({ minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(word, word, word, fc.nat(65_535), (user, password, database, port) => {
        const parts = [user, password, database].map(encodeURIComponent);
        fc.pre(parts.every((part) => part !== '.' && part !== '..'));
        const url = `postgres://${parts[0]}:${parts[1]}@h.example/${parts[2]}?x=1`;
        const moved = urlAt(url, '127.0.0.1', port);
        expect(parseResourceUrl('postgres', moved)).toEqual(
          'wrong' in parseResourceUrl('postgres', url)
            ? expect.anything()
            : { user, password, path: database, host: '127.0.0.1', port: port === 0 ? 0 : port },
        );
        expect(shownUrl(url)).toBe(`postgres://${parts[0]}:***@h.example/${parts[2]}?x=1`);
      }),
    );
  });
});

describe('a bus in PostgreSQL', () => {
  it('is a task in its database, which dependants get as well', () => {
    const config = resolve({
      resources: { db: postgres({ migrations: 'm' }), bus: postgresBus() },
      services: { orders: { ...app, dependsOn: ['db', 'bus'] }, mailer: { ...app, dependsOn: { bus: 'ready' } } },
    });
    expect(config.services.bus).toMatchObject({
      task: true,
      resource: { kind: 'migrations', database: 'db', bus: true },
    });
    expect(config.services.orders.dependsOn).toEqual([
      { service: 'db', condition: 'ready' },
      { service: 'db-migrations', condition: 'completed' },
      { service: 'bus', condition: 'completed' },
    ]);
    expect(config.services.mailer.dependsOn).toContainEqual({ service: 'bus', condition: 'completed' });
    expect(config.services.mailer.dependsOn).toContainEqual({ service: 'db', condition: 'ready' });
    const url = 'postgres://mesh:secret@127.0.0.1:1/db';
    expect(resourceVariables(config, 'orders', { db: 1, bus: 2 }, login)).toEqual({
      DATABASE_URL: url,
      DB_URL: url,
      BUS_URL: url,
      MESH_BUS_KIND: 'postgres',
    });
    expect(resourceVariables(config, 'mailer', { db: 1, bus: 2 }, login)).not.toHaveProperty('DATABASE_URL');
  });

  it('leaves a service with a database of its own its DATABASE_URL', () => {
    const config = resolve({
      resources: { db: postgres(), own: postgres(), bus: postgresBus({ database: 'db' }) },
      services: { mailer: { ...app, dependsOn: ['own', 'bus'] } },
    });
    const env = resourceVariables(config, 'mailer', { db: 1, own: 2, bus: 3 }, login);
    expect(env.DATABASE_URL).toBe('postgres://mesh:secret@127.0.0.1:2/own');
    expect(env.BUS_URL).toBe('postgres://mesh:secret@127.0.0.1:1/db');
  });

  it('has a server of its own where there is no database', () => {
    const config = resolve({ resources: { bus: postgresBus() }, services: { orders: { ...app, dependsOn: ['bus'] } } });
    expect(config.services.bus.resource).toMatchObject({ kind: 'postgres', bus: true });
    expect(config.services['bus-migrations'].resource).toMatchObject({
      kind: 'migrations',
      database: 'bus',
      bus: true,
    });
    expect(resourceVariables(config, 'orders', { bus: 1, 'bus-migrations': 2 }, login)).toEqual({
      BUS_URL: 'postgres://mesh:secret@127.0.0.1:1/bus',
      MESH_BUS_KIND: 'postgres',
    });
  });

  it.each([
    [
      { bus: postgresBus({ database: 'odb' }), db: postgres() },
      'resources.bus.database',
      /no postgres\(\) called "odb"/,
    ],
    [{ bus: postgresBus(), a: postgres(), b: postgres() }, 'resources.bus', /several databases/],
  ])('needs to know its database: %j', (resources, path, message) => {
    expect(problemsOf({ resources })).toMatchObject([
      { code: 'MESH-D113', path, message: expect.stringMatching(message) },
    ]);
  });
});

describe('what is wrong with resources', () => {
  it('names of services and tasks', () => {
    expect(problemsOf({ resources: { orders: postgres() }, services: { orders: app } })).toMatchObject([
      { code: 'MESH-D112', path: 'resources.orders' },
    ]);
    const taken = { resources: { db: postgres({ migrations: 'm' }) }, services: { 'db-migrations': app } };
    expect(problemsOf(taken)).toMatchObject([{ code: 'MESH-D112' }]);
  });

  it('one port for two', () => {
    const resources = { a: postgres({ port: 5433 }), b: postgres({ port: 5433 }) };
    expect(problemsOf({ resources })).toMatchObject([
      { code: 'MESH-C209', path: expect.stringMatching(/^resources\./) },
    ]);
  });

  it('a dependency on a resource that is not there, with the near one', () => {
    const [found] = problemsOf({
      resources: { ordersdb: postgres() },
      services: { orders: { ...app, dependsOn: ['orderdb'] } },
    });
    expect(found).toMatchObject({ code: 'MESH-C203', hint: expect.stringContaining("did you mean 'ordersdb'") });
  });

  it('kinds and options that there are not', () => {
    expect(problemsOf({ resources: { db: { kind: 'postgress' } } })).toMatchObject([{ path: 'resources.db.kind' }]);
    expect(problemsOf({ resources: { db: { kind: 'postgres', migration: 'm' } } })).toMatchObject([
      { code: 'MESH-C101', hint: expect.stringContaining('migrations') },
    ]);
    expect(problemsOf({ resources: { db: postgres({ url: 'postgres://h/db', port: 1 }) } })).toMatchObject([
      { code: 'MESH-D114', path: 'resources.db.port' },
    ]);
    expect(problemsOf({ resources: { db: postgres({ database: 'My DB' }) } })).toMatchObject([
      { path: 'resources.db.database' },
    ]);
  });

  it('is all reported at once, and what depends on it is left alone', () => {
    const found = problemsOf({
      resources: { db: { kind: 'postgres', port: 'x' }, bus: redis({ url: 'nope' }) },
      services: { orders: { ...app, dependsOn: ['db', 'bus'] } },
    });
    expect(found.map(({ path }) => path).sort()).toEqual(['resources.bus.url', 'resources.db.port']);
  });
});
