import { describe, expect, it } from 'vitest';
import { CANCEL, FLOW_CONTROL_ERROR, STREAM_CLOSED } from '../../../src/proxy/http2/error-codes.ts';
import { FrameType } from '../../../src/proxy/http2/frames.ts';
import type { H2Stream } from '../../../src/proxy/http2/stream.ts';
import { END_STREAM, frame, GET, type ParsedFrame, POST, RawPeer, uint32 } from '../../support/h2-raw.ts';

const windowUpdate = (streamId: number, bytes: number): Buffer =>
  frame(FrameType.WindowUpdate, 0, streamId, uint32(bytes));
const initialWindow = (bytes: number): Buffer =>
  frame(FrameType.Settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), uint32(bytes)]));
const dataBytes = (frames: ParsedFrame[]): number => frames.reduce((sum, f) => sum + f.payload.length, 0);

function answering(peer: RawPeer, streamId: number): H2Stream {
  peer.headers(streamId, GET);
  const stream = peer.streams.get(streamId);
  if (stream === undefined) throw new Error('no request');
  peer.connection.respond(stream, 200, [], false);
  return stream;
}

describe('sending', () => {
  it('stops at the window of the stream, then of the connection, and goes on with each', () => {
    const peer = new RawPeer('server', { sendQueueBytes: 1000 });
    peer.send(initialWindow(10));
    const stream = answering(peer, 1);
    peer.sent();
    expect(peer.connection.data(stream, Buffer.from('0123456789abcdef'), 0, 16, false)).toBe(true);
    expect(peer.sentOf(FrameType.Data).map((f) => f.payload.latin1Slice())).toEqual(['0123456789']);
    peer.send(windowUpdate(1, 2));
    expect(peer.sentOf(FrameType.Data).map((f) => f.payload.latin1Slice())).toEqual(['ab']);
    // Growing the initial window grows that of open streams (RFC 9113 section 6.9.2).
    peer.send(initialWindow(100_000));
    expect(peer.sentOf(FrameType.Data).map((f) => f.payload.latin1Slice())).toEqual(['cdef']);
    const large = Buffer.alloc(90_000, 'x');
    expect(peer.connection.data(stream, large, 0, large.length, true)).toBe(false);
    expect(dataBytes(peer.sentOf(FrameType.Data))).toBe(65_535 - 16);
    peer.send(windowUpdate(0, 1 << 20));
    const rest = peer.sentOf(FrameType.Data);
    expect(dataBytes(rest)).toBe(90_000 - 65_535 + 16);
    expect(rest.at(-1)?.flags).toBe(END_STREAM);
    expect(peer.connection.openStreams).toBe(0);
  });

  it('lives with a window that shrinks below zero', () => {
    const peer = new RawPeer('server');
    const stream = answering(peer, 1);
    peer.connection.data(stream, Buffer.alloc(1000), 0, 1000, false);
    peer.send(initialWindow(500));
    peer.sent();
    peer.connection.data(stream, Buffer.from('later'), 0, 5, true);
    expect(peer.sentOf(FrameType.Data)).toEqual([]);
    peer.send(windowUpdate(1, 500));
    expect(peer.sentOf(FrameType.Data)).toEqual([]);
    peer.send(windowUpdate(1, 5));
    expect(peer.sentOf(FrameType.Data).map((f) => f.payload.latin1Slice())).toEqual(['later']);
  });

  it('tells the sender to stop and, once half is gone, to go on', () => {
    const peer = new RawPeer('server', { sendQueueBytes: 100 });
    peer.send(initialWindow(0));
    const stream = answering(peer, 1);
    const piece = Buffer.alloc(40, 'x');
    expect([1, 2, 3].map(() => peer.connection.data(stream, piece, 0, 40, false))).toEqual([true, true, false]);
    peer.send(windowUpdate(1, 60));
    expect(peer.events()).not.toContain('drain');
    peer.send(windowUpdate(1, 20));
    expect(peer.events().filter((e) => e === 'drain')).toHaveLength(1);
  });

  it('holds DATA, and only DATA, while the socket takes nothing', () => {
    const peer = new RawPeer('server');
    const stream = answering(peer, 1);
    peer.sent();
    peer.connection.setWritable(false);
    peer.connection.data(stream, Buffer.from('abc'), 0, 3, false);
    peer.connection.trailers(stream, ['grpc-status', '0']);
    peer.send(frame(FrameType.Ping, 0, 0, Buffer.alloc(8)));
    expect(peer.sent().map((f) => f.type)).toEqual([FrameType.Ping]);
    peer.connection.setWritable(true);
    expect(peer.sent().map((f) => [f.type, f.flags & END_STREAM])).toEqual([
      [FrameType.Data, 0],
      [FrameType.Headers, END_STREAM],
    ]);
    expect(peer.connection.openStreams).toBe(0);
  });

  it('takes turns, one frame a stream', () => {
    const peer = new RawPeer('server');
    const streams = [1, 3, 5].map((id) => answering(peer, id));
    peer.send(windowUpdate(0, 1 << 20));
    peer.connection.setWritable(false);
    const body = Buffer.alloc(40_000, 'x');
    for (const stream of streams) peer.connection.data(stream, body, 0, body.length, true);
    peer.sent();
    peer.connection.setWritable(true);
    expect(peer.sentOf(FrameType.Data).map((f) => f.streamId)).toEqual([1, 3, 5, 1, 3, 5, 1, 3, 5]);
  });

  it('drops what waits when the stream dies, and keeps the place of the others', () => {
    const peer = new RawPeer('server');
    const streams = [1, 3, 5].map((id) => answering(peer, id));
    peer.connection.setWritable(false);
    for (const stream of streams) peer.connection.data(stream, Buffer.from(`of ${stream.id}`), 0, 4, true);
    peer.sent();
    peer.send(frame(FrameType.RstStream, 0, 3, uint32(CANCEL)));
    peer.connection.reset(streams[0], CANCEL);
    peer.connection.setWritable(true);
    expect(peer.sentOf(FrameType.Data).map((f) => f.payload.latin1Slice())).toEqual(['of 5']);
  });

  it('refuses windows beyond 2^31-1', () => {
    const stream = new RawPeer('server');
    answering(stream, 1);
    stream.sent();
    stream.send(windowUpdate(1, 0x7fff_ffff));
    expect(stream.complaints()).toEqual([{ stream: 1, code: FLOW_CONTROL_ERROR }]);
    const connection = new RawPeer('server');
    connection.send(windowUpdate(0, 0x7fff_ffff));
    expect(connection.complaints()).toEqual([{ stream: 0, code: FLOW_CONTROL_ERROR }]);
    const settings = new RawPeer('server');
    answering(settings, 1);
    settings.send(windowUpdate(1, 1000));
    settings.sent();
    settings.send(initialWindow(0x7fff_ffff));
    expect(settings.complaints()).toEqual([{ stream: 0, code: FLOW_CONTROL_ERROR }]);
  });

  it('a slow reader bounds what is queued, however much there is to send', () => {
    const peer = new RawPeer('server', { sendQueueBytes: 64 * 1024 });
    const streams = Array.from({ length: 50 }, (_, i) => answering(peer, i * 2 + 1));
    const piece = Buffer.alloc(16 * 1024, 'x');
    for (const stream of streams) {
      let pieces = 0;
      while (peer.connection.data(stream, piece, 0, piece.length, false) && pieces < 1000) pieces++;
      expect(stream.queuedBytes).toBeLessThanOrEqual(64 * 1024 + piece.length);
    }
    // 64 KiB of window were free, and no more than that went out.
    expect(dataBytes(peer.sentOf(FrameType.Data))).toBe(65_535);
  });
});

describe('receiving', () => {
  const options = { initialWindowBytes: 100_000, connectionWindowBytes: 200_000 };

  it('gives credit back for half a window at a time, and only for what was consumed', () => {
    const peer = new RawPeer('server', options);
    peer.headers(1, POST, false);
    const stream = peer.streams.get(1) as H2Stream;
    for (let i = 0; i < 6; i++) peer.data(1, 'x'.repeat(16_000));
    expect(peer.sent()).toEqual([]);
    peer.connection.consume(stream, 49_999);
    expect(peer.sent()).toEqual([]);
    peer.connection.consume(stream, 1);
    expect(peer.sent().map((f) => [f.streamId, f.payload.readUInt32BE()])).toEqual([[1, 50_000]]);
    // More than was received is not given back.
    peer.connection.consume(stream, 1 << 30);
    expect(peer.sent()).toEqual([]);
    for (let i = 0; i < 1; i++) peer.data(1, 'x'.repeat(16_000));
    peer.connection.consume(stream, 16_000);
    expect(peer.sent().map((f) => [f.streamId, f.payload.readUInt32BE()])).toEqual([
      [0, 112_000],
      [1, 62_000],
    ]);
  });

  it('a sender beyond the window of a stream or of the connection is stopped', () => {
    const stream = new RawPeer('server', options);
    stream.headers(1, POST, false);
    for (let i = 0; i < 7; i++) stream.data(1, 'x'.repeat(16_000));
    expect(stream.complaints()).toEqual([{ stream: 1, code: FLOW_CONTROL_ERROR }]);
    const connection = new RawPeer('server', options);
    for (const id of [1, 3, 5]) {
      connection.headers(id, POST, false);
      for (let i = 0; i < 5; i++) connection.data(id, 'x'.repeat(16_000));
    }
    expect(connection.complaints()).toEqual([{ stream: 0, code: FLOW_CONTROL_ERROR }]);
  });

  it('a window smaller than the default holds once the peer has acknowledged it', () => {
    const peer = new RawPeer('server', { initialWindowBytes: 1000 }, false);
    peer.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(FrameType.Settings, 0, 0));
    peer.headers(1, POST, false);
    peer.data(1, 'x'.repeat(2000));
    expect(peer.complaints()).toEqual([]);
    peer.send(frame(FrameType.Settings, 1, 0));
    peer.headers(3, POST, false);
    peer.data(3, 'x'.repeat(1001));
    expect(peer.complaints()).toEqual([{ stream: 3, code: FLOW_CONTROL_ERROR }]);
  });

  it('padding, streams that were reset, and what was never consumed come back to the connection', () => {
    const peer = new RawPeer('server', options);
    const padded = frame(FrameType.Data, 8, 1, Buffer.concat([Buffer.from([200]), Buffer.alloc(200)]));
    peer.headers(1, POST, false);
    for (let i = 0; i < 100; i++) peer.send(padded);
    // All of it was padding: 20,100 bytes.
    peer.data(1, 'x'.repeat(16_000));
    peer.connection.reset(peer.streams.get(1) as H2Stream, CANCEL);
    for (let i = 0; i < 4; i++) peer.data(1, 'x'.repeat(15_975));
    expect(peer.sent().map((f) => [f.type, f.streamId, f.payload.readUInt32BE()])).toEqual([
      [FrameType.RstStream, 1, CANCEL],
      [FrameType.WindowUpdate, 0, 100_000],
    ]);
    expect(peer.events().filter((e) => e === 'reset')).toEqual([]);
  });

  it('the rest of a frame whose stream was reset in its middle comes back too, and nobody hears of it', () => {
    const peer = new RawPeer('server', options);
    peer.on.onData = (stream) => peer.connection.reset(stream, CANCEL);
    peer.headers(1, POST, false);
    const bytes = frame(FrameType.Data, END_STREAM, 1, Buffer.alloc(16_000, 'x'));
    peer.send(bytes.subarray(0, 100), bytes.subarray(100, 9000), bytes.subarray(9000));
    peer.headers(3, POST, false);
    peer.on.onData = (stream, _buf, start, end) => peer.connection.consume(stream, end - start);
    for (let i = 0; i < 5; i++) peer.data(3, 'x'.repeat(16_000));
    peer.data(3, 'x'.repeat(4000));
    expect(peer.events().filter((e) => e === 'data')).toHaveLength(1 + 6);
    expect(peer.sentOf(FrameType.WindowUpdate, 0).map((f) => f.payload.readUInt32BE())).toEqual([100_000]);
  });

  it('content after the end is an error of the stream', () => {
    const peer = new RawPeer('server');
    peer.headers(1, POST, false);
    peer.data(1, 'abc', true);
    peer.data(1, 'def');
    expect(peer.complaints()).toEqual([{ stream: 1, code: STREAM_CLOSED }]);
  });
});
