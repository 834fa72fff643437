import type { FilterPolicies } from '../model/resolved.ts';
import type { Headers, RequestHead, ResponseHead } from './message.ts';

/** The next filter decides. */
export const CONTINUE = 0;
/** The filter answered itself: `reply` is set and nothing goes upstream. */
export const RESPOND = 1;
export type Verdict = typeof CONTINUE | typeof RESPOND;

/** An answer that the proxy makes up itself. */
export interface LocalReply {
  status: number;
  /** Beside content-length, which follows from the body. */
  headers: Headers;
  /** UTF-8 text. */
  body: string;
}

/** What filters see of an exchange and may change. `Exchange` satisfies it. */
export interface FilterContext {
  /** Filters change the request here, in place, before it goes upstream. */
  readonly request: RequestHead;
  /** The route that the request took; never null while filters run. */
  readonly route: { readonly matchedPrefixes: readonly (string | null)[] } | null;
  /** Which of the route's matches applied. */
  readonly matchIndex: number;
  /** Scheme by which the client came. */
  readonly scheme: 'http' | 'https';
  reply: LocalReply | null;
}

export interface RequestFilter {
  readonly name: string;
  /** A promise only where the decision has to wait for something: a synchronous verdict costs nothing. */
  onRequest(x: FilterContext): Verdict | Promise<Verdict>;
}

export interface ResponseFilter {
  readonly name: string;
  onResponse(x: FilterContext, response: ResponseHead): void;
}

/** How the policy of one key becomes filters; null: nothing to do in that direction. */
export interface FilterDef<K extends keyof FilterPolicies> {
  readonly key: K;
  compile(policy: NonNullable<FilterPolicies[K]>): { request: RequestFilter | null; response: ResponseFilter | null };
}

/** Runs the request filters from `from` on until one responds. A promise comes back only if a filter returned one. */
export function runRequestFilters(
  filters: readonly RequestFilter[],
  x: FilterContext,
  from = 0,
): Verdict | Promise<Verdict> {
  for (let i = from; i < filters.length; i++) {
    const verdict = filters[i].onRequest(x);
    if (verdict === CONTINUE) continue;
    if (verdict === RESPOND) return RESPOND;
    return verdict.then((v) => (v === CONTINUE ? runRequestFilters(filters, x, i + 1) : v));
  }
  return CONTINUE;
}

/** Runs the response filters, which `compileFilters` has put in reverse order: the last to see the request is the first to see the response. */
export function runResponseFilters(filters: readonly ResponseFilter[], x: FilterContext, response: ResponseHead): void {
  for (let i = 0; i < filters.length; i++) filters[i].onResponse(x, response);
}
