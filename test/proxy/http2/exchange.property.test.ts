import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { H2Connection } from '../../../src/proxy/http2/connection.ts';
import { CANCEL } from '../../../src/proxy/http2/error-codes.ts';
import type { H2Stream } from '../../../src/proxy/http2/stream.ts';
import { OutBuffer } from '../../../src/proxy/out-buffer.ts';
import { silentEvents } from '../../support/h2-server.ts';

/** What a stream carries is told by its id and place, so that a byte in the wrong stream or order shows. */
const byteAt = (id: number, at: number): number => (id * 31 + at * 7) & 0xff;

/** One end: takes what comes after a delay of the test's choosing, and checks it. */
class End {
  readonly out = new OutBuffer(() => {});
  readonly connection: H2Connection;
  readonly received = new Map<number, number>();
  readonly ended = new Set<number>();
  readonly dead = new Set<number>();
  readonly streams: H2Stream[] = [];
  private readonly unconsumed: [H2Stream, number][] = [];
  /** Bytes on their way to the other end. */
  private wire: Buffer[] = [];
  wrong = '';

  constructor(
    side: 'client' | 'server',
    options: { initialWindowBytes: number; connectionWindowBytes: number; sendQueueBytes: number },
  ) {
    this.connection = new H2Connection(
      side,
      this.out,
      {
        ...silentEvents(),
        onRequest: (stream) => {
          this.streams.push(stream);
          this.connection.respond(stream, 200, [], false);
        },
        onData: (stream, buf, start, end, endStream) => {
          const at = this.received.get(stream.id) ?? 0;
          for (let i = start; i < end; i++) {
            if (buf[i] !== byteAt(stream.id, at + i - start)) this.wrong ||= `stream ${stream.id} at ${at + i - start}`;
          }
          this.received.set(stream.id, at + end - start);
          this.unconsumed.push([stream, end - start]);
          if (endStream) this.ended.add(stream.id);
        },
        onTrailers: (stream) => this.ended.add(stream.id),
        onReset: (stream) => this.dead.add(stream.id),
        onConnectionError: (code, message) => {
          this.wrong ||= `connection error ${code}: ${message}`;
        },
      },
      options,
    );
  }

  consume(most: number): void {
    for (const [stream, bytes] of this.unconsumed.splice(0, most)) this.connection.consume(stream, bytes);
  }

  /** Carries up to `most` bytes to the other end, in pieces of `piece`. */
  carry(to: End, most: number, piece: number): number {
    this.wire.push(...this.out.take());
    let all = Buffer.concat(this.wire);
    let carried = 0;
    while (all.length > 0 && carried < most) {
      const bytes = Math.min(piece, all.length, most - carried);
      to.connection.receive(Buffer.from(all.subarray(0, bytes)));
      all = all.subarray(bytes);
      carried += bytes;
    }
    this.wire = all.length > 0 ? [all] : [];
    return carried;
  }
}

const step = fc.record({
  what: fc.constantFrom(
    'send',
    'send',
    'send',
    'carry',
    'carry',
    'consume',
    'end',
    'trailers',
    'reset',
    'writable',
    'open',
  ),
  side: fc.boolean(),
  stream: fc.nat(7),
  size: fc.oneof(fc.nat(300), fc.nat(50_000)),
});
const windows = fc.record({
  initialWindowBytes: fc.constantFrom(1000, 70_000, 300_000),
  connectionWindowBytes: fc.constantFrom(65_535, 100_000),
  sendQueueBytes: fc.constantFrom(1000, 100_000),
});

describe('whatever order things happen in', () => {
  it('content arrives whole and in order, windows hold, and all streams come to an end', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 150 }), windows, windows, (steps, a, b) => {
        const client = new End('client', a);
        const server = new End('server', b);
        const sent = new Map<string, number>();
        const finished = new Set<string>();
        const open = (): void => {
          const head = { method: 'POST', scheme: 'http', authority: 'a', path: '/', protocol: null, headers: [] };
          const stream = client.connection.request({ ...head, contentLength: -1, expectContinue: false }, false, null);
          if (stream !== null) client.streams.push(stream);
        };
        const end = (side: End, key: string, stream: H2Stream, trailers: boolean): void => {
          if (finished.has(key)) return;
          finished.add(key);
          if (trailers) side.connection.trailers(stream, ['x-end', '1']);
          else side.connection.data(stream, Buffer.alloc(0), 0, 0, true);
        };
        open();
        for (const { what, side, stream: index, size } of steps) {
          const from = side ? client : server;
          const stream = from.streams[index % Math.max(1, from.streams.length)];
          const key = `${side}${stream?.id}`;
          if (what === 'open') open();
          else if (what === 'carry') from.carry(side ? server : client, size * 4, 1 + (size % 3000));
          else if (what === 'consume') from.consume(size);
          else if (what === 'writable') from.connection.setWritable(size % 2 === 0);
          else if (stream === undefined) continue;
          else if (what === 'send' && !finished.has(key)) {
            const at = sent.get(key) ?? 0;
            const buf = Buffer.from(Array.from({ length: size }, (_, i) => byteAt(stream.id, at + i)));
            sent.set(key, at + size);
            from.connection.data(stream, buf, 0, size, false);
          } else if (what === 'end' || what === 'trailers') end(from, key, stream, what === 'trailers');
          else if (what === 'reset' && size % 5 === 0) {
            from.connection.reset(stream, CANCEL);
            from.dead.add(stream.id);
          }
        }
        // Let everything come to an end.
        for (const side of [client, server]) side.connection.setWritable(true);
        let moved: number;
        do {
          moved =
            client.carry(server, Number.POSITIVE_INFINITY, 5000) + server.carry(client, Number.POSITIVE_INFINITY, 5000);
          client.consume(Number.POSITIVE_INFINITY);
          server.consume(Number.POSITIVE_INFINITY);
          for (const [isClient, side] of [
            [true, client],
            [false, server],
          ] as const) {
            for (const stream of side.streams) end(side, `${isClient}${stream.id}`, stream, false);
          }
          moved += client.out.size + server.out.size;
        } while (moved > 0);
        expect([client.wrong, server.wrong]).toEqual(['', '']);
        expect([client.connection.openStreams, server.connection.openStreams]).toEqual([0, 0]);
        for (const stream of server.streams) {
          if (server.dead.has(stream.id) || client.dead.has(stream.id)) continue;
          expect(server.received.get(stream.id) ?? 0).toBe(sent.get(`true${stream.id}`) ?? 0);
          expect(client.received.get(stream.id) ?? 0).toBe(sent.get(`false${stream.id}`) ?? 0);
          expect([client.ended.has(stream.id), server.ended.has(stream.id)]).toEqual([true, true]);
        }
      }),
      { numRuns: 60 },
    );
  });
});
