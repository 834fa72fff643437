import type { MatchConfig, ValueMatchConfig } from './config.ts';
import type { Match, ValueMatch } from './resolved.ts';

/**
 * The order in which routes are tried, that of the Gateway API (HTTPRouteRule and HTTPRouteMatch), for the gateway and
 * for services alike: exact host, then the longest wildcard, then all hosts; exact path, then the longest prefix, then
 * regular expressions, then no path; with a method; with more headers; with more query parameters; what stands first.
 * A route whose alternatives differ in that is tried at several places.
 */

/** One match of one route, for hosts that are equally specific. */
export interface Alternative {
  /** Index of the route, and of the match in it, in the configuration. */
  readonly route: number;
  readonly match: number;
  /** Empty: all. */
  readonly hosts: readonly string[];
  readonly spec: Match;
  readonly rank: readonly number[];
}

export interface RouteConditions {
  readonly hosts?: readonly string[];
  readonly matches?: readonly MatchConfig[];
}

const ANY: MatchConfig = {};

/** The alternatives of routes in the order in which they are tried. Undefined routes are skipped. */
export function alternatives(routes: readonly (RouteConditions | undefined)[]): Alternative[] {
  const all: Alternative[] = [];
  routes.forEach((route, index) => {
    if (route === undefined) return;
    const hostGroups = groupHosts(route.hosts);
    const matches = route.matches ?? [ANY];
    for (let i = 0; i < matches.length; i++) {
      const spec = resolveMatch(matches[i]);
      for (const [hostRank, hosts] of hostGroups) {
        all.push({ route: index, match: i, hosts, spec, rank: [hostRank, ...matchRank(spec)] });
      }
    }
  });
  return all.sort(byPrecedence);
}

function byPrecedence(a: Alternative, b: Alternative): number {
  return compareRanks(b.rank, a.rank) || a.route - b.route || a.match - b.match;
}

export function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}

const EXACT_HOST = Number.MAX_SAFE_INTEGER;
const ANY_HOST: readonly (readonly [number, readonly string[]])[] = [[0, []]];

/** Hosts by how specific they are; a request has one host, so exact ones never compete with each other. */
function groupHosts(configured: readonly string[] | undefined): Iterable<readonly [number, readonly string[]]> {
  if (configured === undefined) return ANY_HOST;
  const groups = new Map<number, string[]>();
  for (const host of new Set(configured.map((name) => name.toLowerCase()))) {
    const rank = host === '*' ? 0 : host.startsWith('*.') ? host.length : EXACT_HOST;
    const group = groups.get(rank);
    if (group === undefined) groups.set(rank, host === '*' ? [] : [host]);
    else group.push(host);
  }
  return groups;
}

const PATH_RANK = { exact: 3, prefix: 2, regex: 1 } as const;

function matchRank({ path, methods, headers, query }: Match): number[] {
  return [
    path === null ? 0 : PATH_RANK[path.kind],
    path?.kind === 'prefix' ? path.value.length : 0,
    methods.length > 0 ? 1 : 0,
    headers.length,
    query.length,
  ];
}

/** A match with its gRPC part turned into the path of the call (`/pkg.Service/Method`). */
export function resolveMatch(config: MatchConfig): Match {
  const methods =
    config.method === undefined ? [] : typeof config.method === 'string' ? [config.method] : config.method;
  return {
    path: config.grpc === undefined ? pathOf(config.path) : grpcPath(config.grpc),
    methods: [...new Set(methods.map((method) => method.toUpperCase()))],
    headers: Object.entries(config.headers ?? {}).map(([name, value]) => ({
      name: name.toLowerCase(),
      match: valueMatch(value),
    })),
    query: Object.entries(config.query ?? {}).map(([name, value]) => ({ name, match: valueMatch(value) })),
  };
}

function pathOf(path: MatchConfig['path']): Match['path'] {
  if (path === undefined) return null;
  if ('exact' in path && path.exact !== undefined) return { kind: 'exact', value: path.exact };
  if ('regex' in path && path.regex !== undefined) return { kind: 'regex', value: path.regex };
  // `/api/` and `/api` are the same prefix (HTTPPathMatch), and `/` is every path.
  const value = (path as { prefix: string }).prefix.replace(/\/+$/, '');
  return value === '' ? null : { kind: 'prefix', value };
}

function grpcPath({ service, method }: NonNullable<MatchConfig['grpc']>): Match['path'] {
  if (service === undefined) return method === undefined ? null : { kind: 'regex', value: `/[^/]+/${method}` };
  return method === undefined
    ? { kind: 'prefix', value: `/${service}` }
    : { kind: 'exact', value: `/${service}/${method}` };
}

function valueMatch(config: ValueMatchConfig): ValueMatch {
  if (typeof config === 'string') return { kind: 'exact', value: config };
  if ('prefix' in config && config.prefix !== undefined) return { kind: 'prefix', value: config.prefix };
  if ('regex' in config && config.regex !== undefined) return { kind: 'regex', value: config.regex };
  return { kind: 'present', value: (config as { present: boolean }).present };
}
