/**
 * Latencies on a log-linear scale: microseconds, 32 buckets for each power of two, so that a bucket is at most 1/32 of
 * its value wide and a quantile, read at a bucket's middle, at most 1/64 (1.6 %) off. Below 64 microseconds each has a
 * bucket of its own. Recording is a few integer operations: about 5 ns.
 */
const SUB_BITS = 5;
const SUB = 1 << SUB_BITS;
/** Values from here on share the last bucket: 2^32 microseconds, 71 minutes. */
const MOST_US = 0xffff_ffff;
/** Number of buckets. */
export const BUCKETS = bucketOf(MOST_US) + 1;

export interface Histogram {
  /** Doubles, because a 32-bit counter overflows after a day and a half of full load. */
  readonly counts: Float64Array;
  count: number;
  /** Milliseconds. */
  sumMs: number;
  /** Milliseconds; 0 while there is no value. */
  maxMs: number;
}

export function createHistogram(): Histogram {
  return { counts: new Float64Array(BUCKETS), count: 0, sumMs: 0, maxMs: 0 };
}

/** @param ms anything below 0, or no number, counts as 0: clocks can step back */
export function record(histogram: Histogram, ms: number): void {
  let value = ms;
  if (!(value > 0)) value = 0;
  histogram.counts[bucketOf(value * 1000)]++;
  histogram.count++;
  histogram.sumMs += value;
  if (value > histogram.maxMs) histogram.maxMs = value;
}

function bucketOf(us: number): number {
  const v = us >= MOST_US ? MOST_US : us >>> 0;
  if (v < 2 * SUB) return v;
  const shift = 31 - Math.clz32(v) - SUB_BITS;
  return shift * SUB + (v >>> shift);
}

/** Lower bound of a bucket, in microseconds. */
function lowerBoundUs(bucket: number): number {
  if (bucket < 2 * SUB) return bucket;
  const shift = (bucket >>> SUB_BITS) - 1;
  return (bucket - shift * SUB) * 2 ** shift;
}

function widthUs(bucket: number): number {
  return bucket < 2 * SUB ? 1 : 2 ** ((bucket >>> SUB_BITS) - 1);
}

/** Adds everything of `from` to `into`. */
export function merge(into: Histogram, from: Histogram): void {
  const a = into.counts;
  const b = from.counts;
  for (let i = 0; i < BUCKETS; i++) a[i] += b[i];
  into.count += from.count;
  into.sumMs += from.sumMs;
  if (from.maxMs > into.maxMs) into.maxMs = from.maxMs;
}

/** The value, in milliseconds, that a share `q` (0 to 1) of all values does not exceed; 0 where there are none. */
export function quantile(histogram: Histogram, q: number): number {
  if (histogram.count === 0) return 0;
  const rank = Math.max(1, Math.ceil(q * histogram.count));
  let below = 0;
  for (let i = 0; i < BUCKETS; i++) {
    below += histogram.counts[i];
    if (below >= rank) return Math.min((lowerBoundUs(i) + widthUs(i) / 2) / 1000, histogram.maxMs);
  }
  return histogram.maxMs;
}

/**
 * Numbers of values up to each bound, as Prometheus' `le` buckets want them; exact up to the width of one bucket.
 * @param boundsMs ascending
 */
export function countsUpTo(histogram: Histogram, boundsMs: readonly number[]): number[] {
  let n = 0;
  let bucket = 0;
  return boundsMs.map((ms) => {
    const us = ms * 1000;
    for (; bucket < BUCKETS && lowerBoundUs(bucket) + widthUs(bucket) / 2 <= us; bucket++)
      n += histogram.counts[bucket];
    return n;
  });
}

/** A histogram as plain data: of its buckets only those in use, as bucket, count, bucket, count, ... */
export interface HistogramData {
  buckets: number[];
  sumMs: number;
  maxMs: number;
}

export function toData(histogram: Histogram): HistogramData {
  const buckets: number[] = [];
  const counts = histogram.counts;
  for (let i = 0; i < BUCKETS; i++) if (counts[i] !== 0) buckets.push(i, counts[i]);
  return { buckets, sumMs: histogram.sumMs, maxMs: histogram.maxMs };
}

/** Buckets that do not exist are left out: the data may come from another version. */
export function fromData(data: HistogramData): Histogram {
  const histogram = createHistogram();
  for (let i = 0; i + 1 < data.buckets.length; i += 2) {
    const bucket = data.buckets[i];
    if (!Number.isInteger(bucket) || bucket < 0 || bucket >= BUCKETS) continue;
    histogram.counts[bucket] += data.buckets[i + 1];
    histogram.count += data.buckets[i + 1];
  }
  histogram.sumMs = data.sumMs;
  histogram.maxMs = data.maxMs;
  return histogram;
}
