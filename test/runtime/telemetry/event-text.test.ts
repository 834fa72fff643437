import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accessLogLine, eventDocument, jsonLine, plain } from '../../../src/runtime/telemetry/event-text.ts';
import { requestEvent } from '../control/fake-mesh.ts';

/** What a terminal might obey, or a reader mistake for another line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

describe('requests as text', () => {
  it('are exactly the contracted JSON', () => {
    expect(JSON.parse(jsonLine(eventDocument(requestEvent({ protocol: 'grpc', grpcStatus: 0 }))))).toEqual({
      id: '00f067aa0ba902b7',
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      time: '2026-11-20T10:00:01.234Z',
      source: 'gateway',
      destination: 'orders',
      instance: 'orders-1',
      direction: 'outbound',
      protocol: 'grpc',
      method: 'GET',
      authority: 'shop.localhost',
      path: '/orders/1',
      route: 'orders',
      gatewayRoute: '',
      status: 200,
      grpcStatus: 0,
      durationMs: 1.25,
      requestBytes: 0,
      responseBytes: 27,
      retries: 0,
      responseFlags: '',
      tls: true,
      peer: 'spiffe://shop.local/ns/default/sa/orders',
    });
    expect(eventDocument(requestEvent({ requestHeaders: [['a', 'b']] }), true)).toMatchObject({
      requestHeaders: [['a', 'b']],
      responseHeaders: [],
    });
  });

  it('are one line of an access log', () => {
    expect(accessLogLine(requestEvent())).toBe(
      '2026-11-20T10:00:01.234Z outbound gateway -> orders orders-1 "GET /orders/1" 200 - 1.25ms 0 27 http tls orders 4bf92f3577b34da6a3ce929d0e0e4736',
    );
    const unsent = requestEvent({
      destination: '',
      instance: '',
      route: '',
      status: 404,
      responseFlags: 'NR',
      tls: false,
      path: '/a"b',
    });
    expect(accessLogLine(unsent)).toContain('gateway -> - - "GET /a\\"b" 404 NR');
  });

  it('never carry control characters of a client', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        const event = requestEvent({ path: text, method: text, authority: text });
        expect(plain(text)).not.toMatch(CONTROL);
        expect(accessLogLine({ ...event, method: 'GET' })).not.toMatch(CONTROL);
        const line = jsonLine(eventDocument(event));
        expect(line).not.toMatch(CONTROL);
        expect(JSON.parse(line).path).toBe(text);
      }),
    );
  });
});
