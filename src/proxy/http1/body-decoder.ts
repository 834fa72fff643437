import type { Headers } from '../message.ts';
import { HEX_VALUE, TOKEN_LOWER } from './characters.ts';
import { takeTrailers } from './head-fields.ts';
import type { Http1Limits } from './limits.ts';
import type { Http1ErrorCode } from './parse-error.ts';
import { lines, SCAN_DONE, SCAN_FAILED, scratch } from './scratch.ts';
import { SectionReader } from './section-reader.ts';

export interface BodySink {
  onData(buf: Buffer, start: number, end: number): void;
}

/** What the decoder waits for. */
const COMPLETE = 0;
const COUNTED_DATA = 1;
const DATA_UNTIL_CLOSE = 2;
const CHUNK_SIZE_START = 3;
const CHUNK_SIZE = 4;
const EXTENSION_SPACE = 5;
const EXTENSION_NAME_START = 6;
const EXTENSION_NAME = 7;
const EXTENSION_NAME_SPACE = 8;
const EXTENSION_VALUE_START = 9;
const EXTENSION_VALUE = 10;
const EXTENSION_QUOTED = 11;
const EXTENSION_QUOTED_PAIR = 12;
const EXTENSION_QUOTED_END = 13;
const CHUNK_LINE_LF = 14;
const CHUNK_DATA = 15;
const CHUNK_DATA_CR = 16;
const CHUNK_DATA_LF = 17;
const TRAILER_SECTION = 18;

const HTAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const QUOTE = 0x22;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;

/**
 * Takes the body of one message after another out of a connection's bytes (RFC 9112 sections 6.3 and 7.1), a byte
 * at a time where it is framing and by ranges where it is data.
 */
export class BodyDecoder {
  /** Set when `read` met something that is not a body; the decoder is of no use afterwards. */
  error: Http1ErrorCode | null = null;
  /** Fields of the trailer section; null where there were none. */
  trailers: Headers | null = null;
  private state = COMPLETE;
  /** Bytes of data left, of the body or of the chunk. */
  private remaining = 0;
  private lineBytes = 0;
  private extensionBytes = 0;
  private section: SectionReader | null = null;

  constructor(private readonly limits: Http1Limits) {}

  get complete(): boolean {
    return this.state === COMPLETE;
  }

  /** Whether the end of the connection is the end of the body. */
  get untilClose(): boolean {
    return this.state === DATA_UNTIL_CLOSE;
  }

  beginNone(): void {
    this.trailers = null;
    this.state = COMPLETE;
  }

  /** A body of `bytes`, more than 0. */
  beginCounted(bytes: number): void {
    this.trailers = null;
    this.remaining = bytes;
    this.state = COUNTED_DATA;
  }

  beginChunked(): void {
    this.trailers = null;
    this.extensionBytes = 0;
    this.state = CHUNK_SIZE_START;
  }

  beginUntilClose(): void {
    this.trailers = null;
    this.state = DATA_UNTIL_CLOSE;
  }

  /** Forgets what was in progress. */
  reset(): void {
    this.beginNone();
    this.error = null;
    this.section = null;
  }

  /** Returns the position behind the last byte taken: `end`, or less where the body became complete. */
  read(buf: Buffer, start: number, end: number, sink: BodySink): number {
    let p = start;
    while (p < end && this.state !== COMPLETE) {
      switch (this.state) {
        case COUNTED_DATA:
        case CHUNK_DATA: {
          const n = Math.min(this.remaining, end - p);
          this.remaining -= n;
          if (this.remaining === 0) this.state = this.state === COUNTED_DATA ? COMPLETE : CHUNK_DATA_CR;
          sink.onData(buf, p, p + n);
          p += n;
          break;
        }
        case DATA_UNTIL_CLOSE:
          sink.onData(buf, p, end);
          return end;
        case CHUNK_DATA_CR:
          if (buf[p++] !== CR) return this.fail('BAD_CHUNK_END', end);
          this.state = CHUNK_DATA_LF;
          break;
        case CHUNK_DATA_LF:
          if (buf[p++] !== LF) return this.fail('BAD_CHUNK_END', end);
          this.state = CHUNK_SIZE_START;
          break;
        case TRAILER_SECTION:
          p = this.readTrailers(buf, p, end);
          if (this.error !== null) return end;
          break;
        default:
          p = this.readChunkLine(buf, p, end);
          if (this.error !== null) return end;
      }
    }
    return p;
  }

  /** `chunk-size [ chunk-ext ] CRLF` of RFC 9112 section 7.1.1; the extensions are checked and dropped. */
  private readChunkLine(buf: Buffer, start: number, end: number): number {
    let p = start;
    if (this.state === CHUNK_SIZE_START) {
      const digit = HEX_VALUE[buf[p++]];
      if (digit === 255) return this.fail('BAD_CHUNK_SIZE', end);
      this.remaining = digit;
      this.lineBytes = 1;
      this.state = CHUNK_SIZE;
    }
    while (p < end) {
      const c = buf[p++];
      if (this.state === CHUNK_LINE_LF) {
        if (c !== LF) return this.fail('BARE_CR', end);
        this.endChunkLine();
        return p;
      }
      if (c === CR && this.mayEndLine()) {
        this.state = CHUNK_LINE_LF;
        continue;
      }
      if (++this.lineBytes > this.limits.maxChunkLineBytes) return this.fail('CHUNK_LINE_TOO_LONG', end);
      if (this.state === CHUNK_SIZE) {
        const digit = HEX_VALUE[c];
        if (digit !== 255) {
          this.remaining = this.remaining * 16 + digit;
          if (this.remaining > Number.MAX_SAFE_INTEGER) return this.fail('CHUNK_SIZE_OVERFLOW', end);
          continue;
        }
        if (c !== SEMICOLON && c !== SP && c !== HTAB) return this.fail(c === LF ? 'BARE_LF' : 'BAD_CHUNK_SIZE', end);
      }
      if (++this.extensionBytes > this.limits.maxChunkExtensionBytes) {
        return this.fail('CHUNK_EXTENSIONS_TOO_LARGE', end);
      }
      const next = nextExtensionState(this.state, c);
      if (next < 0) return this.fail(c === LF ? 'BARE_LF' : 'BAD_CHUNK_EXTENSION', end);
      this.state = next;
    }
    return p;
  }

  /** Whether a chunk-size line is complete as far as it has been read. */
  private mayEndLine(): boolean {
    return (
      this.state === CHUNK_SIZE ||
      this.state === EXTENSION_NAME ||
      this.state === EXTENSION_VALUE ||
      this.state === EXTENSION_QUOTED_END
    );
  }

  private endChunkLine(): void {
    if (this.remaining > 0) {
      this.state = CHUNK_DATA;
      return;
    }
    this.state = TRAILER_SECTION;
    this.section ??= new SectionReader('trailers', this.limits.maxTrailerBytes, this.limits.maxHeaders);
  }

  private readTrailers(buf: Buffer, start: number, end: number): number {
    const p = this.section!.read(buf, start, end);
    if (lines.count > 0) {
      this.trailers ??= [];
      takeTrailers(scratch.latin1Slice(0, lines.textEnd), this.trailers);
    }
    if (lines.result === SCAN_FAILED) return this.fail(lines.error, end);
    if (lines.result === SCAN_DONE) {
      this.state = COMPLETE;
      if (this.trailers !== null && this.trailers.length === 0) this.trailers = null;
    }
    return p;
  }

  private fail(error: Http1ErrorCode, end: number): number {
    this.error = error;
    return end;
  }
}

/**
 * One step through `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`; -1 where the byte does not fit.
 * CR is the caller's. Trailing white space is no part of the grammar and is refused.
 */
function nextExtensionState(state: number, c: number): number {
  const space = c === SP || c === HTAB;
  switch (state) {
    case CHUNK_SIZE:
    case EXTENSION_SPACE:
    case EXTENSION_QUOTED_END:
      if (space) return EXTENSION_SPACE;
      return c === SEMICOLON ? EXTENSION_NAME_START : -1;
    case EXTENSION_NAME_START:
      if (space) return EXTENSION_NAME_START;
      return TOKEN_LOWER[c] !== 0 ? EXTENSION_NAME : -1;
    case EXTENSION_NAME:
      if (TOKEN_LOWER[c] !== 0) return EXTENSION_NAME;
      if (space) return EXTENSION_NAME_SPACE;
      if (c === EQUALS) return EXTENSION_VALUE_START;
      return c === SEMICOLON ? EXTENSION_NAME_START : -1;
    case EXTENSION_NAME_SPACE:
      if (space) return EXTENSION_NAME_SPACE;
      if (c === EQUALS) return EXTENSION_VALUE_START;
      return c === SEMICOLON ? EXTENSION_NAME_START : -1;
    case EXTENSION_VALUE_START:
      if (space) return EXTENSION_VALUE_START;
      if (c === QUOTE) return EXTENSION_QUOTED;
      return TOKEN_LOWER[c] !== 0 ? EXTENSION_VALUE : -1;
    case EXTENSION_VALUE:
      if (TOKEN_LOWER[c] !== 0) return EXTENSION_VALUE;
      if (space) return EXTENSION_SPACE;
      return c === SEMICOLON ? EXTENSION_NAME_START : -1;
    case EXTENSION_QUOTED:
      if (c === QUOTE) return EXTENSION_QUOTED_END;
      if (c === BACKSLASH) return EXTENSION_QUOTED_PAIR;
      return c === HTAB || (c >= SP && c !== 0x7f) ? EXTENSION_QUOTED : -1;
    case EXTENSION_QUOTED_PAIR:
      return c === HTAB || (c >= SP && c !== 0x7f) ? EXTENSION_QUOTED : -1;
    default:
      return -1;
  }
}
