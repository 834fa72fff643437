import { TARGET, TOKEN_LOWER } from './characters.ts';
import { tokenEnd } from './field-names.ts';
import type { Http1ErrorCode } from './parse-error.ts';
import { lineFailed, lines, SCAN_FAILED, SCAN_MORE, scratch, scratchView } from './scratch.ts';

const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;

/** Four ASCII characters as the little-endian word they make in a buffer. */
const word = (s: string): number =>
  s.charCodeAt(0) | (s.charCodeAt(1) << 8) | (s.charCodeAt(2) << 16) | (s.charCodeAt(3) << 24);

const GET_ = word('GET ');
const POST = word('POST');
const PUT_ = word('PUT ');
const HTTP = word('HTTP');
const VERSION_1_1 = word('/1.1');

/** Methods that are spelt often, by length and first letter, so that no string is made for them. */
const METHODS: readonly string[] = ['GET', 'PUT', 'POST', 'HEAD', 'PATCH', 'TRACE', 'DELETE', 'OPTIONS', 'CONNECT'];

/** Failure results of the line scanners: `lines.result` says whether to wait or to give up. */
export const NO_LINE = -1;

/**
 * Scans `method SP request-target SP HTTP-version CRLF` (RFC 9112 section 3) in `scratch` from `p` to `end`; single
 * spaces only. Fills `lines`; returns the position behind the line, or NO_LINE.
 */
export function scanRequestLine(p: number, end: number): number {
  const first = scratchView.getInt32(p, true);
  if (first === GET_) {
    lines.method = 'GET';
    p += 4;
  } else if (first === POST && scratch[p + 4] === SP) {
    lines.method = 'POST';
    p += 5;
  } else if (first === PUT_) {
    lines.method = 'PUT';
    p += 4;
  } else {
    // Decided on the first byte, without waiting for the line: what is not HTTP at all often never sends a line end.
    if (p < end && TOKEN_LOWER[scratch[p]] === 0) {
      lines.result = SCAN_FAILED;
      lines.error = scratch[p] === LF ? 'BARE_LF' : 'BAD_METHOD';
      return NO_LINE;
    }
    const methodEnd = tokenEnd(p);
    if (scratch[methodEnd] !== SP)
      return failed(isLineEnd(methodEnd) ? 'BAD_REQUEST_LINE' : 'BAD_METHOD', methodEnd, end);
    lines.method = methodText(p, methodEnd);
    p = methodEnd + 1;
  }
  lines.targetStart = p;
  // Four bytes a step while all are 0x21 to 0x7e and none is `#`; `TARGET` decides about the last ones.
  for (;;) {
    const w = scratchView.getInt32(p, true);
    const hash = w ^ 0x23232323;
    const del = w ^ 0x7f7f7f7f;
    const stop = ((w - 0x21212121) & ~w) | ((hash - 0x01010101) & ~hash) | ((del - 0x01010101) & ~del) | w;
    if ((stop & 0x80808080) !== 0) break;
    p += 4;
  }
  while (TARGET[scratch[p]] !== 0) p++;
  lines.targetEnd = p;
  lines.textEnd = p;
  if (scratch[p] !== SP) return failed(isLineEnd(p) ? 'BAD_REQUEST_LINE' : 'BAD_TARGET', p, end);
  if (p === lines.targetStart) return failed('BAD_REQUEST_LINE', p, end);
  p = scanVersion(p + 1, end);
  if (p < 0) return p;
  if (scratch[p] !== CR) return failed(scratch[p] === LF ? 'BARE_LF' : 'BAD_REQUEST_LINE', p, end);
  if (scratch[p + 1] !== LF || p + 1 >= end) return failed('BARE_CR', p + 1, end);
  return p + 2;
}

/**
 * Scans `HTTP-version SP status-code [ SP reason-phrase ] CRLF` (RFC 9112 section 4). The space behind the code is
 * required of senders even where the reason is empty, but servers forget it and nothing depends on it. The reason
 * is checked and dropped: it has no meaning, and HTTP/2 does not carry it.
 */
export function scanStatusLine(p: number, end: number): number {
  if (p < end && scratch[p] !== 0x48) {
    lines.result = SCAN_FAILED;
    lines.error = 'BAD_STATUS_LINE';
    return NO_LINE;
  }
  p = scanVersion(p, end);
  if (p < 0) return p;
  if (scratch[p] !== SP) return failed('BAD_STATUS_LINE', p, end);
  const hundreds = scratch[p + 1] - 0x30;
  const tens = scratch[p + 2] - 0x30;
  const units = scratch[p + 3] - 0x30;
  // Codes from 600 on have no meaning (RFC 9110 section 15) but a proxy has no reason to hide them either.
  if (hundreds < 1 || hundreds > 9 || tens < 0 || tens > 9 || units < 0 || units > 9) {
    return failed('BAD_STATUS_LINE', p, end);
  }
  lines.status = hundreds * 100 + tens * 10 + units;
  p += 4;
  if (scratch[p] === SP) {
    do p++;
    while (scratch[p] === 0x09 || scratch[p] >= 0x80 || (scratch[p] >= SP && scratch[p] < 0x7f));
  }
  if (scratch[p] !== CR) return failed(scratch[p] === LF ? 'BARE_LF' : 'BAD_STATUS_LINE', p, end);
  if (scratch[p + 1] !== LF || p + 1 >= end) return failed('BARE_CR', p + 1, end);
  return p + 2;
}

/**
 * `HTTP/1.x`. A higher minor version than 1 is read as 1.1 (RFC 9110 section 2.5); another major version is refused.
 */
function scanVersion(p: number, end: number): number {
  if (scratchView.getInt32(p, true) !== HTTP) return failed('BAD_VERSION', p, end);
  if (scratchView.getInt32(p + 4, true) === VERSION_1_1) {
    lines.minor = 1;
    return p + 8;
  }
  const major = scratch[p + 5] - 0x30;
  const minor = scratch[p + 7] - 0x30;
  const wellFormed =
    scratch[p + 4] === 0x2f && major >= 0 && major <= 9 && scratch[p + 6] === 0x2e && minor >= 0 && minor <= 9;
  if (!wellFormed) return failed('BAD_VERSION', p, end);
  if (major !== 1) return failed('VERSION_NOT_SUPPORTED', p, end);
  lines.minor = minor === 0 ? 0 : 1;
  return p + 8;
}

function isLineEnd(at: number): boolean {
  return scratch[at] === CR || scratch[at] === LF;
}

function failed(error: Http1ErrorCode, at: number, end: number): number {
  if (at >= end) lines.result = SCAN_MORE;
  else lineFailed(error, at, end);
  return NO_LINE;
}

function methodText(start: number, end: number): string {
  for (const method of METHODS) {
    if (method.length !== end - start || method.charCodeAt(0) !== scratch[start]) continue;
    let i = 1;
    while (i < method.length && method.charCodeAt(i) === scratch[start + i]) i++;
    if (i === method.length) return method;
  }
  return scratch.latin1Slice(start, end);
}
