/**
 * OTLP's data in its JSON form (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): what `mesh trace --json`
 * prints, and how spans are kept inside, so that nothing a service sent is lost. IDs are hexadecimal, 64-bit numbers
 * decimal text, enumerations numbers. What is absent has its zero value.
 */

export interface AnyValue {
  stringValue?: string;
  boolValue?: boolean;
  intValue?: string;
  doubleValue?: number;
  arrayValue?: { values?: AnyValue[] };
  kvlistValue?: { values?: KeyValue[] };
  /** Base64. */
  bytesValue?: string;
}

export interface KeyValue {
  key: string;
  value?: AnyValue;
}

export interface Resource {
  attributes?: KeyValue[];
  droppedAttributesCount?: number;
}

export interface Scope {
  name?: string;
  version?: string;
  attributes?: KeyValue[];
  droppedAttributesCount?: number;
}

/** `SpanKind` of OTLP. */
export const SPAN_KIND = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const;
/** `StatusCode` of OTLP. */
export const STATUS_ERROR = 2;

export interface OtlpEvent {
  timeUnixNano?: string;
  name?: string;
  attributes?: KeyValue[];
  droppedAttributesCount?: number;
}

export interface OtlpLink {
  traceId?: string;
  spanId?: string;
  traceState?: string;
  attributes?: KeyValue[];
  droppedAttributesCount?: number;
  flags?: number;
}

export interface OtlpSpan {
  /** 32 digits. */
  traceId: string;
  /** 16 digits. */
  spanId: string;
  traceState?: string;
  /** Absent or empty: the trace begins here. */
  parentSpanId?: string;
  name?: string;
  kind?: number;
  startTimeUnixNano?: string;
  endTimeUnixNano?: string;
  attributes?: KeyValue[];
  droppedAttributesCount?: number;
  events?: OtlpEvent[];
  droppedEventsCount?: number;
  links?: OtlpLink[];
  droppedLinksCount?: number;
  status?: { message?: string; code?: number };
  flags?: number;
}

export interface ScopeSpans {
  scope?: Scope;
  spans?: OtlpSpan[];
  schemaUrl?: string;
}

export interface ResourceSpans {
  resource?: Resource;
  scopeSpans?: ScopeSpans[];
  schemaUrl?: string;
}

export interface OtlpLogRecord {
  timeUnixNano?: string;
  observedTimeUnixNano?: string;
  severityNumber?: number;
  severityText?: string;
  body?: AnyValue;
  attributes?: KeyValue[];
  droppedAttributesCount?: number;
  flags?: number;
  traceId?: string;
  spanId?: string;
  eventName?: string;
}

export interface ScopeLogs {
  scope?: Scope;
  logRecords?: OtlpLogRecord[];
  schemaUrl?: string;
}

export interface ResourceLogs {
  resource?: Resource;
  scopeLogs?: ScopeLogs[];
  schemaUrl?: string;
}

export const stringAttribute = (key: string, value: string): KeyValue => ({ key, value: { stringValue: value } });
export const intAttribute = (key: string, value: number): KeyValue => ({ key, value: { intValue: String(value) } });
export const boolAttribute = (key: string, value: boolean): KeyValue => ({ key, value: { boolValue: value } });

/** A value for people; lists and maps as JSON. */
export function textOfValue(value: AnyValue | undefined): string {
  if (value === undefined) return '';
  const plain = plainValue(value);
  return typeof plain === 'string' ? plain : JSON.stringify(plain);
}

function plainValue(value: AnyValue): unknown {
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.boolValue !== undefined) return value.boolValue;
  // As text: it may be larger than a number can say.
  if (value.intValue !== undefined) return String(value.intValue);
  if (value.doubleValue !== undefined) return String(value.doubleValue);
  if (value.bytesValue !== undefined) return value.bytesValue;
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(plainValue);
  if (value.kvlistValue !== undefined) {
    return Object.fromEntries(
      (value.kvlistValue.values ?? []).map((entry) => [entry.key, plainValue(entry.value ?? {})]),
    );
  }
  return '';
}

/** Text of an attribute; empty where it is not there. */
export function attributeText(attributes: readonly KeyValue[] | undefined, key: string): string {
  return textOfValue(attributes?.find((attribute) => attribute.key === key)?.value);
}

/** Milliseconds since 1970 of a time in nanoseconds, with their fraction; 0 where it is none. */
export function unixMs(nanos: string | undefined): number {
  if (nanos === undefined || nanos.length < 7) return 0;
  // In two parts: as one number it would be rounded to 256 ns.
  return Number(nanos.slice(0, -6)) + Number(nanos.slice(-6)) / 1e6;
}

/** Nanoseconds of a time in milliseconds since 1970, exact to the microsecond. */
export function unixNano(ms: number): string {
  const whole = Math.floor(ms);
  return `${whole}${String(Math.min(999, Math.round((ms - whole) * 1e3))).padStart(3, '0')}000`;
}

/** From one time to another in milliseconds, exact to the nanosecond. */
export function betweenMs(fromNano: string | undefined, toNano: string | undefined): number {
  return Number(BigInt(toNano || '0') - BigInt(fromNano || '0')) / 1e6;
}
