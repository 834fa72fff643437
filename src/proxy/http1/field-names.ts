import { TOKEN_LOWER } from './characters.ts';
import { forgetLines, type LineMemo } from './line-memo.ts';
import * as kinds from './scratch.ts';
import { scratch, scratchView } from './scratch.ts';

/**
 * A field name that has been seen before. Names arrive in the same order from the same kind of client, so every
 * entry remembers what followed it the last two times; a right guess costs one compare of a few words and no
 * string is made. Names are case-insensitive, so the compare masks the case bit of letters (and only of letters).
 */
export interface FieldName {
  /** Lowercase. */
  text: string;
  kind: number;
  /** First index in `PATTERNS`, and words to compare there: the name and its colon. 0 words: not in the table. */
  pattern: number;
  words: number;
  likelyNext: FieldName | null;
  otherNext: FieldName | null;
  /** The last two lines of this name. */
  likelyLine: LineMemo | null;
  otherLine: LineMemo | null;
  /** Its values must not outlive their connection in a memo. */
  readonly secret: boolean;
  /** Lines that were neither, modulo what `rememberLine` counts. */
  misses: number;
}

/** Longer names are legal but not remembered. */
const MAX_INTERNED_BYTES = 63;
const PATTERN_INTS = 2 * ((MAX_INTERNED_BYTES + 1) / 4);

const SPECIAL_NAMES: readonly (readonly [name: string, kind: number])[] = [
  ['host', kinds.HOST],
  ['content-length', kinds.CONTENT_LENGTH],
  ['transfer-encoding', kinds.TRANSFER_ENCODING],
  ['connection', kinds.CONNECTION],
  ['upgrade', kinds.UPGRADE],
  ['te', kinds.TE],
  ['expect', kinds.EXPECT],
  ['keep-alive', kinds.KEEP_ALIVE],
  ['proxy-connection', kinds.HOP_BY_HOP],
  ['http2-settings', kinds.HOP_BY_HOP],
  ['trailer', kinds.TRAILER],
];

/** Never displaced by the names that a client makes up. */
const COMMON_NAMES: readonly string[] = (
  'accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-credentials ' +
  'access-control-allow-headers access-control-allow-methods access-control-allow-origin ' +
  'access-control-expose-headers access-control-max-age access-control-request-headers ' +
  'access-control-request-method age allow alt-svc authorization baggage cache-control content-disposition ' +
  'content-encoding content-language content-location content-range content-security-policy content-type cookie ' +
  'date dnt etag expires forwarded from grpc-accept-encoding grpc-encoding grpc-message grpc-status grpc-timeout ' +
  'idempotency-key if-match if-modified-since if-none-match if-range if-unmodified-since last-event-id ' +
  'last-modified link location max-forwards origin pragma prefer priority proxy-authenticate ' +
  'proxy-authorization range referer referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform ' +
  'sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-websocket-accept sec-websocket-extensions ' +
  'sec-websocket-key sec-websocket-protocol sec-websocket-version server server-timing set-cookie ' +
  'strict-transport-security timing-allow-origin traceparent tracestate upgrade-insecure-requests user-agent ' +
  'vary via www-authenticate x-amzn-trace-id x-api-key x-b3-flags x-b3-parentspanid x-b3-sampled x-b3-spanid ' +
  'x-b3-traceid x-content-type-options x-correlation-id x-csrf-token x-envoy-attempt-count ' +
  'x-envoy-expected-rq-timeout-ms x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port ' +
  'x-forwarded-proto x-frame-options x-powered-by x-real-ip x-request-id x-requested-with x-xss-protection'
).split(' ');

const SECRETS: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie', 'set-cookie']);

/** Slots for names learnt at run time, one per hash: a new name displaces the one it collides with. */
const LEARNT_SLOTS = 256;
const KNOWN_COUNT = SPECIAL_NAMES.length + COMMON_NAMES.length;

/** For each name words of the lowercase pattern, each followed by the mask of the bits that must agree. */
const PATTERNS = new Int32Array((KNOWN_COUNT + LEARNT_SLOTS) * PATTERN_INTS);

/** Open addressing from name hash to known entry; four times as many slots as names, so probes are short. */
const KNOWN_SLOTS = 512;
const known: (FieldName | null)[] = new Array<FieldName | null>(KNOWN_SLOTS).fill(null);
const learnt: (FieldName | null)[] = new Array<FieldName | null>(LEARNT_SLOTS).fill(null);

const hashStep = (hash: number, lower: number): number => (Math.imul(hash, 31) + lower) | 0;
const spread = (hash: number): number => (hash ^ (hash >>> 9)) >>> 0;

function setPattern(name: FieldName, text: string): void {
  name.text = text;
  name.words = (text.length + 4) >> 2;
  for (let w = 0; w < name.words; w++) {
    let word = 0;
    let mask = 0;
    for (let b = 0; b < 4; b++) {
      const i = w * 4 + b;
      if (i > text.length) break;
      const c = i === text.length ? 0x3a : text.charCodeAt(i);
      const letter = c >= 0x61 && c <= 0x7a;
      word |= c << (8 * b);
      mask |= (letter ? 0xdf : 0xff) << (8 * b);
    }
    PATTERNS[name.pattern + 2 * w] = word;
    PATTERNS[name.pattern + 2 * w + 1] = mask;
  }
}

function fieldName(text: string, kind: number, pattern: number): FieldName {
  return {
    text,
    kind,
    pattern,
    words: 0,
    likelyNext: null,
    otherNext: null,
    likelyLine: null,
    otherLine: null,
    secret: SECRETS.has(text),
    misses: 0,
  };
}

function tabledName(slot: number, text: string, kind: number): FieldName {
  const name = fieldName(text, kind, slot * PATTERN_INTS);
  setPattern(name, text);
  return name;
}

function addKnown(slot: number, text: string, kind: number): void {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = hashStep(hash, text.charCodeAt(i));
  let at = spread(hash) & (KNOWN_SLOTS - 1);
  while (known[at] !== null) at = (at + 1) & (KNOWN_SLOTS - 1);
  known[at] = tabledName(slot, text, kind);
}

for (let i = 0; i < SPECIAL_NAMES.length; i++) addKnown(i, SPECIAL_NAMES[i][0], SPECIAL_NAMES[i][1]);
for (let i = 0; i < COMMON_NAMES.length; i++) addKnown(SPECIAL_NAMES.length + i, COMMON_NAMES[i], kinds.ORDINARY);

/** What stands before the first field line: one for each kind of section, so that each learns its own order. */
export function sectionStart(): FieldName {
  return fieldName('', kinds.ORDINARY, 0);
}

/** Whether `scratch` holds this name and a colon at `at`. The sentinel behind the last byte ends a short read. */
export function matchesName(name: FieldName, at: number): boolean {
  let p = name.pattern;
  for (const end = p + 2 * name.words; p < end; p += 2, at += 4) {
    if (((scratchView.getInt32(at, true) ^ PATTERNS[p]) & PATTERNS[p + 1]) !== 0) return false;
  }
  return true;
}

/** First byte from `at` on that is not part of a token. */
export function tokenEnd(at: number): number {
  while (TOKEN_LOWER[scratch[at]] !== 0) at++;
  return at;
}

/** The entry of the name in `scratch` from `start` to `end` (a token, followed by a colon). */
export function lookUpName(start: number, end: number): FieldName {
  let hash = 0;
  for (let i = start; i < end; i++) hash = hashStep(hash, TOKEN_LOWER[scratch[i]]);
  const first = spread(hash);
  for (let at = first & (KNOWN_SLOTS - 1); ; at = (at + 1) & (KNOWN_SLOTS - 1)) {
    const name = known[at];
    if (name === null) break;
    if (matchesName(name, start)) return name;
  }
  if (end - start > MAX_INTERNED_BYTES) return unremembered(start, end);
  const slot = first & (LEARNT_SLOTS - 1);
  const name = learnt[slot];
  if (name === null) {
    return (learnt[slot] = tabledName(KNOWN_COUNT + slot, lowercase(start, end), kinds.ORDINARY));
  }
  // Predecessors may still point to a displaced entry, so it is changed in place: text and pattern stay one.
  if (!matchesName(name, start)) {
    setPattern(name, lowercase(start, end));
    forgetLines(name);
  }
  return name;
}

/** A name too long for the table: it has no words to compare, and the scanner links it to no other. */
function unremembered(start: number, end: number): FieldName {
  return fieldName(lowercase(start, end), kinds.ORDINARY, 0);
}

function lowercase(start: number, end: number): string {
  return scratch.latin1Slice(start, end).toLowerCase();
}
