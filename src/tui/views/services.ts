import type { InstanceStatus, ServiceStatus } from '../../model/status.ts';
import { displayWidth, pad } from '../../model/text.ts';
import { NO_TRAFFIC, sumsBy, type Traffic } from '../../model/traffic-sums.ts';
import { parseFilter } from '../filter.ts';
import { sparkline } from '../layout/charts.ts';
import { type Column, stateColour } from '../layout/columns.ts';
import { bytes, duration, percent, rate } from '../layout/format.ts';
import { clip, dim, field, type Line, line, marked, type Span, tinted } from '../layout/lines.ts';
import type { Usage, View } from '../store.ts';
import { windowStart } from '../ui-state.ts';
import { entryLine } from './logs.ts';
import { blank, type Context, drawTable, heading, hint, type Size, type ViewDefinition } from './view.ts';

interface ServiceRow {
  service: ServiceStatus;
  state: string;
  /** Ready ones. */
  up: number;
  restarts: number;
  traffic: Traffic;
  usage: Usage | null;
  history: readonly number[];
  /** Takes the place of the figures while there are none worth showing: why it is not up. */
  note: string;
}

/** The worst of a service's instances stands for it. */
const BY_URGENCY = ['failed', 'unhealthy', 'stopping', 'starting', 'ready', 'completed', 'stopped', 'external', 'none'];

const SORTS = ['SERVICE', 'REQ/S', 'OK', 'P99', 'STATE'] as const;

export const services: ViewDefinition<ServiceRow> = {
  id: 'services',
  title: 'Services',
  sorts: ['as configured', ...SORTS],
  grows: false,
  hints: 'r restart  x stop/start  l logs  e edit',
  rows(context) {
    const wanted = parseFilter(context.list.filter);
    const rows = allRows(context).filter(({ service, state }) =>
      wanted({ fields: { service: service.name, state, protocol: service.protocol } }),
    );
    return sorted(rows, context.list.sort);
  },
  keyOf: ({ service }) => service.name,
  serviceOf: ({ service }) => service.name,
  placeOf: () => null,
  draw({ view, list }, rows, selected, size) {
    // What services say while they start is worth more than empty rows.
    const forTable = Math.min(rows.length + 1, Math.max(3, size.rows - Math.min(8, Math.floor(size.rows / 3))));
    const table = drawServices(rows, selected, { ...size, rows: forTable }, view, list.sort);
    const room = size.rows - table.length - 1;
    if (room < 1) return table;
    const feed = view.log.slice(-room).map((entry) => clip(entryLine(entry, { times: false }), size.columns));
    return [...table, line(dim('─'.repeat(size.columns))), ...feed];
  },
  detail: ({ view, now }, row, columns) => detailOf(row, view, now, columns),
  whyEmpty: () => 'the configuration has no services',
};

function allRows({ view, now }: Context): ServiceRow[] {
  const sums = sumsBy(view.stats ?? [], ({ destination }) => destination);
  return (view.status?.services ?? []).map((service) => {
    const states = service.instances.map(({ state }) => state);
    const state =
      states.length === 0
        ? service.external
          ? 'external'
          : 'none'
        : states.reduce((worst, each) => (BY_URGENCY.indexOf(each) < BY_URGENCY.indexOf(worst) ? each : worst));
    const up = states.filter((each) => each === 'ready').length;
    return {
      service,
      state,
      up,
      restarts: service.instances.reduce((sum, { restarts }) => sum + restarts, 0),
      traffic: sums.get(service.name) ?? NO_TRAFFIC,
      usage: usageOf(view, service),
      history: view.history.get(service.name) ?? [],
      note: up === 0 ? noteOf(service, state, now) : '',
    };
  });
}

function usageOf({ usage }: View, service: ServiceStatus): Usage | null {
  const parts = service.instances.flatMap(({ id }) => usage?.get(id) ?? []);
  if (parts.length === 0) return null;
  return {
    cpu: parts.reduce((sum, { cpu }) => sum + cpu, 0),
    memoryBytes: parts.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
  };
}

function noteOf(service: ServiceStatus, state: string, now: number): string {
  const instance = service.instances.find((each) => each.state === state);
  if (instance === undefined) return '';
  if (state === 'starting' && instance.pid === null && service.waitingFor.length > 0) {
    return `waiting for ${service.waitingFor.join(', ')}`;
  }
  const parts = instance.reason === '' ? [] : [instance.reason];
  if (state === 'starting' && instance.pid !== null) parts.push(ageOf(instance, now));
  return parts.join(' · ');
}

const ageOf = ({ startedAt }: InstanceStatus, now: number): string =>
  startedAt === null ? '' : duration(Math.max(0, now - Date.parse(startedAt)));

function sorted(rows: ServiceRow[], sort: number): ServiceRow[] {
  const by: ((row: ServiceRow) => number | string)[] = [
    ({ service }) => service.name,
    ({ traffic }) => -traffic.perSecond,
    ({ traffic }) => traffic.success,
    ({ traffic }) => -traffic.p99Ms,
    ({ state }) => BY_URGENCY.indexOf(state),
  ];
  if (sort === 0) return rows;
  const key = by[sort - 1];
  return rows.sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    return left < right ? -1 : left > right ? 1 : 0;
  });
}

const figure = (row: ServiceRow, text: string): string => (row.traffic.requests === 0 ? '-' : text);

function columnsFor(view: View): Column<ServiceRow>[] {
  return [
    ...headColumns(Math.min(16, Math.max(8, ...(view.status?.services ?? []).map(({ name }) => displayWidth(name))))),
    { title: 'REQ/S', align: 'right', cell: ({ traffic }) => rate(traffic.perSecond) },
    {
      title: 'OK',
      align: 'right',
      min: 6,
      cell: (row) => successSpan(row.traffic, figure(row, percent(row.traffic.success))),
    },
    { title: 'P50', align: 'right', min: 5, rank: 5, cell: (row) => figure(row, duration(row.traffic.p50Ms)) },
    { title: 'P95', align: 'right', min: 5, rank: 2, cell: (row) => figure(row, duration(row.traffic.p95Ms)) },
    { title: 'P99', align: 'right', min: 5, rank: 1, cell: (row) => figure(row, duration(row.traffic.p99Ms)) },
    { title: 'ACT', align: 'right', rank: 7, cell: ({ traffic }) => String(traffic.active) },
    ...(view.usage === null
      ? []
      : ([
          { title: 'CPU', align: 'right', min: 5, rank: 9, cell: ({ usage }) => (usage === null ? '-' : cpu(usage)) },
          {
            title: 'MEM',
            align: 'right',
            min: 5,
            rank: 8,
            cell: ({ usage }) => (usage === null ? '-' : bytes(usage.memoryBytes)),
          },
        ] satisfies Column<ServiceRow>[])),
    {
      title: 'TREND',
      min: 8,
      rank: 4,
      cell: () => ' '.repeat(16),
      draw: ({ history }, width) => tinted(sparkline(history, width), 'cyan'),
    },
  ];
}

const headColumns = (nameWidth: number): Column<ServiceRow>[] => [
  { title: 'SERVICE', min: nameWidth, max: 28, cell: ({ service }) => service.name },
  { title: 'STATE', min: 9, cell: ({ state }) => tinted(state, stateColour(state)) },
  {
    title: 'UP',
    align: 'right',
    cell: ({ service, up }) => (service.external ? '-' : `${up}/${service.instances.length}`),
  },
  {
    title: 'RST',
    align: 'right',
    rank: 6,
    cell: ({ restarts }) => (restarts === 0 ? '0' : tinted(String(restarts), 'yellow')),
  },
];

const cpu = ({ cpu: cores }: Usage): string => `${(cores * 100).toFixed(cores < 0.0995 ? 1 : 0)} %`;

export function successSpan({ requests, success }: Traffic, text: string): Span {
  if (requests === 0 || success >= 0.999) return { text };
  return tinted(text, success < 0.95 ? 'red' : 'yellow');
}

/** The table, with the reason in place of the figures where a service is not up. */
function drawServices(rows: readonly ServiceRow[], selected: number, size: Size, view: View, sort: number): Line[] {
  const table = drawTable(columnsFor(view), rows, selected, size, sort === 0 ? null : SORTS[sort - 1]);
  const start = windowStart(rows.length, selected, size.rows - 1);
  const nameWidth = Math.min(28, Math.max(8, ...rows.map(({ service }) => displayWidth(service.name))));
  return table.map((drawn, index) => {
    const row = rows[start + index - 1];
    if (index === 0 || row === undefined || row.note === '') return drawn;
    const { service, state, up } = row;
    const text = line(
      `${pad(service.name, Math.min(nameWidth, size.columns - 16))}  `,
      tinted(pad(state, 9), stateColour(state)),
      `  ${up}/${service.instances.length}  `,
      tinted(row.note, stateColour(state) === 'red' ? 'red' : undefined),
    );
    return marked(text, start + index - 1 === selected, size.columns);
  });
}

function detailOf(row: ServiceRow, view: View, now: number, columns: number): Line[] {
  const { service, traffic } = row;
  const lines: Line[] = [
    line(
      { text: service.name, bold: true },
      '  ',
      tinted(row.state, stateColour(row.state)),
      dim(`  ${service.protocol}`),
    ),
  ];
  if (row.note !== '') lines.push(line(tinted(row.note, 'yellow')));
  lines.push(
    blank,
    heading('Traffic'),
    field(
      'requests',
      `${rate(traffic.perSecond)}/s, ${figure(row, percent(traffic.success))} ok, ${traffic.active} in flight`,
    ),
    field(
      'latency',
      figure(row, `p50 ${duration(traffic.p50Ms)}  p95 ${duration(traffic.p95Ms)}  p99 ${duration(traffic.p99Ms)}`),
    ),
    field('requests/s', { text: sparkline(row.history, Math.min(60, Math.max(8, columns - 16))), colour: 'cyan' }),
  );
  const callers = sumsBy(
    (view.stats ?? []).filter(({ destination }) => destination === service.name),
    ({ source }) => source,
  );
  for (const [source, sum] of callers) {
    lines.push(
      field(
        `  from ${source || 'outside'}`,
        `${rate(sum.perSecond)}/s  ${percent(sum.success)}  p95 ${duration(sum.p95Ms)}`,
        20,
      ),
    );
  }
  lines.push(blank, heading('Instances'));
  if (service.instances.length === 0) lines.push(hint(service.external ? 'not run by mesh' : 'none'));
  for (const instance of service.instances) lines.push(...instanceLines(instance, view, now));
  const recent = view.log.filter((entry) => entry.service === service.name).slice(-10);
  lines.push(blank, heading('Last log lines'));
  if (recent.length === 0) lines.push(hint('it has written nothing yet'));
  return [...lines, ...recent.map((entry) => entryLine(entry, { times: true }))];
}

function instanceLines(instance: InstanceStatus, view: View, now: number): Line[] {
  const usage = view.usage?.get(instance.id);
  const port = (name: string, value: number | null) => (value === null ? [] : [`${name} ${value}`]);
  const lines = [
    line(
      { text: instance.id, bold: true },
      '  ',
      tinted(instance.state, stateColour(instance.state)),
      instance.subset === 'default' ? '' : dim(`  subset ${instance.subset}`),
      instance.reason === '' ? '' : `  ${instance.reason}`,
    ),
    field(
      '  process',
      instance.pid === null
        ? 'none'
        : `pid ${instance.pid}, up ${ageOf(instance, now)}, ${instance.restarts} ${instance.restarts === 1 ? 'restart' : 'restarts'}${usage === undefined ? '' : `, cpu ${cpu(usage)}, memory ${bytes(usage.memoryBytes)}`}`,
    ),
  ];
  if (instance.readyAfterMs !== null) lines.push(field('  ready', `in ${duration(instance.readyAfterMs)}`));
  const ports = [
    ...port('app', instance.appPort),
    ...port('inbound', instance.inboundPort),
    ...port('outbound', instance.outboundPort),
  ];
  if (ports.length > 0) lines.push(field('  ports', ports.join('  ')));
  if (instance.spiffeId !== '') lines.push(field('  identity', instance.spiffeId));
  return lines;
}
