import { displayWidth, pad } from '../../model/text.ts';
import { bold, type Colour, type Line, type Span } from './lines.ts';

export interface Column<Row> {
  title: string;
  /** Text, or text with a look of its own. */
  cell: (row: Row) => string | Span;
  /** For what is drawn to the width it gets, in place of a cell that is cut. */
  draw?: (row: Row, width: number) => Span;
  align?: 'left' | 'right';
  /** Columns it needs at least, if its cells are so wide. Default: those of its title, or of a short cell. */
  min?: number;
  /** Grows up to this, or as far as its widest cell. Default: the widest cell. */
  max?: number;
  /** Columns leave in this order when there is no room, the highest first. Default 0: never. */
  rank?: number;
}

const GAP = 2;
/** A cell of so few columns says nothing when it is cut. */
const SHORT = 6;

interface Laid<Row> {
  column: Column<Row>;
  width: number;
}

/** Which columns are shown, and how wide: those that matter least leave until the rest fits. */
export function layOut<Row>(all: readonly Column<Row>[], rows: readonly Row[], columns: number): Laid<Row>[] {
  const wanted = all.map((column) => {
    const widest = rows.reduce(
      (most, row) => Math.max(most, displayWidth(textOfCell(column.cell(row)))),
      displayWidth(column.title),
    );
    const min = Math.min(widest, column.min ?? Math.max(displayWidth(column.title), SHORT));
    const want = Math.max(min, Math.min(widest, column.max ?? Number.POSITIVE_INFINITY));
    return { column, min: Math.min(min, want), want, width: want };
  });
  let shown = wanted;
  const least = () => shown.reduce((sum, { min }) => sum + min, 0) + GAP * (shown.length - 1);
  while (least() > columns) {
    const rank = Math.max(...shown.map(({ column }) => column.rank ?? 0));
    if (rank <= 0) break;
    const leaving = shown.findLastIndex(({ column }) => (column.rank ?? 0) === rank);
    shown = shown.filter((_, index) => index !== leaving);
  }
  let excess = shown.reduce((sum, { want }) => sum + want, 0) + GAP * (shown.length - 1) - columns;
  while (excess > 0) {
    // The one that has most beyond what it needs gives way; where none has, the widest one.
    let giving = shown.reduce((most, each) => (each.width - each.min > most.width - most.min ? each : most));
    if (giving.width <= giving.min) giving = shown.reduce((most, each) => (each.width > most.width ? each : most));
    if (giving.width <= 1) break;
    giving.width--;
    excess--;
  }
  return shown;
}

export function titleLine<Row>(laid: readonly Laid<Row>[], sortedBy: string | null): Line {
  return laid.flatMap(({ column, width }, index): Span[] => {
    const title = column.title === sortedBy && displayWidth(column.title) < width ? `${column.title}↓` : column.title;
    const text = pad(title, width, column.align);
    const look: Span = column.title === sortedBy ? bold(text, 'cyan') : { text, dim: true };
    return index === 0 ? [look] : [{ text: ' '.repeat(GAP) }, look];
  });
}

export function rowLine<Row>(laid: readonly Laid<Row>[], row: Row): Line {
  return laid.flatMap(({ column, width }, index): Span[] => {
    const cell = column.draw?.(row, width) ?? column.cell(row);
    const look = typeof cell === 'string' ? { text: cell } : cell;
    const span = { ...look, text: pad(look.text, width, column.align) };
    return index === 0 ? [span] : [{ text: ' '.repeat(GAP) }, span];
  });
}

const textOfCell = (cell: string | Span): string => (typeof cell === 'string' ? cell : cell.text);

const STATE_COLOURS: Record<string, Colour> = {
  ready: 'green',
  completed: 'green',
  running: 'green',
  starting: 'yellow',
  stopping: 'yellow',
  draining: 'yellow',
  unhealthy: 'red',
  failed: 'red',
  down: 'red',
};

export const stateColour = (state: string): Colour | undefined => STATE_COLOURS[state];
