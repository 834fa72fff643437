import { describe, expect, it } from 'vitest';
import { describeCut, findCuts, type TraceEdge, type TraceEdges } from '../../src/model/trace.ts';

const edge = (traceId: string, startMs: number, endMs: number, instance = 'web-1'): TraceEdge => ({
  traceId,
  spanId: `${traceId}-${startMs}`,
  service: instance.split('-')[0],
  instance,
  startMs,
  endMs,
});
const edges = (part: Partial<TraceEdges>): TraceEdges => ({ begun: [], served: [], continued: new Map(), ...part });

describe('finding where a trace is cut', () => {
  it('names the service that began a new trace while it served', () => {
    const given = edges({ served: [edge('one', 10, 30)], begun: [edge('two', 15, 20)] });
    expect(findCuts('one', given)).toEqual([
      { service: 'web', instance: 'web-1', where: 'after', spanId: 'one-10', traceIds: ['two'], traces: 1 },
    ]);
    expect(findCuts('two', given)).toEqual([
      { service: 'web', instance: 'web-1', where: 'before', spanId: 'one-10', traceIds: ['one'], traces: 1 },
    ]);
  });

  it.each([
    ['began before', edges({ served: [edge('one', 10, 30)], begun: [edge('two', 9, 20)] })],
    ['began after', edges({ served: [edge('one', 10, 30)], begun: [edge('two', 31, 40)] })],
    ['was made by another instance', edges({ served: [edge('one', 10, 30)], begun: [edge('two', 15, 20, 'web-2')] })],
    ['is of the same trace', edges({ served: [edge('one', 10, 30)], begun: [edge('one', 15, 20)] })],
    [
      'comes from a service that mostly passes traces on',
      edges({ served: [edge('one', 10, 30)], begun: [edge('two', 15, 20)], continued: new Map([['web', 2]]) }),
    ],
  ])('says nothing of a call that %s', (_what, given) => {
    expect(findCuts('one', given)).toEqual([]);
  });

  it('names three of many, and says how many there are', () => {
    const begun = [11, 12, 13, 14, 15].map((at) => edge(`other${at}-and-more`, at, at + 1));
    const [cut] = findCuts('one', edges({ served: [edge('one', 10, 30)], begun }));
    expect(cut.traces).toBe(5);
    expect(describeCut(cut)).toBe(
      'web probably does not pass on traceparent: while web-1 served this request it began 5 traces: other11-, other12-, other13-, ...',
    );
  });
});
