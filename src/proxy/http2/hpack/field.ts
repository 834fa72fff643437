/**
 * What a field name means to the message layer. Names are classified when they are first decoded and the class stays
 * with the table entry, so a repeated field costs no look at its bytes.
 */
export const FieldKind = {
  Regular: 0,
  Method: 1,
  Path: 2,
  Scheme: 3,
  Authority: 4,
  Status: 5,
  Protocol: 6,
  /** A pseudo-header that no RFC defines. */
  UnknownPseudo: 7,
  /** Not a lowercase token (RFC 9113 section 8.2.1). */
  InvalidName: 8,
  /** Connection-specific (RFC 9113 section 8.2.2). */
  ConnectionSpecific: 9,
  Te: 10,
  Host: 11,
  ContentLength: 12,
  Expect: 13,
  Cookie: 14,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

/** One field line: an entry of the static or a dynamic table. */
export interface Field {
  readonly name: string;
  readonly value: string;
  readonly kind: FieldKind;
  /** Whether the value is legal for that name. */
  readonly valid: boolean;
}

/** RFC 7541 section 4.1: what an entry counts, and also what a field counts against SETTINGS_MAX_HEADER_LIST_SIZE. */
export const FIELD_OVERHEAD_BYTES = 32;

/** Character classes, one bit each, so that one table look-up answers for a byte. */
const VALUE = 1;
const TOKEN = 2;
const LOWER_TOKEN = 4;
const TARGET = 8;
const AUTHORITY = 16;
const SCHEME = 32;
const DIGIT = 64;

const CLASSES = buildClasses();

function buildClasses(): Uint8Array {
  const classes = new Uint8Array(256);
  const mark = (chars: string, bits: number): void => {
    for (const char of chars) classes[char.charCodeAt(0)] |= bits;
  };
  // RFC 9110 section 5.5: visible characters, obs-text, and inner space and tab.
  for (let c = 0x20; c < 256; c++) if (c !== 0x7f) classes[c] |= VALUE;
  mark('\t', VALUE);
  const upper = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const lower = upper.toLowerCase();
  const digits = '0123456789';
  mark("!#$%&'*+-.^_`|~", TOKEN | LOWER_TOKEN);
  mark(lower + digits, TOKEN | LOWER_TOKEN);
  mark(upper, TOKEN);
  // A request target that goes on as an HTTP/1.1 request line must not hold a space or a control character, and a
  // fragment never belongs on the wire (RFC 9113 section 8.3.1). Raw non-ASCII bytes are sent by real clients.
  for (let c = 0x21; c < 256; c++) if (c !== 0x7f && c !== 0x23) classes[c] |= TARGET;
  // RFC 3986 section 3.2 without userinfo, which RFC 9113 section 8.3.1 forbids.
  mark(`${lower + upper + digits}-._~!$&'()*+,;=:[]%`, AUTHORITY);
  mark(`${lower + upper + digits}+-.`, SCHEME);
  mark(digits, DIGIT);
  return classes;
}

const VALUE_CLASS_OF_KIND = buildValueClasses();

function buildValueClasses(): Uint8Array {
  const classes = new Uint8Array(Object.keys(FieldKind).length).fill(VALUE);
  classes[FieldKind.Method] = TOKEN;
  classes[FieldKind.Path] = TARGET;
  classes[FieldKind.Scheme] = SCHEME;
  classes[FieldKind.Authority] = AUTHORITY;
  classes[FieldKind.Host] = AUTHORITY;
  classes[FieldKind.Status] = DIGIT;
  classes[FieldKind.ContentLength] = DIGIT;
  classes[FieldKind.Protocol] = TOKEN;
  return classes;
}

/** Whether buf[start, end) may stand as the value of a field of that kind. */
export function isLegalValue(kind: FieldKind, buf: Uint8Array, start: number, end: number): boolean {
  const allowed = VALUE_CLASS_OF_KIND[kind];
  if (allowed === VALUE) {
    // Without a branch for each byte this takes half the time. Tabs and non-ASCII fall through to the careful loop.
    let outside = 0;
    for (let p = start; p < end; p++) outside |= (buf[p] - 0x20) | (0x7e - buf[p]);
    if (outside >= 0) return end === start || (buf[start] !== 0x20 && buf[end - 1] !== 0x20);
  }
  for (let p = start; p < end; p++) if ((CLASSES[buf[p]] & allowed) === 0) return false;
  // RFC 9113 section 8.2.1: no space or tab at either end. (No other class holds them.)
  return end === start || (!isBlank(buf[start]) && !isBlank(buf[end - 1]));
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}

/** Classifies a name that is in no table. */
export function classifyName(name: string): FieldKind {
  if (name.charCodeAt(0) === 0x3a) return FieldKind.UnknownPseudo;
  for (let i = 0; i < name.length; i++) {
    if ((CLASSES[name.charCodeAt(i)] & LOWER_TOKEN) === 0) return FieldKind.InvalidName;
  }
  return name.length === 0 ? FieldKind.InvalidName : FieldKind.Regular;
}
