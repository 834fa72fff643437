import type { RequestEvent } from '../../model/events.ts';
import { type Filterable, parseFilter } from '../filter.ts';
import type { Column } from '../layout/columns.ts';
import { bytes, clockTime, duration } from '../layout/format.ts';
import { dim, type Span, tinted } from '../layout/lines.ts';
import { isFailure, statusColour, statusText } from '../outcome.ts';
import type { ShownEvent } from '../store.ts';
import { detailOf } from './request-detail.ts';
import { drawTable, hint, type ViewDefinition } from './view.ts';

const SORTS = ['TIME', 'TOOK', 'STATUS'] as const;

export const requests: ViewDefinition<ShownEvent> = {
  id: 'requests',
  title: 'Requests',
  sorts: SORTS,
  grows: true,
  hints: 'b bodies',
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
      hint(
        `  ${rows.length} ${rows.length === 1 ? 'request' : 'requests'}, ${state}${ui.bodies ? ', with bodies' : ''}${dropped}`,
      ),
      ...drawTable(layout, rows, selected, { ...size, rows: size.rows - 1 }, SORTS[list.sort]),
    ];
  },
  detail: ({ view, ui }, event, columns) => detailOf(event, view, { columns, bodies: ui.bodies }),
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
