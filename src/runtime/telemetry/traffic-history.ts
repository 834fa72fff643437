import type { Direction, StatGrouping, StatRow } from '../../model/events.ts';
import { type CounterData, counterId } from '../../proxy/telemetry/counters.ts';
import { BUCKETS, createHistogram, type Histogram, quantile } from '../../proxy/telemetry/histogram.ts';

/** How far back a window may reach. */
export const LONGEST_WINDOW_MS = 600_000;
/** Seconds are kept one by one for so long; what is older in steps of ten. */
const FINE_SECONDS = 60;
const COARSE_SECONDS = 10;
/** More edges and routes than this do not fit on a laptop; the one that was silent longest is forgotten. */
const MOST_SERIES = 2_000;
/** Statuses 0 (no response) to 5xx. */
const CLASSES = ['noResponse', 'status1xx', 'status2xx', 'status3xx', 'status4xx', 'status5xx'] as const;

/** What one series has counted since the daemon started; it never falls, whatever becomes of the data planes. */
export interface TrafficTotals {
  requests: number;
  failures: number;
  retries: number;
  requestBytes: number;
  responseBytes: number;
  /** By status class, 0 without a response. */
  responses: number[];
  failedByClass: number[];
  /** As in the counters of the proxies; null: no gRPC. */
  grpcStatuses: number[] | null;
  readonly latency: Histogram;
}

/** Traffic of one (source, destination, route) as one side of the hop counted it. */
export interface TrafficSeries {
  readonly source: string;
  readonly destination: string;
  readonly route: string;
  readonly subset: string;
  readonly direction: Direction;
  tls: boolean;
  /** Requests under way. */
  active: number;
  readonly totals: TrafficTotals;
}

/** What happened in one second, or in ten. */
interface Interval {
  /** First second, since the epoch. */
  readonly second: number;
  requests: number;
  ended: number;
  failures: number;
  retries: number;
  requestBytes: number;
  responseBytes: number;
  /** No latency was longer. */
  maxMs: number;
  /** Buckets in use and their counts, one after the other, ascending. */
  latency: Uint32Array;
}

interface Series extends TrafficSeries {
  lastMs: number;
  /** Of the last minute, ascending. */
  fine: Interval[];
  /** Older ones, aligned to ten seconds. */
  coarse: Interval[];
}

/** Last reading of one slot of one data plane. */
interface Reading {
  data: CounterData;
  readonly counts: Float64Array;
  series: Series;
}

export interface TrafficHistory {
  /** Slots of one data plane that changed, counted since it started. */
  fold(dataPlane: number, slots: readonly CounterData[]): void;
  /** The data plane is gone; its successor counts from 0. */
  forget(dataPlane: number): void;
  rows(windowMs: number, by: StatGrouping): StatRow[];
  series(): readonly TrafficSeries[];
}

export interface TrafficHistoryOptions {
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Of an instance; empty where it is not known. */
  subsetOf: (instance: string) => string;
}

/**
 * Folds what the proxies count into a history of ten minutes. Memory is bounded: 60 + 54 intervals for a series, each
 * with those buckets of its histogram that are in use, and a bounded number of series.
 */
export function createTrafficHistory({ now, subsetOf }: TrafficHistoryOptions): TrafficHistory {
  const startedMs = now();
  const all = new Map<string, Series>();
  const readings = new Map<number, Map<string, Reading>>();
  const scratch = createHistogram();

  const seriesFor = (data: CounterData): Series => {
    const { source, destination, route, direction, tls } = data;
    const subset = direction === 'inbound' ? subsetOf(data.instance) : '';
    const id = `${direction} ${source} ${destination} ${subset} ${route}`;
    let series = all.get(id);
    if (series === undefined) {
      if (all.size >= MOST_SERIES) forgetQuietest(all);
      series = {
        source,
        destination,
        route,
        subset,
        direction,
        tls,
        active: 0,
        totals: noTotals(),
        lastMs: 0,
        fine: [],
        coarse: [],
      };
      all.set(id, series);
    }
    return series;
  };

  const foldSlot = (known: Map<string, Reading>, data: CounterData): void => {
    const id = counterId(data);
    let reading = known.get(id);
    if (reading === undefined) {
      reading = { data: ZERO, counts: new Float64Array(BUCKETS), series: seriesFor(data) };
      known.set(id, reading);
    } else if (reading.series.lastMs === FORGOTTEN) reading.series = seriesFor(data);
    const { series, data: before } = reading;
    series.tls = data.tls;
    series.lastMs = now();
    series.active += data.active - before.active;
    const interval = intervalAt(series, Math.floor(series.lastMs / 1_000));
    addChange(series.totals, interval, before, data);
    const changed = latencyChange(reading.counts, data.latency.buckets, series.totals.latency);
    if (changed.length > 0) {
      interval.latency = mergeBuckets(interval.latency, changed);
      interval.maxMs = Math.max(interval.maxMs, data.latency.maxMs);
      series.totals.latency.sumMs += data.latency.sumMs - before.latency.sumMs;
      series.totals.latency.maxMs = Math.max(series.totals.latency.maxMs, data.latency.maxMs);
    }
    // The histogram's buckets are in `counts`: keeping them here too would double the memory.
    reading.data = { ...data, latency: { ...data.latency, buckets: [] } };
  };

  return {
    fold(dataPlane, slots) {
      let known = readings.get(dataPlane);
      if (known === undefined) readings.set(dataPlane, (known = new Map()));
      for (const data of slots) foldSlot(known, data);
    },
    forget(dataPlane) {
      for (const { series, data } of readings.get(dataPlane)?.values() ?? []) series.active -= data.active;
      readings.delete(dataPlane);
    },
    rows(windowMs, by) {
      const nowMs = now();
      const seconds = Math.max(1, Math.ceil(Math.min(windowMs, LONGEST_WINDOW_MS) / 1_000));
      const first = Math.floor(nowMs / 1_000) - seconds;
      // The second that runs now counts with the part of it that is over; before the daemon there was nothing.
      const spanMs = Math.max(1_000, Math.min(nowMs - first * 1_000, nowMs - startedMs));
      const direction = by === 'subset' ? 'inbound' : 'outbound';
      const groups = new Map<string, Series[]>();
      for (const series of all.values()) {
        if (series.direction !== direction) continue;
        const key = JSON.stringify(groupOf(series, by));
        const group = groups.get(key);
        if (group === undefined) groups.set(key, [series]);
        else group.push(series);
      }
      const rows = [...groups.values()].map((group) => rowOf(group, groupOf(group[0], by), first, spanMs, scratch));
      return rows.filter((row) => row !== null).sort(byName);
    },
    series: () => [...all.values()],
  };
}

const byName = (a: StatRow, b: StatRow): number =>
  compare(a.source, b.source) ||
  compare(a.destination, b.destination) ||
  compare(a.route, b.route) ||
  compare(a.subset, b.subset);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Of a series that was dropped while a slot still counts for it. */
const FORGOTTEN = -1;

function forgetQuietest(all: Map<string, Series>): void {
  let quietest: [string, Series] | null = null;
  for (const entry of all) if (quietest === null || entry[1].lastMs < quietest[1].lastMs) quietest = entry;
  if (quietest === null) return;
  quietest[1].lastMs = FORGOTTEN;
  all.delete(quietest[0]);
}

const ZERO: CounterData = {
  source: '',
  destination: '',
  route: '',
  direction: 'outbound',
  instance: '',
  tls: false,
  requests: 0,
  active: 0,
  status1xx: 0,
  status2xx: 0,
  status3xx: 0,
  status4xx: 0,
  status5xx: 0,
  noResponse: 0,
  failures: 0,
  failedByClass: [0, 0, 0, 0, 0, 0],
  grpcStatuses: null,
  retries: 0,
  requestBytes: 0,
  responseBytes: 0,
  latency: { buckets: [], sumMs: 0, maxMs: 0 },
};

const noTotals = (): TrafficTotals => ({
  requests: 0,
  failures: 0,
  retries: 0,
  requestBytes: 0,
  responseBytes: 0,
  responses: [0, 0, 0, 0, 0, 0],
  failedByClass: [0, 0, 0, 0, 0, 0],
  grpcStatuses: null,
  latency: createHistogram(),
});

const NO_BUCKETS = new Uint32Array(0);

function emptyInterval(second: number): Interval {
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
function intervalAt(series: Series, second: number): Interval {
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

const ADDED = ['requests', 'ended', 'failures', 'retries', 'requestBytes', 'responseBytes'] as const;

function addInterval(into: Interval, from: Interval): void {
  for (const field of ADDED) into[field] += from[field];
  into.maxMs = Math.max(into.maxMs, from.maxMs);
  into.latency = mergeBuckets(into.latency, from.latency);
}

function addChange(totals: TrafficTotals, interval: Interval, before: CounterData, data: CounterData): void {
  for (const field of ['requests', 'failures', 'retries', 'requestBytes', 'responseBytes'] as const) {
    const change = data[field] - before[field];
    totals[field] += change;
    interval[field] += change;
  }
  CLASSES.forEach((field, i) => {
    const change = data[field] - before[field];
    totals.responses[i] += change;
    interval.ended += change;
    totals.failedByClass[i] += data.failedByClass[i] - before.failedByClass[i];
  });
  if (data.grpcStatuses === null) return;
  const sums = (totals.grpcStatuses ??= data.grpcStatuses.map(() => 0));
  for (let i = 0; i < sums.length; i++) sums[i] += data.grpcStatuses[i] - (before.grpcStatuses?.[i] ?? 0);
}

/** What has come to a histogram since it was last read, as bucket, count, bucket, count; noted in both others. */
function latencyChange(counts: Float64Array, buckets: readonly number[], total: Histogram): number[] {
  const changed: number[] = [];
  for (let i = 0; i + 1 < buckets.length; i += 2) {
    const bucket = buckets[i];
    if (!(bucket >= 0 && bucket < BUCKETS)) continue;
    const change = buckets[i + 1] - counts[bucket];
    if (change <= 0) continue;
    counts[bucket] = buckets[i + 1];
    total.counts[bucket] += change;
    total.count += change;
    changed.push(bucket, change);
  }
  return changed;
}

/** Both lists ascend. */
function mergeBuckets(a: Uint32Array, b: ArrayLike<number>): Uint32Array {
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

type Group = Pick<StatRow, 'source' | 'destination' | 'route' | 'subset'>;

/** What of a series its group tells apart. */
function groupOf({ source, destination, route, subset }: Series, by: StatGrouping): Group {
  const none: Group = { source: '', destination, route: '', subset: '' };
  switch (by) {
    case 'each':
      return { ...none, source, route };
    case 'edge':
      return { ...none, source };
    case 'route':
      return { ...none, route };
    case 'subset':
      return { ...none, subset };
    case 'service':
      return none;
  }
}

/** Null: nothing happened in the window, and nothing is under way. */
function rowOf(
  members: readonly Series[],
  group: Group,
  first: number,
  spanMs: number,
  scratch: Histogram,
): StatRow | null {
  const sum = emptyInterval(first);
  scratch.counts.fill(0);
  scratch.count = 0;
  scratch.maxMs = 0;
  let active = 0;
  for (const series of members) {
    active += Math.max(0, series.active);
    for (const interval of series.coarse) if (interval.second >= first) addToRow(sum, scratch, interval);
    for (const interval of series.fine) if (interval.second >= first) addToRow(sum, scratch, interval);
  }
  if (sum.requests === 0 && sum.ended === 0 && active === 0) return null;
  return {
    ...group,
    tls: members.every(({ tls }) => tls),
    requests: sum.requests,
    requestsPerSecond: (sum.requests * 1_000) / spanMs,
    failures: sum.failures,
    successRate: sum.ended === 0 ? 1 : 1 - sum.failures / sum.ended,
    p50Ms: quantile(scratch, 0.5),
    p95Ms: quantile(scratch, 0.95),
    p99Ms: quantile(scratch, 0.99),
    active,
    retries: sum.retries,
    requestBytes: sum.requestBytes,
    responseBytes: sum.responseBytes,
  };
}

function addToRow(sum: Interval, histogram: Histogram, interval: Interval): void {
  for (const field of ADDED) sum[field] += interval[field];
  histogram.maxMs = Math.max(histogram.maxMs, interval.maxMs);
  const { latency } = interval;
  for (let i = 0; i < latency.length; i += 2) {
    histogram.counts[latency[i]] += latency[i + 1];
    histogram.count += latency[i + 1];
  }
}
