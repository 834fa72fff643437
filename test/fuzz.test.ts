import { describe, expect, it } from 'vitest';
import { fuzz } from '../fuzz/campaign.ts';
import { http1Target } from '../fuzz/http1.ts';
import { http2Target } from '../fuzz/http2.ts';
import { startProxyTarget } from '../fuzz/proxy.ts';
import { createRandom } from '../fuzz/random.ts';
import type { FuzzTarget } from '../fuzz/target.ts';

const SEED = 20_259;
const DURATION_MS = 2_500;

const short = async (start: () => FuzzTarget | Promise<FuzzTarget>) => {
  const target = await start();
  try {
    return await fuzz(target, { seed: SEED, durationMs: DURATION_MS });
  } finally {
    await target.close?.();
  }
};

describe('a short fuzz run finds nothing', () => {
  it.each([
    ['http1', http1Target],
    ['http2', http2Target],
    ['proxy', startProxyTarget],
  ])(
    'in %s',
    async (_name, start) => {
      const { cases, finding } = await short(start);
      expect(finding).toBeNull();
      expect(cases).toBeGreaterThan(3);
    },
    60_000,
  );
});

describe('a campaign', () => {
  /** A target that breaks at two bytes, wherever they are. */
  const planted = (how: () => string | null): FuzzTarget => ({
    name: 'planted',
    make: (random) => ({
      kind: 'bytes',
      input: random.bytes(60),
      check: (input) => (input.includes(0x41) && input.includes(0x42) ? how() : null),
    }),
  });

  it('finds what is wrong, says with which seed and case, and makes the input as small as it gets', async () => {
    const target = planted(() => 'broken');
    const { finding } = await fuzz(target, { seed: 1, durationMs: 5_000 });
    expect(finding).toMatchObject({ target: 'planted', what: 'broken', seed: 1 });
    expect([...finding!.input].sort()).toEqual([0x41, 0x42]);
    const again = await fuzz(target, { seed: 1, durationMs: 5_000, only: finding!.caseIndex });
    expect(again).toMatchObject({ cases: 1, finding: { what: 'broken' } });
  });

  it('takes what is thrown for a finding', async () => {
    const thrown = await fuzz(
      planted(() => {
        throw new RangeError('out of bounds');
      }),
      { seed: 2, durationMs: 5_000 },
    );
    expect(thrown.finding?.what).toContain('out of bounds');
  });

  it('makes the same cases of the same seed', () => {
    const input = () => http2Target().make(createRandom(SEED)).input;
    expect(input()).toEqual(input());
  });
});
