import type { FilterPolicies } from '../../model/resolved.ts';
import type { FilterDef, RequestFilter, ResponseFilter } from '../filter-chain.ts';
import { redirect } from './redirect.ts';
import { requestHeaders } from './request-headers.ts';
import { responseHeaders } from './response-headers.ts';
import { rewrite } from './rewrite.ts';

/**
 * Every filter, in the order in which requests pass them; responses pass them in reverse. A redirect comes first
 * because it answers for the path that the client asked for. Leaving one out is a type error.
 */
export const FILTERS = {
  redirect,
  rewrite,
  requestHeaders,
  responseHeaders,
} satisfies { [K in keyof FilterPolicies]: FilterDef<K> };

const ORDER = Object.keys(FILTERS) as (keyof typeof FILTERS)[];

export interface FilterChains {
  readonly requestFilters: readonly RequestFilter[];
  readonly responseFilters: readonly ResponseFilter[];
}

/** Chains of routes without filters, which are most. */
const NONE: FilterChains = { requestFilters: [], responseFilters: [] };

export function compileFilters(policies: FilterPolicies): FilterChains {
  const requestFilters: RequestFilter[] = [];
  const responseFilters: ResponseFilter[] = [];
  for (const key of ORDER) {
    const { request, response } = compileOne(key, policies);
    if (request !== null) requestFilters.push(request);
    if (response !== null) responseFilters.unshift(response);
  }
  return requestFilters.length + responseFilters.length === 0 ? NONE : { requestFilters, responseFilters };
}

function compileOne<K extends keyof FilterPolicies>(key: K, policies: FilterPolicies) {
  const policy = policies[key];
  const def = FILTERS[key] as unknown as FilterDef<K>;
  if (policy === null || policy === undefined) return { request: null, response: null };
  return def.compile(policy);
}
