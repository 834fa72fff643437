import type { StatRow } from './events.ts';

/** Sums of several rows of figures; quantiles are those of the mixture. */
export interface Traffic {
  requests: number;
  perSecond: number;
  /** Share from 0 to 1; 1 where there were none. */
  success: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  active: number;
  retries: number;
}

export const NO_TRAFFIC: Traffic = {
  requests: 0,
  perSecond: 0,
  success: 1,
  p50Ms: 0,
  p95Ms: 0,
  p99Ms: 0,
  active: 0,
  retries: 0,
};

export function sumOf(rows: readonly StatRow[]): Traffic {
  if (rows.length === 0) return NO_TRAFFIC;
  let [requests, perSecond, succeeded, active, retries] = [0, 0, 0, 0, 0];
  for (const row of rows) {
    requests += row.requests;
    perSecond += row.requestsPerSecond;
    succeeded += row.requests * row.successRate;
    active += row.active;
    retries += row.retries;
  }
  return {
    requests,
    perSecond,
    success: requests === 0 ? 1 : succeeded / requests,
    p50Ms: quantileOf(rows, 0.5),
    p95Ms: quantileOf(rows, 0.95),
    p99Ms: quantileOf(rows, 0.99),
    active,
    retries,
  };
}

/** Rows grouped by a key, summed. */
export function sumsBy(rows: readonly StatRow[], keyOf: (row: StatRow) => string): Map<string, Traffic> {
  const groups = new Map<string, StatRow[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group === undefined) groups.set(keyOf(row), [row]);
    else group.push(row);
  }
  return new Map([...groups].map(([key, group]) => [key, sumOf(group)]));
}

/**
 * Quantile of the requests of all rows together. Each row's distribution is taken as linear between the points that
 * are known of it, so one row alone gives its own figures exactly, and the result lies within those of the parts.
 */
export function quantileOf(rows: readonly StatRow[], quantile: number): number {
  const parts = rows.filter(({ requests }) => requests > 0);
  if (parts.length === 0) return 0;
  const own = (row: StatRow) => (quantile <= 0.5 ? row.p50Ms : quantile <= 0.95 ? row.p95Ms : row.p99Ms);
  if (parts.length === 1) return own(parts[0]);
  const total = parts.reduce((sum, { requests }) => sum + requests, 0);
  let low = Math.min(...parts.map(own));
  let high = Math.max(...parts.map(own));
  // 40 halvings are below any resolution that is shown.
  for (let step = 0; step < 40 && high - low > 0.001; step++) {
    const middle = (low + high) / 2;
    const below = parts.reduce((sum, row) => sum + row.requests * shareBelow(row, middle), 0) / total;
    if (below < quantile) low = middle;
    else high = middle;
  }
  return high;
}

/** Share of a row's requests that took at most so long. */
function shareBelow({ p50Ms, p95Ms, p99Ms }: StatRow, ms: number): number {
  const points = [
    [0, 0],
    [p50Ms, 0.5],
    [p95Ms, 0.95],
    [p99Ms, 0.99],
    [p99Ms * 1.5, 1],
  ];
  for (let index = points.length - 1; index >= 0; index--) {
    const [from, share] = points[index];
    if (ms < from) continue;
    const next = points[index + 1];
    if (next === undefined || next[0] <= from) return share;
    return share + ((ms - from) / (next[0] - from)) * (next[1] - share);
  }
  return 0;
}
