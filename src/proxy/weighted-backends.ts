import type { Backend } from '../model/resolved.ts';

/** Beyond this many backends a binary search is quicker than looking at them in turn. */
const LINEAR_LIMIT = 8;

/** The backends of a route with their shares. */
export interface WeightedBackends {
  /** As configured, those of weight 0 included. */
  readonly all: readonly Backend[];
  /**
   * The backend for a random number from [0, 1). Over evenly spread numbers each gets exactly its share of the
   * weights. Null where no backend has any weight: a redirect.
   */
  pick(random01: number): Backend | null;
}

export function weightedBackends(backends: readonly Backend[]): WeightedBackends {
  const weighted = backends.filter((backend) => backend.weight > 0);
  if (weighted.length <= 1) {
    const only = weighted[0] ?? null;
    return { all: backends, pick: () => only };
  }
  const ends: number[] = [];
  let total = 0;
  for (const backend of weighted) ends.push((total += backend.weight));

  const pick =
    weighted.length <= LINEAR_LIMIT
      ? (random01: number) => {
          const at = random01 * total;
          let i = 0;
          while (i < ends.length - 1 && at >= ends[i]) i++;
          return weighted[i];
        }
      : (random01: number) => {
          const at = random01 * total;
          let low = 0;
          let high = ends.length - 1;
          while (low < high) {
            const middle = (low + high) >>> 1;
            if (at < ends[middle]) high = middle;
            else low = middle + 1;
          }
          return weighted[low];
        };
  return { all: backends, pick };
}
