import type { EndpointState } from '../cluster/endpoint.ts';
import { evenChances, hasTried, type LoadBalancer, NO_KEY, pickUntried, settledChances } from './load-balancer.ts';
import { murmur3 } from './murmur3.ts';

/** Points on the ring for one unit of weight: shares are then within a few per cent of even (1 / sqrt of it). */
const POINTS = 512;
const MOST_POINTS = 16 * POINTS;
/** Room for so many endpoints beside a 32-bit hash in the 53 bits of a number. */
const OWNERS = 2 ** 20;

/**
 * Consistent hashing on a ring (ketama). An endpoint's points depend on its own name and weight alone, so one that
 * leaves gives its keys to the others, one that comes takes some from each, and no other key moves. A key whose
 * endpoint was tried goes to the next one on the ring, which is where it would be without that endpoint.
 */
export function ringHashBalancer(random: () => number): LoadBalancer {
  let seen: readonly EndpointState[] = [];
  /** Ascending. */
  let points = new Uint32Array(0);
  /** Index of the endpoint of each point. */
  let owners = new Uint32Array(0);

  const adopt = (endpoints: readonly EndpointState[]) => {
    // By name, so that every proxy gives a point that two endpoints share to the same one.
    const byName = endpoints.map((_, i) => i).sort((a, b) => (endpoints[a].spec.id < endpoints[b].spec.id ? -1 : 1));
    const counts = byName.map((i) => pointsOf(endpoints[i].spec.weight));
    // Hash and owner in one number, so that it sorts without a comparator: requests wait while the ring is built.
    const packed = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
    let n = 0;
    for (let rank = 0; rank < byName.length; rank++) {
      const { id } = endpoints[byName[rank]].spec;
      for (let i = 0; i < counts[rank]; i++) packed[n++] = murmur3(`${id}#${i}`) * OWNERS + rank;
    }
    packed.sort();
    points = new Uint32Array(n);
    owners = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      points[i] = Math.floor(packed[i] / OWNERS);
      owners[i] = byName[packed[i] - points[i] * OWNERS];
    }
    seen = endpoints;
  };

  return {
    pick(endpoints, key, tried) {
      if (endpoints.length === 0) return null;
      if (key === NO_KEY) return pickUntried(endpoints, tried, random);
      if (endpoints !== seen) adopt(endpoints);
      if (points.length === 0) return null;
      const start = firstAtOrAfter(points, key);
      if (!hasTried(tried)) return owners[start];
      for (let i = 0; i < owners.length; i++) {
        const at = start + i < owners.length ? start + i : start + i - owners.length;
        if (!tried.includes(endpoints[owners[at]].spec.id)) return owners[at];
      }
      return owners[start];
    },
    foresee(endpoints, key) {
      const n = endpoints.length;
      if (n === 0 || key === NO_KEY) return evenChances(n);
      if (endpoints !== seen) adopt(endpoints);
      return settledChances(n, points.length === 0 ? null : owners[firstAtOrAfter(points, key)]);
    },
  };
}

function pointsOf(weight: number): number {
  return weight <= 0 ? 0 : Math.min(MOST_POINTS, Math.max(1, Math.round(weight * POINTS)));
}

/** Position of the first point not before `key`; past the last one the ring begins anew. */
function firstAtOrAfter(points: Uint32Array, key: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (points[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low === points.length ? 0 : low;
}
