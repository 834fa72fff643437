import type { OtlpSpan, ResourceSpans } from '../../src/model/otlp.ts';
import { PROXY_SCOPE, type ProxySpan } from '../../src/model/proxy-span.ts';

export const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
/** Milliseconds since 1970 at which the traces of tests begin. */
export const BEGAN_MS = 1_700_000_000_000;

export function proxySpan(part: Partial<ProxySpan> = {}): ProxySpan {
  return {
    traceId: TRACE_ID,
    spanId: '00f067aa0ba902b7',
    parentSpanId: '',
    sampled: true,
    startMs: BEGAN_MS,
    durationMs: 10,
    side: 'outbound',
    service: 'web',
    instance: 'web-1',
    other: 'api',
    endpoint: 'api-1',
    protocol: 'http',
    method: 'GET',
    scheme: 'http',
    authority: '127.0.0.1:4000',
    path: '/items/7?page=2',
    route: 'api-1',
    routePath: '',
    status: 200,
    grpcStatus: null,
    retries: 0,
    flags: '',
    requestBytes: 0,
    responseBytes: 4,
    tls: true,
    peer: 'spiffe://shop.local/ns/default/sa/api',
    clientAddress: '',
    ...part,
  };
}

/** A span in milliseconds after the beginning, as a service sends it. */
export function serviceSpan(
  spanId: string,
  parentSpanId: string,
  fromMs: number,
  toMs: number,
  part: Partial<OtlpSpan> = {},
): OtlpSpan {
  const nano = (ms: number) => `${BEGAN_MS + ms}000000`;
  return {
    traceId: TRACE_ID,
    spanId: spanId.padStart(16, '0'),
    ...(parentSpanId === '' ? {} : { parentSpanId: parentSpanId.padStart(16, '0') }),
    name: spanId,
    kind: 1,
    startTimeUnixNano: nano(fromMs),
    endTimeUnixNano: nano(toMs),
    ...part,
  };
}

export function resourceSpans(service: string, spans: OtlpSpan[], proxy = false): ResourceSpans {
  return {
    resource: { attributes: [{ key: 'service.name', value: { stringValue: service } }] },
    scopeSpans: [{ scope: proxy ? PROXY_SCOPE : { name: 'app' }, spans }],
  };
}
