import type { Endpoint } from '../../src/model/snapshot.ts';
import { EndpointState } from '../../src/proxy/cluster/endpoint.ts';

export function endpoint(id: string, over: Partial<Endpoint> = {}): Endpoint {
  return {
    id,
    subset: 'default',
    host: '127.0.0.1',
    port: 4000,
    health: { host: '127.0.0.1', port: 3000 },
    state: 'ready',
    weight: 1,
    ...over,
  };
}

export const endpointState = (id: string, over: Partial<Endpoint> = {}): EndpointState =>
  new EndpointState(endpoint(id, over));

/** Numbers from [0, 1), the same ones for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
