import type { StatGrouping, StatRow } from '../../model/events.ts';
import type { TrafficStatus } from '../../model/status.ts';
import { describeDrops } from '../../model/telemetry-drops.ts';
import { plain } from '../telemetry/event-text.ts';
import type { Style } from './style.ts';
import { duration } from './tap-view.ts';
import { type Column, table } from './text.ts';

/** A service or edge that fails more than this is shown in red, anything at all in yellow. */
const BAD_SUCCESS_RATE = 0.95;

export interface StatView {
  by: StatGrouping;
  columns: number | null;
}

/** `mesh stat`: a line for each group. */
export function renderStats(rows: readonly StatRow[], style: Style, { by, columns }: StatView): string[] {
  if (rows.length === 0) return ['no traffic in this window'];
  const name = (title: string, of: (row: StatRow) => string): Column<StatRow> => ({
    title,
    value: (row) => plain(of(row)) || '-',
    shrinkTo: 10,
  });
  const names: Record<StatGrouping, Column<StatRow>[]> = {
    each: [name('FROM', (row) => row.source), name('TO', (row) => row.destination), name('ROUTE', (row) => row.route)],
    edge: [name('FROM', (row) => row.source), name('TO', (row) => row.destination)],
    route: [name('SERVICE', (row) => row.destination), name('ROUTE', (row) => row.route)],
    subset: [name('SERVICE', (row) => row.destination), name('SUBSET', (row) => row.subset)],
    service: [name('SERVICE', (row) => row.destination)],
  };
  const number = (title: string, value: (row: StatRow) => string): Column<StatRow> => ({
    title,
    value,
    align: 'right',
  });
  return table(
    rows,
    [
      ...names[by],
      number('REQUESTS', ({ requests }) => String(requests)),
      number('RPS', ({ requestsPerSecond }) => rate(requestsPerSecond)),
      {
        ...number('SUCCESS', ({ successRate }) => percent(successRate)),
        paint: (text, row) => paintSuccess(style, row, text),
      },
      number('P50', ({ p50Ms }) => duration(p50Ms)),
      number('P95', ({ p95Ms }) => duration(p95Ms)),
      number('P99', ({ p99Ms }) => duration(p99Ms)),
      number('ACTIVE', ({ active }) => String(active)),
      number('RETRIES', ({ retries }) => String(retries)),
      {
        title: 'TLS',
        value: ({ tls }) => (tls ? 'mTLS' : 'plain'),
        paint: (text, { tls }) => (tls ? style.green(text) : style.yellow(text)),
      },
    ],
    { columns, title: style.bold },
  );
}

/** Below the figures: what other looks at traffic could not show. Nothing, mostly. */
export function renderDrops({ telemetryDropped }: TrafficStatus, style: Style): string[] {
  const drops = describeDrops(telemetryDropped);
  if (drops === '') return [];
  return ['', style.yellow(`left out since the mesh was started: ${drops}; the figures above count every request`)];
}

export const rate = (perSecond: number): string => perSecond.toFixed(perSecond < 10 ? 1 : 0);

/** Never rounded up to 100 %: one failure in a million is one. */
export const percent = (share: number): string =>
  share >= 1 ? '100 %' : `${(Math.floor(share * 1_000) / 10).toFixed(1)} %`;

function paintSuccess(style: Style, { successRate }: StatRow, text: string): string {
  if (successRate >= 1) return style.green(text);
  return successRate >= BAD_SUCCESS_RATE ? style.yellow(text) : style.red(text);
}

/** `mesh graph` as a tree of callers with whom they call. */
export function renderGraph(edges: readonly StatRow[], style: Style): string[] {
  if (edges.length === 0) return ['no traffic in this window'];
  const lines: string[] = [];
  const width = Math.max(...edges.map((edge) => nodeName(edge.destination).length));
  for (const source of new Set(edges.map((edge) => edge.source))) {
    const out = edges.filter((edge) => edge.source === source);
    lines.push(style.bold(nodeName(source)));
    out.forEach((edge, i) => {
      const branch = i === out.length - 1 ? '└─' : '├─';
      const name = nodeName(edge.destination).padEnd(width);
      const lock = edge.tls ? '🔒' : '  ';
      lines.push(`${style.dim(`${branch}▶`)} ${name}  ${lock}  ${paintSuccess(style, edge, facts(edge).join('  '))}`);
    });
  }
  return lines;
}

const nodeName = (name: string): string => plain(name) || '(none)';

function facts(edge: StatRow): string[] {
  return [
    `${rate(edge.requestsPerSecond)} rps`,
    percent(edge.successRate),
    `p50 ${duration(edge.p50Ms)}`,
    `p95 ${duration(edge.p95Ms)}`,
    `p99 ${duration(edge.p99Ms)}`,
  ];
}

/** A flowchart for Mermaid; a dashed arrow is a hop without mutual TLS. */
export function mermaidGraph(edges: readonly StatRow[]): string[] {
  const nodes = nodesOf(edges);
  const quoted = (text: string) => `"${text.replaceAll('"', '#quot;')}"`;
  return [
    'flowchart LR',
    ...[...nodes].map(([name, id]) => `  ${id}[${quoted(nodeName(name))}]`),
    ...edges.map((edge) => {
      const label = `${edge.tls ? '🔒 ' : ''}${facts(edge).slice(0, 3).join(', ')}`;
      return `  ${nodes.get(edge.source)} ${edge.tls ? '-->' : '-.->'}|${quoted(label)}| ${nodes.get(edge.destination)}`;
    }),
  ];
}

/** A digraph for Graphviz; a dashed arrow is a hop without mutual TLS. */
export function dotGraph(edges: readonly StatRow[]): string[] {
  const nodes = nodesOf(edges);
  const quoted = (text: string) => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  return [
    'digraph mesh {',
    '  rankdir=LR;',
    '  node [shape=box];',
    ...[...nodes].map(([name, id]) => `  ${id} [label=${quoted(nodeName(name))}];`),
    ...edges.map((edge) => {
      const looks = [`label=${quoted(`${edge.tls ? '🔒 ' : ''}${facts(edge).slice(0, 3).join(', ')}`)}`];
      if (!edge.tls) looks.push('style=dashed');
      if (edge.successRate < BAD_SUCCESS_RATE) looks.push('color=red');
      return `  ${nodes.get(edge.source)} -> ${nodes.get(edge.destination)} [${looks.join(', ')}];`;
    }),
    '}',
  ];
}

/** Names may be words of the language, such as `end`: nodes get names of their own. */
function nodesOf(edges: readonly StatRow[]): Map<string, string> {
  const names = new Set(edges.flatMap(({ source, destination }) => [source, destination]));
  return new Map([...names].map((name, i) => [name, `n${i}`]));
}
