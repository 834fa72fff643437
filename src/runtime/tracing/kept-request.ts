import type { ProxySpan } from '../../model/proxy-span.ts';

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
