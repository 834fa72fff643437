import { REDACTED } from './tap-filter.ts';

/** Fields of bodies whose values are never shown; `telemetry.redactFields` adds to them. */
export const REDACTED_FIELDS: readonly string[] = [
  'password',
  'passwd',
  'secret',
  'token',
  'access_token',
  'refresh_token',
  'id_token',
  'api_key',
  'apikey',
  'client_secret',
  'card_number',
  'cvv',
];

/** How deep JSON may stand in strings of JSON: `"{\"a\":\"{\\\"b\\\": ...`. */
const DEEPEST_NESTING = 6;
/** Characters of a field's name as it is written, with its escapes. */
const LONGEST_NAME = 512;
const MOST_NAMES = 1_000;

/** `accessToken`, `access-token` and `ACCESS_TOKEN` are one field to people, and so they are here. */
export const fieldName = (name: string): string => name.toLowerCase().replaceAll(/[-_\s]/g, '');

/** @param names as in the configuration */
export const fieldSet = (names: readonly string[]): ReadonlySet<string> => new Set(names.map(fieldName));

/**
 * A body, or the beginning of one, without the values of secret fields: those of JSON objects at any depth, also of JSON
 * within strings of JSON, and those of forms. Nothing is parsed: what is cut off, broken or of another type than it
 * claims is looked through in the same way, so that a value is left out if its field's name stands before it.
 * Characters may stand for bytes (latin1): only ASCII has a meaning here.
 */
export function redactText(text: string, contentType: string, fields: ReadonlySet<string>): string {
  if (fields.size === 0) return text;
  const type = contentType.toLowerCase();
  if (type.startsWith('application/x-www-form-urlencoded')) return redactForm(text, fields);
  if (type.startsWith('multipart/')) return redactJson(redactParts(text, fields), fields);
  const json = redactJson(text, fields);
  // Forms are sent under any name, or none, by those who write clients by hand.
  return /^[^\s"{}<>[\]]*=/.test(json) ? redactForm(json, fields) : json;
}

/** The same for what has been decoded already. */
export function redactValue(value: unknown, fields: ReadonlySet<string>): unknown {
  if (typeof value === 'string') return value.includes('"') ? redactJson(value, fields) : value;
  if (Array.isArray(value)) return value.map((each) => redactValue(each, fields));
  if (typeof value !== 'object' || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const [key, each] of Object.entries(value)) {
    const shown = fields.has(fieldName(key)) ? REDACTED : redactValue(each, fields);
    Object.defineProperty(out, key, { value: shown, enumerable: true, writable: true, configurable: true });
  }
  return out;
}

// -- JSON ---------------------------------------------------------------------------------------------------------

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Looks at every quotation mark: is it the beginning of a field's name? */
function redactJson(text: string, fields: ReadonlySet<string>): string {
  // Objects of one list have the same names again and again.
  const names = new Map<string, boolean>();
  const known = (written: string, depth: number): boolean => {
    if (written.includes('\\')) return fields.has(fieldName(unescaped(written, depth)));
    let secret = names.get(written);
    if (secret === undefined) {
      secret = fields.has(fieldName(written));
      if (names.size < MOST_NAMES) names.set(written, secret);
    }
    return secret;
  };
  let out = '';
  let copied = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) {
    const found = secretAt(text, at, known);
    if (found === null) continue;
    out += `${text.slice(copied, found.from)}${found.with}`;
    copied = found.to;
    // The character before may be looked at for its backslashes.
    at = Math.max(at, found.to - 1);
  }
  return copied === 0 ? text : out + text.slice(copied);
}

interface Replacement {
  from: number;
  to: number;
  with: string;
}

/** The value of the secret field whose name begins with the quotation mark at `at`; null: there is none. */
function secretAt(text: string, at: number, known: (written: string, depth: number) => boolean): Replacement | null {
  const depth = depthOf(backslashesBefore(text, at));
  if (depth === null) return null;
  const nameEnd = endOfString(text, at + 1, depth, at + LONGEST_NAME);
  if (nameEnd === null || nameEnd.outer) return null;
  const colon = skipSpace(text, nameEnd.after);
  if (text[colon] !== ':') return null;
  if (!known(text.slice(at + 1, nameEnd.at - escapes(depth)), depth)) return null;
  const from = skipSpace(text, colon + 1);
  if (from >= text.length) return null;
  const quote = `${'\\'.repeat(escapes(depth))}"`;
  return { from, to: endOfValue(text, from, depth), with: `${quote}${REDACTED}${quote}` };
}

/** Backslashes before each quotation mark that opens a string at this depth: 0, 1, 3, 7. */
const escapes = (depth: number): number => 2 ** depth - 1;

function depthOf(backslashes: number): number | null {
  for (let depth = 0; depth <= DEEPEST_NESTING; depth++) if (escapes(depth) === backslashes) return depth;
  return null;
}

function backslashesBefore(text: string, at: number): number {
  let count = 0;
  while (count < at && text.charCodeAt(at - 1 - count) === BACKSLASH) count++;
  return count;
}

interface StringEnd {
  /** Of the quotation mark. */
  at: number;
  after: number;
  /** It ended a string that this one is in. */
  outer: boolean;
}

/** Where a string of this depth ends; null: not before `most`, or not at all. */
function endOfString(text: string, from: number, depth: number, most = text.length): StringEnd | null {
  for (let at = text.indexOf('"', from); at >= 0 && at <= most; at = text.indexOf('"', at + 1)) {
    const end = endsString(Math.min(backslashesBefore(text, at), at - from), depth);
    if (end !== 'none') return { at, after: at + 1, outer: end === 'outer' };
  }
  return null;
}

/** What a quotation mark after so many backslashes is to a string of this depth. */
function endsString(backslashes: number, depth: number): 'own' | 'outer' | 'none' {
  let left = backslashes;
  for (let level = 0; level < depth; level++) {
    // Not escaped on the way in: it belongs to a string around this one.
    if (left % 2 === 0) return 'outer';
    left = (left - 1) / 2;
  }
  return left % 2 === 0 ? 'own' : 'none';
}

const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d) || code === 0xa0;

/** Spaces, line ends and tabs, also as they are written in strings. */
function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (isSpace(code)) at++;
    else if (code === BACKSLASH) {
      let end = at;
      while (text[end] === '\\') end++;
      if (!'nrt'.includes(text[end] ?? '?')) return at;
      at = end + 1;
    } else return at;
  }
  return at;
}

function endOfValue(text: string, from: number, depth: number): number {
  const opening = backslashesAt(text, from);
  if (text.charCodeAt(from + opening) === QUOTE) {
    const end = endOfString(text, from + opening + 1, depth);
    if (end === null) return text.length;
    return end.outer ? end.at - backslashesBefore(text, end.at) : end.after;
  }
  if (text[from] === '{' || text[from] === '[') return endOfNested(text, from, depth);
  for (let at = from; at < text.length; at++) {
    if (',}]'.includes(text[at]) || /\s/.test(text[at]) || text[at] === '"' || text[at] === '\\') return at;
  }
  return text.length;
}

function backslashesAt(text: string, from: number): number {
  let count = 0;
  while (text.charCodeAt(from + count) === BACKSLASH) count++;
  return count;
}

/** Past the bracket that belongs to the one at `from`, whatever strings between them hold. */
function endOfNested(text: string, from: number, depth: number): number {
  let open = 0;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') open++;
    else if (character === '}' || character === ']') {
      if (--open === 0) return at + 1;
    } else if (character === '"') {
      if (endsString(backslashesBefore(text, at), depth) === 'outer') return at - backslashesBefore(text, at);
      const end = endOfString(text, at + 1, depth);
      if (end === null) return text.length;
      if (end.outer) return end.at - backslashesBefore(text, end.at);
      at = end.at;
    }
  }
  return text.length;
}

/** A name without its escapes; of one that is broken, what is left of it. */
function unescaped(written: string, depth: number): string {
  let text = written;
  for (let level = 0; level <= depth; level++) {
    if (!text.includes('\\')) break;
    text = text.replaceAll(/\\u([0-9a-fA-F]{4})|\\(.)/g, (_, code: string | undefined, character: string) =>
      code === undefined ? character : String.fromCharCode(Number.parseInt(code, 16)),
    );
  }
  return text;
}

// -- queries --------------------------------------------------------------------------------------------------------

/** Parameters that are known to carry credentials, beyond the fields: signatures of storage services, codes of OAuth. */
const SECRET_PARAMETER =
  /^(.*(token|secret|passw(or)?d|signature|credential|api[_-]?key).*|awsaccesskeyid|sig|code|key|auth)$/i;

/**
 * A request's path without the values of secret parameters of its query. They become `REDACTED`, as OpenTelemetry has it
 * for `url.full`.
 */
export function redactQuery(path: string, fields: ReadonlySet<string>): string {
  const query = path.indexOf('?');
  if (query < 0) return path;
  let changed = false;
  const parts = path.slice(query + 1).split(/([&;])/);
  for (const [i, pair] of parts.entries()) {
    const equals = pair.indexOf('=');
    if (equals <= 0) continue;
    const name = decoded(pair.slice(0, equals));
    if (!SECRET_PARAMETER.test(name) && !isSecretName(name, fields)) continue;
    parts[i] = `${pair.slice(0, equals)}=REDACTED`;
    changed = true;
  }
  return changed ? `${path.slice(0, query)}?${parts.join('')}` : path;
}

// -- forms --------------------------------------------------------------------------------------------------------

function redactForm(text: string, fields: ReadonlySet<string>): string {
  return text
    .split(/([&;\n])/)
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 0 || !isSecretName(decoded(pair.slice(0, equals)), fields)) return pair;
      return `${pair.slice(0, equals)}=${REDACTED}`;
    })
    .join('');
}

/** `user[password]` and `user.password` too. */
function isSecretName(name: string, fields: ReadonlySet<string>): boolean {
  if (fields.has(fieldName(name.trim()))) return true;
  return name.split(/[.[\]]+/).some((part) => part !== '' && fields.has(fieldName(part)));
}

function decoded(text: string): string {
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

/** Fields of multipart/form-data (RFC 7578): from the empty line after the head with the name to the next boundary. */
function redactParts(text: string, fields: ReadonlySet<string>): string {
  const heads = /content-disposition:[^\r\n]*?[;\s]name=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))[^\r\n]*/gi;
  let out = '';
  let copied = 0;
  for (let head = heads.exec(text); head !== null; head = heads.exec(text)) {
    if (!isSecretName(head[1] ?? head[2], fields)) continue;
    const blank = /\r?\n\r?\n/g;
    blank.lastIndex = head.index;
    const start = blank.exec(text);
    if (start === null) continue;
    const from = start.index + start[0].length;
    const boundary = /\r?\n--/g;
    boundary.lastIndex = Math.max(0, from - 2);
    const next = boundary.exec(text);
    const to = next === null ? text.length : Math.max(from, next.index);
    out += `${text.slice(copied, from)}${REDACTED}`;
    copied = to;
    heads.lastIndex = to;
  }
  return copied === 0 ? text : out + text.slice(copied);
}
