import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CANCEL,
  FRAME_SIZE_ERROR,
  INTERNAL_ERROR,
  NO_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from '../../../src/proxy/http2/error-codes.ts';
import { FrameType, PREFACE } from '../../../src/proxy/http2/frames.ts';
import type { H2Stream } from '../../../src/proxy/http2/stream.ts';
import type { RequestHead } from '../../../src/proxy/message.ts';
import { H2Pair } from '../../support/h2-pair.ts';
import {
  block,
  END_HEADERS,
  END_STREAM,
  frame,
  GET,
  type Logged,
  POST,
  RawPeer,
  uint32,
} from '../../support/h2-raw.ts';
import { silentEvents } from '../../support/h2-server.ts';

const REQUEST: RequestHead = {
  method: 'GET',
  scheme: 'http',
  authority: 'a.test',
  path: '/',
  protocol: null,
  headers: [],
  contentLength: 0,
  expectContinue: false,
};
const goaway = (lastStreamId: number, code = 0): Buffer =>
  frame(FrameType.Goaway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code), Buffer.from('bye')]));
const maxStreams = (n: number): Buffer =>
  frame(FrameType.Settings, 0, 0, Buffer.concat([Buffer.from([0, 3]), uint32(n)]));

describe('any split of the bytes', () => {
  /** Everything that can come: heads in pieces, padding, priority, trailers, unknown frames, resets. */
  const bytes = Buffer.concat([
    PREFACE,
    frame(FrameType.Settings, 0, 0, [0, 4, 0, 1, 0, 0]),
    frame(FrameType.Settings, 1, 0),
    frame(FrameType.Headers, END_HEADERS, 1, block(...POST, ['content-length', '11'])),
    frame(FrameType.Data, 0, 1, Buffer.from('hello')),
    frame(0xfa, 3, 7, Buffer.alloc(50)),
    frame(FrameType.Data, END_STREAM | 8, 1, Buffer.concat([Buffer.from([5]), Buffer.from(' world'), Buffer.alloc(5)])),
    frame(
      FrameType.Headers,
      END_STREAM | 0x20,
      3,
      Buffer.concat([uint32(0), Buffer.from([9]), block(...GET.slice(0, 2))]),
    ),
    frame(FrameType.Continuation, 0, 3, []),
    frame(FrameType.Continuation, END_HEADERS, 3, block(...GET.slice(2))),
    frame(FrameType.Headers, END_HEADERS | 8, 5, Buffer.concat([Buffer.from([3]), block(...POST), Buffer.alloc(3)])),
    frame(FrameType.Data, 8, 5, [3, 0, 0, 0]),
    frame(FrameType.Data, 0, 5, Buffer.alloc(3000, 'y')),
    frame(FrameType.Headers, END_HEADERS | END_STREAM, 5, block(['x-sum', '1'])),
    frame(FrameType.Headers, END_HEADERS, 7, block(...POST)),
    frame(FrameType.RstStream, 0, 7, uint32(CANCEL)),
    frame(FrameType.Headers, END_HEADERS, 9, block(...POST)),
    frame(FrameType.Data, END_STREAM, 9),
    frame(FrameType.Ping, 0, 0, Buffer.alloc(8)),
    goaway(0),
    frame(FrameType.Data, 0, 0, [1]),
  ]);

  /** Pieces of content put together: how they are cut is not part of what happened. */
  function joined(log: Logged[]): Logged[] {
    const out: Logged[] = [];
    for (const entry of log) {
      const last = out.at(-1);
      if (entry.event === 'data' && last?.event === 'data' && last.id === entry.id && !last.endStream) {
        out[out.length - 1] = { ...entry, text: last.text + entry.text };
      } else {
        out.push(entry);
      }
    }
    return out;
  }

  function run(cuts: number[]): { log: Logged[]; out: string } {
    const peer = new RawPeer('server', {}, false);
    let from = 0;
    for (const cut of [...cuts, bytes.length]) {
      if (cut > from) peer.send(Buffer.from(bytes.subarray(from, cut)));
      from = Math.max(from, cut);
    }
    return { log: joined(peer.log), out: Buffer.concat(peer.out.take()).toString('hex') };
  }

  const whole = run([]);

  it('is read to the end', () => {
    expect(whole.log.map((e) => ('id' in e ? `${e.event} ${e.id}` : e.event))).toEqual([
      'settings',
      'request 1',
      'data 1',
      'request 3',
      'request 5',
      'data 5',
      'trailers 5',
      'request 7',
      'reset 7',
      'request 9',
      'data 9',
      'goaway',
      'reset 1',
      'reset 3',
      'reset 5',
      'reset 9',
      'error',
    ]);
  });

  it('gives the same events: byte by byte, and at random', () => {
    expect(run(Array.from({ length: bytes.length }, (_, i) => i))).toEqual(whole);
    const cuts = fc
      .array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 60 })
      .map((c) => c.sort((a, b) => a - b));
    fc.assert(
      fc.property(cuts, (at) => {
        expect(run(at)).toEqual(whole);
      }),
    );
  });

  it('whatever they are, they end in events', () => {
    const types = fc.integer({ min: 0, max: 11 });
    const frames = fc.array(
      fc.tuple(
        types,
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 0, max: 9 }),
        fc.uint8Array({ maxLength: 40 }),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(frames, fc.constantFrom('client', 'server'), (list, side) => {
        const peer = new RawPeer(side as 'client' | 'server');
        if (side === 'client') for (let i = 0; i < 4; i++) peer.connection.request(REQUEST, false, null);
        for (const [type, flags, id, payload] of list) peer.send(frame(type, flags, id, Buffer.from(payload)));
        peer.connection.destroyed();
        expect(peer.connection.openStreams).toBe(0);
        const resets = peer.log.flatMap((e) => (e.event === 'reset' ? [e.id] : []));
        expect(new Set(resets).size).toBe(resets.length);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a request and its response', () => {
  it('go through with content and trailers both ways', () => {
    const log: string[] = [];
    const pair = new H2Pair();
    const text = (buf: Buffer, start: number, end: number): string => buf.latin1Slice(start, end);
    pair.connect(
      {
        ...silentEvents(),
        onInformational: (_s, head) => log.push(`informational ${head.status}`),
        onResponse: (s, head) => log.push(`response ${head.status} ${head.headers} for ${s.user}`),
        onData: (_s, buf, start, end, endStream) => log.push(`data ${text(buf, start, end)} ${endStream}`),
        onTrailers: (_s, trailers) => log.push(`trailers ${trailers}`),
        onReset: () => log.push('reset'),
      },
      {
        ...silentEvents(),
        onRequest(stream, head) {
          log.push(`request ${head.method} ${head.path} ${head.expectContinue} ${head.headers}`);
          pair.server.informational(stream, 100, []);
        },
        onData(stream, buf, start, end) {
          pair.server.respond(stream, 201, ['x-a', 'b'], false);
          pair.server.data(stream, buf, start, end, false);
        },
        onTrailers(stream, trailers) {
          pair.server.trailers(stream, trailers);
        },
      },
    );
    const head = {
      ...REQUEST,
      method: 'PUT',
      path: '/x',
      headers: ['x-b', 'c'],
      expectContinue: true,
      contentLength: -1,
    };
    const stream = pair.client.request(head, false, 'me') as H2Stream;
    pair.settle();
    pair.client.data(stream, Buffer.from('abc'), 0, 3, false);
    pair.client.trailers(stream, ['x-sum', '1']);
    pair.settle();
    expect(log).toEqual([
      'request PUT /x true x-b,c',
      'informational 100',
      'response 201 x-a,b for me',
      'data abc false',
      'trailers x-sum,1',
    ]);
    expect([stream.closed, pair.client.openStreams, pair.server.openStreams]).toEqual([true, 0, 0]);
  });

  it('with a head that needs CONTINUATION, and a hundred kilobytes of it', () => {
    const heads: RequestHead[] = [];
    const pair = new H2Pair().connect(
      silentEvents(),
      { ...silentEvents(), onRequest: (_s, head) => heads.push(head) },
      {},
      { maxHeaderListBytes: 200_000 },
    );
    pair.settle();
    const headers = Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'y'.repeat(1000)]).flat();
    pair.client.request({ ...REQUEST, headers }, true, null);
    pair.settle();
    expect(heads[0]?.headers).toEqual(headers);
  });

  it('answers before the request has ended, and resets without an error (RFC 9113 section 8.1)', () => {
    const peer = new RawPeer('client');
    const stream = peer.connection.request(REQUEST, false, null) as H2Stream;
    peer.headers(1, [[':status', '413']]);
    peer.send(frame(FrameType.RstStream, 0, 1, uint32(NO_ERROR)));
    expect(peer.log.slice(0, 2)).toMatchObject([
      { event: 'response', endStream: true },
      { event: 'reset', code: NO_ERROR, remote: true },
    ]);
    expect(peer.connection.data(stream, Buffer.from('x'), 0, 1, false)).toBe(true);
    peer.sent();
  });
});

describe('the end of a connection', () => {
  it('graceful, of a server: announced, then final when the client has seen it, then drained', () => {
    const peer = new RawPeer('server');
    peer.headers(1, GET);
    peer.connection.shutdown();
    const [announced, ping] = peer.sent();
    expect([announced.type, announced.payload.readUInt32BE(0), announced.payload.readUInt32BE(4)]).toEqual([
      FrameType.Goaway,
      0x7fff_ffff,
      NO_ERROR,
    ]);
    // What was under way is still taken.
    peer.headers(3, GET);
    peer.send(frame(FrameType.Ping, 1, 0, ping.payload));
    expect(peer.sentOf(FrameType.Goaway).map((f) => f.payload.readUInt32BE(0))).toEqual([3]);
    peer.headers(5, GET);
    expect(peer.complaints()).toEqual([{ stream: 5, code: REFUSED_STREAM }]);
    expect(peer.events()).toEqual(['request', 'request']);
    for (const id of [1, 3]) {
      expect(peer.connection.drained).toBe(false);
      peer.connection.respond(peer.streams.get(id) as H2Stream, 204, [], true);
    }
    expect(peer.connection.drained).toBe(true);
    expect(peer.events()).toEqual(['request', 'request', 'drained']);
  });

  it('graceful, asked for twice, does not wait for the client', () => {
    const peer = new RawPeer('server');
    peer.connection.shutdown();
    peer.connection.shutdown();
    peer.connection.shutdown();
    expect(peer.sentOf(FrameType.Goaway).map((f) => f.payload.readUInt32BE(0))).toEqual([0x7fff_ffff, 0]);
    expect(peer.events()).toEqual(['drained']);
  });

  it('graceful, of a client: nothing new, what is open finishes', () => {
    const peer = new RawPeer('client');
    peer.connection.request(REQUEST, true, null);
    peer.connection.shutdown();
    expect(peer.connection.request(REQUEST, true, null)).toBeNull();
    peer.headers(1, [[':status', '204']]);
    expect(peer.events()).toEqual(['response', 'drained']);
  });

  it('by a GOAWAY of the server: what it will not look at may be sent elsewhere', () => {
    const peer = new RawPeer('client');
    for (let i = 0; i < 3; i++) peer.connection.request(REQUEST, true, null);
    peer.send(goaway(3));
    expect(peer.log).toEqual([
      { event: 'goaway', lastStreamId: 3, code: 0, debug: 'bye' },
      { event: 'reset', id: 5, code: REFUSED_STREAM, remote: true },
    ]);
    expect(peer.connection.request(REQUEST, true, null)).toBeNull();
    peer.headers(1, [[':status', '204']]);
    peer.headers(3, [[':status', '204']]);
    expect(peer.events().slice(2)).toEqual(['response', 'response', 'drained']);
  });

  it('at once: every stream is told, and nothing happens afterwards', () => {
    const peer = new RawPeer('server');
    peer.headers(1, GET);
    peer.headers(3, POST, false);
    peer.connection.close(INTERNAL_ERROR, 'why');
    expect(peer.complaints()).toEqual([{ stream: 0, code: INTERNAL_ERROR }]);
    const stream = peer.streams.get(1) as H2Stream;
    peer.connection.respond(stream, 200, [], true);
    peer.connection.data(stream, Buffer.from('x'), 0, 1, true);
    peer.connection.trailers(stream, []);
    peer.connection.consume(stream, 10);
    peer.connection.reset(stream, CANCEL);
    peer.connection.destroyed();
    peer.headers(5, GET);
    expect(peer.events()).toEqual(['request', 'request', 'reset', 'reset']);
    expect(peer.sent()).toEqual([]);
  });

  it('when the socket is gone, during an event', () => {
    const peer = new RawPeer('server');
    peer.on.onRequest = () => peer.connection.destroyed();
    peer.send(
      Buffer.concat([
        frame(FrameType.Headers, END_HEADERS, 1, block(...POST)),
        frame(FrameType.Data, 0, 1, [1, 2, 3]),
        frame(FrameType.Headers, END_HEADERS | END_STREAM, 3, block(...GET)),
      ]),
    );
    expect(peer.log.slice(1)).toEqual([{ event: 'reset', id: 1, code: CANCEL, remote: false }]);
  });
});

describe('slots of a client', () => {
  it('are what the server allows, and it is told when one is free', () => {
    const peer = new RawPeer('client');
    peer.send(maxStreams(2));
    const request = (): number | undefined => peer.connection.request(REQUEST, true, null)?.id;
    expect([request(), request(), request()]).toEqual([1, 3, undefined]);
    peer.headers(1, [[':status', '204']]);
    expect(peer.events()).toEqual(['settings', 'response', 'slots']);
    expect([request(), request()]).toEqual([5, undefined]);
    peer.send(maxStreams(3));
    expect(peer.events().slice(3)).toEqual(['settings', 'slots']);
    expect(request()).toBe(7);
  });

  it('are a hundred before its settings are known', () => {
    const pair = new H2Pair().connect(silentEvents(), silentEvents(), {}, { maxConcurrentStreams: 1000 });
    let open = 0;
    while (pair.client.request(REQUEST, true, null) !== null) open++;
    expect(open).toBe(100);
    pair.settle();
    while (pair.client.request(REQUEST, true, null) !== null) open++;
    expect(open).toBe(1000);
  });
});

describe('PING', () => {
  it('is answered, and measures', () => {
    let nowMs = 100;
    const peer = new RawPeer('server', { now: () => nowMs });
    peer.send(frame(FrameType.Ping, 0, 0, Buffer.from('12345678')));
    expect(peer.sent().map((f) => [f.flags, f.payload.latin1Slice()])).toEqual([[1, '12345678']]);
    const rtts: number[] = [];
    const pair = new H2Pair().connect({ ...silentEvents(), onPong: (ms) => rtts.push(ms) }, silentEvents(), {
      now: () => nowMs,
    });
    pair.client.ping();
    nowMs += 7;
    pair.settle();
    expect(rtts).toEqual([7]);
  });
});

describe('frames where they do not belong', () => {
  const cases: [why: string, code: number, bytes: Buffer][] = [
    ['DATA on stream 0', PROTOCOL_ERROR, frame(FrameType.Data, 0, 0, [1])],
    ['DATA on an idle stream', PROTOCOL_ERROR, frame(FrameType.Data, 0, 9, [1])],
    ['HEADERS on stream 0', PROTOCOL_ERROR, frame(FrameType.Headers, 5, 0, block(...GET))],
    ['HEADERS on an even stream', PROTOCOL_ERROR, frame(FrameType.Headers, 5, 2, block(...GET))],
    ['HEADERS on a stream that ended', STREAM_CLOSED, frame(FrameType.Headers, 5, 1, block(...GET))],
    ['RST_STREAM on an idle stream', PROTOCOL_ERROR, frame(FrameType.RstStream, 0, 9, uint32(8))],
    ['WINDOW_UPDATE on an idle stream', PROTOCOL_ERROR, frame(FrameType.WindowUpdate, 0, 9, uint32(8))],
    ['WINDOW_UPDATE of 0', PROTOCOL_ERROR, frame(FrameType.WindowUpdate, 0, 0, uint32(0))],
    ['CONTINUATION alone', PROTOCOL_ERROR, frame(FrameType.Continuation, 4, 1, block(...GET))],
    ['SETTINGS on a stream', PROTOCOL_ERROR, frame(FrameType.Settings, 0, 1)],
    ['PING on a stream', PROTOCOL_ERROR, frame(FrameType.Ping, 0, 1, Buffer.alloc(8))],
    ['GOAWAY on a stream', PROTOCOL_ERROR, frame(FrameType.Goaway, 0, 1, Buffer.alloc(8))],
    ['PING of 7 bytes', FRAME_SIZE_ERROR, frame(FrameType.Ping, 0, 0, Buffer.alloc(7))],
    ['GOAWAY of 7 bytes', FRAME_SIZE_ERROR, frame(FrameType.Goaway, 0, 0, Buffer.alloc(7))],
    ['SETTINGS of 5 bytes', FRAME_SIZE_ERROR, frame(FrameType.Settings, 0, 0, Buffer.alloc(5))],
    ['SETTINGS acknowledgement with content', FRAME_SIZE_ERROR, frame(FrameType.Settings, 1, 0, Buffer.alloc(6))],
    ['a frame beyond the limit', FRAME_SIZE_ERROR, frame(FrameType.Data, 0, 1, Buffer.alloc(16_385))],
    ['padding beyond its frame', PROTOCOL_ERROR, frame(FrameType.Headers, 13, 3, [200, 1, 2])],
    ['PUSH_PROMISE to a server', PROTOCOL_ERROR, frame(FrameType.PushPromise, 4, 1, Buffer.alloc(8))],
    ['a push setting of 2', PROTOCOL_ERROR, frame(FrameType.Settings, 0, 0, [0, 2, 0, 0, 0, 2])],
    ['a frame size setting too small', PROTOCOL_ERROR, frame(FrameType.Settings, 0, 0, [0, 5, 0, 0, 0, 1])],
  ];
  it.each(cases)('%s', (_why, code, bytes) => {
    const peer = new RawPeer('server');
    peer.headers(1, GET);
    peer.connection.respond(peer.streams.get(1) as H2Stream, 204, [], true);
    peer.sent();
    peer.send(bytes);
    expect(peer.complaints()).toEqual([{ stream: 0, code }]);
    expect(peer.log.at(-1)).toMatchObject({ event: 'error', code });
    expect(peer.connection.closed).toBe(true);
  });

  it('an id that was passed over may not be used any more (section 5.1.1)', () => {
    const peer = new RawPeer('server');
    peer.headers(5, GET);
    peer.headers(3, GET);
    expect(peer.complaints()).toEqual([{ stream: 0, code: PROTOCOL_ERROR }]);
  });

  it('what was under way to a stream that we have reset is ignored', () => {
    const peer = new RawPeer('server');
    peer.headers(1, POST, false);
    peer.connection.reset(peer.streams.get(1) as H2Stream, CANCEL);
    peer.sent();
    peer.data(1, 'abc');
    peer.send(frame(FrameType.WindowUpdate, 0, 1, uint32(1)), frame(FrameType.RstStream, 0, 1, uint32(8)));
    peer.headers(1, [['x-sum', '1']]);
    expect(peer.sent()).toEqual([]);
    expect(peer.events()).toEqual(['request']);
  });

  it('a connection that does not begin as HTTP/2 does', () => {
    const http1 = new RawPeer('server', {}, false);
    http1.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    expect(http1.complaints()).toEqual([{ stream: 0, code: PROTOCOL_ERROR }]);
    const hasty = new RawPeer('client', {}, false);
    hasty.send(frame(FrameType.Ping, 0, 0, Buffer.alloc(8)));
    expect(hasty.complaints()).toEqual([{ stream: 0, code: PROTOCOL_ERROR }]);
  });
});
