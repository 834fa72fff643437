import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadBalancer as Spec } from '../../../src/model/resolved.ts';
import { NO_KEY } from '../../../src/proxy/load-balancers/load-balancer.ts';
import { createLoadBalancer } from '../../../src/proxy/load-balancers/registry.ts';
import { endpointState, seededRandom } from '../../support/endpoints.ts';

const SPECS: Spec[] = [
  { kind: 'round-robin' },
  { kind: 'least-request' },
  { kind: 'random' },
  { kind: 'weighted', weights: { a: 3, b: 0 } },
  { kind: 'ring-hash', key: { kind: 'source' } },
];

const members = fc.uniqueArray(
  fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    weight: fc.constantFrom(0, 1, 1, 2),
    inFlight: fc.nat({ max: 3 }),
  }),
  { selector: ({ id }) => id, maxLength: 5 },
);
const endpointsOf = (of: { id: string; weight: number; inFlight: number }[]) =>
  of.map(({ id, weight, inFlight }) => Object.assign(endpointState(id, { weight }), { inFlight }));

describe.each(SPECS)('what $kind foresees', (spec) => {
  it('is what it does next: all of the chance on that one, or some', () => {
    const step = fc.record({ change: fc.option(members), key: fc.constantFrom(NO_KEY, 7, 0xfffffff0) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 15 }), fc.integer(), (steps, seed) => {
        const balancer = createLoadBalancer(spec, seededRandom(seed));
        let endpoints = endpointsOf([{ id: 'a', weight: 1, inFlight: 0 }]);
        for (const { change, key } of steps) {
          if (change !== null) endpoints = endpointsOf(change);
          const chances = balancer.foresee(endpoints, key);
          // Asking takes nobody's turn.
          expect(balancer.foresee(endpoints, key)).toEqual(chances);
          expect(chances).toHaveLength(endpoints.length);
          const total = chances.reduce((sum, chance) => sum + chance, 0);
          const picked = balancer.pick(endpoints, key);
          if (picked === null) expect(total).toBe(0);
          else {
            expect(total).toBeCloseTo(1, 9);
            expect(chances[picked]).toBeGreaterThan(0);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('chances', () => {
  it.each([[[1, 1, 1, 1]], [[1, 2, 5]]])('of least-request are the shares of its picks, with weights %j', (weights) => {
    const balancer = createLoadBalancer({ kind: 'least-request' }, seededRandom(5));
    const endpoints = weights.map((weight, i) =>
      Object.assign(endpointState(String(i), { weight }), { inFlight: i === 0 ? 2 : 0 }),
    );
    const counts = new Array<number>(weights.length).fill(0);
    const n = 40_000;
    for (let i = 0; i < n; i++) counts[balancer.pick(endpoints, NO_KEY)!]++;
    const chances = balancer.foresee(endpoints, NO_KEY);
    for (const [i, count] of counts.entries()) expect(count / n).toBeCloseTo(chances[i], 1.6);
  });

  it('of turns and keys are settled', () => {
    const endpoints = endpointsOf(['a', 'b', 'c'].map((id) => ({ id, weight: 1, inFlight: 0 })));
    for (const spec of SPECS.filter(
      ({ kind }) => kind === 'round-robin' || kind === 'weighted' || kind === 'ring-hash',
    )) {
      const balancer = createLoadBalancer(spec, seededRandom(1));
      for (let i = 0; i < 10; i++) {
        expect([...balancer.foresee(endpoints, i)].sort()).toEqual([0, 0, 1]);
        balancer.pick(endpoints, i);
      }
    }
  });
});
