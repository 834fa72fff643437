import type { Match, ValueMatch } from './resolved.ts';
import type { Alternative } from './route-order.ts';

/** An alternative that never decides anything, and one that takes its requests. */
export interface Covered {
  readonly alternative: Alternative;
  readonly by: Alternative;
}

/**
 * Alternatives all of whose requests are taken by those tried before them. `ordered` is in order of trying. Regular
 * expressions cover only their own text. Candidates are found by host and path, so that the work does not grow with
 * the number of routes for other hosts and paths.
 */
export function coveredAlternatives(ordered: readonly Alternative[]): Covered[] {
  const tried = new Map<string, Alternative[]>();
  const covered: Covered[] = [];
  for (const alternative of ordered) {
    const by = coverOf(alternative, tried);
    if (by !== undefined) covered.push({ alternative, by });
    const key = pathKey(alternative.spec.path);
    for (const host of hostsOf(alternative)) {
      const place = `${host} ${key}`;
      const before = tried.get(place);
      if (before === undefined) tried.set(place, [alternative]);
      else before.push(alternative);
    }
  }
  return covered;
}

const EVERY_HOST = '*';

const hostsOf = (alternative: Alternative): readonly string[] =>
  alternative.hosts.length === 0 ? [EVERY_HOST] : alternative.hosts;

/** One that takes the requests of every host and method, where each has one; they need not be the same. */
function coverOf(alternative: Alternative, tried: ReadonlyMap<string, Alternative[]>): Alternative | undefined {
  const { spec } = alternative;
  const paths = coveringPaths(spec.path);
  const methods: readonly (string | null)[] = spec.methods.length === 0 ? [null] : spec.methods;
  let last: Alternative | undefined;
  for (const host of hostsOf(alternative)) {
    const candidates = coveringHosts(host).flatMap((h) => paths.flatMap((path) => tried.get(`${h} ${path}`) ?? []));
    for (const method of methods) {
      last = candidates.find((candidate) => takes(candidate.spec, spec, method));
      if (last === undefined) return undefined;
    }
  }
  return last;
}

function takes(cover: Match, spec: Match, method: string | null): boolean {
  if (cover.methods.length > 0 && (method === null || !cover.methods.includes(method))) return false;
  return impliedBy(cover.headers, spec.headers) && impliedBy(cover.query, spec.query);
}

type Conditions = readonly { readonly name: string; readonly match: ValueMatch }[];

function impliedBy(weaker: Conditions, stronger: Conditions): boolean {
  return weaker.every((w) => stronger.some((s) => s.name === w.name && implies(s.match, w.match)));
}

/** Whether every value that agrees with `stronger` agrees with `weaker`. */
function implies(stronger: ValueMatch, weaker: ValueMatch): boolean {
  switch (weaker.kind) {
    case 'present':
      return stronger.kind === 'present' ? stronger.value === weaker.value : weaker.value;
    case 'prefix':
      return (stronger.kind === 'exact' || stronger.kind === 'prefix') && stronger.value.startsWith(weaker.value);
    default:
      return stronger.kind === weaker.kind && stronger.value === weaker.value;
  }
}

const ANY_PATH = 'any';

const pathKey = (path: Match['path']): string => (path === null ? ANY_PATH : `${path.kind} ${path.value}`);

/** Keys of the paths that hold everything that `path` holds. */
function coveringPaths(path: Match['path']): string[] {
  if (path === null) return [ANY_PATH];
  const keys = [ANY_PATH];
  if (path.kind !== 'prefix') keys.push(pathKey(path));
  if (path.kind === 'regex') return keys;
  for (let end = path.value.length; end > 0; end = path.value.lastIndexOf('/', end - 1)) {
    keys.push(`prefix ${path.value.slice(0, end)}`);
  }
  return keys;
}

/** The host itself, the wildcards it falls under, and all hosts. */
function coveringHosts(host: string): string[] {
  if (host === EVERY_HOST) return [EVERY_HOST];
  const hosts = [EVERY_HOST, host];
  const name = host.startsWith('*.') ? host.slice(2) : host;
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) hosts.push(`*${name.slice(dot)}`);
  return hosts;
}
