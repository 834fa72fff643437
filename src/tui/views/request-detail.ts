import { pad, wrap } from '../../model/text.ts';
import { traceOfEvents } from '../../model/trace-of-events.ts';
import { spanBar, spanText } from '../../model/waterfall-text.ts';
import { timeBar } from '../layout/charts.ts';
import { bytes, duration } from '../layout/format.ts';
import { bold, dim, field, type Line, line, tinted } from '../layout/lines.ts';
import { isFailure, statusColour, statusText } from '../outcome.ts';
import { type ShownEvent, type ShownTrace, shownTrace, type View } from '../store.ts';
import { blank, heading, hint } from './view.ts';

/** Everything that is known of one request. */
export function detailOf(event: ShownEvent, view: View, shape: { columns: number; bodies: boolean }): Line[] {
  const { columns } = shape;
  const long = (name: string, value: string): Line[] => {
    const [first = '', ...more] = wrap(value, columns - 15);
    return [field(name, first), ...more.map((text) => field('', text))];
  };
  const placed = (name: string): string => {
    const source = view.routes.find((route) => route.name === name)?.source;
    return `${name}${source ? `  ${source}` : ''}`;
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
    ...(event.gatewayRoute === '' ? [] : long('gateway route', placed(event.gatewayRoute))),
    ...long('route', event.route === '' ? 'none' : placed(event.route)),
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
    ...traceLines(event, view, columns),
    ...headerLines('Request headers', event.requestHeaders, columns),
    ...headerLines('Response headers', event.responseHeaders, columns),
    ...bodyLines(event, shape),
  ];
}

function timing(event: ShownEvent, columns: number): Line[] {
  const { pickedAfterMs: picked, connectedAfterMs: connected, firstByteAfterMs: first, durationMs: total } = event;
  const sentMs = connected ?? picked ?? 0;
  const width = Math.max(4, columns - 26);
  const phase = (name: string, from: number, to: number): Line =>
    field(name, `${pad(duration(Math.max(0, to - from)), 8, 'right')}  ${timeBar(from, to - from, total, width)}`, 12);
  return [
    ...(picked === null ? [] : [phase('queue', 0, picked)]),
    ...(picked === null
      ? []
      : [
          connected == null
            ? field('connect', `${pad('-', 8, 'right')}  was open`, 12)
            : phase('connect', picked, connected),
        ]),
    ...(first === null ? [] : [phase('first byte', sentMs, first)]),
    phase('body', first ?? sentMs, total),
    field('total', `${pad(duration(total), 8, 'right')}`, 12),
  ];
}

/** Calls of one trace that are drawn where only this view knows of them. */
const MOST_SEEN = 100;

/** A frame asks for it several times, and the next one mostly has the same events. */
const drawn = new WeakMap<View['events'], { id: string; trace: ShownTrace }>();

function seenTrace(event: ShownEvent, events: View['events']): ShownTrace {
  const known = drawn.get(events);
  if (known?.id === event.id) return known.trace;
  const others = events.filter(({ traceId, id }) => traceId === event.traceId && id !== event.id).slice(-MOST_SEEN);
  const trace = shownTrace(traceOfEvents(event.traceId, [...others, event]));
  drawn.set(events, { id: event.id, trace });
  return trace;
}

/** As the mesh keeps it, with the spans of services; until that is there, or where it is not kept, of what was seen here. */
function traceLines(event: ShownEvent, view: View, columns: number): Line[] {
  if (event.traceId === '') return [heading('Trace'), hint('none')];
  const kept = view.trace?.traceId === event.traceId ? view.trace : null;
  const trace = kept ?? seenTrace(event, view.events);
  const serviceWidth = Math.min(14, Math.max(...trace.rows.map(({ service }) => service.length)));
  const nameWidth = Math.max(12, Math.min(48, Math.floor(columns * 0.6) - serviceWidth - 12));
  const barWidth = Math.max(4, columns - serviceWidth - nameWidth - 13);
  return [
    heading(kept === null ? 'Trace, as far as it was seen here' : 'Trace'),
    ...trace.rows.flatMap((row): Line[] => {
      const here = row.spanId === event.id;
      const colour = row.error === '' ? 'cyan' : 'red';
      return [
        line(
          { text: here ? '▸ ' : '  ', bold: true },
          { text: pad(row.service, serviceWidth), dim: true },
          ' ',
          {
            text: pad(spanText(row, { wide: false, indent: ' ' }), nameWidth),
            bold: here,
            colour: row.error === '' ? undefined : 'red',
          },
          pad(duration(row.durationMs), 8, 'right'),
          ' ',
          tinted(spanBar(row, trace.durationMs, barWidth), colour),
        ),
        ...row.notes.map(({ atMs, level, text }) =>
          line(
            dim(
              `  ${pad('', serviceWidth)} ${' '.repeat(Math.min(row.depth, 20) + 1)}· ${duration(Math.max(0, atMs))} `,
            ),
            tinted(
              `${level === '' ? '' : `${level} `}${text}`,
              level === 'error' || level === 'fatal' ? 'red' : undefined,
            ),
          ),
        ),
      ];
    }),
    ...trace.remarks.flatMap((text) => wrap(text, columns - 2).map((part) => line(`  ${part}`))),
  ];
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

function bodyLines({ bodies }: ShownEvent, { columns, bodies: wanted }: { columns: number; bodies: boolean }): Line[] {
  if (bodies.length === 0) {
    const why = wanted
      ? 'not captured: it began before they were asked for'
      : 'not captured; b captures those of the requests to come';
    return [blank, heading('Bodies'), hint(why)];
  }
  return bodies.flatMap(({ title, lines }) => [
    blank,
    heading(title),
    ...lines.flatMap((text) => wrap(text, columns - 2).map((part) => line(`  ${part}`))),
  ]);
}
