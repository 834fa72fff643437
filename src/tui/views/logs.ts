import { pad, wrap } from '../../model/text.ts';
import { parseFilter } from '../filter.ts';
import { type Colour, clip, dim, field, type Line, line, type Span } from '../layout/lines.ts';
import { LEVELS, type Level, type LogEntry, prettyText, timeOf } from '../log-entry.ts';
import { windowStart } from '../ui-state.ts';
import { blank, heading, hint, type ViewDefinition } from './view.ts';

const LEVEL_COLOURS: Record<Level, Colour | undefined> = {
  debug: 'gray',
  info: undefined,
  warn: 'yellow',
  error: 'red',
};
const NAME_COLOURS: Colour[] = ['cyan', 'magenta', 'blue', 'green', 'yellow'];

export const logs: ViewDefinition<LogEntry> = {
  id: 'logs',
  title: 'Logs',
  sorts: [],
  grows: true,
  hints: 'v level',
  rows({ view, ui, list }) {
    const wanted = parseFilter(list.filter);
    return view.log.filter(
      (entry) =>
        LEVELS.indexOf(entry.level) >= ui.level &&
        wanted({
          fields: { service: entry.service, instance: entry.source, level: entry.level, text: entry.text },
        }),
    );
  },
  keyOf: ({ key }) => String(key),
  serviceOf: ({ service }) => (service === '' ? null : service),
  placeOf: ({ kind, source }) => (kind === 'notice' && /:\d+$/.test(source) ? source : null),
  draw({ view, ui, list }, rows, selected, size) {
    const start = windowStart(rows.length, selected, size.rows - 1);
    const times = size.columns >= 60;
    const shown = rows.slice(start, start + size.rows - 1).map((entry, index): Line => {
      const drawn = entryLine(entry, { times });
      if (start + index !== selected) return [{ text: ' ' }, ...clip(drawn, size.columns - 1)];
      return [{ text: '>', bold: true, colour: 'cyan' }, ...clip(drawn, size.columns - 1)];
    });
    const following =
      list.selected === null ? 'at the end' : `${rows.length - 1 - selected} newer below, Esc to the end`;
    const of = rows.length === view.log.length ? '' : ` of ${view.log.length}`;
    const level = ui.level === 0 ? 'all levels' : `${LEVELS[ui.level]} and worse`;
    return [hint(`  ${rows.length}${of} lines, ${level}, ${ui.paused ? 'paused' : following}`), ...shown];
  },
  detail(_, entry, columns) {
    return [
      line({ text: entry.source || 'mesh', bold: true }, dim(`  ${entry.time}`)),
      field('level', { text: entry.level, colour: LEVEL_COLOURS[entry.level] }),
      blank,
      heading(entry.json === null ? 'Line' : 'JSON'),
      ...prettyText(entry).flatMap((text) =>
        wrap(text, columns).map((piece) => (entry.json === null ? line(piece) : jsonLine(piece))),
      ),
    ];
  },
  whyEmpty: ({ ui, view }) =>
    ui.level > 0 && view.log.length > 0
      ? `none of ${view.log.length} lines is ${LEVELS[ui.level]} or worse; v changes the level`
      : 'nothing was written yet',
};

const KEY = /^(\s*)("(?:[^"\\]|\\.)*")(: ?)(.*)$/;

function jsonLine(text: string): Line {
  const match = KEY.exec(text);
  if (match === null) return line(text);
  return line(match[1], { text: match[2], colour: 'cyan' }, match[3], match[4]);
}

/** `12:03:07.120 orders-1 │ text`; what mesh says stands out. */
export function entryLine(entry: LogEntry, { times }: { times: boolean }): Line {
  const time: Span[] = times && entry.time !== '' ? [dim(`${timeOf(entry)} `)] : [];
  const colour = LEVEL_COLOURS[entry.level];
  if (entry.kind === 'notice') {
    const about = entry.source === '' ? '' : `${entry.source} `;
    return [...time, { text: `${about}${entry.text}`, bold: true, colour: colour ?? 'cyan' }];
  }
  const sign = entry.level === 'error' ? 'E' : entry.level === 'warn' ? 'W' : entry.level === 'debug' ? 'D' : ' ';
  return [
    ...time,
    { text: `${pad(entry.source, 14)} `, colour: colourOf(entry.service) },
    { text: `${sign}│ `, colour },
    { text: entry.text, dim: entry.level === 'debug', colour: entry.level === 'error' ? 'red' : undefined },
  ];
}

/** Instances of one service share a colour. */
function colourOf(service: string): Colour {
  let hash = 0;
  for (const character of service) hash = (hash * 31 + character.codePointAt(0)!) >>> 0;
  return NAME_COLOURS[hash % NAME_COLOURS.length];
}
