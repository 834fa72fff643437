import type { Protocol } from './config.ts';
import type { Takeover } from './injection.ts';
import { resolveAlone } from './resolve.ts';
import type { Backend, HealthCheck, ResolvedConfig, ResolvedRoute, ResolvedService } from './resolved.ts';

/** One injection as far as the configuration is concerned; there is at most one for each service. */
export interface InjectedService {
  readonly service: string;
  readonly protocol: Protocol;
  /**
   * What of the requests to a service of the configuration it gets. `joined`: it is one more replica of the first
   * subset. `aside`: nothing, it is not ready. Of no account for a service that the configuration does not know.
   */
  readonly share: Takeover | 'joined' | 'aside';
}

const SUBSET = 'injected';

/** The subset that an injected endpoint of this service is in. */
export function injectedSubset(config: ResolvedConfig, service: string, share: InjectedService['share']): string {
  const declared = config.services[service]?.subsets.map(({ name }) => name) ?? [];
  if (share === 'joined' && declared.length > 0) return declared[0];
  let name = SUBSET;
  for (let n = 2; declared.includes(name); n++) name = `${SUBSET}-${n}`;
  return name;
}

/**
 * The configuration that proxies run on while there are injections: with the services that only these know, and with
 * routes that lead to them where they take over. Without injections it is the configuration itself. The supervisor never
 * sees it: there is nothing in it to start.
 */
export function withInjections(config: ResolvedConfig, injected: readonly InjectedService[]): ResolvedConfig {
  if (injected.length === 0) return config;
  const services: Record<string, ResolvedService> = { ...config.services };
  for (const each of injected) {
    const known = config.services[each.service];
    if (known === undefined) services[each.service] = newService(config, each);
    else if (each.share !== 'joined') services[each.service] = withSubset(config, known, each);
  }
  const names = Object.keys(services).filter((name) => !services[name].task);
  for (const { service } of injected) {
    if (service in config.services) continue;
    const others = names.filter((name) => name !== service);
    if (config.gateway !== null) others.push('gateway');
    services[service].dependsOn = others.map((name) => ({ service: name, condition: 'started' }));
  }
  let gateway = config.gateway;
  for (const { service, share } of injected) {
    if (share === 'joined' || share === 'aside' || config.services[service] === undefined) continue;
    const takeover: Rerouting = { service, share, subset: injectedSubset(config, service, share) };
    for (const name of Object.keys(services)) {
      const routes = rerouted(services[name].routes, takeover, (backend) => backend.service === service);
      if (routes !== services[name].routes) services[name] = { ...services[name], routes };
    }
    if (gateway === null) continue;
    // A backend without a subset follows the service's own routes, which are changed already.
    const routes = rerouted(gateway.routes, takeover, (b) => b.service === service && b.subset !== null);
    if (routes !== gateway.routes) gateway = { ...gateway, routes };
  }
  return { ...config, gateway, services };
}

/** As a service of the configuration that says nothing but its protocol, so with its `defaults`. It may call every other one. */
function newService(config: ResolvedConfig, { service, protocol }: InjectedService): ResolvedService {
  const made = resolveAlone(service, { protocol }, config);
  // Nothing of it stands in the configuration.
  const routes = made.routes.map((route) => ({ ...route, path: '' }));
  // A path that the services of the file have, or gRPC's health service, is not asked of one that is not among them.
  const healthCheck = made.healthCheck && connectionCheck(made.healthCheck);
  return {
    ...made,
    routes,
    healthCheck,
    command: null,
    subsets: [{ name: SUBSET, env: {}, command: null, replicas: 1 }],
  };
}

function withSubset(config: ResolvedConfig, known: ResolvedService, { service, protocol, share }: InjectedService) {
  const name = injectedSubset(config, service, share);
  const changed: ResolvedService = {
    ...known,
    subsets: [...known.subsets, { name, env: {}, command: null, replicas: 1 }],
    asideSubset: name,
  };
  if (share === 'aside' || share === 'joined' || share.kind !== 'all') return changed;
  // Alone, it may speak what it likes, and what was outside of the mesh is inside now.
  return { ...changed, protocol, healthCheck: checkFor(known.healthCheck, protocol), external: null, task: false };
}

/** A check that is a request in another protocol than the process speaks asks only whether it accepts connections. */
function checkFor(check: HealthCheck | null, protocol: Protocol): HealthCheck | null {
  if (check === null || check.action.kind === 'tcp') return check;
  const speaks = check.action.kind === 'grpc' ? protocol === 'grpc' : protocol !== 'tcp';
  return speaks ? check : connectionCheck(check);
}

const connectionCheck = (check: HealthCheck): HealthCheck => ({ ...check, action: { kind: 'tcp' } });

interface Rerouting {
  readonly service: string;
  readonly share: Takeover;
  readonly subset: string;
}

/** The same array where no route leads to the service directly. */
function rerouted(
  routes: ResolvedRoute[],
  { share, subset }: Rerouting,
  isDirect: (backend: Backend) => boolean,
): ResolvedRoute[] {
  if (!routes.some(({ backends }) => backends.some(isDirect))) return routes;
  return routes.flatMap((route) =>
    route.backends.some(isDirect) ? routesFor(route, share, subset, isDirect) : [route],
  );
}

function routesFor(
  route: ResolvedRoute,
  share: Takeover,
  subset: string,
  isDirect: (backend: Backend) => boolean,
): ResolvedRoute[] {
  if (share.kind === 'weight')
    return [{ ...route, backends: route.backends.flatMap((b) => split(b, isDirect(b), share.weight, subset)) }];
  const backends = merged(route.backends.map((b) => (isDirect(b) ? { ...b, subset } : b)));
  if (share.kind === 'all') return [{ ...route, backends }];
  const condition = { name: share.header.toLowerCase(), match: { kind: 'exact', value: share.value } as const };
  // Before the route that it was made of, so that it gets what that one would have got, and nothing else.
  const matches = route.matches.map((match) => ({ ...match, headers: [...match.headers, condition] }));
  return [{ ...route, name: `${route.name}-${subset}`, matches, backends }, route];
}

function split(backend: Backend, direct: boolean, percent: number, subset: string): Backend[] {
  if (!direct) return [{ ...backend, weight: backend.weight * 100 }];
  return [
    { ...backend, weight: backend.weight * (100 - percent) },
    { ...backend, subset, weight: backend.weight * percent },
  ];
}

/** Backends that have become the same are one. */
function merged(backends: Backend[]): Backend[] {
  const result: Backend[] = [];
  for (const backend of backends) {
    const same = result.findIndex(({ service, subset }) => service === backend.service && subset === backend.subset);
    if (same < 0) result.push(backend);
    else result[same] = { ...result[same], weight: result[same].weight + backend.weight };
  }
  return result;
}
