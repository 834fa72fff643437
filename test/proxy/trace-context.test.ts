import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { continueTrace, createIdSource } from '../../src/proxy/trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

/** Bytes 1, 2, 3, ... */
const counting = () => {
  let next = 1;
  return createIdSource((bytes) => {
    for (let i = 0; i < bytes.length; i++) bytes[i] = next++ & 0xff;
  });
};

describe('continuing a trace', () => {
  it('puts its own span into the header and keeps the rest', () => {
    const headers = [
      'accept',
      '*/*',
      'traceparent',
      `00-${TRACE}-${PARENT}-01`,
      'tracestate',
      'a=1',
      'tracestate',
      'b=2',
    ];
    const context = continueTrace(headers, counting());
    expect(context).toEqual({ traceId: TRACE, spanId: '0102030405060708', parentSpanId: PARENT, sampled: true });
    expect(headers).toEqual([
      'accept',
      '*/*',
      'traceparent',
      `00-${TRACE}-0102030405060708-01`,
      'tracestate',
      'a=1',
      'tracestate',
      'b=2',
    ]);
  });

  it.each([
    ['00', '00', false],
    ['01', '01', true],
    ['02', '02', false],
    ['03', '03', true],
    ['ff', '03', true],
    ['fc', '00', false],
  ])('flags %s go on as %s', (flags, kept, sampled) => {
    const headers = ['traceparent', `00-${TRACE}-${PARENT}-${flags}`];
    expect(continueTrace(headers, counting()).sampled).toBe(sampled);
    expect(headers[1].slice(-3)).toBe(`-${kept}`);
  });

  it('reads later versions and answers in its own', () => {
    const headers = ['traceparent', `cc-${TRACE}-${PARENT}-01-what-the-future-brings`];
    expect(continueTrace(headers, counting()).traceId).toBe(TRACE);
    expect(headers[1]).toMatch(/^00-.{50}01$/);
    expect(headers[1]).toHaveLength(55);
  });

  it.each([
    ['nothing', ''],
    ['upper case', `00-${TRACE.toUpperCase()}-${PARENT}-01`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${PARENT}-01`],
    ['a span of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['version ff', `ff-${TRACE}-${PARENT}-01`],
    ['more than version 00 has', `00-${TRACE}-${PARENT}-01-x`],
    ['a later version without a dash', `01-${TRACE}-${PARENT}-01x`],
    ['too little', `00-${TRACE}-${PARENT}-0`],
    ['other digits', `00-${TRACE.replace('4', 'g')}-${PARENT}-01`],
    ['other separators', `00_${TRACE}-${PARENT}-01`],
    ['bad flags', `00-${TRACE}-${PARENT}-0x`],
    ['two values in one', `00-${TRACE}-${PARENT}-01,00-${TRACE}-${PARENT}-01`],
  ])('drops %s whole, with the state', (_what, value) => {
    const headers = ['tracestate', 'a=1', 'traceparent', value, 'x', 'y'];
    const context = continueTrace(headers, counting());
    const traceId = '090a0b0c0d0e0f101112131415161718';
    expect(context).toEqual({ traceId, spanId: '0102030405060708', parentSpanId: '', sampled: false });
    expect(headers).toEqual(['x', 'y', 'traceparent', `00-${traceId}-0102030405060708-02`]);
  });

  it('drops repeated headers', () => {
    const one = `00-${TRACE}-${PARENT}-01`;
    const headers = ['traceparent', one, 'traceparent', one];
    expect(continueTrace(headers, counting()).traceId).not.toBe(TRACE);
    expect(headers).toHaveLength(2);
  });

  it('begins a trace, sampled or not', () => {
    const headers = ['tracestate', 'orphan=1'];
    expect(continueTrace(headers, counting(), () => true)).toMatchObject({ parentSpanId: '', sampled: true });
    expect(headers.join()).toMatch(/^traceparent,00-[0-9a-f]{32}-[0-9a-f]{16}-03$/);
  });

  it('leaves a valid header whatever came', () => {
    const nasty = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('0', 'a', '-', 'f', 'G'), maxLength: 60 }));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('traceparent', 'tracestate', 'x'), nasty), { maxLength: 4 }),
        (fields) => {
          const headers = fields.flat();
          const { traceId, spanId } = continueTrace(headers);
          const at = headers.indexOf('traceparent');
          expect(headers[at + 1]).toMatch(new RegExp(`^00-${traceId}-${spanId}-0[0-3]$`));
          expect(headers.filter((_, i) => i % 2 === 0 && headers[i] === 'traceparent')).toHaveLength(1);
        },
      ),
    );
  });
});

describe('identifiers', () => {
  it('do not repeat', () => {
    const ids = createIdSource();
    const seen = new Set<string>();
    for (let i = 0; i < 5000; i++) seen.add(ids.spanId()).add(ids.traceId());
    expect(seen.size).toBe(10_000);
  });

  it('are never all zero', () => {
    let calls = 0;
    const ids = createIdSource((bytes) => bytes.fill(calls++ === 0 ? 0 : 7));
    expect(ids.spanId()).toBe('07'.repeat(8));
  });
});
