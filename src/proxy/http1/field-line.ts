import type { Headers } from '../message.ts';
import { isValidHeaderName, isValidHeaderValue } from './characters.ts';

/**
 * The last field line written under a name. Proxies write the same lines again and again, and the parsers and HPACK
 * hand over the same string objects for them, so most lines need neither a check nor a concatenation.
 */
interface WrittenLine {
  value: string;
  line: string;
  misses: number;
}

const written = new Map<string, WrittenLine>();
/** Names are made by clients, so their number is bounded: at the limit the memo starts anew. */
const MAX_NAMES = 512;
const MAX_LINE_CHARS = 256;
/** A value that changes every time is remembered only once in so many. */
const MISSES_PER_STORE = 8;
/** Values that must not outlive their message here. */
const SECRETS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);

/**
 * `name: value CRLF`, or null if that would not be one field line: this is what makes header injection impossible,
 * wherever a name and a value come from (HTTP/2, a configuration, a plugin).
 */
export function fieldLine(name: string, value: string): string | null {
  let known = written.get(name);
  if (known === undefined) {
    if (!isValidHeaderName(name)) return null;
    if (written.size >= MAX_NAMES) written.clear();
    // A secret's counter never comes round.
    known = { value: '', line: '', misses: SECRETS.has(name) ? Number.NaN : 0 };
    written.set(name, known);
  } else if (known.value === value && known.line !== '') {
    // The same object the next time compares by its address; an equal one, character by character.
    known.value = value;
    return known.line;
  }
  if (!isValidHeaderValue(value)) return null;
  const line = `${name}: ${value}\r\n`;
  if (known.misses % MISSES_PER_STORE === 0 && line.length <= MAX_LINE_CHARS) {
    known.value = value;
    // Through a buffer, so that the memo holds a flat string and not a tree of its parts.
    known.line = Buffer.from(line, 'latin1').latin1Slice();
  }
  known.misses++;
  return line;
}

/** Fields that only concern one connection, and those that the writers write themselves. */
export const KEEP = 0;
export const DROP = 1;
export const LENGTH = 2;
export const TE = 3;
export const COOKIE = 4;

/** What the writers do with a field of that name. By length first: most names are then decided without a compare. */
export function fieldRole(name: string): typeof KEEP | typeof DROP | typeof LENGTH | typeof TE | typeof COOKIE {
  switch (name.length) {
    case 2:
      return name === 'te' ? TE : KEEP;
    case 4:
      return name === 'host' ? DROP : KEEP;
    case 6:
      return name === 'cookie' ? COOKIE : name === 'expect' ? DROP : KEEP;
    case 7:
      return name === 'upgrade' ? DROP : KEEP;
    case 10:
      return name === 'connection' || name === 'keep-alive' ? DROP : KEEP;
    case 14:
      return name === 'content-length' ? LENGTH : name === 'http2-settings' ? DROP : KEEP;
    case 16:
      return name === 'proxy-connection' ? DROP : KEEP;
    case 17:
      return name === 'transfer-encoding' ? DROP : KEEP;
    default:
      return KEEP;
  }
}

/** The lines of a trailer section without those that frame or route a message; null if one is not a field line. */
export function trailerLines(trailers: Headers): string | null {
  let text = '';
  for (let i = 0; i < trailers.length; i += 2) {
    const role = fieldRole(trailers[i]);
    if ((role !== KEEP && role !== COOKIE) || trailers[i] === 'trailer') continue;
    const line = fieldLine(trailers[i], trailers[i + 1]);
    if (line === null) return null;
    text += line;
  }
  return text;
}
