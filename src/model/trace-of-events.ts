import type { RequestEvent } from './events.ts';
import type { ResourceSpans } from './otlp.ts';
import { PROXY_SCOPE, type ProxySpan, proxyResource, proxySpanToOtlp } from './proxy-span.ts';
import type { Trace } from './trace.ts';

/** What requests that a tap has shown tell of a trace: the proxies' spans, without those of services, logs and cuts. */
export function traceOfEvents(traceId: string, events: readonly RequestEvent[]): Trace {
  const resourceSpans = events
    .filter((event) => event.traceId === traceId)
    .map((event): ResourceSpans => {
      const span = spanOf(event);
      return { resource: proxyResource(span), scopeSpans: [{ scope: PROXY_SCOPE, spans: [proxySpanToOtlp(span)] }] };
    });
  return { traceId, resourceSpans, resourceLogs: [], cuts: [] };
}

function spanOf(event: RequestEvent): ProxySpan {
  const inbound = event.direction === 'inbound';
  const own = inbound ? event.destination : event.source;
  return {
    traceId: event.traceId,
    spanId: event.id,
    parentSpanId: event.parentSpanId,
    sampled: event.sampled,
    startMs: Date.parse(event.time) || 0,
    durationMs: event.durationMs,
    side: inbound ? 'inbound' : event.source === 'gateway' ? 'gateway' : 'outbound',
    service: own,
    instance: inbound ? event.instance : own,
    other: inbound ? event.source : event.destination,
    endpoint: inbound ? '' : event.instance,
    protocol: event.protocol,
    method: event.method,
    scheme: 'http',
    authority: event.authority,
    path: event.path,
    route: event.route,
    routePath: '',
    status: event.status,
    grpcStatus: event.grpcStatus,
    retries: event.retries,
    flags: event.responseFlags,
    requestBytes: event.requestBytes,
    responseBytes: event.responseBytes,
    tls: event.tls,
    peer: event.peer,
    clientAddress: '',
  };
}
