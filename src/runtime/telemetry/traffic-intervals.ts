import { COUNTS } from '../../proxy/telemetry/counters.ts';
import { BUCKETS, type Histogram } from '../../proxy/telemetry/histogram.ts';

/** How far back a window may reach. */
export const LONGEST_WINDOW_MS = 600_000;
/** Seconds are kept one by one for so long; what is older in steps of ten. */
const FINE_SECONDS = 60;
const COARSE_SECONDS = 10;

/** What happened in one second, or in ten. */
export interface Interval extends Record<(typeof COUNTS)[number] | 'ended', number> {
  /** First second, since the epoch. */
  readonly second: number;
  /** No latency was longer. */
  maxMs: number;
  /** Buckets in use and their counts, one after the other, ascending. */
  latency: Uint32Array;
}

/** What of a series is kept for windows. */
export interface Intervals {
  /** Of the last minute, ascending. */
  fine: Interval[];
  /** Older ones, aligned to ten seconds. */
  coarse: Interval[];
}

const NO_BUCKETS = new Uint32Array(0);

export function emptyInterval(second: number): Interval {
  return {
    second,
    requests: 0,
    ended: 0,
    failures: 0,
    retries: 0,
    requestBytes: 0,
    responseBytes: 0,
    maxMs: 0,
    latency: NO_BUCKETS,
  };
}

/** The interval of this second; on the way what has become old is put together or forgotten. */
export function intervalAt(series: Intervals, second: number): Interval {
  const { fine, coarse } = series;
  const last = fine.at(-1);
  // A clock that was set back must not open the past anew.
  if (last !== undefined && last.second >= second) return last;
  while (fine.length > 0 && fine[0].second <= second - FINE_SECONDS) {
    const old = fine.shift()!;
    const start = old.second - (old.second % COARSE_SECONDS);
    let target = coarse.at(-1);
    if (target === undefined || target.second !== start) coarse.push((target = emptyInterval(start)));
    addInterval(target, old);
  }
  const oldest = second - LONGEST_WINDOW_MS / 1_000 - COARSE_SECONDS;
  while (coarse.length > 0 && coarse[0].second < oldest) coarse.shift();
  const interval = emptyInterval(second);
  fine.push(interval);
  return interval;
}

const ADDED = [...COUNTS, 'ended'] as const;

function addInterval(into: Interval, from: Interval): void {
  for (const field of ADDED) into[field] += from[field];
  into.maxMs = Math.max(into.maxMs, from.maxMs);
  into.latency = mergeBuckets(into.latency, from.latency);
}

/** Both lists ascend. */
export function mergeBuckets(a: Uint32Array, b: ArrayLike<number>): Uint32Array {
  if (a.length === 0) return Uint32Array.from(b);
  const merged: number[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const left = i < a.length ? a[i] : BUCKETS;
    const right = j < b.length ? b[j] : BUCKETS;
    merged.push(Math.min(left, right), (left <= right ? a[i + 1] : 0) + (right <= left ? b[j + 1] : 0));
    if (left <= right) i += 2;
    if (right <= left) j += 2;
  }
  return Uint32Array.from(merged);
}

/** Adds what happened from a second on to a sum and a histogram. */
export function addSince({ fine, coarse }: Intervals, first: number, sum: Interval, histogram: Histogram): void {
  for (const list of [coarse, fine])
    for (const interval of list) if (interval.second >= first) addTo(sum, histogram, interval);
}

function addTo(sum: Interval, histogram: Histogram, interval: Interval): void {
  for (const field of ADDED) sum[field] += interval[field];
  histogram.maxMs = Math.max(histogram.maxMs, interval.maxMs);
  const { latency } = interval;
  for (let i = 0; i < latency.length; i += 2) {
    histogram.counts[latency[i]] += latency[i + 1];
    histogram.count += latency[i + 1];
  }
}
