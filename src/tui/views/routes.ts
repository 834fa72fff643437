import type { StatRow } from '../../model/events.ts';
import type { RouteStatus } from '../../model/status.ts';
import { pad, wrap } from '../../model/text.ts';
import { sumOf, type Traffic } from '../../model/traffic-sums.ts';
import { parseFilter } from '../filter.ts';
import { bar, proportions } from '../layout/charts.ts';
import type { Column } from '../layout/columns.ts';
import { duration, percent, rate } from '../layout/format.ts';
import { bold, dim, field, type Line, line } from '../layout/lines.ts';
import { successSpan } from './services.ts';
import { blank, type Context, drawTable, heading, hint, type ViewDefinition } from './view.ts';

interface SplitPart {
  /** `inventory/canary` */
  name: string;
  /** Shares from 0 to 1. */
  wanted: number;
  /** Null: no request of this route was seen yet. */
  observed: number | null;
}

interface RouteRow {
  route: RouteStatus;
  traffic: Traffic;
  split: SplitPart[];
  /** Requests that the observed split was counted from. */
  seen: number;
}

const SORTS = ['REQ/S', 'OK', 'P99'] as const;

export const routes: ViewDefinition<RouteRow> = {
  id: 'routes',
  title: 'Routes',
  sorts: ['as configured', ...SORTS],
  grows: false,
  hints: 'e edit its line',
  rows(context) {
    const wanted = parseFilter(context.list.filter);
    const rows = allRows(context).filter(({ route }) =>
      wanted({
        fields: {
          table: route.table,
          route: route.name,
          match: route.matches.join(' or '),
          host: route.hosts.join(' '),
          backend: route.backends.map(nameOf).join(' '),
        },
      }),
    );
    const by: ((row: RouteRow) => number)[] = [
      ({ traffic }) => -traffic.perSecond,
      ({ traffic }) => traffic.success,
      ({ traffic }) => -traffic.p99Ms,
    ];
    const { sort } = context.list;
    return sort === 0 ? rows : rows.sort((a, b) => by[sort - 1](a) - by[sort - 1](b));
  },
  keyOf: ({ route }) => `${route.table} ${route.name}`,
  serviceOf: ({ route }) => route.backends[0]?.service ?? null,
  placeOf: ({ route }) => (route.source === '' ? null : route.source),
  draw: ({ list }, rows, selected, size) =>
    drawTable(layout, rows, selected, size, list.sort === 0 ? null : SORTS[list.sort - 1]),
  detail: (_, row, columns) => detailOf(row, columns),
  whyEmpty: () => 'the proxies have no routes yet',
};

const nameOf = ({ service, subset }: RouteStatus['backends'][number]): string =>
  subset === null ? service : `${service}/${subset}`;

function allRows({ view }: Context): RouteRow[] {
  const subsets = new Map(
    (view.status?.services ?? []).flatMap(({ name, instances }) =>
      instances.map(({ id, subset }) => [id, `${name}/${subset}`] as const),
    ),
  );
  const gateway = new Map(view.routes.filter(({ table }) => table === 'gateway').map((route) => [route.name, route]));
  return view.routes.map((route) => {
    const stats = (view.stats ?? []).filter((row) => belongs(route, row, gateway));
    const seen = view.events.filter(
      (event) => event.direction === 'outbound' && event.instance !== '' && belongs(route, event, gateway),
    );
    return {
      route,
      traffic: sumOf(stats),
      seen: seen.length,
      split: route.backends.map((backend) => {
        const mine = seen.filter(({ instance, destination }) =>
          backend.subset === null
            ? destination === backend.service || subsets.get(instance)?.startsWith(`${backend.service}/`)
            : subsets.get(instance) === nameOf(backend),
        );
        return {
          name: nameOf(backend),
          wanted: backend.share,
          observed: seen.length === 0 ? null : mine.length / seen.length,
        };
      }),
    };
  });
}

/** A gateway's route to a service hands over to that service's own routes. */
const handsOver = ({ table, backends }: RouteStatus): boolean =>
  table === 'gateway' && backends.some(({ subset }) => subset === null);

/** Requests as they are counted: what the gateway hands over, under its route and under the service's. */
type Counted = Pick<StatRow, 'source' | 'destination' | 'route' | 'gatewayRoute'>;

/** A route's name is unique in its table only. */
function belongs({ table, name }: RouteStatus, row: Counted, gateway: ReadonlyMap<string, RouteStatus>): boolean {
  if (table === 'gateway') return row.source === 'gateway' && row.gatewayRoute === name;
  if (row.destination !== table || row.route !== name) return false;
  // A gateway's route that names a subset is itself what `route` says.
  if (row.source !== 'gateway' || row.gatewayRoute !== name) return true;
  const outer = gateway.get(name);
  return outer === undefined || handsOver(outer);
}

function matchText({ route: { hosts, matches } }: RouteRow): string {
  const what = matches.join(' or ');
  return hosts.length === 0 ? what : `${hosts.join(', ')}: ${what}`;
}

/** `web 100 %`, or `stable 90 % canary 10 %` as wanted and as it was. */
function splitText({ split }: RouteRow): string {
  if (split.length === 1) return split[0].name;
  return split.map(({ name, wanted }) => `${name.split('/').at(-1)} ${percent(wanted)}`).join(' ');
}

function splitBar({ split }: RouteRow): string {
  if (split.length < 2) return '';
  const observed = split.map((part) => part.observed);
  const draw = (shares: (number | null)[]) => {
    const widths = proportions(
      shares.map((share) => share ?? 0),
      10,
    );
    return widths.map((width, index) => '█▓▒░'[index % 4].repeat(width)).join('');
  };
  const wanted = draw(split.map((part) => part.wanted));
  return `${wanted} ${observed.some((share) => share === null) ? '(none seen)' : draw(observed)}`;
}

const layout: Column<RouteRow>[] = [
  { title: 'TABLE', min: 7, max: 16, cell: ({ route }) => route.table },
  { title: 'ROUTE', min: 8, max: 26, cell: ({ route }) => route.name },
  { title: 'MATCHES', min: 10, max: 50, rank: 5, cell: matchText },
  { title: 'REQ/S', align: 'right', cell: ({ traffic }) => rate(traffic.perSecond) },
  {
    title: 'OK',
    align: 'right',
    min: 6,
    cell: ({ traffic }) => successSpan(traffic, traffic.requests === 0 ? '-' : percent(traffic.success)),
  },
  {
    title: 'P95',
    align: 'right',
    min: 5,
    rank: 2,
    cell: ({ traffic }) => (traffic.requests === 0 ? '-' : duration(traffic.p95Ms)),
  },
  {
    title: 'P99',
    align: 'right',
    min: 5,
    rank: 3,
    cell: ({ traffic }) => (traffic.requests === 0 ? '-' : duration(traffic.p99Ms)),
  },
  { title: 'BACKENDS', min: 12, rank: 4, cell: splitText },
  { title: 'WANTED/SEEN', min: 21, rank: 6, cell: splitBar },
  { title: 'AT', min: 18, max: 30, rank: 7, cell: ({ route }) => dim(route.source.split('/').at(-1) ?? '') },
];

function detailOf(row: RouteRow, columns: number): Line[] {
  const { route } = row;
  const width = Math.max(6, Math.min(40, columns - 42));
  return [
    line(bold(route.name), dim(`  of ${route.table}`)),
    blank,
    field('at', route.source || 'made by mesh'),
    field('hosts', route.hosts.length === 0 ? 'any' : route.hosts.join(', ')),
    ...route.matches.flatMap((match, index) =>
      wrap(match, columns - 15).map((text, part) =>
        field(index + part === 0 ? 'matches' : part === 0 ? '  or' : '', text),
      ),
    ),
    field('timeout', route.timeoutMs === 0 ? 'none' : duration(route.timeoutMs)),
    field('retries', String(route.retries)),
    blank,
    ...trafficLines(row),
    blank,
    heading(
      row.seen === 0
        ? 'Backends: as wanted; no request was seen yet'
        : `Backends: as wanted, and of the last ${row.seen} requests`,
    ),
    ...row.split.flatMap(({ name, wanted, observed }) => [
      line(pad(name, 22), dim(' wanted '), pad(percent(wanted), 8, 'right'), ' ', {
        text: bar(wanted, width),
        colour: 'blue',
      }),
      line(' '.repeat(22), dim(' seen   '), pad(observed === null ? '-' : percent(observed), 8, 'right'), ' ', {
        text: bar(observed ?? 0, width),
        colour: 'cyan',
      }),
    ]),
  ];
}

function trafficLines({ route, traffic }: RouteRow): Line[] {
  const names = [...new Set(route.backends.flatMap(({ service, subset }) => (subset === null ? [service] : [])))];
  return [
    heading('Traffic'),
    field(
      'requests',
      `${rate(traffic.perSecond)}/s, ${traffic.requests === 0 ? 'none in the window' : `${percent(traffic.success)} ok`}, ${traffic.retries} retries`,
    ),
    field(
      'latency',
      traffic.requests === 0
        ? '-'
        : `p50 ${duration(traffic.p50Ms)}  p95 ${duration(traffic.p95Ms)}  p99 ${duration(traffic.p99Ms)}`,
    ),
    ...(handsOver(route) ? [hint(`they go on by the routes of ${names.join(', ')}, where they are seen too`)] : []),
  ];
}
