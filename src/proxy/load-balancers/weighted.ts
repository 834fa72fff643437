import type { LoadBalancer as LoadBalancerSpec } from '../../model/resolved.ts';
import type { EndpointState } from '../cluster/endpoint.ts';
import { hasTried, type LoadBalancer, settledChances } from './load-balancer.ts';

/**
 * In proportion to weights, spread as evenly as they allow (smooth weighted round robin, as in nginx): with weights
 * 5, 1, 1 the first endpoint never gets five requests in a row. Each pick adds to every endpoint's credit its weight
 * and takes the sum of the weights from the one with the most, so over as many picks as the weights add up to each
 * endpoint gets exactly its weight. An endpoint of weight 0 gets nothing.
 */
export function weightedBalancer(spec: Extract<LoadBalancerSpec, { kind: 'weighted' }>): LoadBalancer {
  let seen: readonly EndpointState[] = [];
  let weights = new Float64Array(0);
  let credits = new Float64Array(0);

  const adopt = (endpoints: readonly EndpointState[]) => {
    const earned = new Map<string, number>();
    for (let i = 0; i < seen.length; i++) earned.set(seen[i].spec.id, credits[i]);
    weights = Float64Array.from(endpoints, (endpoint) => weightOf(spec.weights, endpoint));
    credits = Float64Array.from(endpoints, (endpoint) => earned.get(endpoint.spec.id) ?? 0);
    seen = endpoints;
    // Credits add up to nothing; what those that left have taken along is spread over the others by weight.
    let surplus = 0;
    let total = 0;
    for (let i = 0; i < weights.length; i++) {
      surplus += credits[i];
      total += weights[i];
    }
    for (let i = 0; i < weights.length; i++) credits[i] -= total === 0 ? credits[i] : (surplus * weights[i]) / total;
  };

  return {
    pick(endpoints, _key, tried) {
      if (endpoints !== seen) adopt(endpoints);
      const n = endpoints.length;
      const avoid = hasTried(tried) && hasWeightLeft(endpoints, weights, tried) ? tried : null;
      let total = 0;
      let best = -1;
      for (let i = 0; i < n; i++) {
        const weight = weights[i];
        if (weight <= 0 || (avoid?.includes(endpoints[i].spec.id) ?? false)) continue;
        total += weight;
        credits[i] += weight;
        if (best < 0 || credits[i] > credits[best]) best = i;
      }
      if (best < 0) return null;
      credits[best] -= total;
      return best;
    },
    foresee(endpoints) {
      if (endpoints !== seen) adopt(endpoints);
      let best = -1;
      for (let i = 0; i < endpoints.length; i++) {
        if (weights[i] > 0 && (best < 0 || credits[i] + weights[i] > credits[best] + weights[best])) best = i;
      }
      return settledChances(endpoints.length, best < 0 ? null : best);
    },
  };
}

/** Configured for the instance, else for its subset, else what the endpoint itself says. */
function weightOf(weights: Record<string, number>, { spec }: EndpointState): number {
  if (Object.hasOwn(weights, spec.id)) return weights[spec.id];
  if (Object.hasOwn(weights, spec.subset)) return weights[spec.subset];
  return spec.weight;
}

function hasWeightLeft(endpoints: readonly EndpointState[], weights: Float64Array, tried: readonly string[]): boolean {
  for (let i = 0; i < endpoints.length; i++) {
    if (weights[i] > 0 && !tried.includes(endpoints[i].spec.id)) return true;
  }
  return false;
}
