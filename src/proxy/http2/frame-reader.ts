import { ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, PROTOCOL_ERROR } from './error-codes.ts';
import { Flag, FRAME_HEADER_BYTES, FrameType, PREFACE, readInt31 } from './frames.ts';

/** Takes frames in the order they came. */
export interface FrameSink {
  /** A whole frame of a known type other than DATA; its payload is buf[start, end) and only valid during the call. */
  onFrame(type: number, flags: number, streamId: number, buf: Buffer, start: number, end: number): void;
  /** A DATA frame begins; `length` is its whole payload, padding included, which is what flow control counts. */
  onDataFrame(flags: number, streamId: number, length: number): void;
  /** `bytes` of the DATA frame's payload are padding. */
  onPadding(bytes: number): void;
  /** A piece of the DATA frame's content, as it arrives. `last`: the frame is complete. */
  onDataPiece(buf: Buffer, start: number, end: number, last: boolean): void;
  /** A frame of a type we do not know begins and will be skipped. */
  onUnknownFrame(): void;
  /** The bytes are no legal HTTP/2; the connection cannot go on. */
  onFrameError(code: number, message: string): void;
}

const State = { Preface: 0, Header: 1, Payload: 2, PadLength: 3, Data: 4, Skip: 5 } as const;
type State = (typeof State)[keyof typeof State];

/** Payload lengths that frame types must have (RFC 9113 section 6), -1 where they vary. PRIORITY is the stream's own error. */
const FIXED_LENGTH = [-1, -1, -1, 4, -1, -1, 8, -1, 4, -1];

const EMPTY = Buffer.alloc(0);

/**
 * Bytes to frames (RFC 9113 section 4). The content of DATA goes on in pieces, as it arrives and without a copy; other
 * payloads that a read cuts in two are collected in a buffer of the frame's length, so the work is linear however
 * small the pieces are. At rest it holds no buffer.
 */
export class FrameReader {
  /** Set by the sink between HEADERS and the end of its block: nothing else may come on the connection (section 4.3). */
  continuationOf = 0;
  /** No more frames are wanted. */
  stopped = false;

  private state: State;
  private awaitingSettings = true;
  /** Bytes of preface seen, of a split frame header, or of a split payload. */
  private filled = 0;
  /** A frame header that was split; made when one is. */
  private header: Buffer = EMPTY;
  private payload: Buffer = EMPTY;
  private type = 0;
  private flags = 0;
  private streamId = 0;
  /** Bytes left of DATA content, of its padding, or to skip. */
  private left = 0;
  private padding = 0;

  constructor(
    private readonly sink: FrameSink,
    /** Largest payload that we accept: our SETTINGS_MAX_FRAME_SIZE. */
    private readonly maxFrameBytes: number,
    /** Largest payload of a frame that has to be whole before it is looked at. */
    private readonly maxWholeFrameBytes: number,
    expectPreface: boolean,
  ) {
    this.state = expectPreface ? State.Preface : State.Header;
  }

  receive(buf: Buffer): void {
    let p = 0;
    const end = buf.length;
    while (!this.stopped && p < end) {
      switch (this.state) {
        case State.Header:
          if (this.filled === 0 && end - p >= FRAME_HEADER_BYTES) {
            p = this.frame(buf, p, buf, p + FRAME_HEADER_BYTES, end);
          } else {
            p = this.splitHeader(buf, p, end);
          }
          break;
        case State.Data:
          p = this.data(buf, p, end);
          break;
        case State.Payload:
          p = this.splitPayload(buf, p, end);
          break;
        case State.PadLength:
          p = this.padLength(buf, p);
          break;
        case State.Skip: {
          const bytes = Math.min(this.left, end - p);
          this.left -= bytes;
          p += bytes;
          if (this.left === 0) this.state = State.Header;
          break;
        }
        case State.Preface:
          p = this.preface(buf, p, end);
          break;
      }
    }
  }

  private preface(buf: Buffer, start: number, end: number): number {
    let p = start;
    while (p < end && this.filled < PREFACE.length) {
      if (buf[p++] !== PREFACE[this.filled++]) {
        this.fail(PROTOCOL_ERROR, 'the connection preface is not that of HTTP/2');
        return end;
      }
    }
    if (this.filled === PREFACE.length) {
      this.filled = 0;
      this.state = State.Header;
    }
    return p;
  }

  private splitHeader(buf: Buffer, start: number, end: number): number {
    if (this.header === EMPTY) this.header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
    let p = start;
    while (p < end && this.filled < FRAME_HEADER_BYTES) this.header[this.filled++] = buf[p++];
    if (this.filled < FRAME_HEADER_BYTES) return p;
    this.filled = 0;
    return this.frame(this.header, 0, buf, p, end);
  }

  /** Reads the frame header at header[at] and as much of the payload at buf[p] as is there; returns where it stopped. */
  private frame(header: Buffer, at: number, buf: Buffer, p: number, end: number): number {
    const length = (header[at] << 16) | (header[at + 1] << 8) | header[at + 2];
    const type = header[at + 3];
    const flags = header[at + 4];
    const streamId = readInt31(header, at + 5);
    if (length > this.maxFrameBytes) return this.fail(FRAME_SIZE_ERROR, `a frame of ${length} bytes`);
    if (this.continuationOf !== 0 && (type !== FrameType.Continuation || streamId !== this.continuationOf)) {
      return this.fail(PROTOCOL_ERROR, 'a header block was interrupted by another frame');
    }
    if (this.awaitingSettings) {
      if (type !== FrameType.Settings || (flags & Flag.Ack) !== 0) {
        return this.fail(PROTOCOL_ERROR, 'the first frame is not SETTINGS');
      }
      this.awaitingSettings = false;
    }
    this.type = type;
    this.flags = flags;
    this.streamId = streamId;
    if (type === FrameType.Data) return this.dataFrame(length, buf, p, end);
    if (type > FrameType.Continuation) {
      this.left = length;
      this.state = length > 0 ? State.Skip : State.Header;
      this.sink.onUnknownFrame();
      return p;
    }
    if (FIXED_LENGTH[type] !== -1 && length !== FIXED_LENGTH[type]) {
      return this.fail(FRAME_SIZE_ERROR, `a frame of type ${type} with ${length} bytes`);
    }
    if (length > this.maxWholeFrameBytes) return this.fail(ENHANCE_YOUR_CALM, `a header block of ${length} bytes`);
    if (end - p >= length) {
      this.state = State.Header;
      this.sink.onFrame(type, flags, streamId, buf, p, p + length);
      return p + length;
    }
    this.payload = Buffer.allocUnsafe(length);
    this.filled = 0;
    this.state = State.Payload;
    return p;
  }

  private splitPayload(buf: Buffer, p: number, end: number): number {
    const payload = this.payload;
    const bytes = Math.min(payload.length - this.filled, end - p);
    buf.copy(payload, this.filled, p, p + bytes);
    this.filled += bytes;
    if (this.filled === payload.length) {
      this.payload = EMPTY;
      this.filled = 0;
      this.state = State.Header;
      this.sink.onFrame(this.type, this.flags, this.streamId, payload, 0, payload.length);
    }
    return p + bytes;
  }

  private dataFrame(length: number, buf: Buffer, p: number, end: number): number {
    this.left = length;
    this.padding = 0;
    if ((this.flags & Flag.Padded) !== 0) {
      if (length === 0) return this.fail(FRAME_SIZE_ERROR, 'a padded DATA frame without a pad length');
      this.state = State.PadLength;
      this.sink.onDataFrame(this.flags, this.streamId, length);
      return p;
    }
    this.state = State.Data;
    this.sink.onDataFrame(this.flags, this.streamId, length);
    // An empty frame is complete now, and its END_STREAM must not wait for the next read.
    return length === 0 || p < end ? this.data(buf, p, end) : p;
  }

  private padLength(buf: Buffer, p: number): number {
    const padding = buf[p];
    if (padding >= this.left) return this.fail(PROTOCOL_ERROR, 'padding longer than its DATA frame');
    this.left -= 1 + padding;
    this.padding = padding;
    this.state = State.Data;
    this.sink.onPadding(padding + 1);
    return this.left === 0 ? this.data(buf, p + 1, p + 1) : p + 1;
  }

  private data(buf: Buffer, p: number, end: number): number {
    if (this.stopped) return end;
    const available = end - p;
    const bytes = Math.min(this.left, available);
    this.left -= bytes;
    const last = this.left === 0;
    if (last) {
      this.left = this.padding;
      this.state = this.padding > 0 ? State.Skip : State.Header;
    }
    this.sink.onDataPiece(buf, p, p + bytes, last);
    return p + bytes;
  }

  private fail(code: number, message: string): number {
    this.stopped = true;
    this.sink.onFrameError(code, message);
    return Number.MAX_SAFE_INTEGER;
  }
}
