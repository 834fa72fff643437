import type { Headers, ResponseHead } from '../message.ts';
import { BodyDecoder } from './body-decoder.ts';
import { responseHasNoBody } from './framing.ts';
import { HeadFields } from './head-fields.ts';
import { DEFAULT_HTTP1_LIMITS, type Http1Limits } from './limits.ts';
import { type Http1ErrorCode, type Http1ParseError, responseError } from './parse-error.ts';
import { lines, SCAN_DONE, SCAN_FAILED, scratch } from './scratch.ts';
import { SectionReader } from './section-reader.ts';
import { type AfterHead, CONTINUE, STOP } from './signals.ts';

/** A response head and what only HTTP/1 knows about it. */
export interface Http1ResponseHead extends ResponseHead {
  minor: 0 | 1;
  /** Whether the connection can serve another request once this response is over. */
  keepAlive: boolean;
  /** `Keep-Alive: timeout` of the server: it will close the connection when idle that long. 0 where not said. */
  keepAliveTimeoutMs: number;
  chunked: boolean;
  /** Whether the body ends where the connection does. */
  closeDelimited: boolean;
  /** The protocol (lowercase) that a 101 switches to, else null. */
  protocol: string | null;
}

export interface ResponseParserEvents {
  /** An informational response other than 101; the final one is still to come. */
  onInformational(head: ResponseHead): void;
  /**
   * STOP makes `execute` return right behind the head: 101 and a 2xx to CONNECT, whose bytes from here on are the
   * caller's. `onEnd` is not called for those.
   */
  onResponse(head: Http1ResponseHead): AfterHead;
  onData(buf: Buffer, start: number, end: number): void;
  onEnd(trailers: Headers | null): void;
  onParseError(error: Http1ParseError): void;
}

/** Takes HTTP/1.1 responses (RFC 9112) out of one server connection's bytes, each for a request that was announced. */
export class Http1ResponseParser {
  private readonly section: SectionReader;
  private readonly fields = new HeadFields('response');
  private readonly body: BodyDecoder;
  private dead = false;
  /** The connection speaks another protocol now. */
  private switched = false;
  /** Method of the request whose response comes next; null while nothing may come. */
  private requestMethod: string | null = null;
  private upgradeAsked = false;
  private minor: 0 | 1 = 1;
  private status = 0;

  constructor(
    private readonly events: ResponseParserEvents,
    limits: Http1Limits = DEFAULT_HTTP1_LIMITS,
  ) {
    this.section = new SectionReader('response', limits.maxHeadBytes, limits.maxHeaders);
    this.body = new BodyDecoder(limits);
  }

  /** Whether no response is awaited or in progress. */
  get idle(): boolean {
    return !this.dead && !this.switched && this.requestMethod === null;
  }

  /** Whether a parse error was reported. */
  get failed(): boolean {
    return this.dead;
  }

  /** Forgets everything, the error too. */
  reset(): void {
    this.section.reset();
    this.body.reset();
    this.requestMethod = null;
    this.upgradeAsked = false;
    this.dead = false;
    this.switched = false;
  }

  /**
   * Announces the response to a request of that method, which decides how it is framed. To be called once before each
   * response, when the one before is complete. A 101 is refused unless `upgradeAsked`.
   */
  expect(method: string, upgradeAsked = false): void {
    if (!this.idle) throw new Error('a response is still awaited on this connection');
    this.requestMethod = method;
    this.upgradeAsked = upgradeAsked;
  }

  /**
   * Reads from `buf` up to the end of one response at most and returns the position behind the last byte consumed.
   * Informational responses do not end it. Bytes that no request asked for are an error: they would be taken for the
   * answer to the next one.
   */
  execute(buf: Buffer, start: number, end: number): number {
    if (this.dead) return end;
    let p = start;
    while (this.body.complete) {
      if (p >= end || this.switched) return p;
      if (this.requestMethod === null) return this.fail('UNSOLICITED_RESPONSE', end);
      p = this.section.read(buf, p, end);
      const error = this.takeLines();
      if (error !== null) return this.fail(error, end);
      if (lines.result !== SCAN_DONE) return p;
      if (this.status < 200 && this.status !== 101) {
        this.informational();
        continue;
      }
      const head = this.completeHead(this.requestMethod);
      if (typeof head === 'string') return this.fail(head, end);
      if (this.switches(head)) {
        this.switched = true;
        this.events.onResponse(head);
        return p;
      }
      const hasBody = this.beginBody(head);
      if (!hasBody) this.requestMethod = null;
      const after = this.events.onResponse(head);
      if (!hasBody) {
        if (after === CONTINUE) this.events.onEnd(null);
        return p;
      }
      if (after === STOP) return p;
    }
    p = this.body.read(buf, p, end, this.events);
    if (this.body.error !== null) return this.fail(this.body.error, end);
    if (this.body.complete) this.complete(this.body.trailers);
    return p;
  }

  /** The server closed its side: the end of a body without another delimiter, an error within any other response. */
  finish(): void {
    if (this.dead || this.switched || this.requestMethod === null) return;
    if (this.body.complete) {
      this.fail(this.section.empty ? 'NO_RESPONSE' : 'TRUNCATED_HEAD', 0);
    } else if (this.body.untilClose) {
      this.body.beginNone();
      this.complete(null);
    } else {
      this.fail('TRUNCATED_BODY', 0);
    }
  }

  private complete(trailers: Headers | null): void {
    this.requestMethod = null;
    this.events.onEnd(trailers);
  }

  private takeLines(): Http1ErrorCode | null {
    if (lines.started) {
      this.fields.begin();
      this.minor = lines.minor;
      this.status = lines.status;
    }
    if (lines.count > 0) {
      const error = this.fields.take(scratch.latin1Slice(0, lines.textEnd));
      if (error !== null) return error;
    }
    return lines.result === SCAN_FAILED ? lines.error : null;
  }

  private informational(): void {
    const fields = this.fields;
    fields.dropNamed();
    dropFraming(fields.headers);
    this.events.onInformational({ status: this.status, headers: fields.headers, contentLength: 0 });
  }

  /** The rules that need the whole head: RFC 9112 section 6.3. */
  private completeHead(method: string): Http1ResponseHead | Http1ErrorCode {
    const { fields, status, minor } = this;
    const head: Http1ResponseHead = {
      status,
      headers: fields.headers,
      contentLength: 0,
      minor,
      keepAlive: fields.keepAlive(minor),
      keepAliveTimeoutMs: fields.keepAliveTimeoutMs,
      chunked: false,
      closeDelimited: false,
      protocol: null,
    };
    fields.dropNamed();
    if (status === 101) {
      if (!this.upgradeAsked) return 'UNEXPECTED_SWITCH';
      head.protocol = fields.protocol();
      if (head.protocol === null || head.protocol === 'BAD_UPGRADE') return 'BAD_UPGRADE';
    }
    if (responseHasNoBody(method, status)) {
      // Rules 1 and 2: the fields are there by mistake and are ignored, but where they describe what GET would return.
      if (status < 200 || status === 204 || (method === 'CONNECT' && status < 300)) dropFraming(head.headers);
      return head;
    }
    const chunked = fields.chunked(minor);
    if (typeof chunked === 'string') return chunked;
    head.chunked = chunked;
    head.closeDelimited = !chunked && fields.contentLength < 0;
    head.contentLength = chunked || head.closeDelimited ? -1 : fields.contentLength;
    if (head.closeDelimited) head.keepAlive = false;
    return head;
  }

  private switches(head: Http1ResponseHead): boolean {
    return head.status === 101 || (this.requestMethod === 'CONNECT' && head.status >= 200 && head.status < 300);
  }

  /** Whether there is a body to read. */
  private beginBody(head: Http1ResponseHead): boolean {
    if (head.chunked) this.body.beginChunked();
    else if (head.closeDelimited) this.body.beginUntilClose();
    else if (head.contentLength > 0) this.body.beginCounted(head.contentLength);
    else return false;
    return true;
  }

  private fail(code: Http1ErrorCode, end: number): number {
    this.dead = true;
    this.section.reset();
    this.events.onParseError(responseError(code));
    return end;
  }
}

/** Removes Content-Length where it is not allowed (RFC 9110 section 8.6). */
function dropFraming(headers: Headers): void {
  for (let i = headers.length - 2; i >= 0; i -= 2) if (headers[i] === 'content-length') headers.splice(i, 2);
}
