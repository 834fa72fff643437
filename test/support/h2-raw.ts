import { H2Connection } from '../../src/proxy/http2/connection.ts';
import type { H2Events } from '../../src/proxy/http2/events.ts';
import { FrameType, PREFACE } from '../../src/proxy/http2/frames.ts';
import type { H2Options } from '../../src/proxy/http2/options.ts';
import type { H2Stream } from '../../src/proxy/http2/stream.ts';
import type { Headers, RequestHead, ResponseHead } from '../../src/proxy/message.ts';
import { OutBuffer } from '../../src/proxy/out-buffer.ts';

/** Bytes of one frame, legal or not. */
export function frame(type: number, flags: number, streamId: number, payload: Buffer | number[] = []): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}

export function uint32(value: number): Buffer {
  const buf = Buffer.alloc(4);
  buf.writeUInt32BE(value);
  return buf;
}

/** A header block of literals without Huffman, whatever names and values it is given. */
export function block(...fields: [name: string, value: string][]): Buffer {
  const parts: Buffer[] = [];
  const string = (text: string): void => {
    const bytes = Buffer.from(text, 'latin1');
    if (bytes.length < 127) parts.push(Buffer.from([bytes.length]));
    else {
      let rest = bytes.length - 127;
      const length = [127];
      while (rest >= 128) {
        length.push((rest & 127) | 128);
        rest >>>= 7;
      }
      parts.push(Buffer.from([...length, rest]));
    }
    parts.push(bytes);
  };
  for (const [name, value] of fields) {
    parts.push(Buffer.from([0]));
    string(name);
    string(value);
  }
  return Buffer.concat(parts);
}

export const GET: [string, string][] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'a.test'],
];
export const POST: [string, string][] = [[':method', 'POST'], ...GET.slice(1)];

export const END_STREAM = 1;
export const END_HEADERS = 4;

export interface ParsedFrame {
  type: number;
  flags: number;
  streamId: number;
  payload: Buffer;
}

export function parseFrames(bytes: Buffer): ParsedFrame[] {
  const frames: ParsedFrame[] = [];
  let p = 0;
  if (bytes.subarray(0, PREFACE.length).equals(PREFACE)) p = PREFACE.length;
  while (p < bytes.length) {
    const length = bytes.readUIntBE(p, 3);
    frames.push({
      type: bytes[p + 3],
      flags: bytes[p + 4],
      streamId: bytes.readUInt32BE(p + 5) & 0x7fff_ffff,
      payload: bytes.subarray(p + 9, p + 9 + length),
    });
    p += 9 + length;
  }
  return frames;
}

export type Logged =
  | { event: 'request'; id: number; head: RequestHead; endStream: boolean }
  | { event: 'informational' | 'response'; id: number; head: ResponseHead; endStream: boolean }
  | { event: 'data'; id: number; text: string; endStream: boolean }
  | { event: 'trailers'; id: number; trailers: Headers }
  | { event: 'reset'; id: number; code: number; remote: boolean }
  | { event: 'drain'; id: number }
  | { event: 'goaway'; lastStreamId: number; code: number; debug: string }
  | { event: 'settings' | 'slots' | 'drained' }
  | { event: 'error'; code: number; message: string }
  | { event: 'malformed'; id: number; reason: string };

/** One connection whose peer is the test itself, frame by frame. */
export class RawPeer {
  readonly log: Logged[] = [];
  readonly streams = new Map<number, H2Stream>();
  readonly out = new OutBuffer(() => {});
  readonly connection: H2Connection;
  /** What to do beside logging. */
  readonly on: Partial<H2Events> = {};
  private readonly kept: ParsedFrame[] = [];

  constructor(side: 'client' | 'server', options: Partial<H2Options> = {}, handshake = true) {
    const { log, streams, on } = this;
    this.connection = new H2Connection(
      side,
      this.out,
      {
        onRequest(stream, head, endStream) {
          streams.set(stream.id, stream);
          log.push({ event: 'request', id: stream.id, head, endStream });
          on.onRequest?.(stream, head, endStream);
        },
        onInformational: (stream, head) => log.push({ event: 'informational', id: stream.id, head, endStream: false }),
        onResponse(stream, head, endStream) {
          log.push({ event: 'response', id: stream.id, head, endStream });
          on.onResponse?.(stream, head, endStream);
        },
        onData(stream, buf, start, end, endStream) {
          log.push({ event: 'data', id: stream.id, text: buf.latin1Slice(start, end), endStream });
          on.onData?.(stream, buf, start, end, endStream);
        },
        onTrailers: (stream, trailers) => log.push({ event: 'trailers', id: stream.id, trailers }),
        onReset(stream, code, remote) {
          log.push({ event: 'reset', id: stream.id, code, remote });
          on.onReset?.(stream, code, remote);
        },
        onDrain(stream) {
          log.push({ event: 'drain', id: stream.id });
          on.onDrain?.(stream);
        },
        onGoaway: (lastStreamId, code, debug) => log.push({ event: 'goaway', lastStreamId, code, debug }),
        onSettings: () => log.push({ event: 'settings' }),
        onStreamSlots: () => log.push({ event: 'slots' }),
        onConnectionError: (code, message) => log.push({ event: 'error', code, message }),
        onDrained: () => log.push({ event: 'drained' }),
        onMalformed: (id, reason) => log.push({ event: 'malformed', id, reason }),
      },
      options,
    );
    if (!handshake) return;
    if (side === 'server') this.send(PREFACE);
    this.send(frame(FrameType.Settings, 0, 0), frame(FrameType.Settings, 1, 0));
    this.sent();
    log.length = 0;
  }

  send(...parts: Buffer[]): void {
    for (const part of parts) this.connection.receive(part);
  }

  /** Sends HEADERS with END_HEADERS. */
  headers(streamId: number, fields: [string, string][], endStream = true): void {
    this.send(frame(FrameType.Headers, END_HEADERS | (endStream ? END_STREAM : 0), streamId, block(...fields)));
  }

  data(streamId: number, text: string, endStream = false): void {
    this.send(frame(FrameType.Data, endStream ? END_STREAM : 0, streamId, Buffer.from(text, 'latin1')));
  }

  /** Frames that the connection has written since the last call. */
  sent(): ParsedFrame[] {
    const frames = parseFrames(Buffer.concat(this.out.take()));
    this.kept.push(...frames);
    return frames;
  }

  /** The frames of one type since the last call, of that stream where one is given. */
  sentOf(type: number, streamId?: number): ParsedFrame[] {
    return this.sent().filter((f) => f.type === type && (streamId === undefined || f.streamId === streamId));
  }

  /** Error codes of RST_STREAM and GOAWAY since the last call. */
  complaints(): { stream: number; code: number }[] {
    const complaints: { stream: number; code: number }[] = [];
    for (const f of this.sent()) {
      if (f.type === FrameType.RstStream) complaints.push({ stream: f.streamId, code: f.payload.readUInt32BE(0) });
      if (f.type === FrameType.Goaway) complaints.push({ stream: 0, code: f.payload.readUInt32BE(4) });
    }
    return complaints;
  }

  events(): string[] {
    return this.log.map((entry) => entry.event);
  }
}
