import type { ResourceLogs, ResourceSpans } from './otlp.ts';

/** Which traces `mesh trace` lists; what is null or empty does not restrict. */
export interface TraceQuery {
  /** Service that had a part in it. */
  service: string;
  /** Only those in which something failed. */
  errorsOnly: boolean;
  minDurationMs: number;
  /** Milliseconds since 1970: not begun before. */
  sinceMs: number | null;
  /** Most traces, the latest. */
  limit: number;
}

/** One trace in the list. */
export interface TraceSummary {
  /** 32 hexadecimal digits. */
  traceId: string;
  /** RFC 3339 with milliseconds. */
  time: string;
  /** From the first span's start to the last one's end. */
  durationMs: number;
  /** Whose span began it, and what that was: `GET /checkout`. */
  service: string;
  name: string;
  /** Of all spans, in alphabetical order. */
  services: string[];
  spans: number;
  errors: number;
}

/** A service that does not pass the trace on, as far as can be told from when its calls began. */
export interface TraceCut {
  /** Service and instance whose calls go on, or came from, somewhere else. */
  service: string;
  instance: string;
  /** `after`: what it called is in other traces. `before`: this trace is probably a part of another. */
  where: 'after' | 'before';
  /** Span of the request that it served at that time, in its trace. */
  spanId: string;
  /** The other traces, at most three, and how many there are. */
  traceIds: string[];
  traces: number;
}

/** Everything that is known of one trace. */
export interface Trace {
  traceId: string;
  resourceSpans: ResourceSpans[];
  resourceLogs: ResourceLogs[];
  cuts: TraceCut[];
}

/** A call of a service with which a trace began, or a request that it served: what cuts are found by. */
export interface TraceEdge {
  traceId: string;
  spanId: string;
  service: string;
  instance: string;
  /** Milliseconds since 1970. */
  startMs: number;
  endMs: number;
}

/** What is known of who passes traces on, over all traces kept. */
export interface TraceEdges {
  /** Calls of services, seen by their outbound proxies, with which a trace began. */
  begun: readonly TraceEdge[];
  /** Requests that inbound proxies passed to services. */
  served: readonly TraceEdge[];
  /** Calls of each service that carried a trace on. */
  continued: ReadonlyMap<string, number>;
}

const MOST_NAMED = 3;

/**
 * Why a trace ends, or begins, in the middle: a service that was serving a request of one trace began calls that were
 * new traces at the same time. Only a guess, since a service may call on its own account; of one that mostly passes
 * traces on it is not made.
 */
export function findCuts(traceId: string, edges: TraceEdges): TraceCut[] {
  const cuts = new Map<string, TraceCut>();
  const begunBy = new Map<string, number>();
  for (const { service } of edges.begun) begunBy.set(service, (begunBy.get(service) ?? 0) + 1);
  const suspects = (service: string): boolean => (edges.continued.get(service) ?? 0) <= (begunBy.get(service) ?? 0);
  const note = (where: TraceCut['where'], served: TraceEdge, other: string): void => {
    const key = `${where} ${served.spanId}`;
    const { service, instance, spanId } = served;
    const cut = cuts.get(key) ?? { service, instance, where, spanId, traceIds: [], traces: 0 };
    cuts.set(key, cut);
    if (cut.traceIds.includes(other)) return;
    cut.traces++;
    if (cut.traceIds.length < MOST_NAMED) cut.traceIds.push(other);
  };
  for (const served of edges.served) {
    for (const call of edges.begun) {
      if (call.instance !== served.instance || call.traceId === served.traceId || !suspects(served.service)) continue;
      if (call.startMs < served.startMs || call.startMs > served.endMs) continue;
      if (served.traceId === traceId) note('after', served, call.traceId);
      else if (call.traceId === traceId) note('before', served, served.traceId);
    }
  }
  return [...cuts.values()];
}

/** In words, for people. */
export function describeCut(cut: TraceCut): string {
  const { service, instance, traceIds, traces } = cut;
  const named = traceIds.map((id) => id.slice(0, 8)).join(', ');
  const others = `${traces === 1 ? 'trace' : `${traces} traces:`} ${named}${traces > traceIds.length ? ', ...' : ''}`;
  return cut.where === 'after'
    ? `${service} probably does not pass on traceparent: while ${instance} served this request it began ${others}`
    : `${service} probably does not pass on traceparent: this trace began while ${instance} served a request of ${others}`;
}
