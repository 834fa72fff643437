import { headerValue, matchesPathPrefix, matchesRegex, meetsValue, pathname, queryValue } from './matcher.ts';
import type { RequestHead } from './message.ts';
import type { IndexEntry } from './path-index.ts';

/** One thing that a match asks for and a request does not have. */
export interface Mismatch {
  readonly part: 'path' | 'method' | 'header' | 'query';
  /** Header or query: which of the match's conditions; else 0. */
  readonly index: number;
  /** What the request has instead; null: no such header or parameter. */
  readonly found: string | null;
}

/** A match as the route table compiles it, without its place among the others. */
export type CompiledMatch = Pick<IndexEntry, 'path' | 'conditions'>;

/**
 * Everything that keeps a match from taking a request; empty exactly where it takes it. It asks the same questions as
 * the route table, of the same compiled conditions, but all of them: the table stops at the first no.
 */
export function mismatches({ path, conditions }: CompiledMatch, request: RequestHead): Mismatch[] {
  const found: Mismatch[] = [];
  const bare = pathname(request.path);
  if (!agreesOnPath(path, bare)) found.push({ part: 'path', index: 0, found: bare });
  const { methods, headers, query } = conditions;
  if (methods !== null && !methods.includes(request.method))
    found.push({ part: 'method', index: 0, found: request.method });
  headers.forEach((condition, index) => {
    const value = headerValue(request.headers, condition.name);
    if (!meetsValue(condition, value)) found.push({ part: 'header', index, found: value ?? null });
  });
  query.forEach((condition, index) => {
    const value = queryValue(request.path, condition.name);
    if (!meetsValue(condition, value)) found.push({ part: 'query', index, found: value ?? null });
  });
  return found;
}

function agreesOnPath(asked: CompiledMatch['path'], path: string): boolean {
  switch (asked.kind) {
    case 'any':
      return true;
    case 'exact':
      return asked.value === path;
    case 'prefix':
      return asked.value === '' || (asked.value.startsWith('/') && matchesPathPrefix(asked.value, path));
    case 'regex':
      return matchesRegex(asked.regex, path);
  }
}
