import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keptRequest, requestOf } from '../../../src/runtime/tracing/kept-request.ts';
import { TraceStore } from '../../../src/runtime/tracing/trace-store.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { BEGAN_MS, proxySpan } from '../../support/spans.ts';

const gateway = proxySpan({
  spanId: 'a'.repeat(16),
  side: 'gateway',
  service: 'gateway',
  instance: 'gateway',
  other: 'web',
});
const web = proxySpan({ spanId: 'b'.repeat(16), parentSpanId: gateway.spanId, side: 'inbound', startMs: BEGAN_MS + 1 });
const out = proxySpan({ spanId: 'c'.repeat(16), parentSpanId: web.spanId, startMs: BEGAN_MS + 2 });
const failed = proxySpan({
  spanId: 'd'.repeat(16),
  parentSpanId: out.spanId,
  side: 'inbound',
  startMs: BEGAN_MS + 3,
  instance: 'api-1',
});
const served = proxySpan({
  spanId: 'e'.repeat(16),
  parentSpanId: out.spanId,
  side: 'inbound',
  startMs: BEGAN_MS + 4,
  instance: 'api-2',
});
const spans = [served, out, failed, gateway, web];

describe('a request in its trace', () => {
  it('is that of either side; the trace stands for the one it began with; the last try counts', () => {
    expect(keptRequest(spans, '')).toMatchObject({ caller: gateway, called: web, others: [out] });
    expect(keptRequest(spans, web.spanId)).toMatchObject({ caller: gateway, called: web });
    expect(keptRequest(spans, out.spanId)).toEqual({ caller: out, called: served, others: [gateway] });
    expect(keptRequest(spans, failed.spanId)).toMatchObject({ caller: out, called: failed });
    expect(keptRequest([served], '')).toEqual({ caller: null, called: served, others: [] });
    expect(keptRequest(spans, 'f'.repeat(16))).toBeNull();
    expect(keptRequest([], '')).toBeNull();
  });
});

describe('a span that a service sent', () => {
  const own = (spanId: string, parentSpanId: string) => ({
    span: { traceId: gateway.traceId, spanId, parentSpanId, startTimeUnixNano: '1', endTimeUnixNano: '2' },
  });
  const id = (digit: string) => digit.repeat(16);
  const call = { ...out, parentSpanId: id('3') };
  const record = {
    traceId: gateway.traceId,
    proxies: [gateway, web, call, served],
    // Serves the request, calculates, and calls; then one that is its own parent's parent, and one of nobody.
    spans: [
      own(id('1'), web.spanId),
      own(id('2'), id('1')),
      own(id('3'), id('2')),
      own(id('4'), id('5')),
      own(id('5'), id('4')),
      own(id('6'), ''),
    ],
    logs: [],
  };

  it('means the call that it stands for, else the request in which it came about', () => {
    expect(requestOf(record, id('1'))).toBe(web.spanId);
    expect(requestOf(record, id('2'))).toBe(web.spanId);
    expect(requestOf(record, id('3'))).toBe(call.spanId);
    for (const same of ['', web.spanId, id('4'), id('6'), id('9')]) expect(requestOf(record, same)).toBe(same);
  });
});

describe('a request in the store', () => {
  let base: string;
  beforeEach(async () => {
    base = await mkdtemp(path.join(tmpdir(), 'mesh-kept-'));
  });
  afterEach(() => rm(base, { recursive: true, force: true }));

  it('is found by the beginning of its ID or its trace, also after a restart; else it is said why not', async () => {
    const open = () =>
      new TraceStore({ directory: path.join(base, 'traces'), clock: new FakeClock(), onProblem: () => {} });
    let store = open();
    store.addProxySpans([
      gateway,
      web,
      { ...out, spanId: `c1${'0'.repeat(14)}` },
      { ...out, spanId: `c2${'0'.repeat(14)}` },
    ]);
    const own = {
      traceId: gateway.traceId,
      spanId: `f1${'0'.repeat(14)}`,
      startTimeUnixNano: '1',
      endTimeUnixNano: '2',
    };
    store.addSpans([{ span: own }]);
    for (const again of [false, true]) {
      if (again) {
        await store.close();
        store = open();
      }
      expect(await store.findRequest('AAAA')).toEqual({
        ok: true,
        value: { traceId: gateway.traceId, spanId: gateway.spanId },
      });
      expect(await store.findRequest(gateway.traceId)).toEqual({
        ok: true,
        value: { traceId: gateway.traceId, spanId: '' },
      });
      expect(await store.findRequest(gateway.traceId.slice(0, 6))).toMatchObject({ ok: true, value: { spanId: '' } });
      expect(await store.findRequest('f1')).toEqual({
        ok: true,
        value: { traceId: gateway.traceId, spanId: own.spanId },
      });
      for (const span of ['f1', own.spanId, gateway.spanId, 'c'])
        expect(await store.find(span)).toEqual({ ok: true, value: gateway.traceId });
      expect(await store.findRequest('c1')).toMatchObject({ ok: true });
      expect(await store.findRequest('c')).toMatchObject({
        ok: false,
        problems: [
          {
            code: 'MESH-X102',
            message: `several requests or traces begin with c: c1${'0'.repeat(14)}, c2${'0'.repeat(14)}`,
          },
        ],
      });
      for (const unknown of ['123456', '', 'x'.repeat(100), '\u001b[2J', '0'.repeat(33)])
        expect(await store.findRequest(unknown)).toMatchObject({ ok: false, problems: [{ code: 'MESH-X101' }] });
    }
    await store.close();
  });
});
