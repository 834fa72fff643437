import { type Field, FieldKind } from './field.ts';

/** RFC 7541 appendix A, in order; the index of an entry is its place here, from 1. */
// biome-ignore format: one entry a line, as the RFC has them
const ENTRIES: readonly (readonly [name: string, value: string])[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  [':status', '200'],
  [':status', '204'],
  [':status', '206'],
  [':status', '304'],
  [':status', '400'],
  [':status', '404'],
  [':status', '500'],
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ['accept-language', ''],
  ['accept-ranges', ''],
  ['accept', ''],
  ['access-control-allow-origin', ''],
  ['age', ''],
  ['allow', ''],
  ['authorization', ''],
  ['cache-control', ''],
  ['content-disposition', ''],
  ['content-encoding', ''],
  ['content-language', ''],
  ['content-length', ''],
  ['content-location', ''],
  ['content-range', ''],
  ['content-type', ''],
  ['cookie', ''],
  ['date', ''],
  ['etag', ''],
  ['expect', ''],
  ['expires', ''],
  ['from', ''],
  ['host', ''],
  ['if-match', ''],
  ['if-modified-since', ''],
  ['if-none-match', ''],
  ['if-range', ''],
  ['if-unmodified-since', ''],
  ['last-modified', ''],
  ['link', ''],
  ['location', ''],
  ['max-forwards', ''],
  ['proxy-authenticate', ''],
  ['proxy-authorization', ''],
  ['range', ''],
  ['referer', ''],
  ['refresh', ''],
  ['retry-after', ''],
  ['server', ''],
  ['set-cookie', ''],
  ['strict-transport-security', ''],
  ['transfer-encoding', ''],
  ['user-agent', ''],
  ['vary', ''],
  ['via', ''],
  ['www-authenticate', ''],
];

export const STATIC_ENTRIES = ENTRIES.length;

/** How the encoder treats the values of a name. */
export const Indexing = {
  /** Into the dynamic table when a value is seen for the second time. */
  OnRepeat: 0,
  /** Never twice the same: a look into the table would be wasted. */
  Volatile: 1,
  /** A secret; when it is short enough to guess, it is a never-indexed literal (RFC 7541 section 7.1.3). */
  Secret: 2,
  /** Must not go out at all: connection-specific, or carried by a pseudo-header. */
  Dropped: 3,
} as const;
export type Indexing = (typeof Indexing)[keyof typeof Indexing];

/** What is known of a name before any message. */
export interface KnownName {
  readonly name: string;
  readonly kind: FieldKind;
  readonly indexing: Indexing;
  /** Lowest static index with that name, 0 for none. */
  readonly staticIndex: number;
  /** Static indexes by value, null where the static table has none for this name. */
  readonly staticValues: Map<string, number> | null;
}

const KINDS: Readonly<Record<string, FieldKind>> = {
  ':method': FieldKind.Method,
  ':path': FieldKind.Path,
  ':scheme': FieldKind.Scheme,
  ':authority': FieldKind.Authority,
  ':status': FieldKind.Status,
  ':protocol': FieldKind.Protocol,
  te: FieldKind.Te,
  host: FieldKind.Host,
  'content-length': FieldKind.ContentLength,
  expect: FieldKind.Expect,
  cookie: FieldKind.Cookie,
  connection: FieldKind.ConnectionSpecific,
  'keep-alive': FieldKind.ConnectionSpecific,
  'proxy-connection': FieldKind.ConnectionSpecific,
  'transfer-encoding': FieldKind.ConnectionSpecific,
  upgrade: FieldKind.ConnectionSpecific,
};

const VOLATILE = [
  'traceparent',
  'x-request-id',
  'x-b3-spanid',
  'etag',
  'if-none-match',
  'last-modified',
  'if-modified-since',
  'location',
  'content-range',
  'range',
  'age',
];
const SECRET = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'];

/** Names that meshes carry all the time and the static table lacks; knowing them spares a check of their bytes. */
const COMMON = [
  'tracestate',
  'baggage',
  'priority',
  'grpc-timeout',
  'grpc-encoding',
  'grpc-accept-encoding',
  'grpc-status',
  'grpc-message',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-client-cert',
];

export const KNOWN_NAMES: ReadonlyMap<string, KnownName> = collectNames();

function collectNames(): Map<string, KnownName> {
  const names = new Map<string, KnownName>();
  const statics = ENTRIES.map(([name]) => name);
  for (const name of new Set([...statics, ...Object.keys(KINDS), ...VOLATILE, ...COMMON])) {
    const kind = KINDS[name] ?? FieldKind.Regular;
    const values = new Map<string, number>();
    for (let i = 0; i < ENTRIES.length; i++) {
      if (ENTRIES[i][0] === name && ENTRIES[i][1] !== '') values.set(ENTRIES[i][1], i + 1);
    }
    names.set(name, {
      name,
      kind,
      indexing: indexingOf(name, kind),
      staticIndex: statics.indexOf(name) + 1,
      staticValues: values.size > 0 ? values : null,
    });
  }
  return names;
}

function indexingOf(name: string, kind: FieldKind): Indexing {
  if (kind === FieldKind.ConnectionSpecific || kind === FieldKind.Host) return Indexing.Dropped;
  if (SECRET.includes(name)) return Indexing.Secret;
  return VOLATILE.includes(name) ? Indexing.Volatile : Indexing.OnRepeat;
}

/** The static table as the decoder reads it; place 0 is not used. */
export const STATIC_TABLE: readonly Field[] = [
  { name: '', value: '', kind: FieldKind.InvalidName, valid: false },
  ...ENTRIES.map(([name, value]): Field => ({ name, value, kind: KINDS[name] ?? FieldKind.Regular, valid: true })),
];
