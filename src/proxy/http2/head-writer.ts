import type { Headers, RequestHead } from '../message.ts';
import type { OutBuffer } from '../out-buffer.ts';
import { DEFAULT_FRAME_BYTES, Flag, FRAME_HEADER_BYTES, FrameType, putFrameHeader } from './frames.ts';
import { BLOCK_WIRE_OVERHEAD_BYTES, FIELD_WIRE_OVERHEAD_BYTES, HeadShape, HpackEncoder } from './hpack/encoder.ts';

/** Indexes of the static table (RFC 7541 appendix A). */
const METHOD_GET = 2;
const METHOD_POST = 3;
const SCHEME_HTTP = 6;
const SCHEME_HTTPS = 7;
const STATUS_200 = 8;

/** Pseudo-headers of a request: at most five. */
const PSEUDO_FIELDS = 5;

/** Writes heads and trailers as HEADERS and, where one frame does not hold them, CONTINUATION (RFC 9113 section 8.3). */
export class HeadWriter {
  readonly encoder: HpackEncoder;
  /** The peer's SETTINGS_MAX_FRAME_SIZE. */
  maxFrameBytes = DEFAULT_FRAME_BYTES;
  /** Where the frame being written begins in the out buffer. */
  private at = 0;

  constructor(
    private readonly out: OutBuffer,
    tableBytes: number,
    huffman: boolean,
  ) {
    this.encoder = new HpackEncoder(tableBytes, { huffman });
  }

  /** Each of these returns the bytes that it wrote. */
  request(streamId: number, head: RequestHead, endStream: boolean, neverIndexed: string[] | null): number {
    const { method, scheme, authority, path, protocol, headers } = head;
    const pseudoChars =
      method.length + scheme.length + authority.length + path.length + (protocol === null ? 0 : protocol.length);
    this.begin(HeadShape.Request, headers, pseudoChars + (PSEUDO_FIELDS + 1) * (FIELD_WIRE_OVERHEAD_BYTES + 12));
    const encoder = this.encoder;
    if (method === 'GET') encoder.staticField(METHOD_GET);
    else if (method === 'POST') encoder.staticField(METHOD_POST);
    else encoder.field(':method', method);
    if (method !== 'CONNECT' || protocol !== null) {
      if (scheme === 'https') encoder.staticField(SCHEME_HTTPS);
      else if (scheme === 'http' || scheme === '') encoder.staticField(SCHEME_HTTP);
      else encoder.field(':scheme', scheme);
      encoder.field(':path', path);
    }
    // Section 8.3.1: left out, rather than empty, where the request had none.
    if (authority !== '') encoder.field(':authority', authority);
    if (protocol !== null) encoder.field(':protocol', protocol);
    this.fields(headers, neverIndexed);
    if (head.expectContinue) encoder.field('expect', '100-continue');
    return this.end(streamId, endStream);
  }

  response(
    streamId: number,
    status: number,
    headers: Headers,
    endStream: boolean,
    neverIndexed: string[] | null,
  ): number {
    this.begin(HeadShape.Response, headers, FIELD_WIRE_OVERHEAD_BYTES + 12);
    if (status === 200) this.encoder.staticField(STATUS_200);
    else this.encoder.field(':status', String(status));
    this.fields(headers, neverIndexed);
    return this.end(streamId, endStream);
  }

  trailers(streamId: number, trailers: Headers): number {
    this.begin(HeadShape.Trailers, trailers, 0);
    this.fields(trailers, null);
    return this.end(streamId, true);
  }

  private fields(headers: Headers, neverIndexed: string[] | null): void {
    const encoder = this.encoder;
    if (neverIndexed === null) {
      for (let i = 0; i < headers.length; i += 2) encoder.field(headers[i], headers[i + 1]);
    } else {
      for (let i = 0; i < headers.length; i += 2) {
        encoder.field(headers[i], headers[i + 1], neverIndexed.includes(headers[i]));
      }
    }
  }

  private begin(shape: HeadShape, headers: Headers, extraBytes: number): void {
    let bytes = FRAME_HEADER_BYTES + BLOCK_WIRE_OVERHEAD_BYTES + extraBytes;
    for (let i = 0; i < headers.length; i += 2) {
      bytes += headers[i].length + headers[i + 1].length + FIELD_WIRE_OVERHEAD_BYTES;
    }
    this.at = this.out.reserve(bytes);
    this.encoder.begin(this.out.buf, this.at + FRAME_HEADER_BYTES, shape);
  }

  private end(streamId: number, endStream: boolean): number {
    const { out, at } = this;
    const start = at + FRAME_HEADER_BYTES;
    const end = this.encoder.end();
    const length = end - start;
    const endFlag = endStream ? Flag.EndStream : 0;
    if (length <= this.maxFrameBytes) {
      putFrameHeader(out.buf, at, length, FrameType.Headers, Flag.EndHeaders | endFlag, streamId);
      out.n = end;
      return end - at;
    }
    const block = Buffer.from(out.buf.subarray(start, end));
    let written = 0;
    for (let p = 0; p < length; p += this.maxFrameBytes) {
      const bytes = Math.min(this.maxFrameBytes, length - p);
      const flags = (p === 0 ? endFlag : 0) | (p + bytes === length ? Flag.EndHeaders : 0);
      const place = out.reserve(FRAME_HEADER_BYTES + bytes);
      putFrameHeader(out.buf, place, bytes, p === 0 ? FrameType.Headers : FrameType.Continuation, flags, streamId);
      block.copy(out.buf, place + FRAME_HEADER_BYTES, p, p + bytes);
      out.n = place + FRAME_HEADER_BYTES + bytes;
      written += FRAME_HEADER_BYTES + bytes;
    }
    return written;
  }
}
