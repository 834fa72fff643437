import { describe, expect, it } from 'vitest';
import { checkTelemetry } from '../../src/runtime/client/doctor/telemetry.ts';
import { renderNotice } from '../../src/runtime/client/plain-view.ts';
import { createStyle } from '../../src/runtime/client/style.ts';
import { renderTraceDrops } from '../../src/runtime/client/trace-view.ts';
import { renderDrops } from '../../src/runtime/client/traffic-view.ts';
import { shopStatus } from '../runtime/control/fake-mesh.ts';

const plain = createStyle(false);
const traffic = (telemetryDropped: Record<string, number>) => ({ ...shopStatus().traffic, telemetryDropped });

describe('what telemetry had to leave out', () => {
  it('stands below the list of traces, as far as traces are concerned', () => {
    expect(renderTraceDrops(traffic({}), plain)).toEqual([]);
    expect(renderTraceDrops(traffic({ taps: 5, access_log: 1 }), plain)).toEqual([]);
    expect(renderTraceDrops(traffic({ spans: 3, trace_export: 2, taps: 5 }), plain)).toEqual([
      '',
      'left out since the mesh was started: 3 traces or spans of proxies, 2 spans that could not be exported; traces may have gaps',
    ]);
  });

  it('stands below the statistics, which count all the same', () => {
    expect(renderDrops(traffic({}), plain)).toEqual([]);
    expect(renderDrops(traffic({ spans: 3, taps: 1 }), plain)).toEqual([
      '',
      'left out since the mesh was started: 1 request for a tap, 3 traces or spans of proxies; the figures above count every request',
    ]);
  });

  it('is a warning of the doctor, with what to do about each', () => {
    expect(checkTelemetry({})).toEqual({
      name: 'telemetry',
      outcome: 'ok',
      detail: 'nothing had to be left out',
    });
    expect(checkTelemetry({ metric_export: 7, taps: 1, unknown: 9 })).toEqual({
      name: 'telemetry',
      outcome: 'warning',
      detail: 'left out since the mesh was started: 1 request for a tap, 7 metric points that could not be exported',
      fix: 'narrow taps down with filters or --max-rps; see that the collector of telemetry.otlp takes metrics',
    });
  });
});

describe('a notice', () => {
  const notice = (text: string) => ({
    time: '2026-11-20T10:00:00.000Z',
    level: 'warning' as const,
    service: '',
    text,
    problems: [{ code: 'MESH-T103', message: 'metrics cannot be exported', severity: 'warning' as const }],
  });

  it('is not said twice where it only passes a problem on', () => {
    expect(renderNotice(notice('metrics cannot be exported'), plain, '/')).toEqual([
      'warning[MESH-T103] metrics cannot be exported',
    ]);
    expect(renderNotice(notice('something else'), plain, '/')).toHaveLength(2);
  });
});
