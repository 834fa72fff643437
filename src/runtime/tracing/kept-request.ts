import type { ProxySpan } from '../../model/proxy-span.ts';
import type { TraceRecord } from './trace-index.ts';

/** One request as the proxies on both of its ends saw it. */
export interface KeptRequest {
  /** Of the caller's proxy; null: only the called side's part is kept, or the caller has no proxy. */
  caller: ProxySpan | null;
  /** Of the called instance's proxy; null: it is not kept, or the request did not come so far. */
  called: ProxySpan | null;
  /** What callers' proxies saw of the other requests of the trace, the earliest first. */
  others: ProxySpan[];
}

/**
 * The request that a span belongs to: a proxy's is itself one; of a service's own, the call that it stands for, else the
 * request within which it came about.
 * @returns ID of a proxy's span; the one given where there is none
 */
export function requestOf({ proxies, spans }: TraceRecord, spanId: string): string {
  const isRequest = (id: string) => proxies.some((proxy) => proxy.spanId === id);
  if (spanId === '' || isRequest(spanId)) return spanId;
  const call = proxies.find(({ side, parentSpanId }) => side !== 'inbound' && parentSpanId === spanId);
  if (call !== undefined) return call.spanId;
  const parents = new Map(spans.map(({ span }) => [span.spanId, span.parentSpanId ?? '']));
  // A service may send anything, also spans that are each other's parents.
  for (
    let id = parents.get(spanId), steps = 0;
    id !== undefined && steps < parents.size;
    id = parents.get(id), steps++
  ) {
    if (isRequest(id)) return id;
  }
  return spanId;
}

/**
 * Finds a request among the spans of its trace.
 * @param spanId of either side; empty: the one that the trace began with
 * @returns null where there is no such span
 */
export function keptRequest(spans: readonly ProxySpan[], spanId: string): KeptRequest | null {
  const inTime = [...spans].sort((a, b) => a.startMs - b.startMs);
  const asked =
    spanId === ''
      ? (inTime.find(({ side }) => side !== 'inbound') ?? inTime[0])
      : inTime.find((span) => span.spanId === spanId);
  if (asked === undefined) return null;
  const caller =
    asked.side === 'inbound'
      ? (inTime.find(({ side, spanId: id }) => side !== 'inbound' && id === asked.parentSpanId) ?? null)
      : asked;
  // Of several tries the last one counts.
  const called =
    asked.side === 'inbound'
      ? asked
      : (inTime.findLast(({ side, parentSpanId }) => side === 'inbound' && parentSpanId === asked.spanId) ?? null);
  const others = inTime.filter((span) => span.side !== 'inbound' && span !== caller);
  return { caller, called, others };
}
