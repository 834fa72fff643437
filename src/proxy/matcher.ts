import type { Match, ValueMatch } from '../model/resolved.ts';
import type { Headers, RequestHead } from './message.ts';

/**
 * Longest text, in characters, that a user's regular expression is tried on. JavaScript's engine backtracks, so an
 * expression that is harmless on a short path can take seconds on one chosen by a caller; anything longer does not match.
 */
export const REGEX_INPUT_LIMIT = 8 * 1024;

/** What a match asks of a request beside its path, ready to be tested. */
export interface Conditions {
  /** Upper case; null: every method. */
  readonly methods: readonly string[] | null;
  readonly headers: readonly NamedCondition[];
  readonly query: readonly NamedCondition[];
}

export interface NamedCondition {
  readonly name: string;
  readonly kind: ValueMatch['kind'];
  /** `exact` and `prefix`; empty otherwise. */
  readonly value: string;
  /** `regex` only. */
  readonly regex: RegExp | null;
  /** `present` only. */
  readonly present: boolean;
}

/**
 * Compiles an expression that has to match the whole text. The expression is the user's, checked when the
 * configuration was validated: a broken one throws here.
 */
export function anchoredRegex(source: string): RegExp {
  return new RegExp(`^(?:${source})$`);
}

export function matchesRegex(regex: RegExp, text: string): boolean {
  return text.length <= REGEX_INPUT_LIMIT && regex.test(text);
}

/**
 * Text of the configuration as it looks on the wire: fields hold one byte a character, so what is not ASCII appears
 * as the bytes of its UTF-8 form.
 */
export function wireText(text: string): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) > 0x7f) return Buffer.from(text, 'utf8').latin1Slice();
  }
  return text;
}

/** Shared, because most matches are on the path alone. */
const NO_CONDITIONS: Conditions = { methods: null, headers: [], query: [] };

export function compileConditions(match: Match): Conditions {
  if (match.methods.length + match.headers.length + match.query.length === 0) return NO_CONDITIONS;
  return {
    methods: match.methods.length === 0 ? null : match.methods,
    headers: match.headers.map((h) => compileNamed(h.name.toLowerCase(), h.match, wireText)),
    query: match.query.map((q) => compileNamed(q.name, q.match, (text) => text)),
  };
}

function compileNamed(name: string, match: ValueMatch, spell: (text: string) => string): NamedCondition {
  const kind = match.kind;
  return {
    name,
    kind,
    value: kind === 'exact' || kind === 'prefix' ? spell(match.value) : '',
    regex: kind === 'regex' ? anchoredRegex(match.value) : null,
    present: kind === 'present' ? match.value : true,
  };
}

/** Whether a request agrees with all conditions. */
export function meetsConditions(conditions: Conditions, request: RequestHead): boolean {
  const { methods, headers, query } = conditions;
  if (methods !== null && !methods.includes(request.method)) return false;
  for (let i = 0; i < headers.length; i++) {
    if (!meetsValue(headers[i], headerValue(request.headers, headers[i].name))) return false;
  }
  for (let i = 0; i < query.length; i++) {
    if (!meetsValue(query[i], queryValue(request.path, query[i].name))) return false;
  }
  return true;
}

/** Whether the value of a header or parameter, undefined where there is none, is what a condition asks for. */
export function meetsValue(condition: NamedCondition, value: string | undefined): boolean {
  if (condition.kind === 'present') return (value !== undefined) === condition.present;
  if (value === undefined) return false;
  switch (condition.kind) {
    case 'exact':
      return value === condition.value;
    case 'prefix':
      return value.startsWith(condition.value);
    case 'regex':
      return matchesRegex(condition.regex!, value);
  }
}

/** Value of a header; the values of several fields of one name count as one list (RFC 9110 section 5.3). */
export function headerValue(headers: Headers, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    let value = headers[i + 1];
    for (let j = i + 2; j < headers.length; j += 2) if (headers[j] === name) value += `, ${headers[j + 1]}`;
    return value;
  }
  return undefined;
}

/** The path without its query. */
export function pathname(path: string): string {
  const mark = path.indexOf('?');
  return mark < 0 ? path : path.slice(0, mark);
}

/**
 * Whether `prefix` holds whole path elements of `path` (Gateway API, PathPrefix): `/api` matches `/api`, `/api/` and
 * `/api/x`, not `/apix`. The prefix has no trailing slash; the empty one matches everything.
 */
export function matchesPathPrefix(prefix: string, path: string): boolean {
  if (prefix === '') return true;
  if (!path.startsWith(prefix)) return false;
  return path.length === prefix.length || path.charCodeAt(prefix.length) === 0x2f;
}

/** A path prefix as `matchesPathPrefix` and the route index want it: `/api/` is `/api`, `/` is empty. */
export function trimPathPrefix(prefix: string): string {
  let end = prefix.length;
  while (end > 0 && prefix.charCodeAt(end - 1) === 0x2f) end--;
  return prefix.slice(0, end);
}

const AMPERSAND = 0x26;
const EQUALS = 0x3d;

/**
 * First value of a query parameter, decoded the way applications see it (WHATWG URL, section 5.1: `+` is a space,
 * escapes are UTF-8, a broken escape stands for itself). A parameter without `=` has the empty value.
 */
export function queryValue(path: string, name: string): string | undefined {
  let at = path.indexOf('?');
  if (at < 0) return undefined;
  at++;
  while (at <= path.length) {
    let end = at;
    let equals = -1;
    for (; end < path.length; end++) {
      const c = path.charCodeAt(end);
      if (c === AMPERSAND) break;
      if (c === EQUALS && equals < 0) equals = end;
    }
    if (end > at) {
      const nameEnd = equals < 0 ? end : equals;
      if (isName(path, at, nameEnd, name)) return equals < 0 ? '' : decodeFormText(path, equals + 1, end);
    }
    at = end + 1;
  }
  return undefined;
}

function isName(path: string, start: number, end: number, name: string): boolean {
  if (end - start === name.length && path.startsWith(name, start)) return isPlain(path, start, end);
  return !isPlain(path, start, end) && decodeFormText(path, start, end) === name;
}

/** Neither escapes nor bytes that are part of UTF-8 sequences: decoding changes nothing. */
function isPlain(text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x25 || c === 0x2b || c > 0x7f) return false;
  }
  return true;
}

function decodeFormText(text: string, start: number, end: number): string {
  if (isPlain(text, start, end)) return text.slice(start, end);
  const bytes = Buffer.allocUnsafe(end - start);
  let n = 0;
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x2b) bytes[n++] = 0x20;
    else if (c === 0x25 && i + 2 < end) {
      const high = hexDigit(text.charCodeAt(i + 1));
      const low = hexDigit(text.charCodeAt(i + 2));
      if (high < 0 || low < 0) bytes[n++] = c;
      else {
        bytes[n++] = high * 16 + low;
        i += 2;
      }
    } else bytes[n++] = c;
  }
  return bytes.utf8Slice(0, n);
}

/** 0 to 15, or -1. */
export function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  if (c >= 0x61 && c <= 0x66) return c - 0x57;
  if (c >= 0x41 && c <= 0x46) return c - 0x37;
  return -1;
}
