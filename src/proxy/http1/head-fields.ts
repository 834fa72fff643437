import { deleteHeader, type Headers } from '../message.ts';
import { isToken, isValidAuthority } from './characters.ts';
import type { Http1ErrorCode } from './parse-error.ts';
import * as kinds from './scratch.ts';
import { fieldKinds, fieldNames, fieldValues, lines, valueEnds, valueStarts } from './scratch.ts';

/** Options of the Connection field that have a meaning here. */
const CLOSE = 1;
const KEEP_ALIVE = 2;
const UPGRADE = 4;

/**
 * Fields that Connection cannot take away, although it names them: a sender must not list a field meant for all
 * recipients (RFC 9110 section 7.6.1), and one that does is trying to strip what the next server relies on.
 */
const END_TO_END: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'forwarded',
  'host',
  'origin',
  'set-cookie',
  'te',
  'trailer',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
]);

/**
 * Gathers the fields of one head: ordinary ones into `headers`, those that only concern this connection into
 * properties. One object a parser, started anew with every message.
 */
export class HeadFields {
  headers: Headers = [];
  /** Value of Host, or null. */
  host: string | null = null;
  /** -1 without Content-Length. */
  contentLength = -1;
  /** Transfer-Encoding, several fields joined as a list; null without. */
  transferEncoding: string | null = null;
  /** Upgrade, as a list. */
  upgrade: string | null = null;
  expect: string | null = null;
  /** `timeout` of Keep-Alive; 0 without. */
  keepAliveTimeoutMs = 0;
  private options = 0;
  private named: string[] | null = null;

  constructor(private readonly of: 'request' | 'response') {}

  begin(): void {
    this.headers = [];
    this.host = null;
    this.contentLength = -1;
    this.transferEncoding = null;
    this.upgrade = null;
    this.expect = null;
    this.keepAliveTimeoutMs = 0;
    this.options = 0;
    this.named = null;
  }

  /** Takes the lines of a scan; `text` is the scratch as a string. */
  take(text: string): Http1ErrorCode | null {
    const headers = this.headers;
    for (let i = 0; i < lines.count; i++) {
      const value = fieldValues[i] ?? text.substring(valueStarts[i], valueEnds[i]);
      const kind = fieldKinds[i];
      if (kind === kinds.ORDINARY) {
        headers.push(fieldNames[i], value);
        continue;
      }
      const error = this.takeSpecial(kind, value);
      if (error !== null) return error;
    }
    return null;
  }

  private takeSpecial(kind: number, value: string): Http1ErrorCode | null {
    switch (kind) {
      case kinds.HOST:
        if (this.of === 'response') return this.keep('host', value);
        // RFC 9112 section 3.2: one Host, valid or empty (a client without an authority sends it empty).
        if (this.host !== null) return 'MULTIPLE_HOSTS';
        if (value !== '' && !isValidAuthority(value)) return 'BAD_HOST';
        this.host = value;
        return null;
      case kinds.CONTENT_LENGTH:
        if (this.contentLength >= 0) return 'MULTIPLE_CONTENT_LENGTHS';
        this.contentLength = parseContentLength(value);
        if (this.contentLength < 0) return 'BAD_CONTENT_LENGTH';
        this.headers.push('content-length', value.charCodeAt(0) === 0x30 ? String(this.contentLength) : value);
        return null;
      case kinds.TRANSFER_ENCODING:
        this.transferEncoding = this.transferEncoding === null ? value : `${this.transferEncoding}, ${value}`;
        return null;
      case kinds.CONNECTION:
        return this.takeConnection(value);
      case kinds.UPGRADE:
        this.upgrade = this.upgrade === null ? value : `${this.upgrade}, ${value}`;
        return null;
      case kinds.TE:
        // RFC 9110 section 10.1.4: transfer codings are between neighbours; that trailers are welcome is passed on.
        if (this.of === 'request' && acceptsTrailers(value) && !this.headers.includes('te'))
          this.keep('te', 'trailers');
        return null;
      case kinds.EXPECT:
        if (this.of === 'response') return this.keep('expect', value);
        this.expect = this.expect === null ? value : `${this.expect}, ${value}`;
        return null;
      case kinds.KEEP_ALIVE:
        this.keepAliveTimeoutMs = keepAliveTimeoutMs(value);
        return null;
      case kinds.TRAILER:
        return this.keep('trailer', value);
      default:
        return null;
    }
  }

  private keep(name: string, value: string): null {
    this.headers.push(name, value);
    return null;
  }

  private takeConnection(value: string): Http1ErrorCode | null {
    if (value === 'keep-alive') {
      this.options |= KEEP_ALIVE;
      return null;
    }
    for (const element of value.split(',')) {
      const option = trimOws(element).toLowerCase();
      if (option === '') continue;
      if (!isToken(option)) return 'BAD_CONNECTION';
      if (option === 'close') this.options |= CLOSE;
      else if (option === 'keep-alive') this.options |= KEEP_ALIVE;
      else if (option === 'upgrade') this.options |= UPGRADE;
      else if (this.named === null) this.named = [option];
      else this.named.push(option);
    }
    return null;
  }

  /** RFC 9112 section 9.3. The 1.0 form is not in the RFC's proxy rules but every server speaks it. */
  keepAlive(minor: 0 | 1): boolean {
    if ((this.options & CLOSE) !== 0) return false;
    return minor === 1 || (this.options & KEEP_ALIVE) !== 0;
  }

  /** Removes what Connection named. */
  dropNamed(): void {
    if (this.named === null) return;
    for (const name of this.named) if (!END_TO_END.has(name)) deleteHeader(this.headers, name);
  }

  /**
   * The protocols of Upgrade in lowercase, or null where there are none to switch to: without the Connection option
   * the field must be ignored (RFC 9110 section 7.8). `h2c` is left out: it was withdrawn (RFC 9113 section 3.1), and
   * passing it on would let a client tunnel past the proxy's routes.
   */
  protocol(): string | null | 'BAD_UPGRADE' {
    if ((this.options & UPGRADE) === 0 || this.upgrade === null) return null;
    if (this.upgrade === 'websocket') return this.upgrade;
    const protocols: string[] = [];
    for (const element of this.upgrade.split(',')) {
      const protocol = trimOws(element).toLowerCase();
      if (protocol === '' || protocol === 'h2c') continue;
      const slash = protocol.indexOf('/');
      const wellFormed =
        slash < 0 ? isToken(protocol) : isToken(protocol.slice(0, slash)) && isToken(protocol.slice(slash + 1));
      if (!wellFormed) return 'BAD_UPGRADE';
      protocols.push(protocol);
    }
    return protocols.length === 0 ? null : protocols.join(', ');
  }

  /** RFC 9112 sections 6.1 and 6.3: whether the body is chunked, or why it cannot be framed. */
  chunked(minor: 0 | 1): boolean | Http1ErrorCode {
    if (this.transferEncoding === null) return false;
    if (this.contentLength >= 0) return 'CL_AND_TE';
    if (minor === 0) return 'TE_IN_HTTP_1_0';
    if (this.transferEncoding === 'chunked') return true;
    const codings = this.transferEncoding.split(',').map((coding) => trimOws(coding).toLowerCase());
    if (codings[codings.length - 1] !== 'chunked' || codings.indexOf('chunked') !== codings.length - 1) {
      return 'BAD_TRANSFER_ENCODING';
    }
    if (codings.includes('')) return 'BAD_TRANSFER_ENCODING';
    return codings.length === 1 ? true : 'UNSUPPORTED_TRANSFER_CODING';
  }
}

/**
 * Trailer fields of the lines of a scan. Those that frame or route a message are dropped: they came too late
 * to mean anything, and merging them is forbidden (RFC 9110 section 6.5.1).
 */
export function takeTrailers(text: string, into: Headers): void {
  for (let i = 0; i < lines.count; i++) {
    if (fieldKinds[i] === kinds.ORDINARY) {
      into.push(fieldNames[i], fieldValues[i] ?? text.substring(valueStarts[i], valueEnds[i]));
    }
  }
}

/** 1*DIGIT within the exact integers, else -1. No sign, no list, no white space (RFC 9110 section 8.6). */
export function parseContentLength(value: string): number {
  if (value.length === 0) return -1;
  let n = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    n = n * 10 + digit;
    if (n > Number.MAX_SAFE_INTEGER) return -1;
  }
  return n;
}

/** The Keep-Alive value seen last, and what it says: servers repeat it with every response. */
let lastKeepAlive = '';
let lastTimeoutMs = 0;

/** `timeout=<seconds>` of Keep-Alive (RFC 2068 section 19.7.1.1: all of it is optional and none of it binding). */
function keepAliveTimeoutMs(value: string): number {
  if (value !== lastKeepAlive) {
    lastTimeoutMs = parseKeepAliveTimeout(value);
    lastKeepAlive = value;
  }
  return lastTimeoutMs;
}

function parseKeepAliveTimeout(value: string): number {
  for (const element of value.split(',')) {
    const parameter = trimOws(element).toLowerCase();
    if (!parameter.startsWith('timeout=')) continue;
    const seconds = parseContentLength(parameter.slice('timeout='.length));
    if (seconds > 0 && seconds < 1_000_000) return seconds * 1000;
  }
  return 0;
}

function acceptsTrailers(value: string): boolean {
  if (value === 'trailers') return true;
  return value.split(',').some((coding) => trimOws(coding).toLowerCase() === 'trailers');
}

/** Without SP and HTAB at both ends; `trim` would also take what is no white space in HTTP (NBSP, obs-text). */
function trimOws(s: string): string {
  let start = 0;
  let end = s.length;
  while (start < end && isOws(s.charCodeAt(start))) start++;
  while (end > start && isOws(s.charCodeAt(end - 1))) end--;
  return s.slice(start, end);
}

const isOws = (c: number): boolean => c === 0x20 || c === 0x09;
