import { describe, expect, it } from 'vitest';
import { CANCEL, ENHANCE_YOUR_CALM, REFUSED_STREAM } from '../../../src/proxy/http2/error-codes.ts';
import { FrameType } from '../../../src/proxy/http2/frames.ts';
import type { H2Options } from '../../../src/proxy/http2/options.ts';
import { block, END_HEADERS, END_STREAM, frame, GET, POST, RawPeer, uint32 } from '../../support/h2-raw.ts';

const calmDown = { stream: 0, code: ENHANCE_YOUR_CALM };

/** A server with limits that a test reaches soon, and a clock that the test moves. */
function server(options: Partial<H2Options> = {}): RawPeer & { nowMs: number } {
  const clock = { nowMs: 0 };
  const peer = new RawPeer('server', {
    now: () => clock.nowMs,
    ...options,
    abuse: { resetBurst: 50, resetsPerSecond: 10, idleFrameBurst: 200, idleFramesPerSecond: 100, ...options.abuse },
  });
  return Object.defineProperty(peer as RawPeer & { nowMs: number }, 'nowMs', {
    get: () => clock.nowMs,
    set: (nowMs: number) => {
      clock.nowMs = nowMs;
    },
  });
}

/** Does something until the connection has had enough; how often that took. */
function until(peer: RawPeer, most: number, attack: (i: number) => void): number {
  for (let i = 0; i < most; i++) {
    if (peer.connection.closed) return i;
    attack(i);
  }
  return most;
}

describe('rapid reset (CVE-2023-44487)', () => {
  it('ends the connection, and every request was cancelled at once', () => {
    const peer = server();
    const count = until(peer, 1000, (i) => {
      peer.headers(i * 2 + 1, GET);
      peer.send(frame(FrameType.RstStream, 0, i * 2 + 1, uint32(CANCEL)));
    });
    expect(count).toBe(51);
    expect(peer.complaints()).toEqual([calmDown]);
    expect(peer.events().filter((e) => e === 'reset')).toHaveLength(51);
    expect(peer.connection.openStreams).toBe(0);
  });

  it('does not hit those who cancel now and then, or whose requests are answered', () => {
    const peer = server();
    for (let i = 0; i < 1000; i++) {
      peer.nowMs += 100;
      peer.headers(i * 2 + 1, GET);
      peer.send(frame(FrameType.RstStream, 0, i * 2 + 1, uint32(CANCEL)));
    }
    expect(peer.connection.closed).toBe(false);
    const busy = server();
    busy.on.onRequest = (stream) => {
      if (stream.id % 4 === 1) busy.connection.respond(stream, 204, [], true);
    };
    for (let i = 0; i < 1000; i++) {
      busy.headers(i * 2 + 1, GET);
      busy.send(frame(FrameType.RstStream, 0, i * 2 + 1, uint32(CANCEL)));
    }
    expect(busy.connection.closed).toBe(false);
  });
});

describe('resets that the server is made to send (CVE-2025-8671)', () => {
  const provocations: [name: string, (peer: RawPeer, id: number) => void][] = [
    ['a WINDOW_UPDATE of 0', (peer, id) => peer.send(frame(FrameType.WindowUpdate, 0, id, uint32(0)))],
    ['a window beyond 2^31-1', (peer, id) => peer.send(frame(FrameType.WindowUpdate, 0, id, uint32(0x7fff_ffff)))],
    ['DATA after the end', (peer, id) => peer.data(id, 'x')],
    ['HEADERS after the end', (peer, id) => peer.headers(id, [['x-a', 'b']])],
    ['a PRIORITY on itself', (peer, id) => peer.send(frame(FrameType.Priority, 0, id, [...uint32(id), 0]))],
    ['a PRIORITY of the wrong length', (peer, id) => peer.send(frame(FrameType.Priority, 0, id, [0]))],
  ];
  it.each(provocations)('%s', (_name, provoke) => {
    const peer = server();
    const count = until(peer, 1000, (i) => {
      peer.headers(i * 2 + 1, GET);
      provoke(peer, i * 2 + 1);
    });
    expect(count).toBe(51);
    expect(peer.complaints().at(-1)).toEqual(calmDown);
    expect(peer.events().filter((e) => e === 'reset')).toHaveLength(51);
  });

  it('malformed requests, and requests whose head is too large', () => {
    const malformed = server();
    expect(until(malformed, 1000, (i) => malformed.headers(i * 2 + 1, [[':method', 'GET']]))).toBe(51);
    const large = server({ maxHeaderListBytes: 300 });
    expect(until(large, 1000, (i) => large.headers(i * 2 + 1, [...GET, ['x-a', 'y'.repeat(300)]]))).toBe(51);
    expect(large.complaints().at(-1)).toEqual(calmDown);
  });

  it('more streams than allowed', () => {
    const peer = server({ maxConcurrentStreams: 3 });
    for (let i = 0; i < 5; i++) peer.headers(i * 2 + 1, GET);
    expect(peer.complaints()).toEqual([
      { stream: 7, code: REFUSED_STREAM },
      { stream: 9, code: REFUSED_STREAM },
    ]);
    expect(peer.events()).toEqual(['request', 'request', 'request']);
    expect(until(peer, 1000, (i) => peer.headers(i * 2 + 11, GET))).toBe(49);
  });
});

describe('header blocks', () => {
  const endless = (peer: RawPeer, fragment: Buffer): number => {
    peer.send(frame(FrameType.Headers, 0, 1, block(...GET)));
    return until(peer, 100_000, () => peer.send(frame(FrameType.Continuation, 0, 1, fragment)));
  };

  it('that never end: by bytes, by frames, and by empty frames (CONTINUATION flood)', () => {
    const bytes = server({ maxHeaderListBytes: 10_000 });
    expect(endless(bytes, Buffer.alloc(5000))).toBeLessThanOrEqual(4);
    expect(bytes.complaints()).toEqual([calmDown]);
    for (const fragment of [block(['x-a', 'b']), Buffer.alloc(0)]) {
      const frames = server();
      expect(endless(frames, fragment)).toBe(33);
      expect(frames.complaints()).toEqual([calmDown]);
      expect(frames.events()).toEqual(['error']);
    }
  });

  it('in many frames, within reason, are read', () => {
    const peer = server();
    const bytes = block(...GET, ['x-a', 'b']);
    const third = Math.ceil(bytes.length / 3);
    peer.send(frame(FrameType.Headers, END_STREAM, 1, bytes.subarray(0, third)));
    peer.send(frame(FrameType.Continuation, 0, 1, bytes.subarray(third, 2 * third)));
    peer.send(frame(FrameType.Continuation, END_HEADERS, 1, bytes.subarray(2 * third)));
    expect(peer.log).toMatchObject([{ event: 'request', head: { headers: ['x-a', 'b'] }, endStream: true }]);
  });

  it('that blow up (HPACK bomb): 4 KiB named 16,000 times is refused, and the table stays in step', () => {
    const peer = server();
    const entry = Buffer.concat([Buffer.from([0x40, 3]), Buffer.from('x-a'), Buffer.from([0x7f, 0xa1, 0x1e])]);
    const bomb = Buffer.concat([block(...GET), entry, Buffer.alloc(4000, 'y'), Buffer.alloc(12_000, 0xbe)]);
    peer.send(frame(FrameType.Headers, END_HEADERS | END_STREAM, 1, bomb));
    expect(peer.events()).toEqual(['malformed']);
    expect(peer.sent()[0].payload.latin1Slice()).toContain('431');
    // The entry is in the table and can be named.
    peer.send(
      frame(FrameType.Headers, END_HEADERS | END_STREAM, 3, Buffer.concat([block(...GET), Buffer.from([0xbe])])),
    );
    expect(peer.log.at(-1)).toMatchObject({ event: 'request', head: { headers: ['x-a', 'y'.repeat(4000)] } });
  });
});

describe('frames that carry nothing', () => {
  const floods: [name: string, frame: Buffer][] = [
    ['PING', frame(FrameType.Ping, 0, 0, Buffer.alloc(8))],
    ['PING acknowledgements nobody asked for', frame(FrameType.Ping, 1, 0, Buffer.alloc(8))],
    ['empty SETTINGS', frame(FrameType.Settings, 0, 0)],
    ['SETTINGS', frame(FrameType.Settings, 0, 0, [0, 4, 0, 0, 0, 1])],
    ['SETTINGS acknowledgements', frame(FrameType.Settings, 1, 0)],
    ['PRIORITY', frame(FrameType.Priority, 0, 99, [0, 0, 0, 1, 5])],
    ['WINDOW_UPDATE', frame(FrameType.WindowUpdate, 0, 0, uint32(1))],
    ['frames of unknown type', frame(0xbb, 0, 0, [1, 2, 3])],
    ['empty DATA', frame(FrameType.Data, 0, 1)],
    ['DATA of padding', frame(FrameType.Data, 8, 1, [3, 0, 0, 0])],
    ['RST_STREAM on a stream that is gone', frame(FrameType.RstStream, 0, 3, uint32(CANCEL))],
  ];
  it.each(floods)('%s', (_name, bytes) => {
    const peer = server();
    peer.headers(1, POST, false);
    peer.headers(3, GET);
    peer.send(frame(FrameType.RstStream, 0, 3, uint32(CANCEL)));
    const count = until(peer, 10_000, () => peer.send(bytes));
    expect(count).toBeGreaterThanOrEqual(200);
    expect(count).toBeLessThanOrEqual(210);
    expect(peer.complaints().at(-1)).toEqual(calmDown);
  });

  it('are forgiven over time, and where they come with work', () => {
    const slow = server();
    for (let i = 0; i < 2000; i++) {
      slow.nowMs += 20;
      slow.send(frame(FrameType.Ping, 0, 0, Buffer.alloc(8)));
    }
    expect(slow.connection.closed).toBe(false);
    const busy = server();
    busy.headers(1, POST, false);
    for (let i = 0; i < 2000; i++) {
      busy.data(1, 'x'.repeat(100));
      for (let k = 0; k < 5; k++) busy.send(frame(FrameType.Ping, 0, 0, Buffer.alloc(8)));
    }
    expect(busy.connection.closed).toBe(false);
  });

  it('a window opened byte by byte does not pay for itself (CVE-2019-9511)', () => {
    const peer = server();
    peer.send(frame(FrameType.Settings, 0, 0, [0, 4, 0, 0, 0, 0]));
    peer.on.onRequest = (stream) => {
      peer.connection.respond(stream, 200, [], false);
      peer.connection.data(stream, Buffer.alloc(5000), 0, 5000, true);
    };
    peer.headers(1, GET);
    expect(until(peer, 5000, () => peer.send(frame(FrameType.WindowUpdate, 0, 1, uint32(1))))).toBeLessThan(250);
  });
});

describe('a peer that asks and does not read', () => {
  it.each([
    ['PING', (peer: RawPeer) => peer.send(frame(FrameType.Ping, 0, 0, Buffer.alloc(8)))],
    ['requests', (peer: RawPeer, i: number) => peer.headers(i * 2 + 1, GET)],
  ] as [string, (peer: RawPeer, i: number) => void][])(
    '%s: is cut off before the answers fill the memory',
    (_n, ask) => {
      const peer = server({ abuse: { unsentBytes: 10_000, idleFrameBurst: 1 << 30 } });
      peer.on.onRequest = (stream) => peer.connection.respond(stream, 204, [], true);
      peer.connection.setWritable(false);
      expect(until(peer, 100_000, (i) => ask(peer, i))).toBeLessThan(1100);
      expect(Buffer.concat(peer.out.take()).length).toBeLessThan(20_000);
      expect(peer.log.at(-1)).toMatchObject({ event: 'error', code: ENHANCE_YOUR_CALM });
    },
  );

  it('small pieces that wait do not keep the reads alive that they came in', () => {
    const peer = server();
    peer.headers(1, GET);
    const stream = peer.streams.get(1);
    if (stream === undefined) throw new Error('no request');
    peer.connection.respond(stream, 200, [], false);
    peer.connection.setWritable(false);
    const read = Buffer.allocUnsafeSlow(65_536);
    peer.connection.data(stream, read, 0, 100, false);
    expect(stream.firstPiece().buffer).not.toBe(read.buffer);
  });
});
