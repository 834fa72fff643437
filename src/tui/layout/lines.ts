import { displayWidth, pad, truncate } from '../../model/text.ts';

export type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'magenta' | 'blue' | 'gray';

export interface Span {
  text: string;
  colour?: Colour;
  bold?: boolean;
  dim?: boolean;
  inverse?: boolean;
}

/** One row of the screen. */
export type Line = readonly Span[];

export const line = (...parts: (string | Span)[]): Line =>
  parts.map((part) => (typeof part === 'string' ? { text: part } : part));
export const bold = (text: string, colour?: Colour): Span => ({ text, bold: true, colour });
export const dim = (text: string): Span => ({ text, dim: true });
export const tinted = (text: string, colour: Colour | undefined): Span => ({ text, colour });

export const widthOf = (spans: Line): number => spans.reduce((sum, { text }) => sum + displayWidth(text), 0);
export const textOf = (spans: Line): string => spans.map(({ text }) => text).join('');

/** Not wider than `columns`; neighbours that look alike become one, since each costs time to draw. */
export function clip(spans: Line, columns: number): Span[] {
  const out: Span[] = [];
  let room = columns;
  for (const span of spans) {
    if (span.text === '') continue;
    const width = displayWidth(span.text);
    const text = width <= room ? span.text : truncate(span.text, room);
    room -= Math.min(room, width);
    const last = out.at(-1);
    if (last !== undefined && alike(last, span)) out[out.length - 1] = { ...last, text: last.text + text };
    else if (text !== '') out.push({ ...span, text });
    if (room <= 0) break;
  }
  return out;
}

const alike = (a: Span, b: Span): boolean =>
  a.colour === b.colour && a.bold === b.bold && a.dim === b.dim && a.inverse === b.inverse;

/** One at the left end, one at the right; the left one gives way. */
export function between(left: Line, right: Line, columns: number): Line {
  const rightWidth = Math.min(columns, widthOf(right));
  const room = columns - rightWidth - (rightWidth > 0 ? 2 : 0);
  if (room <= 0) return clip(right, columns);
  const shown = clip(left, room);
  return [...shown, { text: ' '.repeat(columns - rightWidth - widthOf(shown)) }, ...right];
}

/** The selected row of a list: readable without colours too, hence the mark. */
export function marked(spans: Line, selected: boolean, columns: number): Line {
  const room = columns - 2;
  if (!selected) return [{ text: '  ' }, ...clip(spans, room)];
  return [{ text: `> ${pad(textOf(clip(spans, room)), room)}`, inverse: true }];
}

/** `name  value` rows of a detail page. */
export function field(name: string, value: string | Span, nameWidth = 14): Line {
  return line(dim(pad(name, nameWidth)), ' ', value);
}
