import {
  attributeText,
  type OtlpLogRecord,
  type OtlpSpan,
  type Resource,
  type Scope,
  STATUS_ERROR,
  unixMs,
} from '../../model/otlp.ts';
import { type ProxySpan, proxySpanError, withoutQuery } from '../../model/proxy-span.ts';
import type { TraceEdge, TraceEdges, TraceQuery, TraceSummary } from '../../model/trace.ts';

/** A span that a service sent, with who sent it. */
export interface ServiceSpan {
  resource?: Resource;
  scope?: Scope;
  span: OtlpSpan;
}

export interface ServiceLog {
  resource?: Resource;
  scope?: Scope;
  log: OtlpLogRecord;
}

/** What was learnt of one trace at one time; a line of the store. */
export interface TraceRecord {
  traceId: string;
  proxies: ProxySpan[];
  spans: ServiceSpan[];
  logs: ServiceLog[];
}

/** Where a record lies. */
export interface Location {
  segment: number;
  offset: number;
  length: number;
}

/** A trace as it is found by. */
export interface TraceEntry {
  readonly traceId: string;
  startMs: number;
  endMs: number;
  spans: number;
  errors: number;
  readonly services: Set<string>;
  /** Of the span that began it, or else the earliest. */
  root: { service: string; name: string; startMs: number; hasParent: boolean } | null;
  readonly begun: TraceEdge[];
  readonly served: TraceEdge[];
  locations: Location[];
  /** IDs of the proxies' spans, then those of the services' own, one after another: as one text they take least room. */
  spanIds: string;
  ownSpanIds: string;
}

/** A span that is kept. */
export interface SpanPlace {
  traceId: string;
  spanId: string;
}

const SPAN_ID_DIGITS = 16;

/** Traces kept, by their IDs. */
export class TraceIndex {
  readonly entries = new Map<string, TraceEntry>();
  /** Calls that carried a trace on, by service. */
  private readonly continued = new Map<string, number>();

  add(record: TraceRecord, location: Location): void {
    let entry = this.entries.get(record.traceId);
    if (entry === undefined) {
      entry = {
        traceId: record.traceId,
        startMs: Number.POSITIVE_INFINITY,
        endMs: 0,
        spans: 0,
        errors: 0,
        services: new Set(),
        root: null,
        begun: [],
        served: [],
        locations: [],
        spanIds: '',
        ownSpanIds: '',
      };
      this.entries.set(record.traceId, entry);
    }
    entry.locations.push(location);
    for (const span of record.proxies) this.addProxySpan(entry, span);
    for (const { resource, span } of record.spans) {
      if (span.spanId.length === SPAN_ID_DIGITS) entry.ownSpanIds += span.spanId;
      const service = attributeText(resource?.attributes, 'service.name') || 'unknown';
      const startMs = unixMs(span.startTimeUnixNano);
      const hasParent = (span.parentSpanId ?? '') !== '';
      const failed = span.status?.code === STATUS_ERROR;
      note(entry, { service, name: span.name ?? '', startMs, hasParent }, unixMs(span.endTimeUnixNano), failed);
    }
  }

  /** What lay in a segment is gone. @param traceIds of the records in it */
  forget(segment: number, traceIds: Iterable<string>): void {
    for (const traceId of traceIds) {
      const entry = this.entries.get(traceId);
      if (entry === undefined) continue;
      entry.locations = entry.locations.filter((location) => location.segment !== segment);
      if (entry.locations.length === 0) this.entries.delete(traceId);
    }
  }

  query(query: TraceQuery): TraceSummary[] {
    const found: TraceEntry[] = [];
    for (const entry of this.entries.values()) {
      if (entry.root === null) continue;
      if (query.service !== '' && !entry.services.has(query.service)) continue;
      if (query.errorsOnly && entry.errors === 0) continue;
      if (entry.endMs - entry.startMs < query.minDurationMs) continue;
      if (query.sinceMs !== null && entry.startMs < query.sinceMs) continue;
      found.push(entry);
    }
    return found
      .sort((a, b) => b.startMs - a.startMs)
      .slice(0, query.limit)
      .map(summary);
  }

  /** IDs that begin so, at most `most`. */
  withPrefix(prefix: string, most: number): string[] {
    if (this.entries.has(prefix)) return [prefix];
    const found: string[] = [];
    for (const id of this.entries.keys()) {
      if (!id.startsWith(prefix)) continue;
      found.push(id);
      if (found.length >= most) break;
    }
    return found;
  }

  /**
   * Spans whose IDs begin so, at most `most`.
   * @param whose those of proxies, each of which is a request, or those that services sent themselves
   */
  spansWithPrefix(prefix: string, most: number, whose: 'spanIds' | 'ownSpanIds'): SpanPlace[] {
    const found: SpanPlace[] = [];
    for (const entry of this.entries.values()) {
      const ids = entry[whose];
      for (let at = 0; at < ids.length; at += SPAN_ID_DIGITS) {
        if (!ids.startsWith(prefix, at)) continue;
        found.push({ traceId: entry.traceId, spanId: ids.slice(at, at + SPAN_ID_DIGITS) });
        if (found.length >= most) return found;
      }
    }
    return found;
  }

  /** What can have to do with a trace by its time. */
  edgesAround(traceId: string): TraceEdges {
    const around = this.entries.get(traceId);
    const begun: TraceEdge[] = [];
    const served: TraceEdge[] = [];
    if (around !== undefined) {
      for (const entry of this.entries.values()) {
        if (entry.endMs < around.startMs || entry.startMs > around.endMs) continue;
        begun.push(...entry.begun);
        served.push(...entry.served);
      }
    }
    return { begun, served, continued: this.continued };
  }

  private addProxySpan(entry: TraceEntry, span: ProxySpan): void {
    const { traceId, spanId, service, instance, startMs, durationMs, side } = span;
    if (spanId.length === SPAN_ID_DIGITS) entry.spanIds += spanId;
    const hasParent = span.parentSpanId !== '';
    const edge: TraceEdge = { traceId, spanId, service, instance, startMs, endMs: startMs + durationMs };
    if (side === 'inbound') entry.served.push(edge);
    else if (side === 'outbound' && hasParent) this.continued.set(service, (this.continued.get(service) ?? 0) + 1);
    else if (side === 'outbound') entry.begun.push(edge);
    const failed = proxySpanError(span) !== '';
    note(entry, { service, name: titleOf(span), startMs, hasParent }, edge.endMs, failed);
  }
}

function note(entry: TraceEntry, span: NonNullable<TraceEntry['root']>, endMs: number, failed: boolean): void {
  entry.spans++;
  if (failed) entry.errors++;
  entry.services.add(span.service);
  entry.startMs = Math.min(entry.startMs, span.startMs);
  entry.endMs = Math.max(entry.endMs, endMs, span.startMs);
  const { root } = entry;
  const earlier = root === null || span.startMs < root.startMs;
  if (root === null || (root.hasParent && !span.hasParent) || (root.hasParent === span.hasParent && earlier))
    entry.root = span;
}

function titleOf(span: ProxySpan): string {
  const path = withoutQuery(span.path);
  if (span.protocol === 'tcp') return `tcp ${span.other}`;
  return span.protocol === 'grpc' ? path.slice(1) : `${span.method} ${path}`;
}

function summary(entry: TraceEntry): TraceSummary {
  return {
    traceId: entry.traceId,
    time: new Date(entry.startMs).toISOString(),
    durationMs: Math.round((entry.endMs - entry.startMs) * 1e3) / 1e3,
    service: entry.root?.service ?? '',
    name: entry.root?.name ?? '',
    services: [...entry.services].sort(),
    spans: entry.spans,
    errors: entry.errors,
  };
}
