import type { EndpointState } from '../cluster/endpoint.ts';
import { countUntried, hasTried, type LoadBalancer } from './load-balancer.ts';

/**
 * The less busy of two endpoints chosen at random. Two are enough (Mitzenmacher, "The power of two choices in
 * randomized load balancing"), and unlike picking the least busy of all it does not send everybody to the instance
 * that has just started. Weights: candidates come up in proportion to them, and requests count by them.
 */
export function leastRequestBalancer(random: () => number): LoadBalancer {
  let seen: readonly EndpointState[] = [];
  /** Running sums of the weights; null where all are equal. */
  let ends: Float64Array | null = null;

  const adopt = (endpoints: readonly EndpointState[]) => {
    seen = endpoints;
    const even = endpoints.every((endpoint) => endpoint.spec.weight === endpoints[0].spec.weight);
    let total = 0;
    ends = even ? null : Float64Array.from(endpoints, (endpoint) => (total += endpoint.spec.weight));
  };

  const draw = (n: number): number => {
    if (ends === null) return Math.floor(random() * n);
    const at = random() * ends[n - 1];
    let i = 0;
    while (i < n - 1 && at >= ends[i]) i++;
    return i;
  };

  return {
    pick(endpoints, _key, tried) {
      const n = endpoints.length;
      if (n === 0) return null;
      if (endpoints !== seen) adopt(endpoints);
      if (endpoints[0].spec.weight <= 0 && ends === null) return null;
      if (hasTried(tried)) {
        const left = countUntried(endpoints, tried);
        if (left > 0 && left < n) {
          const index = leastBusy(endpoints, tried);
          if (index >= 0) return index;
        }
      }
      if (n === 1) return 0;
      const a = draw(n);
      let b: number;
      if (ends === null) {
        b = Math.floor(random() * (n - 1));
        if (b >= a) b++;
      } else {
        b = draw(n);
      }
      return isBusier(endpoints[a], endpoints[b]) ? b : a;
    },
    foresee(endpoints) {
      const n = endpoints.length;
      const chances = new Array<number>(n).fill(0);
      if (n === 0) return chances;
      if (endpoints !== seen) adopt(endpoints);
      const total = ends === null ? n : ends[n - 1];
      if (total <= 0 || (ends === null && endpoints[0].spec.weight <= 0)) return chances;
      const weight = (i: number): number => (ends === null ? 1 : endpoints[i].spec.weight) / total;
      for (let a = 0; a < n; a++) {
        for (let b = 0; b < n; b++) {
          // Two different ones where all weigh the same; else each is drawn on its own.
          const drawn = ends !== null ? weight(a) * weight(b) : n === 1 ? 1 : a === b ? 0 : 1 / (n * (n - 1));
          chances[isBusier(endpoints[a], endpoints[b]) ? b : a] += drawn;
        }
      }
      return chances;
    },
  };
}

/** Compares requests in flight for each unit of weight. */
function isBusier(a: EndpointState, b: EndpointState): boolean {
  return a.inFlight * b.spec.weight > b.inFlight * a.spec.weight;
}

/** Retries are rare enough to look at everyone. */
function leastBusy(endpoints: readonly EndpointState[], tried: readonly string[]): number {
  let best = -1;
  for (let i = 0; i < endpoints.length; i++) {
    if (endpoints[i].spec.weight <= 0 || tried.includes(endpoints[i].spec.id)) continue;
    if (best < 0 || isBusier(endpoints[best], endpoints[i])) best = i;
  }
  return best;
}
