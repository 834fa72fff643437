import { type Exposition, type Labels, type MetricFamily, metricFamilies } from './metrics.ts';

/** Content type of the text format 0.0.4. */
export const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** Everything that the mesh counts, in Prometheus' text format. */
export function renderMetrics(exposition: Exposition): string {
  return `${metricFamilies(exposition)
    .flatMap((family) => [
      `# HELP ${family.name} ${escapeHelp(family.help)}`,
      `# TYPE ${family.name} ${family.type}`,
      ...linesOf(family),
    ])
    .join('\n')}\n`;
}

function linesOf(family: MetricFamily): string[] {
  const { name } = family;
  if (family.type !== 'histogram')
    return family.samples.map(({ labels, value }) => `${name}${labelText(labels)} ${valueText(value)}`);
  return family.samples.flatMap(({ labels, upTo, count, sum }) => [
    ...family.bounds.map((bound, i) => `${name}_bucket${labelText({ ...labels, le: String(bound) })} ${upTo[i]}`),
    `${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}`,
    `${name}_sum${labelText(labels)} ${valueText(sum)}`,
    `${name}_count${labelText(labels)} ${count}`,
  ]);
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** Backslash, line feed and quote are all that the format escapes. */
const escapeLabel = (value: string): string => value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
const escapeHelp = (text: string): string => text.replace(/[\\\n]/g, (c) => (c === '\n' ? '\\n' : '\\\\'));

function valueText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}
