import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadBalancer as Spec } from '../../../src/model/resolved.ts';
import type { EndpointState } from '../../../src/proxy/cluster/endpoint.ts';
import { type LoadBalancer, NO_KEY } from '../../../src/proxy/load-balancers/load-balancer.ts';
import { BALANCERS, createLoadBalancer } from '../../../src/proxy/load-balancers/registry.ts';
import { endpointState, seededRandom } from '../../support/endpoints.ts';

const SPECS: { [K in Spec['kind']]: Extract<Spec, { kind: K }> } = {
  'round-robin': { kind: 'round-robin' },
  'least-request': { kind: 'least-request' },
  random: { kind: 'random' },
  weighted: { kind: 'weighted', weights: {} },
  'ring-hash': { kind: 'ring-hash', key: { kind: 'source' } },
};

const create = (kind: Spec['kind'], seed = 1) => createLoadBalancer(SPECS[kind], seededRandom(seed));
const named = (...ids: string[]) => ids.map((id) => endpointState(id));
const picks = (balancer: LoadBalancer, endpoints: EndpointState[], n: number, key = NO_KEY): string[] =>
  Array.from({ length: n }, () => endpoints[balancer.pick(endpoints, key)!].spec.id);
const tally = (ids: string[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const id of ids) counts[id] = (counts[id] ?? 0) + 1;
  return counts;
};

describe.each(Object.keys(BALANCERS) as Spec['kind'][])('%s', (kind) => {
  it('has no answer without endpoints and one answer with one', () => {
    expect(create(kind).pick([], NO_KEY)).toBeNull();
    expect(create(kind).pick([], 7, ['a'])).toBeNull();
    expect(create(kind).pick(named('a'), 7)).toBe(0);
    expect(create(kind).pick(named('a'), NO_KEY, ['a'])).toBe(0);
  });

  it('avoids what was tried while there are others, whatever else happens', () => {
    const members = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { minLength: 1 });
    const steps = fc.array(
      fc.record({
        members: fc.option(members),
        tried: fc.subarray(['a', 'b', 'c', 'd', 'e']),
        key: fc.integer({ min: -1, max: 0xffffffff }),
      }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(steps, fc.integer(), (all, seed) => {
        const balancer = create(kind, seed);
        let endpoints = named('a', 'b', 'c');
        for (const step of all) {
          if (step.members !== null) endpoints = named(...step.members);
          const index = balancer.pick(endpoints, step.key, step.tried)!;
          expect(endpoints[index]).toBeDefined();
          const others = endpoints.some((e) => !step.tried.includes(e.spec.id));
          if (others) expect(step.tried).not.toContain(endpoints[index].spec.id);
        }
      }),
    );
  });
});

describe('round robin', () => {
  it('gives each its turn', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 50 }), fc.integer(), (n, rounds, seed) => {
        const endpoints = named(...Array.from({ length: n }, (_, i) => String(i)));
        const balancer = create('round-robin', seed);
        const order = picks(balancer, endpoints, n);
        expect(new Set(order).size).toBe(n);
        for (let i = 0; i < rounds; i++) expect(picks(balancer, endpoints, n)).toEqual(order);
      }),
    );
  });

  it('does not begin with the same endpoint in every proxy', () => {
    const first = new Set(
      Array.from({ length: 30 }, (_, seed) => picks(create('round-robin', seed), named('a', 'b', 'c'), 1)[0]),
    );
    expect(first.size).toBe(3);
  });

  it('skips nobody who stays when others come and go', () => {
    const change = fc.subarray(['b', 'c', 'd', 'e', 'f']);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(change, fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 20 }),
        fc.integer(),
        (changes, seed) => {
          const balancer = create('round-robin', seed);
          // `a` and `z` stay all the time, so their turns alternate; and nobody has two turns between two of `a`.
          let last = '';
          let since: string[] = [];
          for (const [others, n] of changes) {
            const endpoints = named('a', ...others, 'z');
            for (const id of picks(balancer, endpoints, n)) {
              if (id === 'a' || id === 'z') {
                expect(id).not.toBe(last);
                last = id;
              }
              if (id === 'a') since = [];
              else {
                expect(since).not.toContain(id);
                since.push(id);
              }
            }
          }
        },
      ),
    );
  });
});

describe('weighted', () => {
  const weighted = (weights: Record<string, number>) => createLoadBalancer({ kind: 'weighted', weights }, Math.random);

  it('follows the example of smooth weighted round robin', () => {
    const balancer = weighted({ a: 5 });
    expect(picks(balancer, named('a', 'b', 'c'), 7).join('')).toBe('aabacaa');
  });

  it('is exact over every period', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 6 }), (weights) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const endpoints = weights.map((weight, i) => endpointState(`e${i}`, { weight }));
        const balancer = weighted({});
        if (total === 0) {
          expect(balancer.pick(endpoints, NO_KEY)).toBeNull();
          return;
        }
        for (let period = 0; period < 3; period++) {
          const counts = tally(picks(balancer, endpoints, total));
          expect(weights.map((_, i) => counts[`e${i}`] ?? 0)).toEqual(weights);
        }
      }),
    );
  });

  it('knows weights of instances, then of subsets, then of endpoints', () => {
    const endpoints = [
      endpointState('i-1', { subset: 'canary', weight: 9 }),
      endpointState('i-2', { subset: 'canary', weight: 9 }),
      endpointState('i-3', { subset: 'stable', weight: 2 }),
    ];
    expect(tally(picks(weighted({ 'i-1': 1, canary: 3 }), endpoints, 6))).toEqual({ 'i-1': 1, 'i-2': 3, 'i-3': 2 });
  });

  it('stays in proportion over changes of membership', () => {
    const balancer = weighted({ a: 3, b: 1, c: 2 });
    const all = named('a', 'b', 'c');
    picks(balancer, all, 4);
    const two = named('a', 'b');
    // Off by at most one turn after a change, in proportion from there on.
    expect(Math.abs(tally(picks(balancer, two, 400)).a - 300)).toBeLessThanOrEqual(1);
    expect(Math.abs(tally(picks(balancer, named('a', 'b', 'c'), 600)).a - 300)).toBeLessThanOrEqual(1);
  });
});

describe('least request', () => {
  it('takes the less busy of two', () => {
    const endpoints = named('a', 'b');
    endpoints[0].inFlight = 1;
    expect(tally(picks(create('least-request'), endpoints, 100))).toEqual({ b: 100 });
  });

  it('never takes the busiest of many', () => {
    const endpoints = named('a', 'b', 'c', 'd');
    endpoints[2].inFlight = 10;
    expect(tally(picks(create('least-request'), endpoints, 1000)).c).toBeUndefined();
  });

  it('spreads evenly while nobody is busy', () => {
    const counts = tally(picks(create('least-request'), named('a', 'b', 'c', 'd'), 20_000));
    for (const id of ['a', 'b', 'c', 'd']) expect(Math.abs(counts[id] - 5000)).toBeLessThan(300);
  });

  it('spreads by weight while nobody is busy, and counts load by weight', () => {
    const endpoints = [
      endpointState('a', { weight: 3 }),
      endpointState('b', { weight: 1 }),
      endpointState('none', { weight: 0 }),
    ];
    const counts = tally(picks(create('least-request'), endpoints, 20_000));
    expect(Math.abs(counts.a - 15_000)).toBeLessThan(500);
    expect(counts.none).toBeUndefined();
    endpoints[0].inFlight = 3;
    endpoints[1].inFlight = 1;
    // Equally busy for their weights.
    expect(Math.abs(tally(picks(create('least-request'), endpoints, 20_000)).a - 15_000)).toBeLessThan(500);
  });

  it('keeps the longest queue short', () => {
    const random = seededRandom(3);
    const run = (kind: 'random' | 'least-request') => {
      const endpoints = named(...Array.from({ length: 50 }, (_, i) => String(i)));
      const balancer = createLoadBalancer(SPECS[kind], random);
      for (let i = 0; i < 5000; i++) endpoints[balancer.pick(endpoints, NO_KEY)!].inFlight++;
      return Math.max(...endpoints.map((e) => e.inFlight));
    };
    expect(run('least-request')).toBeLessThanOrEqual(103);
    expect(run('random')).toBeGreaterThan(110);
  });
});

describe('random', () => {
  it('is even', () => {
    const counts = tally(picks(create('random'), named('a', 'b', 'c'), 30_000));
    for (const id of ['a', 'b', 'c']) expect(Math.abs(counts[id] - 10_000)).toBeLessThan(500);
  });
});

describe('ring hash', () => {
  const keys = (() => {
    const random = seededRandom(5);
    return Array.from({ length: 20_000 }, () => Math.floor(random() * 2 ** 32));
  })();
  const owners = (endpoints: EndpointState[]): string[] => {
    const balancer = create('ring-hash');
    return keys.map((key) => endpoints[balancer.pick(endpoints, key)!].spec.id);
  };
  const ids = (n: number) => Array.from({ length: n }, (_, i) => `orders-${i + 1}`);

  it('keeps a key where it is', () => {
    const endpoints = named(...ids(5));
    expect(owners(endpoints)).toEqual(owners(endpoints));
    // Neither the order of the endpoints nor which proxy asks makes a difference.
    expect(owners([...endpoints].reverse())).toEqual(owners(endpoints));
  });

  it.each([2, 3, 10])('moves the keys of the one of %d that leaves, and no other', (n) => {
    const before = owners(named(...ids(n)));
    const gone = `orders-${n - 1}`;
    const after = owners(named(...ids(n).filter((id) => id !== gone)));
    let moved = 0;
    for (let i = 0; i < keys.length; i++) {
      if (before[i] === gone) moved++;
      else expect(after[i]).toBe(before[i]);
    }
    expect(moved / keys.length).toBeGreaterThan(0.8 / n);
    expect(moved / keys.length).toBeLessThan(1.2 / n);
    const spread = tally(after.filter((_, i) => before[i] === gone));
    expect(Object.keys(spread)).toHaveLength(n - 1);
  });

  it('gives shares by weight', () => {
    const counts = tally(
      owners([endpointState('a', { weight: 3 }), endpointState('b'), endpointState('c', { weight: 0 })]),
    );
    expect(counts.a / keys.length).toBeGreaterThan(0.7);
    expect(counts.a / keys.length).toBeLessThan(0.8);
    expect(counts.c).toBeUndefined();
  });

  it('sends a retry where the key would be without the endpoint that failed', () => {
    const all = named(...ids(4));
    const balancer = create('ring-hash');
    for (const key of keys.slice(0, 200)) {
      const failed = all[balancer.pick(all, key)!].spec.id;
      const rest = all.filter((e) => e.spec.id !== failed);
      const second = all[balancer.pick(all, key, [failed])!].spec.id;
      expect(second).toBe(rest[create('ring-hash').pick(rest, key)!].spec.id);
    }
  });

  it('is random without a key', () => {
    expect(Object.keys(tally(picks(create('ring-hash'), named('a', 'b'), 100)))).toHaveLength(2);
  });
});
