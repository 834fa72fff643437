import type { Headers, RequestHead } from '../message.ts';
import { BodyDecoder } from './body-decoder.ts';
import { HeadFields } from './head-fields.ts';
import { DEFAULT_HTTP1_LIMITS, type Http1Limits } from './limits.ts';
import { type Http1ErrorCode, type Http1ParseError, requestError } from './parse-error.ts';
import { lines, SCAN_DONE, SCAN_FAILED, scratch } from './scratch.ts';
import { SectionReader } from './section-reader.ts';
import { type AfterHead, CONTINUE, STOP } from './signals.ts';
import { parseTarget, type TargetForm } from './target.ts';

/** A request head and what only HTTP/1 knows about it. */
export interface Http1RequestHead extends RequestHead {
  minor: 0 | 1;
  /** Whether the client wants the connection to stay open after this request. */
  keepAlive: boolean;
  chunked: boolean;
  form: TargetForm;
}

export interface RequestParserEvents {
  /**
   * STOP makes `execute` return right behind the head (CONNECT, upgrades). The message is then over without `onEnd` if
   * it has no body; a further call of `execute` reads its body, or the next request: what a refused upgrade needs.
   */
  onRequest(head: Http1RequestHead): AfterHead;
  /** Bytes of the body, without chunk framing; only valid during the call unless the caller owns `buf`. */
  onData(buf: Buffer, start: number, end: number): void;
  /** The message is complete; the trailer fields if there were any. */
  onEnd(trailers: Headers | null): void;
  /** The connection cannot be understood from here on; the parser discards all further bytes. */
  onParseError(error: Http1ParseError): void;
}

/** Takes HTTP/1.1 requests (RFC 9112) out of one client connection's bytes. */
export class Http1RequestParser {
  private readonly section: SectionReader;
  private readonly fields = new HeadFields('request');
  private readonly body: BodyDecoder;
  private head: Http1RequestHead | null = null;
  private dead = false;

  constructor(
    private readonly events: RequestParserEvents,
    limits: Http1Limits = DEFAULT_HTTP1_LIMITS,
  ) {
    this.section = new SectionReader('request', limits.maxHeadBytes, limits.maxHeaders);
    this.body = new BodyDecoder(limits);
  }

  /** Whether the parser stands between messages with nothing buffered: the connection may be closed at will. */
  get idle(): boolean {
    return !this.dead && this.body.complete && this.section.empty;
  }

  /** Whether a head has begun and is not complete: the time for the slow-header timeout to run. */
  get readingHead(): boolean {
    return !this.dead && this.body.complete && !this.section.empty;
  }

  /** Whether a parse error was reported. */
  get failed(): boolean {
    return this.dead;
  }

  /** Forgets everything, the error too: the parser serves a new connection. */
  reset(): void {
    this.section.reset();
    this.body.reset();
    this.head = null;
    this.dead = false;
  }

  /**
   * Reads from `buf` up to the end of one message at most and returns the position behind the last byte consumed.
   * Less than `end`: a message became complete (or the head asked to stop) and pipelined bytes remain with the caller.
   * Unfinished heads are kept inside and count as consumed; so does everything after an error.
   */
  execute(buf: Buffer, start: number, end: number): number {
    if (start >= end) return start;
    if (this.dead) return end;
    let p = start;
    if (this.body.complete) {
      p = this.section.read(buf, start, end);
      const error = this.takeLines();
      if (error !== null) return this.fail(error, end);
      if (lines.result !== SCAN_DONE) return p;
      const refused = this.completeHead();
      if (refused !== null) return this.fail(refused, end);
      const head = this.head!;
      this.head = null;
      const after = this.events.onRequest(head);
      if (this.body.complete) {
        if (after === CONTINUE) this.events.onEnd(null);
        return p;
      }
      if (after === STOP) return p;
    }
    p = this.body.read(buf, p, end, this.events);
    if (this.body.error !== null) return this.fail(this.body.error, end);
    if (this.body.complete) this.events.onEnd(this.body.trailers);
    return p;
  }

  /** The client closed its side: an error if it did so within a message. */
  finish(): void {
    if (this.dead) return;
    if (!this.body.complete) this.fail('TRUNCATED_BODY', 0);
    else if (this.readingHead) this.fail('TRUNCATED_HEAD', 0);
  }

  /** Takes the lines that the section reader found, and then its error: what comes first is reported first. */
  private takeLines(): Http1ErrorCode | null {
    if (lines.started || lines.count > 0) {
      const text = scratch.latin1Slice(0, lines.textEnd);
      if (lines.started) {
        this.fields.begin();
        this.head = {
          method: lines.method,
          scheme: '',
          authority: '',
          path: '',
          protocol: null,
          headers: this.fields.headers,
          contentLength: 0,
          expectContinue: false,
          minor: lines.minor,
          keepAlive: true,
          chunked: false,
          form: 'origin',
        };
        if (!parseTarget(lines.method, text.substring(lines.targetStart, lines.targetEnd), this.head)) {
          return 'BAD_TARGET';
        }
      }
      const error = this.fields.take(text);
      if (error !== null) return error;
    }
    return lines.result === SCAN_FAILED ? lines.error : null;
  }

  /** The rules that need the whole head. */
  private completeHead(): Http1ErrorCode | null {
    const head = this.head!;
    const fields = this.fields;
    if (fields.host === null) {
      if (head.minor === 1) return 'MISSING_HOST';
    } else if (head.form === 'origin' || head.form === 'asterisk') {
      // RFC 9112 section 3.2.2: what the target names replaces Host.
      head.authority = fields.host;
    }
    const chunked = fields.chunked(head.minor);
    if (typeof chunked === 'string') return chunked;
    const hasBody = chunked || fields.contentLength > 0;
    if (hasBody && head.method === 'CONNECT') return 'CONNECT_WITH_BODY';
    head.chunked = chunked;
    head.contentLength = chunked ? -1 : Math.max(fields.contentLength, 0);
    head.keepAlive = fields.keepAlive(head.minor);
    if (fields.expect !== null && head.minor === 1) {
      // In HTTP/1.0 it must be ignored (RFC 9110 section 10.1.1); without a body there is nothing to wait for.
      if (fields.expect.toLowerCase() !== '100-continue') return 'EXPECTATION_FAILED';
      head.expectContinue = hasBody;
    }
    if (fields.upgrade !== null && head.minor === 1 && !hasBody && head.method !== 'CONNECT') {
      // A server may ignore Upgrade; with a body it is, because the switch would have to wait for its end.
      const protocol = fields.protocol();
      if (protocol === 'BAD_UPGRADE') return protocol;
      head.protocol = protocol;
    }
    fields.dropNamed();
    if (chunked) this.body.beginChunked();
    else if (head.contentLength > 0) this.body.beginCounted(head.contentLength);
    return null;
  }

  private fail(code: Http1ErrorCode, end: number): number {
    this.dead = true;
    this.section.reset();
    this.head = null;
    this.events.onParseError(requestError(code));
    return end;
  }
}
