import type { RequestEvent } from '../../model/events.ts';
import { type Filterable, parseFilter } from '../filter.ts';
import { timeBar } from '../layout/charts.ts';
import type { Column } from '../layout/columns.ts';
import { bytes, clockTime, duration } from '../layout/format.ts';
import { bold, type Colour, dim, field, type Line, line, type Span, tinted } from '../layout/lines.ts';
import { pad, wrap } from '../layout/text.ts';
import { waterfall } from '../layout/waterfall.ts';
import { isFailure, statusText } from '../outcome.ts';
import type { View } from '../store.ts';
import { blank, drawTable, heading, hint, type ViewDefinition } from './view.ts';

const SORTS = ['TIME', 'TOOK', 'STATUS'] as const;

export const requests: ViewDefinition<RequestEvent> = {
  id: 'requests',
  title: 'Requests',
  sorts: SORTS,
  grows: true,
  hints: '',
  rows({ view, list }) {
    const wanted = parseFilter(list.filter);
    // Both proxies of a hop report it: the caller's report stands for both unless asked otherwise.
    const both = list.filter.includes('direction:');
    const rows = view.events.filter(
      (event) => (both || event.direction === 'outbound' || event.source === '') && wanted(filterable(event)),
    );
    if (list.sort === 1) return rows.sort((a, b) => b.durationMs - a.durationMs);
    if (list.sort === 2) return rows.sort((a, b) => severity(b) - severity(a));
    return rows;
  },
  keyOf: ({ id }) => id,
  serviceOf: ({ destination }) => (destination === '' ? null : destination),
  placeOf: () => null,
  draw({ view, ui, list }, rows, selected, size) {
    const state = ui.paused ? 'paused' : list.selected === null && list.sort === 0 ? 'live' : 'Esc to follow';
    const dropped = view.dropped === 0 ? '' : `, ${view.dropped} not shown (too many)`;
    return [
      hint(`  ${rows.length} requests, ${state}${dropped}`),
      ...drawTable(layout, rows, selected, { ...size, rows: size.rows - 1 }, SORTS[list.sort]),
    ];
  },
  detail: ({ view }, event, columns) => detailOf(event, view, columns),
  whyEmpty: ({ view }) =>
    view.status?.services.every(({ instances }) => instances.every(({ state }) => state !== 'ready'))
      ? 'no service is ready yet'
      : 'no request came since this view was opened',
};

const filterable = (event: RequestEvent): Filterable => ({
  durationMs: event.durationMs,
  fields: {
    from: event.source,
    to: event.destination,
    instance: event.instance,
    method: event.method,
    path: event.path,
    authority: event.authority,
    route: event.route,
    status: String(event.status),
    grpc: event.grpcStatus === null ? '' : statusText(event),
    flags: event.responseFlags,
    protocol: event.protocol,
    direction: event.direction,
    trace: event.traceId,
  },
});

const severity = (event: RequestEvent): number => (isFailure(event) ? 1_000 : 0) + event.status;

const statusColour = (event: RequestEvent): Colour | undefined => {
  if (isFailure(event)) return 'red';
  return event.status >= 400 ? 'yellow' : event.status >= 200 && event.status < 300 ? 'green' : undefined;
};

const hop = (event: RequestEvent): string => `${event.source || 'outside'} → ${event.destination || '?'}`;

const layout: Column<RequestEvent>[] = [
  { title: 'TIME', min: 12, rank: 3, cell: ({ time }) => dim(clockTime(time)) },
  { title: 'FROM → TO', min: 18, max: 30, cell: hop },
  { title: 'METHOD', min: 6, max: 7, rank: 2, cell: ({ method, protocol }) => method || protocol },
  { title: 'PATH', min: 13, cell: ({ path }) => path },
  { title: 'STATUS', min: 6, cell: (event) => tinted(statusText(event), statusColour(event)) },
  { title: 'TOOK', min: 5, align: 'right', cell: ({ durationMs }) => duration(durationMs) },
  { title: 'FLAGS', min: 5, rank: 1, cell: flagsOf },
  { title: 'INSTANCE', min: 8, max: 20, rank: 4, cell: ({ instance }) => instance },
  { title: 'ROUTE', min: 8, max: 24, rank: 5, cell: ({ route }) => route },
  { title: 'SIZE', min: 5, rank: 6, align: 'right', cell: ({ responseBytes }) => bytes(responseBytes) },
];

/** Envoy's letters; `R2`: tried twice more; `plain`: not encrypted. */
function flagsOf({ responseFlags, retries, tls, instance }: RequestEvent): string | Span {
  const flags = [responseFlags, retries > 0 ? `R${retries}` : '', tls || instance === '' ? '' : 'plain'].filter(
    (flag) => flag !== '',
  );
  return flags.length === 0 ? '' : tinted(flags.join(' '), 'yellow');
}

function detailOf(event: RequestEvent, view: View, columns: number): Line[] {
  const route = view.routes.find(({ name }) => name === event.route);
  const long = (name: string, value: string): Line[] => {
    const [first = '', ...more] = wrap(value, columns - 15);
    return [field(name, first), ...more.map((text) => field('', text))];
  };
  const verdict = isFailure(event) ? tinted('failed', 'red') : dim('ok');
  return [
    line(
      bold(`${event.method} `),
      bold(event.path.length > columns ? '' : event.path),
      '  ',
      bold(statusText(event), statusColour(event)),
      '  ',
      verdict,
    ),
    blank,
    ...long('path', event.path),
    field('authority', event.authority || '-'),
    field('from', event.source || 'outside'),
    field('to', `${event.destination || 'no service'}${event.instance === '' ? '' : `, instance ${event.instance}`}`),
    ...long('route', event.route === '' ? 'none' : `${event.route}${route?.source ? `  ${route.source}` : ''}`),
    field(
      'seen by',
      `${event.direction === 'outbound' ? "the caller's" : "the called service's"} proxy, ${event.protocol}`,
    ),
    field('encryption', event.tls ? 'mutual TLS' : { text: 'none: plain text on this hop', colour: 'yellow' }),
    ...long('TLS peer', event.peer || '-'),
    field(
      'status',
      `${event.status === 0 ? 'no response' : event.status}${event.grpcStatus === null ? '' : `, grpc-status ${event.grpcStatus}`}`,
    ),
    field('flags', event.responseFlags || '- (the application answered)'),
    field('retries', String(event.retries)),
    field('bytes', `${bytes(event.requestBytes)} sent, ${bytes(event.responseBytes)} received`),
    field('at', event.time),
    ...long('trace', `${event.traceId}  span ${event.id}${event.sampled ? '  sampled' : ''}`),
    blank,
    heading('Timing'),
    ...timing(event, columns),
    blank,
    heading('Trace, as far as it was seen here'),
    ...traceLines(event, view.events, columns),
    ...headerLines('Request headers', event.requestHeaders, columns),
    ...headerLines('Response headers', event.responseHeaders, columns),
  ];
}

function timing(event: RequestEvent, columns: number): Line[] {
  const { pickedAfterMs: picked, firstByteAfterMs: first, durationMs: total } = event;
  const phases: [name: string, fromMs: number, toMs: number][] = [];
  if (picked !== null) phases.push(['queue', 0, picked]);
  if (first !== null) phases.push(['first byte', picked ?? 0, first]);
  phases.push(['body', first ?? picked ?? 0, total]);
  const width = Math.max(4, columns - 26);
  return [
    ...phases.map(([name, from, to]) =>
      field(
        name,
        { text: `${pad(duration(Math.max(0, to - from)), 8, 'right')}  ${timeBar(from, to - from, total, width)}` },
        12,
      ),
    ),
    field('total', `${pad(duration(total), 8, 'right')}`, 12),
  ];
}

function traceLines(event: RequestEvent, events: readonly RequestEvent[], columns: number): Line[] {
  const same = events.filter(({ traceId }) => traceId === event.traceId && traceId !== '');
  const { rows, totalMs } = waterfall(same.includes(event) ? same : [...same, event]);
  const nameWidth = Math.min(36, Math.floor(columns * 0.45));
  const barWidth = Math.max(4, columns - nameWidth - 20);
  return rows.map(({ event: each, depth, startMs }): Line => {
    const side = each.direction === 'outbound' ? '→' : '←';
    const name = `${'  '.repeat(Math.min(depth, 8))}${each.source || 'outside'} ${side} ${each.destination || '?'}`;
    return line(
      { text: each.id === event.id ? '▸ ' : '  ', bold: true },
      { text: pad(name, nameWidth), bold: each.id === event.id },
      ' ',
      tinted(pad(statusText(each), 8), statusColour(each)),
      tinted(timeBar(startMs, each.durationMs, totalMs, barWidth), isFailure(each) ? 'red' : 'cyan'),
      ` ${duration(each.durationMs)}`,
    );
  });
}

function headerLines(title: string, headers: readonly [string, string][], columns: number): Line[] {
  if (headers.length === 0) return [];
  return [
    blank,
    heading(title),
    ...headers.flatMap(([name, value]) => {
      const [first = '', ...more] = wrap(`${name}: ${value}`, columns - 2);
      const split = first.indexOf(': ');
      const head = split < 0 ? line(first) : line({ text: first.slice(0, split), colour: 'cyan' }, first.slice(split));
      return [head, ...more.map((text) => line(`  ${text}`))];
    }),
  ];
}
