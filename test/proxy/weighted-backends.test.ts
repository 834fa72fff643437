import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { weightedBackends } from '../../src/proxy/weighted-backends.ts';

describe('weightedBackends', () => {
  it('gives each backend exactly its share, and those of weight 0 none', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 20 }), (weights) => {
        const backends = weights.map((weight, i) => ({ service: 's', subset: String(i), weight }));
        const { pick } = weightedBackends(backends);
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const counts = weights.map(() => 0);
        // The middle of each of `total` equal parts of [0, 1): free of rounding at the borders.
        for (let i = 0; i < total; i++) counts[Number(pick((i + 0.5) / total)!.subset)]++;
        expect(counts).toEqual(weights);
        if (total === 0) expect(pick(0)).toBeNull();
      }),
    );
  });

  it('has an answer at both ends', () => {
    for (const n of [1, 2, 8, 9, 30]) {
      const { pick } = weightedBackends(
        Array.from({ length: n }, (_, i) => ({ service: String(i), subset: null, weight: 1 })),
      );
      expect(pick(0)!.service).toBe('0');
      expect(pick(1 - Number.EPSILON / 2)!.service).toBe(String(n - 1));
    }
  });

  it('picks nothing where there is nothing', () => {
    expect(weightedBackends([]).pick(0.5)).toBeNull();
  });
});
