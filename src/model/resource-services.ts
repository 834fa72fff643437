import path from 'node:path';
import type { DependencyCondition, MeshConfig, ServiceConfig } from './config.ts';
import type { ResolvedResource, ResolvedService } from './resolved.ts';
import type { ResourceConfig } from './resource-config.ts';
import { parseResourceUrl } from './resource-url.ts';

/** The service `ordersdb-migrations` brings the database `ordersdb`, or that of the service before it, up to date. */
export const migrationsOf = (name: string): string => `${name}-migrations`;

export const hasResources = ({ resources, services }: MeshConfig): boolean =>
  Object.keys(resources ?? {}).length > 0 || Object.values(services).some(({ migrations }) => migrations !== undefined);

/**
 * The configuration with its resources as services: a server that mesh runs and one that runs anyway both take traffic
 * like any service, and migrations are a task between a database and those who depend on it. All that holds for
 * services (order of start, restarts, logs, identity, counters) so holds for them.
 */
export function withResources(config: MeshConfig): MeshConfig {
  if (!hasResources(config)) return config;
  const services: Record<string, ServiceConfig> = {};
  const resources = Object.entries(config.resources ?? {});
  for (const [name, resource] of resources) Object.assign(services, servicesOf(config, name, resource));
  for (const [name, service] of Object.entries(config.services)) {
    if (service.migrations !== undefined) {
      const database = databaseOf(config, service);
      if (database !== null) {
        const before = listOfDependencies(config, [database]).filter((each) => each !== database);
        services[migrationsOf(name)] = migrationTask(name, listOf(service.migrations), database, before, service.cwd);
      }
    }
    services[name] = { ...service, dependsOn: dependenciesOf(config, name, service) };
  }
  return { ...config, services };
}

function servicesOf(config: MeshConfig, name: string, resource: ResourceConfig): Record<string, ServiceConfig> {
  if (resource.kind === 'postgres-bus') {
    const database = busDatabase(config, resource.database);
    if (database === null) return { [name]: server(name, {}), [migrationsOf(name)]: migrationTask(name, [], name, []) };
    const before = listOfDependencies(config, [database]).filter((each) => each !== database);
    return { [name]: migrationTask(name, [], database, before) };
  }
  const own: ServiceConfig =
    resource.kind === 'postgres' && resource.url === undefined ? server(name, resource) : outside(resource);
  const folders = resource.kind === 'postgres' ? listOf(resource.migrations) : [];
  if (folders.length === 0) return { [name]: own };
  return { [name]: own, [migrationsOf(name)]: migrationTask(name, folders, name, []) };
}

/** The daemon puts the real command in place of this one, which shows every setting that needs a new process. */
function server(
  name: string,
  { port, settings = {} }: { port?: number; settings?: Record<string, string> },
): ServiceConfig {
  return {
    command: ['postgres', name, ...Object.entries(settings).map(([key, value]) => `${key}=${value}`)],
    protocol: 'tcp',
    ...(port === undefined ? {} : { port }),
    // Pools keep connections that say nothing for hours.
    timeouts: { idle: '0s' },
    // After a crash it first reads its log again.
    readiness: { tcp: {}, timeout: '5s', deadline: '10m' },
    restart: { policy: 'always', backoff: '200ms', maxBackoff: '5s' },
    // SIGTERM lets no new session in, and reaches those that are open as well, which ends them: together a fast
    // shutdown. SIGINT would be one for the server, but something else for its processes, which get it too.
    stop: { signal: 'SIGTERM', grace: '15s' },
  };
}

function outside(resource: { kind: ResourceConfig['kind']; url?: string }): ServiceConfig {
  const kind = resource.kind as Parameters<typeof parseResourceUrl>[0];
  const address = parseResourceUrl(kind, resource.url ?? '');
  // What is wrong with the URL has been reported where it stands.
  const { host, port } = 'wrong' in address ? { host: '127.0.0.1', port: 1 } : address;
  return { external: `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`, timeouts: { idle: '0s' } };
}

function migrationTask(
  scope: string,
  folders: readonly string[],
  database: string,
  before: readonly string[],
  cwd?: string,
): ServiceConfig {
  return {
    command: ['migrations', scope, ...folders],
    task: true,
    dependsOn: [database, ...before],
    ...(cwd === undefined ? {} : { cwd }),
    ...(folders.length === 0 ? {} : { watch: [...folders] }),
  };
}

/** What a service depends on, with the migrations of its databases, and the database of its bus. */
function dependenciesOf(config: MeshConfig, name: string, service: ServiceConfig): ServiceConfig['dependsOn'] {
  const { dependsOn } = service;
  const own = service.migrations !== undefined && databaseOf(config, service) !== null ? [migrationsOf(name)] : [];
  if (dependsOn === undefined) return dependsOn;
  if (Array.isArray(dependsOn)) return [...new Set([...listOfDependencies(config, dependsOn), ...own])];
  const conditions: Record<string, DependencyCondition> = {};
  for (const [on, condition] of Object.entries(dependsOn)) {
    const resource = resourceIn(config, on);
    if (resource === undefined || condition === 'started') {
      conditions[on] = condition;
      continue;
    }
    for (const each of listOfDependencies(config, [on])) {
      const task = each.endsWith('-migrations') || (each === on && isTaskResource(config, resource));
      conditions[each] = task ? 'completed' : each === on ? condition : 'ready';
    }
  }
  for (const each of own) conditions[each] = 'completed';
  return conditions;
}

function listOfDependencies(config: MeshConfig, names: readonly string[]): string[] {
  const all: string[] = [];
  for (const name of names) {
    const resource = resourceIn(config, name);
    all.push(name);
    if (resource?.kind === 'postgres' && listOf(resource.migrations).length > 0) all.push(migrationsOf(name));
    if (resource?.kind === 'postgres-bus') {
      const database = busDatabase(config, resource.database);
      if (database === null) all.push(migrationsOf(name));
      else all.push(...listOfDependencies(config, [database]));
    }
  }
  return [...new Set(all)];
}

const isTaskResource = (config: MeshConfig, resource: ResourceConfig): boolean =>
  resource.kind === 'postgres-bus' && busDatabase(config, resource.database) !== null;

const resourceIn = (config: MeshConfig, name: string): ResourceConfig | undefined =>
  config.resources !== undefined && Object.hasOwn(config.resources, name) ? config.resources[name] : undefined;

/** Names of the mesh's `postgres()`. */
export const databaseNames = (config: MeshConfig): string[] =>
  Object.entries(config.resources ?? {}).flatMap(([name, { kind }]) => (kind === 'postgres' ? [name] : []));

/** The database that a bus is in; null: a server of its own. */
export function busDatabase(config: MeshConfig, named: string | undefined): string | null {
  if (named !== undefined) return named;
  const names = databaseNames(config);
  return names.length === 1 ? names[0] : null;
}

/** The only database that a service depends on; null: none or several. */
export function databaseOf(config: MeshConfig, { dependsOn = [] }: ServiceConfig): string | null {
  const names = Array.isArray(dependsOn) ? dependsOn : Object.keys(dependsOn);
  const databases = [...new Set(names)].filter((name) => resourceIn(config, name)?.kind === 'postgres');
  return databases.length === 1 ? databases[0] : null;
}

/** What a service made by `withResources` stands for; undefined: it is the user's own. */
function resolveResource(name: string, config: MeshConfig, baseDir: string): ResolvedResource | undefined {
  const resource = resourceIn(config, name);
  if (resource !== undefined && !Object.hasOwn(config.services, name))
    return resolveNamed(name, config, resource, baseDir);
  const owner = name.endsWith('-migrations') ? name.slice(0, -'-migrations'.length) : '';
  if (owner === '' || Object.hasOwn(config.services, name)) return undefined;
  const owning = resourceIn(config, owner);
  if (owning?.kind === 'postgres')
    return {
      kind: 'migrations',
      scope: owner,
      database: owner,
      folders: absolute(baseDir, listOf(owning.migrations)),
      bus: false,
    };
  if (owning?.kind === 'postgres-bus')
    return { kind: 'migrations', scope: owner, database: owner, folders: [], bus: true };
  const service = config.services[owner];
  const database = service === undefined ? null : databaseOf(config, service);
  if (service?.migrations === undefined || database === null) return undefined;
  const from = path.resolve(baseDir, service.cwd ?? '.');
  return {
    kind: 'migrations',
    scope: owner,
    database,
    folders: absolute(from, listOf(service.migrations)),
    bus: false,
  };
}

function resolveNamed(name: string, config: MeshConfig, resource: ResourceConfig, baseDir: string): ResolvedResource {
  const dataDir = path.join(baseDir, '.mesh', 'data', name);
  const database = name.replaceAll('-', '_');
  if (resource.kind === 'postgres-bus') {
    const host = busDatabase(config, resource.database);
    if (host !== null) return { kind: 'migrations', scope: name, database: host, folders: [], bus: true };
    return { kind: 'postgres', database, dataDir, settings: {}, bus: true };
  }
  if (resource.kind !== 'postgres') return { kind: 'url', of: resource.kind, url: resource.url };
  if (resource.url !== undefined) return { kind: 'url', of: 'postgres', url: resource.url };
  return {
    kind: 'postgres',
    database: resource.database ?? database,
    dataDir,
    settings: { ...resource.settings },
    bus: false,
  };
}

/** A resolved service with what it has to do with resources. */
export function withResource(service: ResolvedService, written: MeshConfig, baseDir: string): ResolvedService {
  const { name, readiness } = service;
  const resource = resolveResource(name, written, baseDir);
  if (resource?.kind === 'postgres' && readiness !== null) {
    // Its port alone would answer while it still refuses to work.
    const { dataDir, database } = resource;
    return { ...service, resource, readiness: { ...readiness, action: { kind: 'postgres', dataDir, database } } };
  }
  if (resource !== undefined) return { ...service, resource };
  const database = Object.hasOwn(written.services, name) ? databaseOf(written, written.services[name]) : null;
  return database === null ? service : { ...service, database };
}

const listOf = (value: string | string[] | undefined): string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value;

const absolute = (base: string, folders: readonly string[]): string[] =>
  folders.map((folder) => path.resolve(base, folder));
