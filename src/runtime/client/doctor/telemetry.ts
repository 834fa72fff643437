import { describeDrops, type TelemetryDrop } from '../../../model/telemetry-drops.ts';
import { type Check, passed, warning } from './check.ts';

const FIXES: Readonly<Record<TelemetryDrop, string>> = {
  taps: 'narrow taps down with filters or --max-rps',
  access_log: 'see that the file of the access log can be written',
  spans: 'set telemetry.traces.sample or maxPerSecond lower',
  trace_store: 'see that .mesh/traces can be written, or set telemetry.traces.sample lower',
  trace_export: 'see that the collector of telemetry.otlp takes traces',
  metric_export: 'see that the collector of telemetry.otlp takes metrics',
};

/** Whether what the mesh shows of its traffic is all that there was. @param dropped since it was started */
export function checkTelemetry(dropped: Readonly<Record<string, number>>): Check {
  const drops = describeDrops(dropped);
  if (drops === '') return passed('telemetry', 'nothing had to be left out');
  const fixes = Object.entries(FIXES).flatMap(([what, fix]) => ((dropped[what] ?? 0) > 0 ? [fix] : []));
  return warning('telemetry', `left out since the mesh was started: ${drops}`, fixes.join('; '));
}
