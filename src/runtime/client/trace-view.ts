import { fail, ok, type Result } from '../../model/result.ts';
import type { LogLine, TrafficStatus } from '../../model/status.ts';
import { describeDrops, TRACE_DROPS } from '../../model/telemetry-drops.ts';
import { truncate } from '../../model/text.ts';
import { describeCut, type Trace, type TraceQuery, type TraceSummary } from '../../model/trace.ts';
import { foldHops, type SpanNote, type SpanRow, type Waterfall, waterfall } from '../../model/waterfall.ts';
import { spanBar, spanText } from '../../model/waterfall-text.ts';
import type { ControlClient } from '../control/client.ts';
import { parseLimit } from './arguments.ts';
import { printable } from './log-view.ts';
import type { Style } from './style.ts';
import { parseDuration, table } from './text.ts';

/** Characters of a bar. */
const BAR = 28;
const MOST_NOTE = 240;
/** A service may write its last line about a request a moment before or after the proxies have seen it. */
const LOG_MARGIN_MS = 2_000;
const MOST_LOG_LINES = 200;

export function parseTraceQuery(given: {
  service: string | undefined;
  error: boolean;
  minDuration: string | undefined;
  since: string | undefined;
  limit: number;
  /** Milliseconds since 1970. */
  now: number;
}): Result<TraceQuery> {
  const least = given.minDuration === undefined ? ok(0) : parseLimit('--min-duration', given.minDuration);
  if (!least.ok) return least;
  let sinceMs: number | null = null;
  if (given.since !== undefined) {
    const age = parseDuration(given.since);
    sinceMs = age === null ? Date.parse(given.since) : given.now - age;
    if (Number.isNaN(sinceMs)) {
      const message = `\`${given.since}\` is neither a duration nor a time for --since`;
      return fail({ code: 'MESH-U102', message, hint: 'try 5m, or 2026-05-01T12:00:00Z' });
    }
  }
  return ok({
    service: given.service ?? '',
    errorsOnly: given.error,
    minDurationMs: least.value,
    sinceMs,
    limit: given.limit,
  });
}

/** `mesh trace`: one line for each, the latest first. */
export function renderTraces(traces: readonly TraceSummary[], style: Style, columns: number | null): string[] {
  return table(
    traces,
    [
      { title: 'TRACE', value: ({ traceId }) => traceId.slice(0, 12), paint: style.cyan },
      { title: 'TIME', value: ({ time }) => time.slice(11, 23), paint: style.dim },
      { title: 'SERVICE', value: ({ service }) => clean(service), shrinkTo: 8 },
      { title: 'REQUEST', value: ({ name }) => clean(name), shrinkTo: 16 },
      { title: 'DURATION', value: ({ durationMs }) => inMs(durationMs), align: 'right' },
      { title: 'SPANS', value: ({ spans }) => String(spans), align: 'right' },
      {
        title: 'ERRORS',
        value: ({ errors }) => (errors === 0 ? '-' : String(errors)),
        align: 'right',
        paint: (text, { errors }) => (errors === 0 ? style.dim(text) : style.red(text)),
      },
      { title: 'SERVICES', value: ({ services }) => clean(services.join(', ')), shrinkTo: 8 },
    ],
    { columns, title: style.bold },
  );
}

/** Below the list: what it cannot show. Nothing, mostly. */
export function renderTraceDrops({ telemetryDropped }: TrafficStatus, style: Style): string[] {
  const drops = describeDrops(telemetryDropped, TRACE_DROPS);
  return drops === '' ? [] : ['', style.yellow(`left out since the mesh was started: ${drops}; traces may have gaps`)];
}

/** Why the list is empty. @param any whether there is any trace at all */
export function explainNoTraces(any: boolean): string {
  return any
    ? 'no trace matches; `mesh trace` without flags shows the latest'
    : 'no traces yet: they come with requests through the gateway and between services, unless telemetry.traces is false';
}

/** What services wrote to their logs about a trace: lines with its ID. */
export async function linesOfTrace(client: ControlClient, trace: Trace): Promise<LogLine[]> {
  const { time, durationMs, rows } = waterfall(trace);
  const known = new Set((await client.status()).services.map(({ name }) => name));
  const services = [...new Set(rows.map(({ service }) => service))].filter((name) => known.has(name));
  if (services.length === 0) return [];
  const sinceMs = Date.parse(time) - LOG_MARGIN_MS;
  const untilMs = sinceMs + durationMs + 2 * LOG_MARGIN_MS;
  const found: LogLine[] = [];
  const query = { services, tail: null, sinceMs, follow: false };
  for await (const lines of client.logs(query, new AbortController().signal)) {
    for (const line of lines)
      if (line.text.includes(trace.traceId) && Date.parse(line.time) <= untilMs) found.push(line);
    if (found.length >= MOST_LOG_LINES) break;
  }
  return found.slice(0, MOST_LOG_LINES);
}

/** `mesh trace ID`. @param wide each proxy in a row of its own, with instances */
export function renderTrace(
  trace: Trace,
  lines: readonly LogLine[],
  style: Style,
  { columns, wide }: { columns: number | null; wide: boolean },
): string[] {
  const fall = waterfall(trace);
  const rows = wide ? fall.rows : foldHops(fall.rows);
  const errors = fall.rows.filter(({ error }) => error !== '').length;
  const head = [
    `trace ${style.cyan(fall.traceId)}`,
    style.dim(fall.time),
    inMs(fall.durationMs),
    `${fall.rows.length} spans`,
    errors === 0 ? style.green('no errors') : style.red(`${errors} ${errors === 1 ? 'error' : 'errors'}`),
  ];
  return [
    head.join('  '),
    '',
    ...renderRows(rows, fall, style, columns, wide),
    ...renderNotes(fall.notes, style, columns),
    ...renderLines(lines, fall, style),
    ...renderCuts(trace, style),
    ...(rows.some(({ orphan }) => orphan)
      ? ['', style.dim('? the span above it is not here: not sampled, not sent, or not yet')]
      : []),
  ];
}

function renderRows(
  rows: readonly SpanRow[],
  fall: Waterfall,
  style: Style,
  columns: number | null,
  wide: boolean,
): string[] {
  const [title, ...body] = table(
    rows,
    [
      {
        title: 'SERVICE',
        value: (row) => clean(wide && row.instance !== '' ? row.instance : row.service),
        paint: (text, { service }) => style.ofName(service, text),
        shrinkTo: 8,
      },
      {
        title: 'SPAN',
        value: (row) => clean(spanText(row, { wide })),
        paint: (text, row) => paintSpan(style, text, row),
        shrinkTo: 20,
      },
      { title: 'DURATION', value: ({ durationMs }) => inMs(durationMs), align: 'right' },
      {
        title: `|${'-'.repeat(BAR - 2)}|`,
        value: (row) => spanBar(row, fall.durationMs, BAR),
        paint: (text, row) => (row.error === '' ? style.green(text) : style.red(text)),
      },
    ],
    { columns, title: style.bold },
  );
  return [
    title,
    ...body.flatMap((line, at) => [
      line,
      ...rows[at].notes.map((note) => noteText(note, rows[at].depth, style, columns)),
    ]),
  ];
}

function paintSpan(style: Style, text: string, row: SpanRow): string {
  if (row.error !== '') return style.red(text);
  return row.proxy === '' ? text : style.dim(text);
}

function renderNotes(notes: readonly SpanNote[], style: Style, columns: number | null): string[] {
  return notes.length === 0 ? [] : ['', ...notes.map((note) => noteText(note, 0, style, columns))];
}

function noteText(note: SpanNote, depth: number, style: Style, columns: number | null): string {
  const lead = `${'  '.repeat(Math.min(depth, 20) + 1)}· ${inMs(note.atMs)} `;
  const text = `${note.level === '' ? '' : `${note.level} `}${clean(note.text)}`;
  const cut = truncate(text, Math.max(20, (columns ?? MOST_NOTE) - lead.length));
  return (
    style.dim(lead) +
    (note.level === 'error' || note.level === 'fatal'
      ? style.red(cut)
      : note.level === 'warn'
        ? style.yellow(cut)
        : cut)
  );
}

function renderLines(lines: readonly LogLine[], fall: Waterfall, style: Style): string[] {
  if (lines.length === 0) return [];
  const beganMs = Date.parse(fall.time);
  return [
    '',
    style.bold('LOGS'),
    ...lines.map((line) => {
      const at = style.dim(`${inMs(Date.parse(line.time) - beganMs)}`.padStart(9));
      return `${at}  ${style.ofName(line.service, line.instance)} ${style.dim('│')} ${printable(line.text)}`;
    }),
  ];
}

const renderCuts = ({ cuts }: Trace, style: Style): string[] =>
  cuts.length === 0 ? [] : ['', ...cuts.map((cut) => style.yellow(`! ${clean(describeCut(cut))}`))];

/** Text of somebody else without anything that a terminal would obey, colours included: names are cut to fit. */
const clean = (text: string): string => printable(text.replaceAll('\u001b', '␛').replaceAll('\t', ' '));

/** Milliseconds in three significant figures; a hop takes less than one. */
function inMs(ms: number): string {
  if (Math.abs(ms) >= 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms.toFixed(Math.abs(ms) >= 100 ? 0 : Math.abs(ms) >= 10 ? 1 : 2)} ms`;
}
