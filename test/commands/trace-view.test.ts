import { describe, expect, it } from 'vitest';
import type { OtlpSpan } from '../../src/model/otlp.ts';
import type { Trace } from '../../src/model/trace.ts';
import { createStyle } from '../../src/runtime/client/style.ts';
import { explainNoTraces, parseTraceQuery, renderTrace, renderTraces } from '../../src/runtime/client/trace-view.ts';
import { checkoutSummary } from '../runtime/control/fake-mesh.ts';
import { BEGAN_MS, resourceSpans, serviceSpan, TRACE_ID } from '../support/spans.ts';

const plain = createStyle(false);
const proxy = (direction: string, more: Record<string, string> = {}): Partial<OtlpSpan> => ({
  attributes: Object.entries({ 'mesh.direction': direction, 'http.request.method': 'GET', ...more }).map(
    ([key, value]) => ({
      key,
      value: { stringValue: value },
    }),
  ),
});

const trace: Trace = {
  traceId: TRACE_ID,
  resourceSpans: [
    resourceSpans(
      'gateway',
      [serviceSpan('a', '', 0, 28, proxy('gateway', { 'url.path': '/shop', 'mesh.destination': 'web' }))],
      true,
    ),
    resourceSpans(
      'web',
      [
        serviceSpan('b', 'a', 1, 27, proxy('inbound', { 'url.path': '/shop' })),
        serviceSpan('d', 'c', 7, 21, {
          ...proxy('outbound', {
            'url.full': 'http://127.0.0.1:1/items?x=1',
            'mesh.destination': 'api',
            'error.type': '503',
          }),
          status: { code: 2, message: 'UH' },
        }),
      ],
      true,
    ),
    resourceSpans('web', [
      serviceSpan('c', 'b', 2, 26, {
        name: 'show \u001b[31mshop\u0007',
        events: [{ timeUnixNano: `${BEGAN_MS + 3}000000`, name: 'cache\nmiss' }],
      }),
      serviceSpan('e', 'c', 3, 6, { name: 'beside' }),
    ]),
  ],
  resourceLogs: [],
  cuts: [
    {
      service: 'web',
      instance: 'web-1',
      where: 'after',
      spanId: 'x',
      traceIds: ['0af7651916cd43dd8448eb211c80319c'],
      traces: 1,
    },
  ],
};

describe('`mesh trace ID`', () => {
  it('draws the waterfall with the two proxies of a hop as one, and what was said in place', () => {
    const lines = renderTrace(
      trace,
      [
        {
          time: new Date(BEGAN_MS + 4).toISOString(),
          service: 'web',
          instance: 'web-1',
          stream: 'stdout',
          text: 'hello',
        },
      ],
      plain,
      {
        columns: null,
        wide: false,
      },
    );
    expect(lines).toEqual([
      `trace ${TRACE_ID}  ${new Date(BEGAN_MS).toISOString()}  28.0 ms  5 spans  1 error`,
      '',
      'SERVICE  SPAN                            DURATION  |--------------------------|',
      'gateway  GET /shop → web                  28.0 ms  ████████████████████████████',
      'web        show ␛[31mshop␇                24.0 ms    ████████████████████████',
      '    · 3.00 ms cache␊miss',
      'web          beside                       3.00 ms     ███',
      'web          GET /items → api  ✗ 503 UH   14.0 ms         ██████████████',
      '',
      'LOGS',
      '  4.00 ms  web-1 │ hello',
      '',
      '! web probably does not pass on traceparent: while web-1 served this request it began trace 0af76519',
    ]);
  });

  it('shows each proxy on request, and spans whose parent is missing', () => {
    const lines = renderTrace({ ...trace, resourceSpans: trace.resourceSpans.slice(1, 2), cuts: [] }, [], plain, {
      columns: null,
      wide: true,
    });
    expect(lines.filter((line) => /inbound|outbound/.test(line))).toHaveLength(2);
    expect(lines.join('\n')).toContain('? GET /shop (inbound)');
    expect(lines.at(-1)).toMatch(/^\? the span above it is not here/);
  });

  it('fits into 80 columns', () => {
    const long = serviceSpan('a', '', 0, 5, { name: 'a name that goes on and on '.repeat(10) });
    const lines = renderTrace({ ...trace, resourceSpans: [resourceSpans('web', [long])], cuts: [] }, [], plain, {
      columns: 80,
      wide: false,
    });
    for (const line of lines.slice(2)) expect(line.length).toBeLessThanOrEqual(80);
  });
});

describe('`mesh trace`', () => {
  it('lists traces', () => {
    expect(renderTraces([checkoutSummary], plain, null)).toEqual([
      'TRACE         TIME          SERVICE  REQUEST        DURATION  SPANS  ERRORS  SERVICES',
      '4bf92f3577b3  10:00:02.500  gateway  GET /checkout   12.3 ms      2       1  gateway, orders',
    ]);
  });

  it('says why there is nothing', () => {
    expect(explainNoTraces(true)).toContain('no trace matches');
    expect(explainNoTraces(false)).toContain('no traces yet');
  });

  it('reads its flags, and refuses what they cannot be', () => {
    const none = {
      service: undefined,
      error: false,
      minDuration: undefined,
      since: undefined,
      limit: 20,
      now: 1_000_000,
    };
    expect(parseTraceQuery(none)).toEqual({
      ok: true,
      value: { service: '', errorsOnly: false, minDurationMs: 0, sinceMs: null, limit: 20 },
    });
    expect(parseTraceQuery({ ...none, service: 'web', error: true, minDuration: '100ms', since: '5m' })).toMatchObject({
      value: { service: 'web', errorsOnly: true, minDurationMs: 100, sinceMs: 700_000 },
    });
    expect(parseTraceQuery({ ...none, since: '2026-05-01T12:00:00Z' })).toMatchObject({
      value: { sinceMs: Date.UTC(2026, 4, 1, 12) },
    });
    expect(parseTraceQuery({ ...none, since: 'yesterday' })).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-U102' }],
    });
    expect(parseTraceQuery({ ...none, minDuration: '5' })).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-U102' }],
    });
  });
});
