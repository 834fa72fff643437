import type { SpanRow } from './waterfall.ts';

/** How a row of a waterfall reads, in a terminal view and in lines. */

const MOST_INDENT = 20;

/** `  GET /cart → cart`; `?`: the span above is not here; `✗`: why it failed. @param wide names the proxy's side */
export function spanText(row: SpanRow, { wide, indent = '  ' }: { wide: boolean; indent?: string }): string {
  const to = row.destination === '' ? '' : ` → ${row.destination}`;
  const side = wide && row.proxy !== '' ? ` (${row.proxy})` : '';
  const error = row.error === '' ? '' : `  ✗ ${row.error}`;
  return `${indent.repeat(Math.min(row.depth, MOST_INDENT))}${row.orphan ? '? ' : ''}${row.name}${to}${side}${error}`;
}

/** `█` where it has part in how long the whole took, `░` where something else did meanwhile. */
export function spanBar(row: SpanRow, totalMs: number, columns: number): string {
  const scale = totalMs > 0 ? columns / totalMs : 0;
  const from = Math.min(columns - 1, Math.floor(row.startMs * scale));
  const length = Math.max(1, Math.min(columns - from, Math.round(row.durationMs * scale)));
  return ' '.repeat(from) + (row.critical ? '█' : '░').repeat(length);
}
