import type { Direction, StatGrouping, StatRow } from '../../model/events.ts';
import {
  COUNTS,
  COUNTS_BY_CLASS,
  type CounterData,
  type Counts,
  counterId,
  noCounts,
} from '../../proxy/telemetry/counters.ts';
import { BUCKETS, createHistogram, type Histogram, quantile } from '../../proxy/telemetry/histogram.ts';
import {
  addSince,
  emptyInterval,
  type Interval,
  type Intervals,
  intervalAt,
  LONGEST_WINDOW_MS,
  mergeBuckets,
} from './traffic-intervals.ts';

/** More edges and routes than this do not fit on a laptop; the one that was silent longest is forgotten. */
const MOST_SERIES = 2_000;

/** What one series has counted since the daemon started; it never falls, whatever becomes of the data planes. */
export interface TrafficTotals extends Counts {
  /** As in the counters of the proxies; null: no gRPC. */
  grpcStatuses: number[] | null;
  readonly latency: Histogram;
  /** As in the counters of the proxies. */
  readonly durations: Map<number, number[]>;
}

/** Traffic of one (source, destination, route) as one side of the hop counted it. */
export interface TrafficSeries {
  readonly source: string;
  readonly destination: string;
  readonly route: string;
  /** Empty but at the gateway. */
  readonly gatewayRoute: string;
  readonly subset: string;
  readonly direction: Direction;
  /** Milliseconds since the epoch from when it counts: the daemon's start, or later where it had been forgotten. */
  readonly sinceMs: number;
  tls: boolean;
  /** Requests under way. */
  active: number;
  readonly totals: TrafficTotals;
}

interface Series extends TrafficSeries, Intervals {
  lastMs: number;
}

/** Last reading of one slot of one data plane. */
interface Reading {
  data: CounterData;
  readonly counts: Float64Array;
  readonly durations: Map<number, number[]>;
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
  let forgotten = false;

  const seriesFor = (data: CounterData): Series => {
    const { source, destination, route, gatewayRoute, direction, tls } = data;
    const subset = direction === 'inbound' ? subsetOf(data.instance) : '';
    const id = `${direction} ${source} ${destination} ${subset} ${gatewayRoute}\n${route}`;
    let series = all.get(id);
    if (series === undefined) {
      if (all.size >= MOST_SERIES) {
        forgetQuietest(all);
        forgotten = true;
      }
      series = {
        source,
        destination,
        route,
        gatewayRoute,
        subset,
        direction,
        // It may be one that was forgotten: who compares totals must see that they begin anew.
        sinceMs: forgotten ? now() : startedMs,
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
      reading = { data: ZERO, counts: new Float64Array(BUCKETS), durations: new Map(), series: seriesFor(data) };
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
    for (const [key, ...numbers] of data.durations) {
      const counted = reading.durations.get(key);
      addNumbers(series.totals.durations, key, numbers, counted);
      reading.durations.set(key, numbers);
    }
    // The histogram's buckets are in `counts`: keeping them here too would double the memory.
    reading.data = { ...data, latency: { ...data.latency, buckets: [] }, durations: [] };
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
      const groups = new Map<string, { group: Group; members: Series[] }>();
      for (const series of all.values()) {
        if (series.direction !== direction) continue;
        for (const group of groupsOf(series, by)) {
          const key = JSON.stringify(group);
          const known = groups.get(key);
          if (known === undefined) groups.set(key, { group, members: [series] });
          else known.members.push(series);
        }
      }
      const rows = [...groups.values()].map(({ group, members }) => rowOf(members, group, first, spanMs, scratch));
      return rows.filter((row) => row !== null).sort(byName);
    },
    series: () => [...all.values()],
  };
}

const byName = (a: StatRow, b: StatRow): number =>
  compare(a.source, b.source) ||
  compare(a.destination, b.destination) ||
  compare(a.route, b.route) ||
  compare(a.gatewayRoute, b.gatewayRoute) ||
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
  ...noCounts(),
  source: '',
  destination: '',
  route: '',
  gatewayRoute: '',
  direction: 'outbound',
  instance: '',
  tls: false,
  active: 0,
  grpcStatuses: null,
  latency: { buckets: [], sumMs: 0, maxMs: 0 },
  durations: [],
};

const noTotals = (): TrafficTotals => ({
  ...noCounts(),
  grpcStatuses: null,
  latency: createHistogram(),
  durations: new Map(),
});

function addChange(totals: TrafficTotals, interval: Interval, before: CounterData, data: CounterData): void {
  for (const field of COUNTS) {
    const change = data[field] - before[field];
    totals[field] += change;
    interval[field] += change;
  }
  for (const field of COUNTS_BY_CLASS) {
    const sums = totals[field];
    for (let i = 0; i < sums.length; i++) sums[i] += data[field][i] - before[field][i];
  }
  for (let i = 0; i < data.responses.length; i++) interval.ended += data.responses[i] - before.responses[i];
  if (data.grpcStatuses === null) return;
  const sums = (totals.grpcStatuses ??= data.grpcStatuses.map(() => 0));
  for (let i = 0; i < sums.length; i++) sums[i] += data.grpcStatuses[i] - (before.grpcStatuses?.[i] ?? 0);
}

/** Adds what has come to one key of the durations. */
function addNumbers(
  totals: Map<number, number[]>,
  key: number,
  numbers: readonly number[],
  before: readonly number[] | undefined,
): void {
  const sums = totals.get(key);
  if (sums === undefined) totals.set(key, before === undefined ? [...numbers] : numbers.map((n, i) => n - before[i]));
  else for (let i = 0; i < sums.length; i++) sums[i] += numbers[i] - (before?.[i] ?? 0);
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

type Group = Pick<StatRow, 'source' | 'destination' | 'route' | 'gatewayRoute' | 'subset'>;

/** The rows that a series belongs to. By route they are two where the gateway's route handed over to a service. */
function groupsOf({ source, destination, route, gatewayRoute, subset }: Series, by: StatGrouping): Group[] {
  const none: Group = { source: '', destination, route: '', gatewayRoute: '', subset: '' };
  switch (by) {
    case 'each':
      return [{ ...none, source, route, gatewayRoute }];
    case 'edge':
      return [{ ...none, source }];
    case 'route': {
      const own = gatewayRoute === '' ? [] : [{ ...none, destination: GATEWAY, route: gatewayRoute }];
      // What the gateway's route answered itself has no other row.
      return destination === '' && own.length > 0 ? own : [{ ...none, route }, ...own];
    }
    case 'subset':
      return [{ ...none, subset }];
    case 'service':
      return [none];
  }
}

/** Whose table the gateway's routes are; no service has the name. */
const GATEWAY = 'gateway';

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
  // What was sent nowhere took no hop that could be in the clear.
  const hops = members.some(({ destination }) => destination !== '')
    ? members.filter(({ destination }) => destination !== '')
    : members;
  for (const series of members) {
    active += Math.max(0, series.active);
    addSince(series, first, sum, scratch);
  }
  if (sum.requests === 0 && sum.ended === 0 && active === 0) return null;
  return {
    ...group,
    tls: hops.every(({ tls }) => tls),
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
