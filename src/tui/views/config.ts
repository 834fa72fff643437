import type { Problem } from '../../model/result.ts';
import { visible, wrap } from '../../model/text.ts';
import { parseFilter } from '../filter.ts';
import { duration } from '../layout/format.ts';
import { bold, clip, dim, field, type Line, line, marked, tinted } from '../layout/lines.ts';
import type { LogEntry } from '../log-entry.ts';
import { placeOf, type View } from '../store.ts';
import { entryLine } from './logs.ts';
import { blank, type Context, heading, hint, type Size, type ViewDefinition } from './view.ts';

const severe = ({ severity }: Problem): boolean => severity !== 'warning';

/** The rows are the problems of the last save. */
export const config: ViewDefinition<Problem> = {
  id: 'config',
  title: 'Config',
  sorts: [],
  grows: false,
  hints: 'e edit at the problem',
  rows({ view, list }) {
    const wanted = parseFilter(list.filter);
    return (view.status?.config.problems ?? []).filter((problem) =>
      wanted({ fields: { code: problem.code, text: problem.message, path: problem.path ?? '', at: placeOf(problem) } }),
    );
  },
  keyOf: ({ code, file, line: at, path, message }) => `${code} ${file}:${at} ${path} ${message}`,
  serviceOf: () => null,
  placeOf: ({ file, line: at }) => (file === undefined ? null : `${file}:${at ?? 1}`),
  draw: (context, rows, selected, size) => drawConfig(context, rows, selected, size),
  detail: (_, problem, columns) => [
    line(bold(problem.code, severe(problem) ? 'red' : 'yellow'), `  ${severe(problem) ? 'error' : 'warning'}`),
    blank,
    ...wrap(visible(problem.message), columns).map((text) => line(text)),
    blank,
    field('at', placeOf(problem) || '-'),
    field('path', problem.path ?? '-'),
    ...(problem.hint === undefined
      ? []
      : wrap(visible(problem.hint), columns - 15).map((text, index) => field(index === 0 ? 'what to do' : '', text))),
    blank,
    hint(`mesh validate --explain ${problem.code} tells more`),
  ],
  whyEmpty: () => '',
};

function drawConfig(
  { view, now }: Context,
  rows: readonly Problem[],
  selected: number,
  { columns, rows: height }: Size,
): Line[] {
  const { status } = view;
  if (status === null) return [];
  // Where there is little room, what is wrong goes before the figures.
  const head = summary(view, now).slice(0, Math.max(2, height - Math.min(2 * rows.length, height) - 2));
  const room = height - head.length - 2;
  const problems = rows.flatMap((problem, index) => {
    const text = line(
      tinted(severe(problem) ? 'error ' : 'warning ', severe(problem) ? 'red' : 'yellow'),
      bold(placeOf(problem)),
      ` ${visible(problem.message)}`,
    );
    const hintLine = problem.hint === undefined ? [] : [clip(line('    ', dim(visible(problem.hint))), columns)];
    return [marked(text, index === selected, columns), ...hintLine];
  });
  const reloads = view.log.filter(isAboutConfig).slice(-Math.max(0, room - problems.length - 2));
  return [
    ...head,
    blank,
    heading(rows.length === 0 ? 'No problems' : 'Problems of the last save'),
    ...problems.slice(0, Math.max(1, room)),
    ...(reloads.length === 0 || room - problems.length < 3 ? [] : [blank, heading('Lately')]),
    ...(room - problems.length < 3 ? [] : reloads.map((entry) => clip(entryLine(entry, { times: true }), columns))),
  ].slice(0, height);
}

const isAboutConfig = ({ kind, service }: LogEntry): boolean => kind === 'notice' && service === '';

function summary({ status, routes }: View, now: number): Line[] {
  if (status === null) return [];
  const { config: state, gateway, traffic } = status;
  const errors = state.problems.filter(severe).length;
  const flags = Object.entries(traffic.flags).filter(([, value]) => value > 0);
  const refused = Object.entries(traffic.refusedPeers);
  const listing = (entries: [string, number][]) => entries.map(([name, value]) => `${name} ${value}`).join('  ');
  return [
    field(
      'last save',
      errors === 0
        ? { text: 'in force', colour: 'green' }
        : { text: `not applied: ${errors} ${errors === 1 ? 'error' : 'errors'}`, colour: 'red', bold: true },
    ),
    field(
      'version',
      `${state.version}, in force in ${status.dataPlanePids.length} data ${status.dataPlanePids.length === 1 ? 'plane' : 'planes'}`,
    ),
    field('loaded', `${duration(Math.max(0, now - Date.parse(state.loadedAt)))} ago, ${state.loadedAt}`),
    field('contents', `${status.services.length} services${routes.length === 0 ? '' : `, ${routes.length} routes`}`),
    field('gateway', [gateway.http, gateway.https].filter((port) => port !== undefined).join(', ') || 'none'),
    field('processes', `daemon ${status.pid}, data plane ${status.dataPlanePids.join(', ') || 'none'}`),
    ...(flags.length === 0 ? [] : [field('made by mesh', listing(flags))]),
    ...(refused.length === 0 ? [] : [field('refused peers', { text: listing(refused), colour: 'yellow' })]),
  ];
}
