import type { AnyValue, KeyValue, OtlpLogRecord, OtlpSpan, ResourceLogs, ResourceSpans } from '../../model/otlp.ts';
import type { ServiceLog, ServiceSpan } from './trace-index.ts';

/** What a span or log record may take in all; what is larger belongs into a file, not into a trace. */
const MOST_CHARACTERS = 256 * 1024;
/** Values in values. */
const MOST_DEPTH = 32;
const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;
const SPAN_ID = /^(?!0{16})[0-9a-f]{16}$/;

export interface Accepted<Item> {
  items: Item[];
  rejected: number;
  /** Of the first that was rejected. */
  reason: string;
}

/** Takes apart what a service sent and leaves out what is no valid span. */
export function acceptSpans(resourceSpans: readonly ResourceSpans[]): Accepted<ServiceSpan> {
  const accepted: Accepted<ServiceSpan> = { items: [], rejected: 0, reason: '' };
  for (const { resource, scopeSpans } of resourceSpans) {
    for (const { scope, spans } of scopeSpans ?? []) {
      for (const span of spans ?? []) {
        const item = { resource, scope, span };
        take(accepted, item, invalidSpan(span) ?? tooLarge(item));
      }
    }
  }
  return accepted;
}

/** The same for log records. Those that belong to no trace are passed over: there is nowhere to show them. */
export function acceptLogs(resourceLogs: readonly ResourceLogs[]): Accepted<ServiceLog> {
  const accepted: Accepted<ServiceLog> = { items: [], rejected: 0, reason: '' };
  for (const { resource, scopeLogs } of resourceLogs) {
    for (const { scope, logRecords } of scopeLogs ?? []) {
      for (const log of logRecords ?? []) {
        if ((log.traceId ?? '') === '') continue;
        const item = { resource, scope, log };
        take(accepted, item, invalidLog(log) ?? tooLarge(item));
      }
    }
  }
  return accepted;
}

function take<Item>(accepted: Accepted<Item>, item: Item, wrong: string | null): void {
  if (wrong === null) accepted.items.push(item);
  else {
    accepted.rejected++;
    accepted.reason ||= wrong;
  }
}

function invalidSpan(span: OtlpSpan): string | null {
  if (!TRACE_ID.test(span.traceId ?? '')) return 'a span without a valid trace ID';
  if (!SPAN_ID.test(span.spanId ?? '')) return 'a span without a valid span ID';
  if ((span.parentSpanId ?? '') !== '' && !SPAN_ID.test(span.parentSpanId!))
    return 'a span with an invalid parent span ID';
  if ((span.startTimeUnixNano ?? '0') === '0' || (span.endTimeUnixNano ?? '0') === '0')
    return 'a span without start or end';
  return null;
}

const invalidLog = (log: OtlpLogRecord): string | null =>
  TRACE_ID.test(log.traceId!) ? null : 'a log record with an invalid trace ID';

function tooLarge(item: ServiceSpan | ServiceLog): string | null {
  const attributes =
    'span' in item ? item.span.attributes : [...(item.log.attributes ?? []), { key: '', value: item.log.body }];
  const more = 'span' in item ? [...(item.span.events ?? []), ...(item.span.links ?? [])] : [];
  const lists = [attributes, item.resource?.attributes, item.scope?.attributes, ...more.map((each) => each.attributes)];
  let characters = 0;
  for (const list of lists) {
    for (const attribute of list ?? []) {
      characters += sizeOf(attribute, 0);
      if (characters > MOST_CHARACTERS) return 'one that is too large, or nested too deeply';
    }
  }
  return null;
}

function sizeOf({ key, value }: KeyValue, depth: number): number {
  return (key ?? '').length + 16 + (value === undefined ? 0 : sizeOfValue(value, depth));
}

function sizeOfValue(value: AnyValue, depth: number): number {
  if (depth > MOST_DEPTH) return Number.POSITIVE_INFINITY;
  let characters = (value.stringValue ?? value.bytesValue ?? '').length + 16;
  for (const each of value.arrayValue?.values ?? []) characters += sizeOfValue(each, depth + 1);
  for (const each of value.kvlistValue?.values ?? []) characters += sizeOf(each, depth + 1);
  return characters;
}
