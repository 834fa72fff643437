import type { OutBuffer } from '../out-buffer.ts';

/** RFC 9113 section 6. Frames of other types are skipped (section 5.5). */
export const FrameType = {
  Data: 0,
  Headers: 1,
  Priority: 2,
  RstStream: 3,
  Settings: 4,
  PushPromise: 5,
  Ping: 6,
  Goaway: 7,
  WindowUpdate: 8,
  Continuation: 9,
} as const;

export const Flag = { EndStream: 0x1, Ack: 0x1, EndHeaders: 0x4, Padded: 0x8, Priority: 0x20 } as const;

/** RFC 9113 section 3.4. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const FRAME_HEADER_BYTES = 9;
/** Largest flow-control window (section 6.9.1) and highest stream id (5.1.1). */
export const MAX_INT31 = 0x7fff_ffff;
export const DEFAULT_WINDOW_BYTES = 65_535;
export const DEFAULT_FRAME_BYTES = 16_384;
export const MAX_FRAME_BYTES = 0xff_ffff;

/** Writes the 9 bytes of a frame header (section 4.1) at `at`. */
export function putFrameHeader(
  buf: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  buf[at] = length >>> 16;
  buf[at + 1] = length >>> 8;
  buf[at + 2] = length;
  buf[at + 3] = type;
  buf[at + 4] = flags;
  putInt32(buf, at + 5, streamId);
}

export function putInt32(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value >>> 24;
  buf[at + 1] = value >>> 16;
  buf[at + 2] = value >>> 8;
  buf[at + 3] = value;
}

export function readUint32(buf: Uint8Array, at: number): number {
  return ((buf[at] << 24) | (buf[at + 1] << 16) | (buf[at + 2] << 8) | buf[at + 3]) >>> 0;
}

/** Reads 31 bits, leaving out the reserved one. */
export function readInt31(buf: Uint8Array, at: number): number {
  return ((buf[at] & 0x7f) << 24) | (buf[at + 1] << 16) | (buf[at + 2] << 8) | buf[at + 3];
}

/** Appends a DATA frame's header; its payload is appended by the caller. */
export function writeDataHeader(out: OutBuffer, streamId: number, length: number, endStream: boolean): void {
  const at = out.reserve(FRAME_HEADER_BYTES);
  putFrameHeader(out.buf, at, length, FrameType.Data, endStream ? Flag.EndStream : 0, streamId);
  out.n = at + FRAME_HEADER_BYTES;
}

export function writeRstStream(out: OutBuffer, streamId: number, code: number): void {
  writeInt32Frame(out, FrameType.RstStream, streamId, code);
}

export function writeWindowUpdate(out: OutBuffer, streamId: number, increment: number): void {
  writeInt32Frame(out, FrameType.WindowUpdate, streamId, increment);
}

function writeInt32Frame(out: OutBuffer, type: number, streamId: number, value: number): void {
  const at = out.reserve(FRAME_HEADER_BYTES + 4);
  putFrameHeader(out.buf, at, 4, type, 0, streamId);
  putInt32(out.buf, at + FRAME_HEADER_BYTES, value);
  out.n = at + FRAME_HEADER_BYTES + 4;
}

/** Appends a PING with two 32-bit numbers as its opaque data. */
export function writePing(out: OutBuffer, high: number, low: number, ack: boolean): void {
  const at = out.reserve(FRAME_HEADER_BYTES + 8);
  putFrameHeader(out.buf, at, 8, FrameType.Ping, ack ? Flag.Ack : 0, 0);
  putInt32(out.buf, at + FRAME_HEADER_BYTES, high);
  putInt32(out.buf, at + FRAME_HEADER_BYTES + 4, low);
  out.n = at + FRAME_HEADER_BYTES + 8;
}

/** Appends a GOAWAY; `debug` is for a human who reads a capture, latin1, cut at 256 characters. */
export function writeGoaway(out: OutBuffer, lastStreamId: number, code: number, debug: string): void {
  const text = debug.slice(0, 256);
  const length = 8 + text.length;
  const at = out.reserve(FRAME_HEADER_BYTES + length);
  putFrameHeader(out.buf, at, length, FrameType.Goaway, 0, 0);
  putInt32(out.buf, at + FRAME_HEADER_BYTES, lastStreamId);
  putInt32(out.buf, at + FRAME_HEADER_BYTES + 4, code);
  out.buf.latin1Write(text, at + FRAME_HEADER_BYTES + 8);
  out.n = at + FRAME_HEADER_BYTES + length;
}
