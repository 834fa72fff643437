import type { ResourceLogs, ResourceSpans } from '../../model/otlp.ts';
import { PROXY_SCOPE, type ProxySpan, proxyResource, proxySpanToOtlp } from '../../model/proxy-span.ts';
import { findCuts, type Trace, type TraceEdges } from '../../model/trace.ts';
import type { ServiceLog, ServiceSpan, TraceRecord } from './trace-index.ts';

/** What proxies and services know of one trace, as one. */
export function joinTrace(record: TraceRecord, edges: TraceEdges): Trace {
  return {
    traceId: record.traceId,
    resourceSpans: [...resourceSpansOfProxies(record.proxies), ...resourceSpansOf(record.spans)],
    resourceLogs: resourceLogsOf(record.logs),
    cuts: findCuts(record.traceId, edges),
  };
}

/** Spans of proxies as OTLP, by instance. */
export function resourceSpansOfProxies(proxies: readonly ProxySpan[]): ResourceSpans[] {
  return grouped(
    proxies,
    ({ instance }) => instance,
    (span) => ({ resource: proxyResource(span), scopeSpans: [{ scope: PROXY_SCOPE, spans: [] }] }) as ResourceSpans,
    (group, span) => group.scopeSpans![0].spans!.push(proxySpanToOtlp(span)),
  );
}

/** Spans of services as OTLP, those of one sender together. */
export function resourceSpansOf(spans: readonly ServiceSpan[]): ResourceSpans[] {
  return grouped(
    spans,
    senderOf,
    ({ resource, scope }) => ({ resource, scopeSpans: [{ scope, spans: [] }] }) as ResourceSpans,
    (group, { span }) => group.scopeSpans![0].spans!.push(span),
  );
}

export function resourceLogsOf(logs: readonly ServiceLog[]): ResourceLogs[] {
  return grouped(
    logs,
    senderOf,
    ({ resource, scope }) => ({ resource, scopeLogs: [{ scope, logRecords: [] }] }) as ResourceLogs,
    (group, { log }) => group.scopeLogs![0].logRecords!.push(log),
  );
}

const senderOf = ({ resource, scope }: ServiceSpan | ServiceLog): string => JSON.stringify([resource, scope]);

function grouped<Item, Group>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  open: (item: Item) => Group,
  add: (group: Group, item: Item) => void,
): Group[] {
  const groups = new Map<string, Group>();
  for (const item of items) {
    const key = keyOf(item);
    let group = groups.get(key);
    if (group === undefined) groups.set(key, (group = open(item)));
    add(group, item);
  }
  return [...groups.values()];
}
