/** A seeded source of choices: the same seed makes the same choices on every machine. */
export interface Random {
  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number;
  /** True in `percent` of 100 calls. */
  chance(percent: number): boolean;
  pick<T>(from: readonly T[]): T;
  bytes(length: number): Buffer;
}

/** Mulberry32. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const below = (limit: number): number => next() % limit;
  return {
    below,
    chance: (percent) => below(100) < percent,
    pick: (from) => from[below(from.length)],
    bytes(length) {
      const bytes = Buffer.allocUnsafe(length);
      for (let i = 0; i < length; i++) bytes[i] = next();
      return bytes;
    },
  };
}

/** The seed of one case of a run: each case can be made again without those before it. */
export function caseSeed(seed: number, index: number): number {
  return Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(index + 1, 0xc2b2ae35);
}

/** Cuts bytes at these places. */
export function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const all: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts.filter((at) => at > 0 && at < bytes.length).sort((a, b) => a - b), bytes.length]) {
    if (to === from) continue;
    const pool = Buffer.alloc(to - from + 16, 0x0a);
    bytes.copy(pool, 7, from, to);
    all.push(pool.subarray(7, 7 + to - from));
    from = to;
  }
  return all;
}

/** Changes a few bytes without regard to what they mean. */
export function mutateBytes(random: Random, bytes: Buffer, times: number): Buffer {
  let result = bytes;
  for (let i = 0; i < times; i++) {
    const at = random.below(result.length + 1);
    const length = 1 + random.below(random.chance(80) ? 4 : 64);
    switch (random.below(5)) {
      case 0: {
        result = Buffer.from(result);
        if (at < result.length) result[at] ^= 1 << random.below(8);
        break;
      }
      case 1:
        result = Buffer.concat([result.subarray(0, at), random.bytes(length), result.subarray(at)]);
        break;
      case 2:
        result = Buffer.concat([result.subarray(0, at), result.subarray(at + length)]);
        break;
      case 3: {
        const from = random.below(result.length + 1);
        result = Buffer.concat([result.subarray(0, at), result.subarray(from, from + length), result.subarray(at)]);
        break;
      }
      default: {
        result = Buffer.from(result);
        if (at < result.length) result[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, 0x0d, 0x0a]);
      }
    }
  }
  return result;
}
