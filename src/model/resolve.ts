import path from 'node:path';
import { protocolOf } from './checks/context.ts';
import type {
  FiltersConfig,
  GatewayRouteConfig,
  HeaderChangesConfig,
  MeshConfig,
  ProbeConfig,
  RouteConfig,
  ServiceConfig,
} from './config.ts';
import { parseExternal } from './external.ts';
import {
  effectivePolicies,
  effectiveRoutePolicies,
  ms,
  type Policies,
  type PolicyLevel,
  type RoutePolicies,
} from './precedence.ts';
import { resolveTelemetry, resolveTracing } from './resolve-telemetry.ts';
import type {
  Backend,
  Command,
  FilterPolicies,
  HeaderChanges,
  Match,
  PathRewrite,
  ResolvedConfig,
  ResolvedGateway,
  ResolvedProbe,
  ResolvedRoute,
  ResolvedService,
  ResolvedSubset,
} from './resolved.ts';
import { withResource, withResources } from './resource-services.ts';
import type { Result } from './result.ts';
import { type Alternative, alternatives, compareRanks } from './route-order.ts';
import { validateConfig } from './validate.ts';

export interface ResolveContext {
  /** Directory of the config file; relative paths start from it. */
  readonly baseDir: string;
}

/**
 * Validates a configuration and fills in everything that it leaves out. All problems are reported at once; warnings
 * come beside the value, or among the problems where there are errors.
 */
export function resolveConfig(input: unknown, { baseDir }: ResolveContext): Result<ResolvedConfig> {
  const { config, problems } = validateConfig(input);
  if (config === null) return { ok: false, problems };
  const value = resolved(config, path.resolve(baseDir));
  return problems.length === 0 ? { ok: true, value } : { ok: true, value, warnings: problems };
}

function resolved(written: MeshConfig, baseDir: string): ResolvedConfig {
  const config = withResources(written);
  const services: Record<string, ResolvedService> = {};
  for (const name of Object.keys(config.services)) {
    services[name] = withResource(resolveService(name, config, baseDir), written, baseDir);
  }
  return {
    name: config.name,
    trustDomain: config.trustDomain ?? `${config.name}.local`,
    namespace: config.namespace ?? 'default',
    identity: { ttlMs: ms(config.identity?.ttl ?? '24h') },
    proxies: config.proxies ?? 1,
    telemetry: resolveTelemetry(config, baseDir),
    gateway: config.gateway === undefined ? null : resolveGateway(config),
    tracing: resolveTracing(config.telemetry ?? {}),
    defaults: config.defaults ?? {},
    services,
    baseDir,
  };
}

/** A service that is not in the file, as if it stood there and said so much. */
export function resolveAlone(
  name: string,
  service: ServiceConfig,
  { defaults, baseDir }: ResolvedConfig,
): ResolvedService {
  return resolveService(name, { version: 1, name, defaults, services: { [name]: service } }, baseDir);
}

function resolveService(name: string, config: MeshConfig, baseDir: string): ResolvedService {
  const service = config.services[name];
  const task = service.task ?? false;
  const external = service.external === undefined ? null : resolveExternal(service.external);
  const protocol = protocolOf(service);
  const defaults = levelFor(config.defaults ?? {}, { task, tcp: protocol === 'tcp' });
  const policies = effectivePolicies(defaults, service);
  const cwd = path.resolve(baseDir, service.cwd ?? '.');
  const takesRequests = !task && external === null;
  return {
    name,
    command: service.command === undefined ? null : resolveCommand(service.command),
    external,
    cwd,
    env: { ...service.env },
    envFiles: listOf(service.envFile).map((file) => path.resolve(baseDir, file)),
    protocol,
    protos: listOf(service.proto).map((file) => path.resolve(baseDir, file)),
    port: service.port ?? null,
    subsets: resolveSubsets(service),
    dependsOn: resolveDependencies(service, config),
    readiness: probeOr(service.readiness, takesRequests ? { tcp: {} } : undefined),
    liveness: probeOr(service.liveness),
    startup: probeOr(service.startup),
    restart: policies.restart,
    watch: listOf(service.watch).map((file) => path.resolve(cwd, file)),
    build: service.build === undefined ? null : resolveCommand(service.build),
    stop: policies.stop,
    task,
    routes: task ? [] : resolveServiceRoutes(name, service, defaults, policies),
    loadBalancer: policies.loadBalancer,
    healthCheck: task ? null : policies.healthCheck,
    parking: policies.parking,
    connectTimeoutMs: policies.timeouts.connectMs,
  };
}

/** What of `defaults` makes sense for a service: a task that is always restarted would never be done. */
function levelFor(defaults: PolicyLevel, { task, tcp }: { task: boolean; tcp: boolean }): PolicyLevel {
  let level = defaults;
  if (task) level = { ...level, restart: { ...level.restart, policy: 'never' } };
  if (tcp && typeof level.loadBalancer === 'object') level = { ...level, loadBalancer: undefined };
  if (tcp && (level.healthCheck?.http !== undefined || level.healthCheck?.grpc !== undefined)) {
    level = { ...level, healthCheck: { ...level.healthCheck, http: undefined, grpc: undefined, tcp: true } };
  }
  return level;
}

function resolveExternal(url: string): ResolvedService['external'] {
  const address = parseExternal(url);
  if ('wrong' in address) throw new Error(`an address that was not validated: ${url}`);
  return { host: address.host, port: address.port, tls: address.tls };
}

const resolveCommand = (command: string | string[]): Command =>
  typeof command === 'string' ? { shell: true, argv: [command] } : { shell: false, argv: [...command] };

const listOf = (value: string | string[] | undefined): string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value;

function resolveSubsets(service: ServiceConfig): ResolvedSubset[] {
  const replicas = service.replicas ?? 1;
  const subsets = Object.entries(service.subsets ?? {});
  if (subsets.length === 0) return [{ name: 'default', env: {}, command: null, replicas }];
  return subsets.map(([name, subset]) => ({
    name,
    env: { ...subset.env },
    command: subset.command === undefined ? null : resolveCommand(subset.command),
    replicas: subset.replicas ?? replicas,
  }));
}

function resolveDependencies({ dependsOn }: ServiceConfig, config: MeshConfig): ResolvedService['dependsOn'] {
  if (dependsOn === undefined) return [];
  if (!Array.isArray(dependsOn))
    return Object.entries(dependsOn).map(([service, condition]) => ({ service, condition }));
  return [...new Set(dependsOn)].map((service) => ({
    service,
    condition: config.services[service]?.task === true ? 'completed' : 'ready',
  }));
}

function probeOr(config: ProbeConfig | undefined, otherwise?: ProbeConfig): ResolvedProbe | null {
  const probe = config ?? otherwise;
  if (probe === undefined) return null;
  return {
    action: probeAction(probe),
    initialDelayMs: ms(probe.initialDelay ?? '0s'),
    intervalMs: probe.interval === undefined ? null : ms(probe.interval),
    timeoutMs: ms(probe.timeout ?? '1s'),
    failureThreshold: probe.failureThreshold ?? 3,
    successThreshold: probe.successThreshold ?? 1,
    deadlineMs: ms(probe.deadline ?? '60s'),
  };
}

function probeAction(probe: ProbeConfig): ResolvedProbe['action'] {
  if (typeof probe.http === 'string') return { kind: 'http', path: probe.http, port: null };
  if (probe.http !== undefined) return { kind: 'http', path: probe.http.path, port: probe.http.port ?? null };
  if (probe.grpc !== undefined) return { kind: 'grpc', service: probe.grpc.service ?? '' };
  if (probe.command !== undefined) return { kind: 'command', command: resolveCommand(probe.command) };
  if (probe.log !== undefined) return { kind: 'log', pattern: probe.log };
  return { kind: 'tcp', port: probe.tcp?.port ?? null };
}

function resolveServiceRoutes(
  name: string,
  service: ServiceConfig,
  defaults: PolicyLevel,
  own: Policies,
): ResolvedRoute[] {
  if ((service.routes ?? []).length === 0) {
    // It stands for the service as a whole, and so does its name in tap and traces.
    return [routeOf({}, name, `services.${name}`, [allOf(name)], own, [], [resolvedAny()])];
  }
  const routes = service.routes!;
  const built = (route: RouteConfig): RoutePolicies =>
    route.timeouts === undefined && route.retries === undefined
      ? own
      : effectiveRoutePolicies(defaults, service, route);
  return ordered(routes, `services.${name}.routes`, (route) => ({
    policies: built(route),
    backends: route.filters?.redirect === undefined ? (route.backends ?? [{}]).map((b) => backendOf(b, name)) : [],
    owner: name,
  }));
}

const resolvedAny = (): Match => ({ path: null, methods: [], headers: [], query: [] });
const allOf = (service: string): Backend => ({ service, subset: null, weight: 1 });

const backendOf = (backend: { service?: string; subset?: string; weight?: number }, owner: string): Backend => ({
  service: backend.service ?? owner,
  subset: backend.subset ?? null,
  weight: backend.weight ?? 1,
});

function resolveGateway(config: MeshConfig): ResolvedGateway {
  const { http, https, routes } = config.gateway!;
  return {
    http: http ?? null,
    https: https ?? null,
    routes: ordered(routes, 'gateway.routes', (route) => ({
      policies: gatewayPolicies(config, route),
      backends: (route.backends ?? []).map((backend) => backendOf(backend, backend.service)),
      owner: 'gateway',
    })),
  };
}

/**
 * Where every backend follows its service's own routes, those bring timeouts and retries, and the gateway adds only
 * what its route says. A backend with a subset passes by the service's routes, so the settings of `defaults` and of the
 * service (if it is one only) hold here.
 */
function gatewayPolicies(config: MeshConfig, route: GatewayRouteConfig): RoutePolicies {
  const backends = route.backends ?? [];
  const own: PolicyLevel = { timeouts: route.timeouts, retries: route.retries };
  if (backends.every(({ subset }) => subset === undefined)) {
    return effectiveRoutePolicies({ timeouts: { idle: '0s' }, retries: false }, own);
  }
  const services = new Set(backends.map(({ service }) => service));
  const only = services.size === 1 ? config.services[backends[0].service] : undefined;
  return effectiveRoutePolicies(config.defaults ?? {}, only ?? {}, own);
}

interface RouteParts {
  readonly policies: RoutePolicies;
  readonly backends: Backend[];
  readonly owner: string;
}

/** Routes in the order in which they are tried, one for each group of equally specific alternatives. */
function ordered<R extends GatewayRouteConfig | RouteConfig>(
  routes: readonly R[],
  base: string,
  partsOf: (route: R) => RouteParts,
): ResolvedRoute[] {
  const parts = routes.map(partsOf);
  const result: ResolvedRoute[] = [];
  let last: Alternative | undefined;
  for (const alternative of alternatives(routes)) {
    const { route: i, hosts, spec } = alternative;
    if (last !== undefined && last.route === i && compareRanks(last.rank, alternative.rank) === 0) {
      result[result.length - 1].matches.push(spec);
      continue;
    }
    last = alternative;
    const { policies, backends, owner } = parts[i];
    result.push(
      routeOf(routes[i], routes[i].name ?? `${owner}-${i + 1}`, `${base}[${i}]`, backends, policies, hosts, [spec]),
    );
  }
  return result;
}

function routeOf(
  route: RouteConfig | GatewayRouteConfig,
  name: string,
  place: string,
  backends: Backend[],
  { timeouts, retries }: RoutePolicies,
  hosts: readonly string[],
  matches: Match[],
): ResolvedRoute {
  return {
    name,
    path: place,
    hosts: [...hosts],
    matches,
    filters: resolveFilters(route.filters),
    backends,
    timeouts: { requestMs: timeouts.requestMs, idleMs: timeouts.idleMs },
    retries,
  };
}

const NO_FILTERS: FilterPolicies = { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null };

function resolveFilters(filters: FiltersConfig | undefined): FilterPolicies {
  if (filters === undefined) return NO_FILTERS;
  const { requestHeaders, responseHeaders, rewrite, redirect } = filters;
  return {
    requestHeaders: headerChanges(requestHeaders),
    responseHeaders: headerChanges(responseHeaders),
    rewrite: rewrite === undefined ? null : { path: pathRewrite(rewrite.path), host: rewrite.host ?? null },
    redirect:
      redirect === undefined
        ? null
        : {
            scheme: redirect.scheme ?? null,
            host: redirect.host ?? null,
            port: redirect.port ?? null,
            path: pathRewrite(redirect.path),
            status: redirect.status ?? 302,
          },
  };
}

function headerChanges(changes: HeaderChangesConfig | undefined): HeaderChanges | null {
  if (changes === undefined) return null;
  const fields = (record: Record<string, string> = {}): [string, string][] =>
    Object.entries(record).map(([name, value]) => [name.toLowerCase(), value]);
  return {
    set: fields(changes.set),
    add: fields(changes.add),
    remove: (changes.remove ?? []).map((name) => name.toLowerCase()),
  };
}

function pathRewrite(path: { replacePrefix: string } | { replaceFull: string } | undefined): PathRewrite | null {
  if (path === undefined) return null;
  return 'replacePrefix' in path && path.replacePrefix !== undefined
    ? { kind: 'prefix', value: path.replacePrefix }
    : { kind: 'full', value: (path as { replaceFull: string }).replaceFull };
}
