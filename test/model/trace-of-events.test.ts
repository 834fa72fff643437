import { describe, expect, it } from 'vitest';
import { traceOfEvents } from '../../src/model/trace-of-events.ts';
import { waterfall } from '../../src/model/waterfall.ts';
import { spanBar, spanText } from '../../src/model/waterfall-text.ts';
import { requestEvent, TRACE } from '../tui/data.ts';

const at = (ms: number) => new Date(Date.parse('2026-11-20T10:00:00.000Z') + ms).toISOString();
const rowsOf = (...events: ReturnType<typeof requestEvent>[]) => waterfall(traceOfEvents(TRACE, events));

describe('a trace of the requests that were seen', () => {
  it('has calls below who made them, by start', () => {
    const { rows, durationMs } = rowsOf(
      requestEvent({ id: 'c', parentSpanId: 'b', time: at(30), durationMs: 5, status: 503 }),
      requestEvent({ id: 'a', source: 'gateway', destination: 'web', time: at(0), durationMs: 100 }),
      requestEvent({ id: 'd', parentSpanId: 'a', time: at(50), durationMs: 60 }),
      requestEvent({ id: 'b', parentSpanId: 'a', time: at(10), durationMs: 40, direction: 'inbound' }),
      requestEvent({ id: 'e', traceId: 'another' }),
    );
    expect(rows.map(({ spanId, depth, startMs, service }) => [spanId, depth, startMs, service])).toEqual([
      ['a', 0, 0, 'gateway'],
      ['b', 1, 10, 'orders'],
      ['c', 2, 30, 'web'],
      ['d', 1, 50, 'web'],
    ]);
    expect(durationMs).toBeCloseTo(110);
    expect(rows.map((row) => spanText(row, { wide: true }))).toEqual([
      'GET /list → web (gateway)',
      '  GET /list (inbound)',
      '    GET /list → orders (outbound)  ✗ 503',
      '  GET /list → orders (outbound)',
    ]);
    expect(spanBar(rows[3], durationMs, 11)).toBe('     ░░░░░░');
  });

  it('keeps what has no parent here, and those that go round in a circle', () => {
    const { rows } = rowsOf(
      requestEvent({ id: 'x', parentSpanId: 'gone' }),
      requestEvent({ id: 'y', parentSpanId: 'z' }),
      requestEvent({ id: 'z', parentSpanId: 'y' }),
      requestEvent({ id: 's', parentSpanId: 's' }),
    );
    expect(rows.map(({ spanId }) => spanId).sort()).toEqual(['s', 'x', 'y', 'z']);
    expect(rows.find(({ spanId }) => spanId === 'x')).toMatchObject({ orphan: true });
  });
});
