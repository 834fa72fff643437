import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OtlpSpan, ResourceLogs } from '../../src/model/otlp.ts';
import type { Trace } from '../../src/model/trace.ts';
import { foldHops, waterfall } from '../../src/model/waterfall.ts';
import { BEGAN_MS, resourceSpans, serviceSpan, TRACE_ID } from '../support/spans.ts';

const traceOf = (spans: OtlpSpan[], resourceLogs: ResourceLogs[] = []): Trace => ({
  traceId: TRACE_ID,
  resourceSpans: [resourceSpans('web', spans)],
  resourceLogs,
  cuts: [],
});
const outline = (trace: Trace) => waterfall(trace).rows.map(({ name, depth }) => `${'-'.repeat(depth)}${name}`);

describe('the waterfall of a trace', () => {
  it('puts spans below their parents, in order of time, however they come', () => {
    const trace = traceOf([
      serviceSpan('c', 'a', 6, 8),
      serviceSpan('d', 'b', 2, 3),
      serviceSpan('a', '', 0, 10),
      serviceSpan('b', 'a', 1, 5),
    ]);
    expect(outline(trace)).toEqual(['a', '-b', '--d', '-c']);
    const { rows, durationMs, time } = waterfall(trace);
    expect(durationMs).toBe(10);
    expect(time).toBe(new Date(BEGAN_MS).toISOString());
    expect(rows.map(({ startMs, durationMs: took }) => [startMs, took])).toEqual([
      [0, 10],
      [1, 4],
      [2, 1],
      [6, 2],
    ]);
  });

  it('marks what the whole waited for, not what ran beside it', () => {
    const trace = traceOf([
      serviceSpan('a', '', 0, 10),
      serviceSpan('slow', 'a', 1, 9),
      serviceSpan('beside', 'a', 1, 4),
      serviceSpan('inner', 'slow', 2, 8),
      serviceSpan('before', 'a', 0, 1),
      serviceSpan('late', 'a', 8, 20),
    ]);
    const critical = waterfall(trace)
      .rows.filter((row) => row.critical)
      .map(({ name }) => name);
    expect(critical.sort()).toEqual(['a', 'before', 'inner', 'slow']);
  });

  it('keeps the last word of a span that was sent twice', () => {
    const trace = traceOf([serviceSpan('a', '', 0, 10), serviceSpan('a', '', 0, 12, { name: 'again' })]);
    expect(outline(trace)).toEqual(['again']);
  });

  it('shows spans without their parent as roots, and says so', () => {
    const { rows } = waterfall(traceOf([serviceSpan('a', 'gone', 0, 10), serviceSpan('b', 'a', 1, 2)]));
    expect(rows.map(({ name, depth, orphan }) => ({ name, depth, orphan }))).toEqual([
      { name: 'a', depth: 0, orphan: true },
      { name: 'b', depth: 1, orphan: false },
    ]);
  });

  it('shows every span once, whatever their parents are', () => {
    const id = fc.integer({ min: 1, max: 12 }).map((n) => n.toString(16));
    const spans = fc.array(fc.tuple(id, id, fc.nat(50), fc.integer({ min: -5, max: 50 })), { maxLength: 12 });
    fc.assert(
      fc.property(spans, (given) => {
        const all = given.map(([own, parent, start, took]) => serviceSpan(own, parent, start, start + took));
        const { rows } = waterfall(traceOf(all));
        expect(new Set(rows.map(({ spanId }) => spanId))).toEqual(new Set(all.map(({ spanId }) => spanId)));
        expect(rows.length).toBe(new Set(rows.map(({ spanId }) => spanId)).size);
        for (const [at, row] of rows.entries())
          expect(row.depth).toBeLessThanOrEqual(at === 0 ? 0 : rows[at - 1].depth + 1);
        for (const row of rows) expect(row.durationMs).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('is not exhausted by a chain of many spans', () => {
    const spans = Array.from({ length: 3_000 }, (_, at) =>
      serviceSpan((at + 1).toString(16), at === 0 ? '' : at.toString(16), at, 4_000),
    );
    expect(waterfall(traceOf(spans)).rows.at(-1)?.depth).toBe(2_999);
  });

  it('puts events and log records in their place, and says why a span failed', () => {
    const failed = serviceSpan('a', '', 0, 10, {
      status: { code: 2, message: 'no stock' },
      attributes: [{ key: 'error.type', value: { stringValue: 'OutOfStock' } }],
      events: [
        {
          timeUnixNano: `${BEGAN_MS + 4}500000`,
          name: 'exception',
          attributes: [
            { key: 'exception.message', value: { stringValue: 'none left' } },
            { key: 'exception.stacktrace', value: { stringValue: 'a page of it' } },
          ],
        },
      ],
    });
    const log = (spanId: string, text: string, severityNumber: number) => ({
      timeUnixNano: `${BEGAN_MS + 2}000000`,
      traceId: TRACE_ID,
      spanId,
      severityNumber,
      body: { stringValue: text },
    });
    const logs = [{ scopeLogs: [{ logRecords: [log(failed.spanId, 'looking', 9), log('', 'homeless', 17)] }] }];
    const { rows, notes } = waterfall(traceOf([failed], logs));
    expect(rows[0].error).toBe('OutOfStock no stock');
    expect(rows[0].notes).toEqual([
      { atMs: 2, kind: 'log', level: 'info', text: 'looking' },
      { atMs: 4.5, kind: 'event', level: '', text: 'exception exception.message=none left' },
    ]);
    expect(notes).toEqual([{ atMs: 2, kind: 'log', level: 'error', text: 'homeless' }]);
  });
});

describe('folding the two proxies of a hop', () => {
  const side = (direction: string, more: OtlpSpan['attributes'] = []) => ({
    attributes: [{ key: 'mesh.direction', value: { stringValue: direction } }, ...more],
  });
  const failure = { status: { code: 2 }, ...side('inbound', [{ key: 'error.type', value: { stringValue: '503' } }]) };

  it('leaves one row, with what failed in either, and moves what is below up', () => {
    const trace: Trace = {
      traceId: TRACE_ID,
      resourceSpans: [
        resourceSpans('gateway', [serviceSpan('a', '', 0, 10, side('gateway'))], true),
        resourceSpans(
          'web',
          [serviceSpan('b', 'a', 1, 9, failure), serviceSpan('d', 'c', 3, 7, side('outbound'))],
          true,
        ),
        resourceSpans('web', [serviceSpan('c', 'b', 2, 8)]),
        resourceSpans('api', [serviceSpan('e', 'd', 4, 6, side('inbound'))], true),
      ],
      resourceLogs: [],
      cuts: [],
    };
    const { rows } = waterfall(trace);
    expect(rows).toHaveLength(5);
    const folded = foldHops(rows);
    expect(folded.map(({ spanId, depth }) => `${depth}${spanId.at(-1)}`)).toEqual(['0a', '1c', '2d']);
    expect(folded[0].error).toBe('503');
    expect(rows[0].error).toBe('');
  });

  it('keeps an inbound span that stands alone', () => {
    const trace: Trace = {
      traceId: TRACE_ID,
      resourceSpans: [resourceSpans('web', [serviceSpan('b', 'gone', 1, 9, side('inbound'))], true)],
      resourceLogs: [],
      cuts: [],
    };
    expect(foldHops(waterfall(trace).rows)).toHaveLength(1);
  });
});
