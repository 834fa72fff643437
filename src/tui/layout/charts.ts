/** Small charts in block characters. */

const LEVELS = '▁▂▃▄▅▆▇█';
const EIGHTHS = ' ▏▎▍▌▋▊▉█';

/** The last values, one column each, scaled to the largest; what is zero stays at the lowest level. */
export function sparkline(values: readonly number[], columns: number): string {
  const shown = values.slice(-Math.max(0, columns));
  const most = Math.max(0, ...shown);
  const bars = shown.map((value) => {
    if (most <= 0 || value <= 0) return LEVELS[0];
    return LEVELS[Math.min(LEVELS.length - 1, 1 + Math.floor((value / most) * (LEVELS.length - 1.001)))];
  });
  return bars.join('').padStart(columns);
}

/** A bar of a share from 0 to 1, exact to an eighth of a column; something is never drawn as nothing. */
export function bar(share: number, columns: number): string {
  const bounded = Math.min(1, Math.max(0, Number.isFinite(share) ? share : 0));
  let eighths = Math.round(bounded * columns * 8);
  if (bounded > 0 && eighths === 0) eighths = 1;
  const full = Math.floor(eighths / 8);
  const rest = full < columns ? EIGHTHS[eighths % 8] : '';
  return ('█'.repeat(full) + rest).padEnd(columns).slice(0, columns);
}

/** A bar somewhere on a line of time, at least one column wide. All three in one unit. */
export function timeBar(start: number, length: number, total: number, columns: number): string {
  if (columns <= 0) return '';
  const scale = total <= 0 ? 0 : columns / total;
  const from = Math.min(columns - 1, Math.max(0, Math.floor(start * scale)));
  const to = Math.min(columns, Math.max(from + 1, Math.round((start + length) * scale)));
  return `${' '.repeat(from)}${'━'.repeat(to - from)}`.padEnd(columns);
}

/** Widths of neighbouring pieces that fill `columns` in proportion; each piece that is something gets at least one. */
export function proportions(parts: readonly number[], columns: number): number[] {
  const total = parts.reduce((sum, part) => sum + Math.max(0, part), 0);
  if (total <= 0 || columns <= 0) return parts.map(() => 0);
  const widths = parts.map((part) => (part <= 0 ? 0 : Math.max(1, Math.round((part / total) * columns))));
  let excess = widths.reduce((sum, width) => sum + width, 0) - columns;
  while (excess !== 0) {
    const widest = widths.indexOf(Math.max(...widths));
    if (excess > 0 && widths[widest] <= 1) {
      // More pieces than columns: the last ones give way.
      widths[widths.findLastIndex((width) => width > 0)] = 0;
    } else widths[widest] -= Math.sign(excess);
    excess = widths.reduce((sum, width) => sum + width, 0) - columns;
  }
  return widths;
}
