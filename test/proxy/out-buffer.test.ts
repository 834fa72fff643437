import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OutBuffer } from '../../src/proxy/out-buffer.ts';

describe('out buffer', () => {
  const op = fc.oneof(
    fc.record({ kind: fc.constant('text' as const), size: fc.integer({ min: 0, max: 200 }) }),
    fc.record({
      kind: fc.constant('bytes' as const),
      size: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 16_000, max: 140_000 })),
    }),
    fc.record({
      kind: fc.constant('reserve' as const),
      size: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 60_000, max: 140_000 })),
    }),
    fc.record({ kind: fc.constant('take' as const), size: fc.constant(0) }),
  );

  it('hands over what was written, in order, and wakes its owner', () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 40 }), (ops) => {
        let wakes = 0;
        const out = new OutBuffer(() => wakes++);
        const expected: Buffer[] = [];
        const taken: Buffer[] = [];
        let fill = 0;
        let pending = false;
        let slept = 0;
        for (const { kind, size } of ops) {
          const piece = Buffer.alloc(size, ++fill & 0x7f);
          if (kind === 'take') {
            taken.push(...out.take());
            pending = false;
            slept = wakes;
            continue;
          }
          expected.push(piece);
          if (kind === 'text') out.latin1(piece.toString('latin1'));
          else if (kind === 'bytes') out.bytes(piece, 0, size);
          else {
            const at = out.reserve(size);
            piece.copy(out.buf, at);
            out.n = at + size;
          }
          if (size === 0) continue;
          // An empty write may wake an owner for nothing; a full one must not leave it asleep.
          if (!pending) expect(wakes).toBeGreaterThan(slept);
          pending = true;
        }
        const total = Buffer.concat(expected).length;
        expect(out.size + taken.reduce((n, b) => n + b.length, 0)).toBe(total);
        taken.push(...out.take());
        expect(out.size).toBe(0);
        expect(Buffer.concat(taken).equals(Buffer.concat(expected))).toBe(true);
      }),
    );
  });

  it('never gives the same bytes to two owners: what was taken stays as it was', () => {
    const one = new OutBuffer(() => {});
    const two = new OutBuffer(() => {});
    one.latin1('first');
    const taken = one.take();
    two.latin1('second');
    one.latin1('third');
    expect(Buffer.concat(taken).toString()).toBe('first');
    expect(Buffer.concat(two.take()).toString()).toBe('second');
    expect(Buffer.concat(one.take()).toString()).toBe('third');
  });

  it('passes long bodies on by reference and copies short ones', () => {
    const out = new OutBuffer(() => {});
    const long = Buffer.alloc(20_000, 'l');
    const short = Buffer.from('short');
    out.bytes(short, 0, 5);
    out.bytes(long, 0, long.length);
    short.fill('x');
    const [a, b] = out.take();
    expect(a.toString()).toBe('short');
    expect(b.buffer).toBe(long.buffer);
  });
});
