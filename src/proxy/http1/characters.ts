import { isIPv6 } from 'node:net';

/** Byte classes as tables: one load decides, and the loop over a line needs no chain of comparisons. */
function byteTable(value: (byte: number) => number): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) table[byte] = value(byte);
  return table;
}

const isLetter = (c: number): boolean => (c >= 0x41 && c <= 0x5a) || (c >= 0x61 && c <= 0x7a);
const isDigit = (c: number): boolean => c >= 0x30 && c <= 0x39;
const among = (chars: string, c: number): boolean => c < 0x80 && chars.includes(String.fromCharCode(c));

/** tchar of RFC 9110 section 5.6.2 -> its lowercase byte, anything else -> 0. */
export const TOKEN_LOWER = byteTable((c) => {
  if (c >= 0x41 && c <= 0x5a) return c + 0x20;
  return isLetter(c) || isDigit(c) || among("!#$%&'*+-.^_`|~", c) ? c : 0;
});

/** Bytes of a field value, RFC 9110 section 5.5: VCHAR, obs-text, SP and HTAB. */
export const FIELD_VALUE = byteTable((c) => (c === 0x09 || (c >= 0x20 && c !== 0x7f) ? 1 : 0));

/**
 * Bytes of a request target. RFC 3986 would also forbid `"<>\^`{|}`, but WHATWG URLs (browsers, fetch) send most of
 * them as they are and they cannot change where the target ends. What can is refused: controls, SP, `#` (a fragment
 * is never sent, RFC 9112 section 3.2) and bytes from 0x80 on, which two servers may decode differently.
 */
export const TARGET = byteTable((c) => (c > 0x20 && c < 0x7f && c !== 0x23 ? 1 : 0));

/** Hexadecimal digit -> its value, anything else -> 255. */
export const HEX_VALUE = byteTable((c) => {
  if (isDigit(c)) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : 255;
});

/** reg-name of RFC 3986 section 3.2.2, without the percent sign (which needs its two digits). */
const REG_NAME = byteTable((c) => (isLetter(c) || isDigit(c) || among("-._~!$&'()*+,;=", c) ? 1 : 0));

/** Whether the string is a token (RFC 9110 section 5.6.2): a method, or a field name in any case. */
export function isToken(s: string): boolean {
  if (s.length === 0) return false;
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c > 0x7f || TOKEN_LOWER[c] === 0) return false;
  }
  return true;
}

/** Whether the string may be written as the name of a field: a lowercase token. */
export function isValidHeaderName(name: string): boolean {
  if (name.length === 0) return false;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    // 0 stands for "no token" in the table, and so NUL would be its own lowercase.
    if (c === 0 || c > 0x7f || TOKEN_LOWER[c] !== c) return false;
  }
  return true;
}

const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Whether the string may be written as the value of a field: latin1 without controls but HTAB. HTTP/2 and
 * configuration files can carry what HTTP/1.1 would read as the end of a line.
 */
export function isValidHeaderValue(value: string): boolean {
  // A long value is often a slice of a whole head, where `charCodeAt` takes 5 ns; the expression starts slower and
  // takes 1.
  if (value.length > 32) return !NOT_IN_VALUE.test(value);
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c > 0xff || FIELD_VALUE[c] === 0) return false;
  }
  return true;
}

/** Whether the string may be written as a request target. */
export function isValidTarget(target: string): boolean {
  if (target.length === 0) return false;
  for (let i = 0; i < target.length; i++) {
    const c = target.charCodeAt(i);
    if (c > 0xff || TARGET[c] === 0) return false;
  }
  return true;
}

/** The authority found valid last: a connection sends the same one with every request. */
let lastAuthority = '';

/**
 * Whether the string is `uri-host [ ":" port ]` (RFC 9110 section 4.2, RFC 3986 section 3.2) with a host that is not
 * empty. User information is refused (RFC 9110 section 4.2.4), so are ports beyond 65535.
 */
export function isValidAuthority(authority: string): boolean {
  if (authority === lastAuthority) return authority.length > 0;
  if (!checkAuthority(authority, false)) return false;
  lastAuthority = authority;
  return true;
}

/** The target of CONNECT: host and a port that is not empty and not 0 (RFC 9110 section 9.3.6). */
export function isValidConnectTarget(target: string): boolean {
  return checkAuthority(target, true);
}

function checkAuthority(authority: string, portRequired: boolean): boolean {
  const hostEnd = authority.charCodeAt(0) === 0x5b ? ipLiteralEnd(authority) : regNameEnd(authority);
  if (hostEnd <= 0) return false;
  if (hostEnd === authority.length) return !portRequired;
  if (authority.charCodeAt(hostEnd) !== 0x3a) return false;
  let port = 0;
  for (let i = hostEnd + 1; i < authority.length; i++) {
    const c = authority.charCodeAt(i);
    if (!isDigit(c)) return false;
    port = port * 10 + (c - 0x30);
    if (port > 65_535) return false;
  }
  return !portRequired || port > 0;
}

const isHexDigit = (c: number): boolean => c <= 0xff && HEX_VALUE[c] !== 255;

/** End of a reg-name or IPv4 address; -1 where a percent sign is not followed by two hexadecimal digits. */
function regNameEnd(s: string): number {
  let i = 0;
  while (i < s.length) {
    const c = s.charCodeAt(i);
    if (c <= 0xff && REG_NAME[c] === 1) {
      i++;
    } else if (c === 0x25) {
      if (!isHexDigit(s.charCodeAt(i + 1)) || !isHexDigit(s.charCodeAt(i + 2))) return -1;
      i += 3;
    } else {
      break;
    }
  }
  return i;
}

/** End of `[IPv6]`, or -1. Zone identifiers and IPvFuture have no meaning to a proxy and are refused. */
function ipLiteralEnd(s: string): number {
  const close = s.indexOf(']');
  if (close < 0 || s.includes('%')) return -1;
  return isIPv6(s.slice(1, close)) ? close + 1 : -1;
}
