import type { Headers, RequestHead, ResponseHead } from '../message.ts';
import type { FieldSink } from './hpack/decoder.ts';
import { FIELD_OVERHEAD_BYTES, FieldKind } from './hpack/field.ts';

/** What a header block is the head of. */
export const HeadOf = { Request: 0, Response: 1, Trailers: 2 } as const;
export type HeadOf = (typeof HeadOf)[keyof typeof HeadOf];

/** Which pseudo-header a message may carry, by FieldKind. */
const REQUEST_PSEUDO =
  (1 << FieldKind.Method) |
  (1 << FieldKind.Path) |
  (1 << FieldKind.Scheme) |
  (1 << FieldKind.Authority) |
  (1 << FieldKind.Protocol);
const RESPONSE_PSEUDO = 1 << FieldKind.Status;

/** Beyond this a Content-Length is not a number that JavaScript can count to. */
const MAX_LENGTH_DIGITS = 15;

const NO_HEADERS: Headers = [];

/**
 * Builds a message head from the fields of one header block and checks it against RFC 9113 sections 8.1 to 8.3. One
 * belongs to each connection and is used for one block after another.
 *
 * A fault does not end the block: the fields still go through the decoder, whose table has to stay the peer's.
 */
export class HeadReader implements FieldSink {
  /** Why the message is malformed (RFC 9113 section 8.1.1); empty while it is not. */
  malformed = '';
  /** The field section is larger than we said that we take. */
  tooLarge = false;
  /** Names of fields that came as never-indexed. */
  neverIndexed: string[] | null = null;
  /** The request's method, for what a refusal may carry. */
  method = '';

  private of: HeadOf = HeadOf.Request;
  private seen = 0;
  private regularSeen = false;
  private bytes = 0;
  private headers: Headers = NO_HEADERS;
  private scheme = '';
  private authority = '';
  private host: string | null = null;
  private path = '';
  private protocol: string | null = null;
  private status = 0;
  private contentLength = -1;
  private expectContinue = false;
  /** Place of the cookie's value in `headers`, -1 for none. */
  private cookieAt = -1;

  constructor(private readonly maxListBytes: number) {}

  begin(of: HeadOf): void {
    this.of = of;
    this.malformed = '';
    this.tooLarge = false;
    this.neverIndexed = null;
    this.method = '';
    this.seen = 0;
    this.regularSeen = false;
    this.bytes = 0;
    this.headers = [];
    this.scheme = '';
    this.authority = '';
    this.host = null;
    this.path = '';
    this.protocol = null;
    this.status = 0;
    this.contentLength = -1;
    this.expectContinue = false;
    this.cookieAt = -1;
  }

  field(kind: FieldKind, name: string, value: string, valid: boolean, neverIndexed: boolean): void {
    this.bytes += name.length + value.length + FIELD_OVERHEAD_BYTES;
    if (this.bytes > this.maxListBytes) {
      this.tooLarge = true;
      return;
    }
    if (!valid || this.malformed !== '') {
      if (this.malformed === '') this.malformed = `illegal value of ${printable(name)}`;
      return;
    }
    if (neverIndexed) {
      if (this.neverIndexed === null) this.neverIndexed = [name];
      else if (!this.neverIndexed.includes(name)) this.neverIndexed.push(name);
    }
    if (kind === FieldKind.Regular) {
      this.regularSeen = true;
      this.headers.push(name, value);
    } else if (kind <= FieldKind.Protocol) {
      this.pseudo(kind, name, value);
    } else {
      this.special(kind, name, value);
    }
  }

  /** The request, or null when it is malformed. */
  finishRequest(endStream: boolean, connectProtocolEnabled: boolean): RequestHead | null {
    if (this.malformed === '') this.checkRequest(endStream, connectProtocolEnabled);
    if (this.malformed !== '') return null;
    return {
      method: this.method,
      scheme: this.scheme,
      authority: this.authority,
      path: this.path,
      protocol: this.protocol,
      headers: this.takeHeaders(),
      contentLength: endStream ? 0 : this.contentLength,
      // Without content there is nothing to wait for (RFC 9110 section 10.1.1).
      expectContinue: this.expectContinue && !endStream,
    };
  }

  /** The response, or null when it is malformed. `contentLength` is as the field says; what it means is the caller's. */
  finishResponse(endStream: boolean): ResponseHead | null {
    if (this.malformed === '') {
      if (this.status === 0) this.malformed = 'no :status';
      else if (this.status < 200 && endStream) this.malformed = 'an informational response that ends the stream';
      else if (this.status === 101) this.malformed = 'status 101, which HTTP/2 does not have';
    }
    if (this.malformed !== '') return null;
    return { status: this.status, headers: this.takeHeaders(), contentLength: this.contentLength };
  }

  /** The trailers, or null when they are malformed. */
  finishTrailers(): Headers | null {
    return this.malformed === '' ? this.takeHeaders() : null;
  }

  private takeHeaders(): Headers {
    const headers = this.headers;
    this.headers = NO_HEADERS;
    return headers;
  }

  private pseudo(kind: FieldKind, name: string, value: string): void {
    const bit = 1 << kind;
    const allowed = this.of === HeadOf.Request ? REQUEST_PSEUDO : this.of === HeadOf.Response ? RESPONSE_PSEUDO : 0;
    if (this.regularSeen) this.malformed = `${name} after a regular field`;
    else if ((allowed & bit) === 0) this.malformed = `${name} does not belong here`;
    else if ((this.seen & bit) !== 0) this.malformed = `${name} twice`;
    this.seen |= bit;
    switch (kind) {
      case FieldKind.Method:
        this.method = value;
        break;
      case FieldKind.Path:
        this.path = value;
        break;
      case FieldKind.Scheme:
        this.scheme = value;
        break;
      case FieldKind.Authority:
        this.authority = value;
        break;
      case FieldKind.Protocol:
        this.protocol = value.toLowerCase();
        break;
      default:
        this.status = value.length === 3 ? Number(value) : 0;
        if (this.status < 100 || this.status > 599) this.malformed = 'illegal :status';
    }
  }

  private special(kind: FieldKind, name: string, value: string): void {
    this.regularSeen = true;
    switch (kind) {
      case FieldKind.Cookie:
        // Section 8.2.3: crumbs are put together again before they leave HTTP/2.
        if (this.cookieAt >= 0) {
          this.headers[this.cookieAt] += `; ${value}`;
        } else {
          this.headers.push(name, value);
          this.cookieAt = this.headers.length - 1;
        }
        break;
      case FieldKind.ContentLength:
        this.length(name, value);
        break;
      case FieldKind.Te:
        if (value.toLowerCase() !== 'trailers') this.malformed = 'te other than trailers';
        else if (this.of !== HeadOf.Trailers) this.headers.push(name, 'trailers');
        break;
      case FieldKind.Host:
        // Framing and routing fields have no meaning in trailers (RFC 9110 section 6.5.1) and would only confuse the next hop.
        if (this.of === HeadOf.Trailers) break;
        if (this.host !== null) this.malformed = 'host twice';
        this.host = value;
        break;
      case FieldKind.Expect:
        if (this.of === HeadOf.Trailers) break;
        if (this.of === HeadOf.Request && value.toLowerCase() === '100-continue') this.expectContinue = true;
        else this.headers.push(name, value);
        break;
      case FieldKind.ConnectionSpecific:
        this.malformed = `connection-specific field ${name}`;
        break;
      case FieldKind.UnknownPseudo:
        this.malformed = `unknown pseudo-header ${printable(name)}`;
        break;
      default:
        this.malformed = `illegal field name ${printable(name)}`;
    }
  }

  private length(name: string, value: string): void {
    if (this.of === HeadOf.Trailers) return;
    if (this.contentLength >= 0) this.malformed = 'content-length twice';
    else if (value.length === 0 || value.length > MAX_LENGTH_DIGITS) this.malformed = 'illegal content-length';
    else {
      this.contentLength = Number(value);
      this.headers.push(name, value);
    }
  }

  private checkRequest(endStream: boolean, connectProtocolEnabled: boolean): void {
    const host = this.host;
    if (host !== null) {
      if ((this.seen & (1 << FieldKind.Authority)) === 0) this.authority = host;
      else if (host !== this.authority && host.toLowerCase() !== this.authority.toLowerCase()) {
        this.malformed = 'host and :authority do not agree';
        return;
      }
    }
    if (this.method === '') {
      this.malformed = 'no :method';
    } else if (this.method === 'CONNECT' && this.protocol === null) {
      // Section 8.5.
      if (this.scheme !== '' || this.path !== '') this.malformed = 'CONNECT with :scheme or :path';
      else if (this.authority === '') this.malformed = 'CONNECT without :authority';
    } else {
      this.checkTarget(connectProtocolEnabled);
    }
    if (endStream && this.contentLength > 0) this.malformed = 'content-length without content';
  }

  private checkTarget(connectProtocolEnabled: boolean): void {
    const { path, scheme } = this;
    if (scheme !== 'http' && scheme !== 'https') {
      this.scheme = scheme.toLowerCase();
      const first = this.scheme.charCodeAt(0);
      if (!(first >= 0x61 && first <= 0x7a)) this.malformed = 'no or illegal :scheme';
    }
    if (path.charCodeAt(0) !== 0x2f && !(path === '*' && this.method === 'OPTIONS')) {
      this.malformed = 'no or illegal :path';
    }
    if (this.protocol === null) return;
    // RFC 8441 section 4.
    if (!connectProtocolEnabled) this.malformed = ':protocol was not offered';
    else if (this.method !== 'CONNECT') this.malformed = ':protocol without CONNECT';
    else if (this.authority === '') this.malformed = 'extended CONNECT without :authority';
    else if (this.protocol === '') this.malformed = 'empty :protocol';
  }
}

/** A name from the peer as it may stand in a log. */
function printable(name: string): string {
  return JSON.stringify(name.slice(0, 64));
}
