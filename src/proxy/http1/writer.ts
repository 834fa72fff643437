import type { Headers, RequestHead } from '../message.ts';
import type { OutBuffer } from '../out-buffer.ts';
import { isToken, isValidAuthority, isValidConnectTarget, isValidTarget } from './characters.ts';
import { COOKIE, DROP, fieldLine, fieldRole, KEEP, LENGTH, TE, trailerLines } from './field-line.ts';
import type { Framing } from './framing.ts';
import { parseContentLength } from './head-fields.ts';
import { statusLine } from './status-line.ts';

/** The parts of a request head that go into its request line and the fields derived from it. */
export type RequestLine = Pick<RequestHead, 'method' | 'authority' | 'path' | 'protocol'> &
  Partial<Pick<RequestHead, 'expectContinue'>>;

/** What a response says about the client's connection. */
export interface ResponseConnection {
  /** Minor version that the client speaks. */
  minor: 0 | 1;
  /** Whether the connection stays open afterwards. */
  keepAlive: boolean;
  /** With status 101: the protocol switched to; else null. */
  upgrade: string | null;
}

/**
 * Writes a request head (RFC 9112 section 3): origin-form, `*` or, for CONNECT, authority-form. A request with a
 * protocol becomes an Upgrade; an extended CONNECT of HTTP/2 thereby becomes a GET (RFC 8441 section 5).
 * False, and nothing is written, if any part would not be what it claims to be on the wire: HTTP/2 and configuration
 * can carry bytes that would end a line here.
 */
export function writeRequestHead(out: OutBuffer, head: RequestLine, headers: Headers, framing: Framing): boolean {
  const { protocol, authority } = head;
  const connects = head.method === 'CONNECT' && protocol === null;
  const method = head.method === 'CONNECT' && !connects ? 'GET' : head.method;
  const target = connects ? authority : head.path;
  if (!isToken(method)) return false;
  if (connects) {
    if (!isValidConnectTarget(target)) return false;
  } else if (!isValidTarget(target) || (authority !== '' && !isValidAuthority(authority))) {
    return false;
  }
  let text = `${method} ${target} HTTP/1.1\r\nhost: ${authority}\r\n`;
  let length: string | null = null;
  let cookies: string | null = null;
  let acceptsTrailers = false;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i];
    const role = fieldRole(name);
    if (role === KEEP) {
      const line = fieldLine(name, headers[i + 1]);
      if (line === null) return false;
      text += line;
    } else if (role === COOKIE) {
      // HTTP/2 may split Cookie; HTTP/1.1 servers expect one field (RFC 9113 section 8.2.3).
      cookies = cookies === null ? headers[i + 1] : `${cookies}; ${headers[i + 1]}`;
    } else if (role === LENGTH) {
      length ??= headers[i + 1];
    } else if (role === TE) {
      acceptsTrailers ||= headers[i + 1] === 'trailers';
    }
  }
  if (cookies !== null) {
    const line = fieldLine('cookie', cookies);
    if (line === null) return false;
    text += line;
  }
  const framed = framingLine(framing, length);
  if (framed === null) return false;
  text += framed;
  // Only a body is worth waiting for (RFC 9110 section 10.1.1).
  if (head.expectContinue && framed !== '') text += 'expect: 100-continue\r\n';
  if (protocol !== null) {
    const line = fieldLine('upgrade', protocol);
    if (line === null) return false;
    text += line;
  }
  // TE is between neighbours, so Connection names it (RFC 9110 section 10.1.4).
  if (acceptsTrailers) text += 'te: trailers\r\n';
  if (acceptsTrailers || protocol !== null) {
    text += protocol === null ? 'connection: te\r\n' : acceptsTrailers ? UPGRADE_AND_TE : 'connection: upgrade\r\n';
  }
  out.latin1(`${text}\r\n`);
  return true;
}

const UPGRADE_AND_TE = 'connection: upgrade, te\r\n';

/**
 * Writes a response head. Connection is derived from what is known about the connection (RFC 9112 section 9.3);
 * `close` framing closes it in any case. False, and nothing is written, if a field is not valid.
 */
export function writeResponseHead(
  out: OutBuffer,
  status: number,
  headers: Headers,
  framing: Framing,
  connection: ResponseConnection,
): boolean {
  if (framing === 'chunked' && connection.minor === 0) throw new Error('HTTP/1.0 knows no chunked');
  let text = statusLine(status);
  let length: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i];
    const role = fieldRole(name);
    if (role === LENGTH) {
      length ??= headers[i + 1];
      continue;
    }
    if (role === DROP || role === TE) continue;
    const line = fieldLine(name, headers[i + 1]);
    if (line === null) return false;
    text += line;
  }
  const framed = framingLine(framing, length);
  if (framed === null) return false;
  text += framed;
  if (status === 101) {
    const line = connection.upgrade === null ? null : fieldLine('upgrade', connection.upgrade);
    if (line === null) return false;
    text += line;
    text += 'connection: upgrade\r\n\r\n';
  } else if (!connection.keepAlive || framing === 'close') {
    text += 'connection: close\r\n\r\n';
  } else {
    text += connection.minor === 0 ? 'connection: keep-alive\r\n\r\n' : '\r\n';
  }
  out.latin1(text);
  return true;
}

/** Writes a 1xx other than 101. Not for HTTP/1.0 clients (RFC 9110 section 15.2). */
export function writeInformational(out: OutBuffer, status: number, headers: Headers): boolean {
  if (status === 100 && headers.length === 0) {
    out.latin1('HTTP/1.1 100 Continue\r\n\r\n');
    return true;
  }
  let text = statusLine(status);
  for (let i = 0; i < headers.length; i += 2) {
    if (fieldRole(headers[i]) !== KEEP) continue;
    const line = fieldLine(headers[i], headers[i + 1]);
    if (line === null) return false;
    text += line;
  }
  out.latin1(`${text}\r\n`);
  return true;
}

/** Writes one chunk; nothing for no bytes, because an empty chunk would end the body. */
export function writeChunk(out: OutBuffer, buf: Buffer, start: number, end: number): void {
  if (end <= start) return;
  out.latin1(`${(end - start).toString(16)}\r\n`);
  out.bytes(buf, start, end);
  out.latin1('\r\n');
}

/**
 * Ends a chunked body. False if a trailer field is not valid: then nothing is written, and the message must be
 * aborted, since it would end as if it were complete.
 */
export function writeLastChunk(out: OutBuffer, trailers: Headers | null): boolean {
  if (trailers === null || trailers.length === 0) {
    out.latin1('0\r\n\r\n');
    return true;
  }
  const text = trailerLines(trailers);
  if (text === null) return false;
  out.latin1(`0\r\n${text}\r\n`);
  return true;
}

/** The field that frames the body; null if the Content-Length among the headers is not a number. */
function framingLine(framing: Framing, length: string | null): string | null {
  switch (framing) {
    case 'chunked':
      return 'transfer-encoding: chunked\r\n';
    case 'length':
      if (length === null) return 'content-length: 0\r\n';
      return parseContentLength(length) < 0 ? null : fieldLine('content-length', length);
    case 'head':
      if (length === null) return '';
      return parseContentLength(length) < 0 ? null : fieldLine('content-length', length);
    default:
      return '';
  }
}
