import { stripVTControlCharacters } from 'node:util';
import { displayWidth, truncate } from '../../model/text.ts';

/** Columns of a terminal that a text takes, escape sequences aside. */
export const width = (text: string): number => displayWidth(stripVTControlCharacters(text));

export interface Column<Row> {
  title: string;
  value: (row: Row) => string;
  /** Applied after padding, so that escape sequences do not count. */
  paint?: (text: string, row: Row) => string;
  align?: 'left' | 'right';
  /** Given up first when the terminal is narrow: cut down to this many columns. Default: never cut. */
  shrinkTo?: number;
}

/**
 * Rows under titles, two spaces between columns. With `columns` the widest columns that may shrink give way until it
 * fits; output that is not a terminal is not cut, so that grep finds what it looks for.
 */
export function table<Row>(
  rows: readonly Row[],
  layout: readonly Column<Row>[],
  options: { columns: number | null; title?: (text: string) => string },
): string[] {
  const cells = rows.map((row) => layout.map((column) => column.value(row)));
  const widths = layout.map((column, index) => Math.max(width(column.title), ...cells.map((row) => width(row[index]))));
  if (options.columns !== null) shrink(widths, layout, options.columns);
  const line = (values: string[], paint: (text: string, index: number) => string) =>
    values
      .map((value, index) => {
        const text = truncate(value, widths[index]);
        const padding = ' '.repeat(widths[index] - width(text));
        if (layout[index].align === 'right') return padding + paint(text, index);
        return paint(text, index) + (index === values.length - 1 ? '' : padding);
      })
      .join('  ')
      .trimEnd();
  const title = options.title ?? ((text: string) => text);
  return [
    line(
      layout.map((column) => column.title),
      (text) => title(text),
    ),
    ...cells.map((row, at) => line(row, (text, index) => layout[index].paint?.(text, rows[at]) ?? text)),
  ];
}

function shrink(widths: number[], layout: readonly Column<never>[], columns: number): void {
  let excess = widths.reduce((sum, each) => sum + each, 0) + 2 * (widths.length - 1) - columns;
  while (excess > 0) {
    let widest = -1;
    layout.forEach((column, index) => {
      if (column.shrinkTo === undefined || widths[index] <= column.shrinkTo) return;
      if (widest < 0 || widths[index] > widths[widest]) widest = index;
    });
    if (widest < 0) return;
    widths[widest]--;
    excess--;
  }
}

/** `412 ms`, `1.2 s`, `3 min`, `5 h`, `2 d`: two significant figures are enough for people. */
export function formatMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 86_400_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

const UNIT_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `500ms`, `10s`, `1m30s`, `2h`, `1d`; null if it is none. */
export function parseDuration(text: string): number | null {
  if (!/^(\d+(ms|s|m|h|d))+$/.test(text)) return null;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) ms += Number(amount) * UNIT_MS[unit];
  return ms;
}
