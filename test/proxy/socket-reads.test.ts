import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import tls from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { returnReads, takeReads } from '../../src/proxy/socket-reads.ts';
import { startTestMesh, type TestMesh } from '../support/proxy-mesh.ts';

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await startTestMesh({});
});
afterAll(() => mesh.close());

/** Two ends of a connection. */
async function pair(kind: 'plain' | 'tls'): Promise<{ near: Socket; far: Socket; close: () => void }> {
  const identity = Object.values(mesh.identities)[0];
  const server: net.Server =
    kind === 'plain'
      ? net.createServer({ allowHalfOpen: true })
      : tls.createServer({ allowHalfOpen: true, cert: identity.certificate, key: identity.privateKey });
  const accepted = once(server, kind === 'plain' ? 'connection' : 'secureConnection');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const far =
    kind === 'plain'
      ? net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      : tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  const [near] = (await accepted) as [Socket];
  for (const socket of [near, far]) socket.on('error', () => {});
  return {
    near,
    far,
    close: () => {
      near.destroy();
      far.destroy();
      server.close();
    },
  };
}

/** Bytes that tell where they stand. */
function pattern(bytes: number, seed: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  let state = seed | 1;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    buffer[i] = state >> 16;
  }
  return buffer;
}

describe.each(['plain', 'tls'] as const)('reads of a %s socket', (kind) => {
  it('are complete, in order, and the callee may keep them, whatever their sizes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300_000 })), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.integer({ min: 1, max: 1e6 }),
        async (sizes, seed) => {
          const { near, far, close } = await pair(kind);
          const kept: Buffer[] = [];
          takeReads(near, (chunk) => kept.push(chunk));
          const ended = once(near, 'end');
          const sent = sizes.map((size, i) => pattern(size, seed + i));
          for (const piece of sent) {
            far.write(piece);
            if (piece.length % 3 === 0) await new Promise(setImmediate);
          }
          far.end();
          await ended;
          // Only now: a buffer that had been read into again would show.
          expect(Buffer.concat(kept).equals(Buffer.concat(sent))).toBe(true);
          close();
        },
      ),
      { numRuns: 25 },
    );
  });

  it('stop while the socket is paused and lose nothing', async () => {
    const { near, far, close } = await pair(kind);
    const kept: Buffer[] = [];
    takeReads(near, (chunk) => {
      kept.push(chunk);
      near.pause();
    });
    const sent = pattern(2_000_000, 7);
    far.end(sent);
    const ended = once(near, 'end');
    let before = -1;
    while (Buffer.concat(kept).length < sent.length) {
      before = kept.length;
      near.resume();
      const deadline = Date.now() + 5_000;
      while (kept.length === before && Date.now() < deadline) await new Promise(setImmediate);
      if (kept.length === before) throw new Error('nothing came after resume()');
      expect(near.isPaused()).toBe(true);
    }
    near.resume();
    await ended;
    expect(Buffer.concat(kept).equals(sent)).toBe(true);
    close();
  });

  it('go to the next owner, and to events once they are returned', async () => {
    const { near, far, close } = await pair(kind);
    const first = new Promise<Buffer>((resolve) => takeReads(near, resolve));
    far.write('one');
    expect(String(await first)).toBe('one');
    returnReads(near);
    const second = once(near, 'data');
    far.write('two');
    expect(String((await second)[0])).toBe('two');
    near.removeAllListeners('data');
    const third = new Promise<Buffer>((resolve) => takeReads(near, resolve));
    far.write('three');
    expect(String(await third)).toBe('three');
    close();
  });
});

it('keeps a chunk that was passed on uncopied when the owner changes within that read', async () => {
  const { near, far, close } = await pair('plain');
  const sent = pattern(4_000_000, 11);
  const kept: Buffer[] = [];
  const owner = (chunk: Buffer) => {
    kept.push(chunk);
    // In every large read: in some of them the chunk is the buffer itself.
    if (chunk.length < 32 * 1024 || kept.length % 2 === 0) return;
    returnReads(near);
    takeReads(near, owner);
  };
  const change = (chunk: Buffer) => {
    kept.push(chunk);
    if (kept.length < 4) return;
    returnReads(near);
    takeReads(near, owner);
  };
  takeReads(near, change);
  const ended = once(near, 'end');
  far.end(sent);
  await ended;
  expect(Buffer.concat(kept).equals(sent)).toBe(true);
  close();
});

it('allocates nothing of the size of a read for short ones', async () => {
  const { near, far, close } = await pair('plain');
  const chunks: Buffer[] = [];
  takeReads(near, (chunk) => chunks.push(chunk));
  for (let i = 0; i < 50; i++) {
    far.write(`ping ${i}`);
    const deadline = Date.now() + 5_000;
    while (chunks.length <= i && Date.now() < deadline) await new Promise(setImmediate);
  }
  expect(chunks.length).toBe(50);
  // Each would have an ArrayBuffer of its own.
  expect(new Set(chunks.map((chunk) => chunk.buffer)).size).toBeLessThan(10);
  close();
});
