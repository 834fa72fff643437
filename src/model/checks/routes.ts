import type { GatewayRouteConfig, MatchConfig, RouteBackendConfig, RouteConfig } from '../config.ts';
import { formatPath } from '../config-path.ts';
import { problem } from '../errors.ts';
import { suggest } from '../nearest.ts';
import { quote } from '../show.ts';
import { type CheckContext, isTask, isTcp } from './context.ts';

/** Each route on its own, and where its backends lead. Which routes can be reached is judged in reachability.ts. */
export function checkRoutes(context: CheckContext): void {
  const { config, report } = context;
  for (const [name, service] of Object.entries(config.services)) {
    // One problem says it all: routes on a task or TCP service are not looked into.
    if (isTask(service) || isTcp(service)) continue;
    checkTable(context, `services.${name}.routes`, service.routes ?? [], name);
  }
  const { gateway } = config;
  if (gateway === undefined) return;
  checkTable(context, 'gateway.routes', gateway.routes, null);
  if (gateway.http === undefined && gateway.https === undefined && gateway.routes.length > 0) {
    report(
      problem('MESH-C314', {
        path: 'gateway',
        message: 'the gateway has routes but no port',
        hint: 'add http: 8080, https: 8443 or both',
        severity: 'warning',
      }),
    );
  }
}

/** `owner` is the service that the routes belong to; null for the gateway. */
function checkTable(
  context: CheckContext,
  path: string,
  routes: readonly (RouteConfig | GatewayRouteConfig)[],
  owner: string | null,
): void {
  const names = new Map<string, number>();
  for (const [i, route] of routes.entries()) {
    const place = `${path}[${i}]`;
    checkRoute(context, place, route, owner);
    if (route.name === undefined) continue;
    const first = names.get(route.name);
    if (first === undefined) names.set(route.name, i);
    else {
      context.report(
        problem('MESH-C311', {
          path: `${place}.name`,
          message: `the name ${quote(route.name)} is already that of routes[${first}]`,
          hint: 'give each route a name of its own',
          severity: 'warning',
        }),
      );
    }
  }
}

function checkRoute(
  context: CheckContext,
  path: string,
  route: RouteConfig | GatewayRouteConfig,
  owner: string | null,
): void {
  const { report } = context;
  const { backends, filters } = route;
  for (const [i, match] of (route.matches ?? []).entries()) checkMatch(context, `${path}.matches[${i}]`, match);
  if (filters?.redirect !== undefined && filters.rewrite !== undefined) {
    report(
      problem('MESH-C312', {
        path: `${path}.filters`,
        message: 'found both redirect and rewrite',
        hint: "use the redirect's own host and path",
      }),
    );
  }
  checkPrefixRewrites(context, path, route);
  checkHeaderChanges(context, path, filters);

  if (filters?.redirect !== undefined && backends !== undefined) {
    report(
      problem('MESH-C304', {
        path: `${path}.backends`,
        message: 'a route that redirects sends nothing to backends',
        hint: 'remove the backends or the redirect',
      }),
    );
  }
  if (owner === null && filters?.redirect === undefined && backends === undefined) {
    report(
      problem('MESH-C305', {
        path,
        message: 'found neither backends nor a redirect',
        hint: "add backends: [{ service: '...' }]",
      }),
    );
  }
  if (backends === undefined) return;
  for (const [i, backend] of backends.entries()) checkBackend(context, `${path}.backends[${i}]`, backend, owner);
  if (backends.every(({ weight }) => weight === 0)) {
    report(
      problem('MESH-C301', {
        path: `${path}.backends`,
        message:
          backends.length === 1 ? 'the weight of the only backend is 0' : 'the weights of the backends sum to zero',
        hint: 'give at least one a weight above 0',
      }),
    );
  }
}

function checkMatch({ report }: CheckContext, path: string, match: MatchConfig): void {
  if (match.grpc !== undefined) {
    if (match.path !== undefined) {
      report(
        problem('MESH-C313', {
          path: `${path}.grpc`,
          message: 'found both path and grpc',
          hint: 'a gRPC match is a match on the path: remove one',
        }),
      );
    }
    if (match.grpc.service === undefined && match.grpc.method === undefined) {
      report(
        problem('MESH-C109', {
          path: `${path}.grpc`,
          message: 'grpc needs service, method or both, found neither',
          hint: "grpc: { service: 'shop.v1.OrderService' }",
        }),
      );
    }
  }
  checkSpelling(report, `${path}.headers`, Object.keys(match.headers ?? {}));
}

function checkHeaderChanges({ report }: CheckContext, path: string, filters: RouteConfig['filters']): void {
  for (const policy of ['requestHeaders', 'responseHeaders'] as const) {
    for (const change of ['set', 'add'] as const) {
      checkSpelling(report, `${path}.filters.${policy}.${change}`, Object.keys(filters?.[policy]?.[change] ?? {}));
    }
  }
}

/** `X-Tenant` and `x-tenant` are one header, of which only one value could count. */
function checkSpelling(report: CheckContext['report'], path: string, names: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const before = seen.get(name.toLowerCase());
    if (before === undefined) seen.set(name.toLowerCase(), name);
    else {
      report(
        problem('MESH-C111', {
          path: path + formatTail(name),
          message: `${name} and ${before} are the same header`,
          hint: 'keep one of them',
        }),
      );
    }
  }
}

const formatTail = (key: string): string => formatPath(['x', key]).slice(1);

function checkPrefixRewrites({ report }: CheckContext, path: string, route: RouteConfig): void {
  const without = (route.matches ?? []).find(
    ({ path: p, grpc }) =>
      (p !== undefined && 'regex' in p && p.regex !== undefined) ||
      (grpc?.method !== undefined && grpc.service === undefined),
  );
  if (without === undefined) return;
  for (const policy of ['rewrite', 'redirect'] as const) {
    const change = route.filters?.[policy]?.path;
    if (change === undefined || !('replacePrefix' in change) || change.replacePrefix === undefined) continue;
    report(
      problem('MESH-C310', {
        path: `${path}.filters.${policy}.path`,
        message: 'replacePrefix beside a match that settles no prefix',
        hint: 'match with prefix, or use replaceFull',
      }),
    );
  }
}

function checkBackend(context: CheckContext, path: string, backend: RouteBackendConfig, owner: string | null): void {
  const { config, serviceNames, report } = context;
  const name = backend.service ?? owner!;
  if (!serviceNames.has(name)) {
    const hint = suggest(name, [...serviceNames], 'there are no services');
    report(problem('MESH-C203', { path: `${path}.service`, message: `there is no service ${quote(name)}`, hint }));
    return;
  }
  if (!Object.hasOwn(config.services, name)) return;
  const target = config.services[name];
  if (isTask(target) || isTcp(target)) {
    const what = isTask(target) ? 'a task' : "a service with protocol 'tcp'";
    report(
      problem(owner === null ? 'MESH-C308' : 'MESH-C309', {
        path: `${path}.service`,
        message: `${name} is ${what}, which takes no HTTP requests`,
        hint: isTask(target) ? 'remove the backend' : `remove the backend, or declare the protocol of ${name}`,
      }),
    );
    return;
  }
  if (backend.subset === undefined || context.isBroken(`services.${name}.subsets`)) return;
  const subsets = Object.keys(target.subsets ?? {});
  if (subsets.length === 0) {
    report(
      problem('MESH-C205', {
        path: `${path}.subset`,
        message: `${name} has no subsets`,
        hint: `declare subsets of ${name}, or leave subset out for all instances`,
      }),
    );
  } else if (!subsets.includes(backend.subset)) {
    const hint = suggest(backend.subset, subsets, '');
    report(
      problem('MESH-C204', { path: `${path}.subset`, message: `${name} has no subset ${quote(backend.subset)}`, hint }),
    );
  }
}
