import type { PathRewrite } from '../../model/resolved.ts';
import type { FilterContext } from '../filter-chain.ts';
import { trimPathPrefix } from '../matcher.ts';

/** A path modifier (Gateway API, HTTPPathModifier) whose replacement is in the form that `rewritePath` wants. */
export interface CompiledPathRewrite {
  readonly kind: 'prefix' | 'full';
  /** `prefix`: without trailing slash; `full`: begins with a slash. */
  readonly value: string;
}

export function compilePathRewrite(rewrite: PathRewrite): CompiledPathRewrite {
  const value = rewrite.kind === 'prefix' ? trimPathPrefix(rewrite.value) : rewrite.value;
  const rooted = value.startsWith('/') || (value === '' && rewrite.kind === 'prefix') ? value : `/${value}`;
  return { kind: rewrite.kind, value: rooted };
}

/**
 * The path and query that the modifier makes of the request's. The query stays as it is. A request target that is no
 * path (`*`, or none) stays too, and so does one that matched by regular expression where a prefix is to be replaced.
 */
export function rewritePath(rewrite: CompiledPathRewrite, x: FilterContext): string {
  const path = x.request.path;
  if (path.charCodeAt(0) !== 0x2f) return path;
  const mark = path.indexOf('?');
  const end = mark < 0 ? path.length : mark;
  if (rewrite.kind === 'full') return mark < 0 ? rewrite.value : rewrite.value + path.slice(mark);

  const prefix = x.route?.matchedPrefixes[x.matchIndex] ?? null;
  if (prefix === null) return path;
  // `rest` is empty or begins with a slash or a query, because prefixes match whole path elements.
  const rest = path.slice(prefix.length);
  return rewrite.value === '' && end === prefix.length ? `/${rest}` : rewrite.value + rest;
}
