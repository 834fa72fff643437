import type { EndpointState } from '../cluster/endpoint.ts';
import { countUntried, hasTried, type LoadBalancer, settledChances } from './load-balancer.ts';

/**
 * In turn. The order is a queue of its own: who was just picked goes to the end, and a change of membership leaves
 * the others where they are. A plain counter modulo the number of endpoints would favour some of them each time an
 * instance comes or goes, which on a laptop is each time a file is saved.
 */
export function roundRobinBalancer(random: () => number): LoadBalancer {
  let seen: readonly EndpointState[] = [];
  /** Indices into `seen`, next one at `at`. */
  let queue: number[] = [];
  let at = 0;

  const adopt = (endpoints: readonly EndpointState[]) => {
    const position = new Map<string, number>();
    for (let i = 0; i < endpoints.length; i++) position.set(endpoints[i].spec.id, i);
    const next: number[] = [];
    for (let i = 0; i < queue.length; i++) {
      const id = seen[queue[(at + i) % queue.length]].spec.id;
      const index = position.get(id);
      if (index === undefined) continue;
      next.push(index);
      position.delete(id);
    }
    const first = queue.length === 0;
    for (const index of position.values()) next.push(index);
    seen = endpoints;
    queue = next;
    // Many proxies start at the same time: if each began with the first instance, it would get their first requests all at once.
    at = first && next.length > 1 ? Math.floor(random() * next.length) : 0;
  };

  return {
    pick(endpoints, _key, tried) {
      const n = endpoints.length;
      if (n === 0) return null;
      if (endpoints !== seen) adopt(endpoints);
      if (hasTried(tried)) {
        const left = countUntried(endpoints, tried);
        if (left > 0 && left < n) while (tried.includes(endpoints[queue[at]].spec.id)) at = at + 1 === n ? 0 : at + 1;
      }
      const index = queue[at];
      at = at + 1 === n ? 0 : at + 1;
      return index;
    },
    foresee(endpoints) {
      if (endpoints.length > 0 && endpoints !== seen) adopt(endpoints);
      return settledChances(endpoints.length, endpoints.length === 0 ? null : queue[at]);
    },
  };
}
