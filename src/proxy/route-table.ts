import type { Match, ResolvedRoute, RetryPolicy } from '../model/resolved.ts';
import type { RouteTableResource } from '../model/snapshot.ts';
import { hostKey } from './authority.ts';
import type { RequestFilter, ResponseFilter } from './filter-chain.ts';
import { compileFilters } from './filters/registry.ts';
import { anchoredRegex, compileConditions, trimPathPrefix, wireText } from './matcher.ts';
import type { RequestHead } from './message.ts';
import { buildPathIndex, findInIndex, type IndexEntry, type PathIndex } from './path-index.ts';
import { type WeightedBackends, weightedBackends } from './weighted-backends.ts';

/** A route with everything built that a request on it needs. Immutable; a request keeps the one it started with. */
export interface CompiledRoute {
  readonly name: string;
  readonly spec: ResolvedRoute;
  /** Whose table it stands in: a service, or `gateway`. */
  readonly service: string;
  readonly requestFilters: readonly RequestFilter[];
  /** In the order in which responses pass them. */
  readonly responseFilters: readonly ResponseFilter[];
  readonly backends: WeightedBackends;
  /** 0: no limit. */
  readonly timeouts: { readonly requestMs: number; readonly idleMs: number };
  readonly retry: RetryPolicy | null;
  /**
   * For each match of the route, the part of the path that it settled, which a prefix rewrite replaces: the prefix
   * without trailing slash, the whole exact path, nothing where any path will do; null for a regular expression.
   */
  readonly matchedPrefixes: readonly (string | null)[];
}

export interface RouteMatch {
  readonly route: CompiledRoute;
  /** Which of the route's matches agreed. */
  readonly matchIndex: number;
}

/** The routes of one service or of the gateway, ready for look-up. */
export interface RouteTable {
  readonly resource: RouteTableResource;
  readonly service: string;
  /** In order of precedence. */
  readonly routes: readonly CompiledRoute[];
  /**
   * The route for a request: among those for the most specific host that has one that agrees (the exact name, then
   * the longest `*.` suffix, then routes for all hosts) the first in order. Null: no route.
   */
  match(request: RequestHead): RouteMatch | null;
}

interface Entry extends IndexEntry, RouteMatch {}

/** Entries by how specific their hosts are. */
interface HostIndex {
  readonly exact: ReadonlyMap<string, PathIndex<Entry>>;
  /** By suffix with its leading dot. */
  readonly suffixes: ReadonlyMap<string, PathIndex<Entry>>;
  readonly all: PathIndex<Entry>;
}

/** A table whose resource did not change is `previous` itself. */
export function compileRouteTable(resource: RouteTableResource, previous?: RouteTable): RouteTable {
  if (previous !== undefined && previous.resource === resource) return previous;

  const routes = resource.routes.map((spec) => compileRoute(spec, resource.service));
  const index = buildHostIndex(routes);
  const anyHost = index.exact.size + index.suffixes.size === 0;
  return {
    resource,
    service: resource.service,
    routes,
    match: anyHost ? (request) => findInIndex(index.all, request) : (request) => findByHost(index, request),
  };
}

function compileRoute(spec: ResolvedRoute, service: string): CompiledRoute {
  const { requestFilters, responseFilters } = compileFilters(spec.filters);
  return {
    name: spec.name,
    spec,
    service,
    requestFilters,
    responseFilters,
    backends: weightedBackends(spec.backends),
    timeouts: spec.timeouts,
    retry: spec.retries,
    matchedPrefixes: spec.matches.map(matchedPrefix),
  };
}

function matchedPrefix(match: Match): string | null {
  switch (match.path?.kind) {
    case 'exact':
      return wireText(match.path.value);
    case 'prefix':
      return wireText(trimPathPrefix(match.path.value));
    case 'regex':
      return null;
    case undefined:
      return '';
  }
}

function buildHostIndex(routes: readonly CompiledRoute[]): HostIndex {
  const exact = new Map<string, Entry[]>();
  const suffixes = new Map<string, Entry[]>();
  const all: Entry[] = [];
  let order = 0;
  for (const route of routes) {
    // A host named twice would only put an entry behind itself.
    const hosts = route.spec.hosts.length === 0 ? null : new Set(route.spec.hosts.map(hostKey));
    for (let matchIndex = 0; matchIndex < route.spec.matches.length; matchIndex++) {
      const entry = entryOf(route, matchIndex, order++);
      if (hosts === null) {
        all.push(entry);
        continue;
      }
      for (const host of hosts) {
        if (host === '*') all.push(entry);
        else if (host.startsWith('*.')) append(suffixes, host.slice(1), entry);
        else append(exact, host, entry);
      }
    }
  }
  return { exact: indexEach(exact), suffixes: indexEach(suffixes), all: buildPathIndex(all) };
}

/** One match of a route, compiled. @param order its place among all */
export function entryOf(route: CompiledRoute, matchIndex: number, order: number): Entry {
  const match = route.spec.matches[matchIndex];
  return { route, matchIndex, order, path: entryPath(match), conditions: compileConditions(match) };
}

function entryPath(match: Match): IndexEntry['path'] {
  switch (match.path?.kind) {
    case 'exact':
      return { kind: 'exact', value: wireText(match.path.value) };
    case 'prefix':
      return { kind: 'prefix', value: wireText(trimPathPrefix(match.path.value)) };
    case 'regex':
      return { kind: 'regex', regex: anchoredRegex(match.path.value) };
    case undefined:
      return { kind: 'any' };
  }
}

function append(lists: Map<string, Entry[]>, key: string, entry: Entry): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [entry]);
  else list.push(entry);
}

function indexEach(lists: ReadonlyMap<string, Entry[]>): Map<string, PathIndex<Entry>> {
  const indexes = new Map<string, PathIndex<Entry>>();
  for (const [key, entries] of lists) indexes.set(key, buildPathIndex(entries));
  return indexes;
}

function findByHost(index: HostIndex, request: RequestHead): RouteMatch | null {
  const host = hostKey(request.authority);
  const own = index.exact.get(host);
  if (own !== undefined) {
    const found = findInIndex(own, request);
    if (found !== null) return found;
  }
  if (index.suffixes.size > 0) {
    // The wildcard stands for at least one label: the suffix begins at the first dot that is not the first character.
    for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
      const shared = index.suffixes.get(host.slice(dot));
      if (shared === undefined) continue;
      const found = findInIndex(shared, request);
      if (found !== null) return found;
    }
  }
  return findInIndex(index.all, request);
}
