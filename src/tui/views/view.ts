import { type Column, layOut, rowLine, titleLine } from '../layout/columns.ts';
import { dim, type Line, line, marked } from '../layout/lines.ts';
import type { View } from '../store.ts';
import { type ListState, type UiState, type ViewId, windowStart } from '../ui-state.ts';

export interface Size {
  columns: number;
  rows: number;
}

export interface Context {
  view: View;
  ui: UiState;
  /** What was chosen in the view at hand. */
  list: ListState;
  /** Milliseconds since the epoch. */
  now: number;
}

/** One of the screens: which rows there are, and how they and their details look. All of it pure. */
export interface ViewDefinition<Row> {
  id: ViewId;
  title: string;
  /** Names of the sort orders; where they are titles of columns, that column is marked. */
  sorts: readonly string[];
  /** New rows come at the end, in the first sort order. */
  grows: boolean;
  /** Keys of this view beyond those that all have. */
  hints: string;
  /** After filter and sort. */
  rows(context: Context): readonly Row[];
  keyOf(row: Row): string;
  /** Name of the service that a row is about. */
  serviceOf(row: Row): string | null;
  /** `file:line` in the configuration. */
  placeOf(row: Row): string | null;
  /** At most `size.rows` lines. */
  draw(context: Context, rows: readonly Row[], selected: number, size: Size): Line[];
  /** As many lines as it takes. */
  detail(context: Context, row: Row, columns: number): Line[];
  /** Why there are no rows, where no filter is to blame. */
  whyEmpty(context: Context): string;
}

/** Rows of many shapes in one list: each view only ever sees its own. */
// biome-ignore lint/suspicious/noExplicitAny: the one place where they meet
export type AnyView = ViewDefinition<any>;

/** A table that scrolls, titles first, the selected row marked. */
export function drawTable<Row>(
  layout: readonly Column<Row>[],
  rows: readonly Row[],
  selected: number,
  { columns, rows: height }: Size,
  sortedBy: string | null = null,
): Line[] {
  if (height < 2) return [];
  const start = windowStart(rows.length, selected, height - 1);
  const shown = rows.slice(start, start + height - 1);
  // Widths of the whole list would jump less, but the whole list may be long; of what is shown they are small.
  const laid = layOut(layout, shown, columns - 2);
  return [
    line('  ', ...titleLine(laid, sortedBy)),
    ...shown.map((row, index) => marked(rowLine(laid, row), start + index === selected, columns)),
  ];
}

export const heading = (text: string): Line => line({ text, bold: true, colour: 'cyan' });
export const blank: Line = line(' ');
export const hint = (text: string): Line => line(dim(text));
