import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
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

describe('out buffer and a socket', () => {
  it('writes everything in order, whoever else uses the slabs and however slowly it is read', async () => {
    const { near, far, close } = await connections(6);
    const outs = near.map(() => new OutBuffer(() => {}));
    const received = far.map((socket, i) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => {
        chunks.push(Buffer.from(chunk));
        // Some read slowly, so that writes have to wait in the socket while the slabs go round.
        if (i % 2 === 0) {
          socket.pause();
          setTimeout(() => socket.resume(), 1);
        }
      });
      return chunks;
    });
    const written = outs.map(() => [] as Buffer[]);
    let state = 42;
    const random = (below: number) => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      return (state >> 8) % below;
    };
    for (let turn = 0; turn < 400; turn++) {
      for (let n = 0; n < 10; n++) {
        const i = random(outs.length);
        const size = random(20) === 0 ? random(60_000) : random(400);
        const piece = Buffer.alloc(size, `${i}:${turn}:${n};`);
        written[i].push(piece);
        if (random(2) === 0) outs[i].bytes(piece, 0, size);
        else outs[i].latin1(piece.toString('latin1'));
      }
      for (let i = 0; i < outs.length; i++) outs[i].writeTo(near[i]);
      if (turn % 3 === 0) await new Promise(setImmediate);
    }
    for (const socket of near) socket.end();
    await Promise.all(far.map((socket) => once(socket, 'end')));
    for (let i = 0; i < outs.length; i++) {
      expect(Buffer.concat(received[i]).equals(Buffer.concat(written[i])), `connection ${i}`).toBe(true);
    }
    close();
  });
});

async function connections(count: number): Promise<{ near: Socket[]; far: Socket[]; close: () => void }> {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const near: Socket[] = [];
  const far: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const accepted = once(server, 'connection');
    far.push(net.connect(port, '127.0.0.1'));
    near.push((await accepted)[0] as Socket);
  }
  return {
    near,
    far,
    close: () => {
      for (const socket of [...near, ...far]) socket.destroy();
      server.close();
    },
  };
}
