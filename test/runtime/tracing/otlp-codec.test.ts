import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AnyValue, OtlpSpan, ResourceSpans } from '../../../src/model/otlp.ts';
import type { Metric } from '../../../src/model/otlp-metrics.ts';
import { loadOtlpCodec, replyToJson } from '../../../src/runtime/tracing/otlp-codec.ts';

const codec = loadOtlpCodec();

const hex = (digits: number) =>
  fc.uint8Array({ minLength: digits / 2, maxLength: digits / 2 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const uint64 = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String);
const value = fc.letrec<{ value: AnyValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.record({ stringValue: fc.string({ unit: 'grapheme' }) }),
    fc.record({ boolValue: fc.boolean() }),
    fc.record({ intValue: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String) }),
    fc.record({ doubleValue: fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0) }),
    fc.record({ bytesValue: fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64')) }),
    fc.record({ arrayValue: fc.record({ values: fc.array(tie('value'), { minLength: 1, maxLength: 3 }) }) }),
  ),
})).value;
const attributes = fc.array(fc.record({ key: fc.string({ minLength: 1 }), value }), { minLength: 1, maxLength: 4 });
const span: fc.Arbitrary<OtlpSpan> = fc.record({
  traceId: hex(32),
  spanId: hex(16),
  parentSpanId: hex(16),
  name: fc.string({ minLength: 1 }),
  kind: fc.integer({ min: 1, max: 5 }),
  startTimeUnixNano: uint64,
  endTimeUnixNano: uint64,
  attributes,
  events: fc.array(fc.record({ timeUnixNano: uint64, name: fc.string({ minLength: 1 }), attributes }), {
    minLength: 1,
    maxLength: 2,
  }),
  links: fc.array(fc.record({ traceId: hex(32), spanId: hex(16) }), { minLength: 1, maxLength: 2 }),
  status: fc.record({ code: fc.integer({ min: 1, max: 2 }), message: fc.string({ minLength: 1 }) }),
  flags: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
});

describe('OTLP as bytes and as JSON', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 3 }), attributes, (spans, about) => {
        const data: ResourceSpans[] = [
          { resource: { attributes: about }, scopeSpans: [{ scope: { name: 'x', version: '1' }, spans }] },
        ];
        const copy = structuredClone(data);
        expect(codec.decodeSpans(codec.encodeSpans(data))).toEqual(data);
        expect(codec.spansFromJson({ resourceSpans: data })).toEqual(data);
        // Neither way changes what it was given.
        expect(data).toEqual(copy);
      }),
      { numRuns: 60 },
    );
  });

  it('has the field numbers of the specification', () => {
    const field = (number: number, wire: number, ...content: number[]) => [(number << 3) | wire, ...content];
    const varint = (n: number): number[] => (n < 0x80 ? [n] : [(n & 0x7f) | 0x80, ...varint(n >> 7)]);
    const nested = (number: number, content: number[]) => field(number, 2, ...varint(content.length), ...content);
    const text = (number: number, from: string) => nested(number, [...Buffer.from(from)]);
    const fixed64 = (number: number, low: number) => field(number, 1, low, 0, 0, 0, 0, 0, 0, 0);
    const bytes = nested(1, [
      ...nested(1, nested(1, [...text(1, 'service.name'), ...nested(2, text(1, 'web'))])),
      ...nested(2, [
        ...nested(1, [...text(1, 'lib'), ...text(2, '2.0')]),
        ...nested(2, [
          ...nested(1, Array(16).fill(0xab)),
          ...nested(2, Array(8).fill(0xcd)),
          ...nested(4, Array(8).fill(0xef)),
          ...text(5, 'GET'),
          ...field(6, 0, 2),
          ...fixed64(7, 5),
          ...fixed64(8, 9),
          ...nested(9, [...text(1, 'n'), ...nested(2, field(3, 0, 7))]),
          ...nested(11, [...fixed64(1, 6), ...text(2, 'hit')]),
          ...nested(15, [...text(2, 'bad'), ...field(3, 0, 2)]),
          ...[0x85, 0x01, 1, 0, 0, 0],
          // A field that a later version may bring.
          ...[0xf8, 0x3e, 1],
        ]),
      ]),
    ]);
    expect(codec.decodeSpans(Uint8Array.from(bytes))).toEqual([
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'web' } }] },
        scopeSpans: [
          {
            scope: { name: 'lib', version: '2.0' },
            spans: [
              {
                traceId: 'ab'.repeat(16),
                spanId: 'cd'.repeat(8),
                parentSpanId: 'ef'.repeat(8),
                name: 'GET',
                kind: 2,
                startTimeUnixNano: '5',
                endTimeUnixNano: '9',
                attributes: [{ key: 'n', value: { intValue: '7' } }],
                events: [{ timeUnixNano: '6', name: 'hit' }],
                status: { message: 'bad', code: 2 },
                flags: 1,
              },
            ],
          },
        ],
      },
    ]);
  });

  it('has those of metrics too', () => {
    const hex = (metric: Metric) => codec.encodeMetrics([{ scopeMetrics: [{ metrics: [metric] }] }]).toString('hex');
    const [one, two] = ['0100000000000000', '0200000000000000'];
    const [float1, float2] = ['000000000000f03f', '0000000000000040'];
    // Point: time 3, double 4; sum: points 1, temporality 2, monotonic 3; metric: name 1, sum 7.
    expect(
      hex({
        name: 'a',
        sum: { dataPoints: [{ timeUnixNano: '1', asDouble: 1 }], aggregationTemporality: 2, isMonotonic: true },
      }),
    ).toBe(`0a21121f121d0a01613a180a1219${one}21${float1}10021801`);
    // Point: start 2, time 3, count 4, sum 5, counts 6, bounds 7, attributes 9; metric: unit 3, histogram 9.
    expect(
      hex({
        name: 'a',
        unit: 's',
        histogram: {
          dataPoints: [
            {
              attributes: [{ key: 'k' }],
              startTimeUnixNano: '1',
              timeUnixNano: '2',
              count: '2',
              sum: 2,
              bucketCounts: ['1', '1'],
              explicitBounds: [1],
            },
          ],
          aggregationTemporality: 2,
        },
      }),
    ).toBe(
      `0a55125312510a01611a01734a490a4511${one}19${two}21${two}29${float2}3210${one}${one}3a08${float1}4a030a016b1002`,
    );
  });

  it('takes log records both ways', () => {
    const logs = [
      {
        scopeLogs: [
          {
            logRecords: [
              {
                timeUnixNano: '5',
                severityNumber: 9,
                severityText: 'INFO',
                body: { stringValue: 'hello' },
                traceId: 'ab'.repeat(16),
                spanId: 'cd'.repeat(8),
              },
            ],
          },
        ],
      },
    ];
    expect(codec.decodeLogs(codec.encodeLogs(logs))).toEqual(logs);
    expect(codec.logsFromJson({ resourceLogs: logs })).toEqual(logs);
  });

  it('refuses what is neither, and takes numbers for times as JavaScript senders write them', () => {
    expect(() => codec.decodeSpans(Uint8Array.from([0x0a, 0x7f, 1]))).toThrow();
    for (const json of [
      null,
      3,
      'x',
      [],
      { resourceSpans: 3 },
      { resourceSpans: [{ scopeSpans: [{ spans: 'x' }] }] },
    ]) {
      expect(() => codec.spansFromJson(json), JSON.stringify(json)).toThrow();
    }
    const spans = [{ traceId: 'zz', spanId: 'cd'.repeat(8) }];
    expect(() => codec.spansFromJson({ resourceSpans: [{ scopeSpans: [{ spans }] }] })).toThrow('hexadecimal');
    const numbers = [
      { traceId: 'AB'.repeat(16), spanId: 'cd'.repeat(8), startTimeUnixNano: 1_000_000, unknown: { a: 1 } },
    ];
    expect(codec.spansFromJson({ resourceSpans: [{ scopeSpans: [{ spans: numbers }] }], more: 1 })).toMatchObject([
      { scopeSpans: [{ spans: [{ traceId: 'ab'.repeat(16), startTimeUnixNano: '1000000' }] }] },
    ]);
  });

  it('says nothing where everything was taken', () => {
    const all = { rejected: 0, message: '' };
    expect(codec.encodeReply('metrics', all)).toHaveLength(0);
    expect(replyToJson('metrics', all)).toEqual({});
    for (const signal of ['traces', 'logs', 'metrics'] as const) {
      const some = { rejected: 3, message: 'no ID' };
      expect(codec.decodeReply(signal, codec.encodeReply(signal, some))).toEqual(some);
    }
    expect(replyToJson('traces', { rejected: 3, message: 'x' })).toEqual({
      partialSuccess: { rejectedSpans: '3', errorMessage: 'x' },
    });
  });
});
