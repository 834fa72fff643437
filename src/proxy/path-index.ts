import {
  type Conditions,
  headerValue,
  matchesRegex,
  meetsConditions,
  type NamedCondition,
  pathname,
  queryValue,
} from './matcher.ts';
import type { RequestHead } from './message.ts';

/** One alternative of one route, as the index keeps it. */
export interface IndexEntry {
  /** Position in precedence: the lowest one that agrees with a request wins. */
  readonly order: number;
  readonly path:
    | { readonly kind: 'any' }
    | { readonly kind: 'exact'; readonly value: string }
    /** Without trailing slash; see `trimPathPrefix`. */
    | { readonly kind: 'prefix'; readonly value: string }
    | { readonly kind: 'regex'; readonly regex: RegExp };
  readonly conditions: Conditions;
}

/**
 * Entries whose path part is settled by where the bucket hangs. A large one is split by the field that tells most of
 * its entries apart, so that ten thousand routes that differ in one header are one look into a map.
 */
interface Bucket<E extends IndexEntry> {
  /** Order of the first entry in the bucket, splits included. */
  readonly first: number;
  /** Ascending; empty where there is a split. */
  readonly entries: readonly E[];
  readonly split: Split<E> | null;
}

interface Split<E extends IndexEntry> {
  readonly source: 'header' | 'query';
  readonly name: string;
  /** Entries that ask for exactly this value. */
  readonly byValue: ReadonlyMap<string, Bucket<E>>;
  readonly rest: Bucket<E> | null;
}

/** One path element; the entries are those of the prefix that ends here. */
interface Node<E extends IndexEntry> {
  readonly bucket: Bucket<E> | null;
  readonly children: ReadonlyMap<string, Node<E>> | null;
}

/**
 * Entries of one host, indexed by path: exact paths in a map, prefixes in a trie of path elements, the rest in order.
 * The answer is always that of going through all entries in order and taking the first that agrees.
 */
export interface PathIndex<E extends IndexEntry> {
  readonly exact: ReadonlyMap<string, Bucket<E>>;
  readonly prefixes: Node<E>;
  readonly regexes: Bucket<E> | null;
}

/** Buckets up to this size are scanned: about what a map look-up costs. */
const SPLIT_AT = 12;

const NONE: readonly never[] = [];

/** `entries` in ascending order. */
export function buildPathIndex<E extends IndexEntry>(entries: readonly E[]): PathIndex<E> {
  const exact = new Map<string, E[]>();
  const regexes: E[] = [];
  const root = growingNode<E>();
  for (const entry of entries) {
    const path = entry.path;
    if (path.kind === 'any') root.entries.push(entry);
    else if (path.kind === 'regex') regexes.push(entry);
    else if (path.kind === 'prefix') growTo(root, path.value)?.entries.push(entry);
    else {
      const same = exact.get(path.value);
      if (same === undefined) exact.set(path.value, [entry]);
      else same.push(entry);
    }
  }
  return { exact: settleEach(exact), prefixes: settle(root), regexes: bucketOf(regexes) };
}

/** The first entry, in order, that agrees with the request. Allocates at most the strings it looks up. */
export function findInIndex<E extends IndexEntry>(index: PathIndex<E>, request: RequestHead): E | null {
  const path = pathname(request.path);
  let best: E | null = null;
  const bucket = index.exact.get(path);
  if (bucket !== undefined) best = search(bucket, request, path, best);
  best = descend(index.prefixes, request, path, 1, best);
  if (index.regexes !== null) best = search(index.regexes, request, path, best);
  return best;
}

/** Deepest node first: longer prefixes come earlier in order, and a hit spares the shorter ones. */
function descend<E extends IndexEntry>(
  node: Node<E>,
  request: RequestHead,
  path: string,
  at: number,
  best: E | null,
): E | null {
  let found = best;
  if (node.children !== null && at <= path.length && path.charCodeAt(at - 1) === 0x2f) {
    const slash = path.indexOf('/', at);
    const end = slash < 0 ? path.length : slash;
    const child = node.children.get(path.slice(at, end));
    if (child !== undefined) found = descend(child, request, path, end + 1, found);
  }
  return node.bucket === null ? found : search(node.bucket, request, path, found);
}

function search<E extends IndexEntry>(bucket: Bucket<E>, request: RequestHead, path: string, best: E | null): E | null {
  if (best !== null && bucket.first > best.order) return best;
  const split = bucket.split;
  if (split !== null) {
    let found = best;
    const value =
      split.source === 'header' ? headerValue(request.headers, split.name) : queryValue(request.path, split.name);
    const same = value === undefined ? undefined : split.byValue.get(value);
    if (same !== undefined) found = search(same, request, path, found);
    return split.rest === null ? found : search(split.rest, request, path, found);
  }
  const entries = bucket.entries;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i];
    if (best !== null && entry.order > best.order) return best;
    if (!meetsConditions(entry.conditions, request)) continue;
    if (entry.path.kind === 'regex' && !matchesRegex(entry.path.regex, path)) continue;
    return entry;
  }
  return best;
}

// -- building ---------------------------------------------------------------------------------------------------

interface GrowingNode<E extends IndexEntry> {
  readonly entries: E[];
  /** Null for leaves, which are most of the nodes. */
  children: Map<string, GrowingNode<E>> | null;
}

function growingNode<E extends IndexEntry>(): GrowingNode<E> {
  return { entries: [], children: null };
}

/** Null for a prefix that no path begins with, because it lacks the slash. */
function growTo<E extends IndexEntry>(root: GrowingNode<E>, prefix: string): GrowingNode<E> | null {
  if (prefix === '') return root;
  if (!prefix.startsWith('/')) return null;
  let node = root;
  for (const element of prefix.slice(1).split('/')) {
    node.children ??= new Map();
    let child = node.children.get(element);
    if (child === undefined) {
      child = growingNode();
      node.children.set(element, child);
    }
    node = child;
  }
  return node;
}

function settle<E extends IndexEntry>(growing: GrowingNode<E>): Node<E> {
  const children = growing.children as Map<string, GrowingNode<E> | Node<E>> | null;
  if (children !== null) for (const [element, child] of growing.children!) children.set(element, settle(child));
  return { bucket: bucketOf(growing.entries), children: children as Map<string, Node<E>> | null };
}

/** In place: a second map of ten thousand paths would double the time. */
function settleEach<E extends IndexEntry>(groups: Map<string, E[]>): Map<string, Bucket<E>> {
  const buckets = groups as unknown as Map<string, Bucket<E>>;
  for (const [key, entries] of groups) buckets.set(key, bucketOf(entries)!);
  return buckets;
}

function bucketOf<E extends IndexEntry>(entries: readonly E[], done: readonly string[] = []): Bucket<E> | null {
  if (entries.length === 0) return null;
  const split = entries.length <= SPLIT_AT ? null : splitOf(entries, done);
  return { first: entries[0].order, entries: split === null ? entries : NONE, split };
}

/** Splits by the field with the most different exact values, if that helps at all. */
function splitOf<E extends IndexEntry>(entries: readonly E[], done: readonly string[]): Split<E> | null {
  const valuesByField = new Map<string, Set<string>>();
  for (const entry of entries) {
    collectExact(valuesByField, 'header', entry.conditions.headers);
    collectExact(valuesByField, 'query', entry.conditions.query);
  }
  let field = '';
  let most = 1;
  for (const [candidate, values] of valuesByField) {
    if (values.size > most && !done.includes(candidate)) {
      field = candidate;
      most = values.size;
    }
  }
  if (field === '') return null;

  const source = field.startsWith('header:') ? 'header' : 'query';
  const name = field.slice(source.length + 1);
  const groups = new Map<string, E[]>();
  const rest: E[] = [];
  for (const entry of entries) {
    const named = source === 'header' ? entry.conditions.headers : entry.conditions.query;
    const asked = named.find((condition) => condition.name === name && condition.kind === 'exact');
    if (asked === undefined) rest.push(entry);
    else {
      const group = groups.get(asked.value);
      if (group === undefined) groups.set(asked.value, [entry]);
      else group.push(entry);
    }
  }
  const nowDone = [...done, field];
  const byValue = new Map<string, Bucket<E>>();
  for (const [value, group] of groups) byValue.set(value, bucketOf(group, nowDone)!);
  return { source, name, byValue, rest: bucketOf(rest, nowDone) };
}

function collectExact(into: Map<string, Set<string>>, source: string, conditions: readonly NamedCondition[]): void {
  for (const condition of conditions) {
    if (condition.kind !== 'exact') continue;
    const field = `${source}:${condition.name}`;
    const values = into.get(field);
    if (values === undefined) into.set(field, new Set([condition.value]));
    else values.add(condition.value);
  }
}
