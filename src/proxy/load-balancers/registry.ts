import type { LoadBalancer as LoadBalancerSpec } from '../../model/resolved.ts';
import { leastRequestBalancer } from './least-request.ts';
import type { LoadBalancer } from './load-balancer.ts';
import { randomBalancer } from './random.ts';
import { ringHashBalancer } from './ring-hash.ts';
import { roundRobinBalancer } from './round-robin.ts';
import { weightedBalancer } from './weighted.ts';

type Kind = LoadBalancerSpec['kind'];
type BalancerDef<K extends Kind> = (spec: Extract<LoadBalancerSpec, { kind: K }>, random: () => number) => LoadBalancer;

/** Every load balancer by its kind; leaving one out is a type error. */
export const BALANCERS = {
  'round-robin': (_spec, random) => roundRobinBalancer(random),
  'least-request': (_spec, random) => leastRequestBalancer(random),
  random: (_spec, random) => randomBalancer(random),
  weighted: (spec) => weightedBalancer(spec),
  'ring-hash': (_spec, random) => ringHashBalancer(random),
} satisfies { [K in Kind]: BalancerDef<K> };

/** @param random numbers from [0, 1): `Math.random` but in tests */
export function createLoadBalancer(spec: LoadBalancerSpec, random: () => number): LoadBalancer {
  const create = BALANCERS[spec.kind] as (spec: LoadBalancerSpec, random: () => number) => LoadBalancer;
  return create(spec, random);
}
