import type { EndpointState } from '../cluster/endpoint.ts';

/** What should stay on one endpoint, as a 32-bit hash, or NO_KEY; see `balancerKey`. */
export type BalancerKey = number;

/** A request without a key: the balancer hashes nothing, or there was no such header or cookie. */
export const NO_KEY: BalancerKey = -1;

/**
 * Chooses among the endpoints of one cluster, or of one subset of it. A balancer keeps its place between calls and
 * recognises a change of membership by the array: pass the same one until something changes, then a new one. So
 * each set of endpoints that is picked from needs a balancer of its own.
 */
export interface LoadBalancer {
  /**
   * Index of the endpoint for the next request, null if none may take it.
   * @param endpoints those that may take requests now
   * @param tried ids of endpoints that already failed this request: avoided as long as there are others
   */
  pick(endpoints: readonly EndpointState[], key: BalancerKey, tried?: readonly string[] | null): number | null;
  /**
   * How likely each of the endpoints is to be the next one picked, 0 to 1; all 0 where none may take it. They add up to
   * 1, and a balancer that goes by turns or by a key knows: then one of them is 1. Asking takes nobody's turn.
   */
  foresee(endpoints: readonly EndpointState[], key: BalancerKey): number[];
}

/** Of a pick in which each is as likely as the other. */
export const evenChances = (n: number): number[] => new Array<number>(n).fill(1 / n);

/** Of a pick that is settled: `index`, or null for nobody. */
export function settledChances(n: number, index: number | null): number[] {
  const chances = new Array<number>(n).fill(0);
  if (index !== null) chances[index] = 1;
  return chances;
}

/** Whether there is anything to avoid. */
export function hasTried(tried: readonly string[] | null | undefined): tried is readonly string[] {
  return tried !== null && tried !== undefined && tried.length > 0;
}

/** How many endpoints are left when the tried ones are avoided; all of them if that would leave none. */
export function countUntried(endpoints: readonly EndpointState[], tried: readonly string[]): number {
  let left = 0;
  for (let i = 0; i < endpoints.length; i++) if (!tried.includes(endpoints[i].spec.id)) left++;
  return left;
}

/** One of the endpoints that were not tried, each as likely as the other; of all, if every one was tried. */
export function pickUntried(
  endpoints: readonly EndpointState[],
  tried: readonly string[] | null | undefined,
  random: () => number,
): number | null {
  const n = endpoints.length;
  if (n === 0) return null;
  const left = hasTried(tried) ? countUntried(endpoints, tried) : n;
  if (left === n || left === 0) return Math.floor(random() * n);
  let skip = Math.floor(random() * left);
  for (let i = 0; i < n; i++) {
    if (tried!.includes(endpoints[i].spec.id)) continue;
    if (skip-- === 0) return i;
  }
  return n - 1;
}
