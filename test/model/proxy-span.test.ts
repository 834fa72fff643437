import { describe, expect, it } from 'vitest';
import { attributeText, betweenMs, unixMs, unixNano } from '../../src/model/otlp.ts';
import { type ProxySpan, proxySpanError, proxySpanToOtlp } from '../../src/model/proxy-span.ts';
import { BEGAN_MS, proxySpan } from '../support/spans.ts';

const attributes = (part: Partial<ProxySpan>) => {
  const span = proxySpanToOtlp(proxySpan(part));
  return { span, of: (key: string) => attributeText(span.attributes, key) };
};

describe('the span of a proxy', () => {
  it('is a client on the caller side, with the whole URL', () => {
    const { span, of } = attributes({ startMs: BEGAN_MS + 0.25, durationMs: 1.5, retries: 2 });
    expect(span).toMatchObject({
      name: 'GET',
      kind: 3,
      flags: 1,
      startTimeUnixNano: '1700000000000250000',
      endTimeUnixNano: '1700000000001750000',
    });
    expect(span).not.toHaveProperty('parentSpanId');
    expect(span).not.toHaveProperty('status');
    expect(of('url.full')).toBe('http://127.0.0.1:4000/items/7?page=2');
    expect(of('url.path')).toBe('');
    expect([of('server.address'), of('server.port')]).toEqual(['127.0.0.1', '4000']);
    expect(of('http.request.resend_count')).toBe('2');
    expect([of('mesh.destination'), of('mesh.destination.instance')]).toEqual(['api', 'api-1']);
  });

  it('is a server on the inbound side, with the path and without the query', () => {
    const { span, of } = attributes({
      side: 'inbound',
      parentSpanId: 'b7ad6b7169203331',
      service: 'api',
      other: 'web',
      protocol: 'http2',
    });
    expect(span).toMatchObject({ kind: 2, parentSpanId: 'b7ad6b7169203331' });
    expect([of('url.path'), of('url.scheme'), of('url.full')]).toEqual(['/items/7', 'http', '']);
    expect(of('network.protocol.version')).toBe('2');
    expect(of('mesh.source')).toBe('web');
  });

  it('is named after the route, never after the path', () => {
    expect(attributes({ routePath: '/items' }).span.name).toBe('GET /items');
    expect(attributes({ routePath: '/items' }).of('http.route')).toBe('/items');
    const odd = attributes({ method: 'BREW', routePath: '' });
    expect(odd.span.name).toBe('HTTP');
    expect([odd.of('http.request.method'), odd.of('http.request.method_original')]).toEqual(['_OTHER', 'BREW']);
  });

  it('tells a gRPC call by its method and the name of its status', () => {
    const { span, of } = attributes({
      protocol: 'grpc',
      method: 'POST',
      path: '/shop.v1.Orders/Create',
      grpcStatus: 14,
    });
    expect(span).toMatchObject({ name: 'shop.v1.Orders/Create', status: { code: 2 } });
    expect([of('rpc.system.name'), of('rpc.method'), of('rpc.status_code')]).toEqual([
      'grpc',
      'shop.v1.Orders/Create',
      'UNAVAILABLE',
    ]);
    expect(of('error.type')).toBe('UNAVAILABLE');
  });

  it('does not show credentials in a query', () => {
    const path = '/x?access_token=abc&page=2&sig=1&X-Amz-Signature=2&api-key=3&apikey=4';
    expect(attributes({ path }).of('url.full')).toBe(
      'http://127.0.0.1:4000/x?access_token=REDACTED&page=2&sig=REDACTED&X-Amz-Signature=REDACTED&api-key=REDACTED&apikey=REDACTED',
    );
  });

  it.each<[string, Partial<ProxySpan>, string]>([
    ['a 404 of a client', { status: 404 }, '404'],
    ['a 404 of a server, which is the client’s mistake', { status: 404, side: 'inbound' }, ''],
    ['a 500 of a server', { status: 500, side: 'inbound' }, '500'],
    ['no response', { status: 0, flags: 'UF' }, 'UF'],
    ['a local reply', { status: 503, flags: 'UH' }, '503'],
    ['a client that went away', { status: 0, flags: 'DC' }, ''],
    ['NOT_FOUND for a gRPC client', { protocol: 'grpc', grpcStatus: 5 }, 'NOT_FOUND'],
    ['NOT_FOUND of a gRPC server', { protocol: 'grpc', grpcStatus: 5, side: 'inbound' }, ''],
    ['INTERNAL of a gRPC server', { protocol: 'grpc', grpcStatus: 13, side: 'inbound' }, 'INTERNAL'],
    ['a TCP connection that ended', { protocol: 'tcp', method: 'CONNECT' }, ''],
  ])('%s', (_what, part, error) => {
    expect(proxySpanError(proxySpan(part))).toBe(error);
  });
});

describe('times in nanoseconds', () => {
  it('keep microseconds', () => {
    expect(unixNano(1_700_000_000_123.457)).toBe('1700000000123457000');
    expect(unixMs('1700000000123457000')).toBeCloseTo(1_700_000_000_123.457, 3);
    expect(unixNano(1_700_000_000_000 + 123.9997)).toBe('1700000000123999000');
    expect(betweenMs('1700000000123456789', '1700000000123456790')).toBe(1e-6);
    expect(unixMs(undefined)).toBe(0);
  });
});
