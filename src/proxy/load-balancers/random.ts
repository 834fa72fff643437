import { evenChances, type LoadBalancer, pickUntried } from './load-balancer.ts';

/** Each endpoint is as likely as the other, whatever happened before. */
export function randomBalancer(random: () => number): LoadBalancer {
  return {
    pick: (endpoints, _key, tried) => pickUntried(endpoints, tried, random),
    foresee: (endpoints) => evenChances(endpoints.length),
  };
}
