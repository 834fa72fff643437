import type { StatRow } from '../../model/events.ts';
import { pad } from '../../model/text.ts';
import { sumOf, type Traffic } from '../../model/traffic-sums.ts';
import { parseFilter } from '../filter.ts';
import type { Column } from '../layout/columns.ts';
import { count, duration, percent, rate } from '../layout/format.ts';
import { callGraph, type GraphRow } from '../layout/graph.ts';
import { bold, dim, field, type Line, line, type Span, tinted } from '../layout/lines.ts';
import { successSpan } from './services.ts';
import { blank, type Context, drawTable, heading, type ViewDefinition } from './view.ts';

interface Edge {
  from: string;
  to: string;
  traffic: Traffic;
  rows: StatRow[];
  /** Whether every request of it went through mutual TLS. */
  tls: boolean;
}

type Row = GraphRow<Edge>;

export const topology: ViewDefinition<Row> = {
  id: 'topology',
  title: 'Topology',
  sorts: [],
  grows: false,
  hints: '',
  rows(context) {
    const wanted = parseFilter(context.list.filter);
    return graphOf(context, (from, to) => wanted({ fields: { from, to } }));
  },
  keyOf: ({ node, edge }) => `${edge?.from ?? ''} ${node}`,
  serviceOf: ({ node }) => (node === 'gateway' ? null : node),
  placeOf: () => null,
  draw: (_, rows, selected, size) => drawTable(layout, rows, selected, size),
  detail: (_, row) => detailOf(row),
  whyEmpty: () => 'no request went through the mesh yet',
};

function graphOf({ view, list }: Context, wanted: (from: string, to: string) => boolean): Row[] {
  const edges = new Map<string, Edge>();
  for (const row of view.stats ?? []) {
    if (row.destination === '') continue;
    const from = row.source || 'outside';
    const key = `${from} ${row.destination}`;
    const edge = edges.get(key) ?? { from, to: row.destination, traffic: sumOf([]), rows: [], tls: true };
    edge.rows.push(row);
    edge.tls &&= row.tls;
    edges.set(key, edge);
  }
  const shown = [...edges.values()].filter(({ from, to }) => wanted(from, to));
  for (const edge of shown) edge.traffic = sumOf(edge.rows);
  // With a filter, services without a matching call would only be in the way.
  const nodes = list.filter === '' ? ['gateway', ...(view.status?.services.map(({ name }) => name) ?? [])] : [];
  const hasGateway = view.status?.gateway.http !== undefined || view.status?.gateway.https !== undefined;
  return callGraph(hasGateway ? nodes : nodes.slice(1), shown);
}

const ofEdge = ({ edge }: Row, show: (traffic: Traffic) => string | Span): string | Span =>
  edge === null ? '' : edge.traffic.requests === 0 ? dim('-') : show(edge.traffic);

const layout: Column<Row>[] = [
  {
    title: 'CALLS',
    min: 16,
    max: 60,
    cell: ({ branch, node, edge, repeated }) => ({
      text: `${branch}${node}${repeated ? ' (above)' : ''}`,
      bold: edge === null,
      dim: repeated,
    }),
  },
  {
    title: 'LINK',
    min: 5,
    cell: ({ edge }) => (edge === null ? '' : edge.tls ? tinted('mTLS', 'green') : tinted('plain', 'yellow')),
  },
  { title: 'REQ/S', align: 'right', cell: (row) => ofEdge(row, ({ perSecond }) => rate(perSecond)) },
  {
    title: 'OK',
    align: 'right',
    min: 6,
    cell: (row) => ofEdge(row, (traffic) => successSpan(traffic, percent(traffic.success))),
  },
  {
    title: 'ERRORS',
    align: 'right',
    rank: 2,
    cell: (row) => ofEdge(row, () => count(row.edge!.rows.reduce((sum, { failures }) => sum + failures, 0))),
  },
  { title: 'P50', align: 'right', min: 5, rank: 4, cell: (row) => ofEdge(row, ({ p50Ms }) => duration(p50Ms)) },
  { title: 'P95', align: 'right', min: 5, rank: 1, cell: (row) => ofEdge(row, ({ p95Ms }) => duration(p95Ms)) },
  { title: 'P99', align: 'right', min: 5, rank: 3, cell: (row) => ofEdge(row, ({ p99Ms }) => duration(p99Ms)) },
  { title: 'ACT', align: 'right', rank: 5, cell: ({ edge }) => (edge === null ? '' : String(edge.traffic.active)) },
];

function detailOf({ node, edge }: Row): Line[] {
  if (edge === null) return [line(bold(node)), blank, line('nobody has called it through the mesh in this window')];
  const { traffic } = edge;
  return [
    line(bold(`${edge.from} → ${edge.to}`), '  ', edge.tls ? tinted('mutual TLS', 'green') : tinted('plain', 'yellow')),
    blank,
    field(
      'requests',
      `${rate(traffic.perSecond)}/s, ${percent(traffic.success)} ok, ${traffic.active} in flight, ${traffic.retries} retries`,
    ),
    field('latency', `p50 ${duration(traffic.p50Ms)}  p95 ${duration(traffic.p95Ms)}  p99 ${duration(traffic.p99Ms)}`),
    blank,
    heading('By route'),
    ...edge.rows.map((row) =>
      line(
        pad(row.route || '(none)', 24),
        `  ${pad(rate(row.requestsPerSecond), 7, 'right')}/s  `,
        successSpan(
          { ...traffic, requests: row.requests, success: row.successRate },
          pad(percent(row.successRate), 8, 'right'),
        ),
        `  p95 ${duration(row.p95Ms)}`,
      ),
    ),
  ];
}
