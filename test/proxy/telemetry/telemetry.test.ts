import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CounterKey,
  countBytes,
  countEnd,
  countStart,
  createCounters,
} from '../../../src/proxy/telemetry/counters.ts';
import {
  BUCKETS,
  countsUpTo,
  createHistogram,
  fromData,
  type Histogram,
  merge,
  quantile,
  record,
  toData,
} from '../../../src/proxy/telemetry/histogram.ts';

const filled = (values: number[]): Histogram => {
  const histogram = createHistogram();
  for (const value of values) record(histogram, value);
  return histogram;
};

/** Milliseconds, from a microsecond to an hour, as likely in each decade. */
const latency = fc.double({ min: -3, max: Math.log10(3_600_000), noNaN: true }).map((exponent) => 10 ** exponent);

describe('histogram', () => {
  it('knows quantiles to 2 % or a microsecond', () => {
    fc.assert(
      fc.property(
        fc.array(latency, { minLength: 1, maxLength: 300 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, q) => {
          const sorted = [...values].sort((a, b) => a - b);
          const exact = sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1];
          expect(Math.abs(quantile(filled(values), q) - exact)).toBeLessThanOrEqual(Math.max(exact * 0.02, 0.001));
        },
      ),
    );
  });

  it('has a bucket for every number', () => {
    const odd = [0, -1, Number.NaN, 0.0004, 1e-9, Number.POSITIVE_INFINITY, 1e300, 2 ** 32 / 1000, 71 * 60_000];
    const histogram = filled(odd);
    expect(histogram.count).toBe(odd.length);
    expect(histogram.counts.reduce((a, b) => a + b, 0)).toBe(odd.length);
    expect(histogram.counts).toHaveLength(BUCKETS);
    expect(quantile(filled([0, 0]), 0.5)).toBe(0);
    expect(quantile(createHistogram(), 0.5)).toBe(0);
  });

  it('merges as if everything had been recorded in one', () => {
    fc.assert(
      fc.property(fc.array(latency), fc.array(latency), (a, b) => {
        const merged = filled(a);
        merge(merged, filled(b));
        const whole = filled([...a, ...b]);
        expect(merged.counts).toEqual(whole.counts);
        expect(merged.count).toBe(whole.count);
        expect(merged.maxMs).toBe(whole.maxMs);
        expect(merged.sumMs).toBeCloseTo(whole.sumMs, 3);
      }),
    );
  });

  it('survives a trip as JSON', () => {
    fc.assert(
      fc.property(fc.array(latency), (values) => {
        const histogram = filled(values);
        expect(fromData(JSON.parse(JSON.stringify(toData(histogram))))).toEqual(histogram);
      }),
    );
    expect(fromData({ buckets: [-1, 5, BUCKETS, 5, 1.5, 5, 3, 2], sumMs: 0, maxMs: 0 }).count).toBe(2);
  });

  it('counts for the bounds of Prometheus', () => {
    const histogram = filled([1, 2, 3, 20, 200]);
    expect(countsUpTo(histogram, [0.5, 5, 50, 500])).toEqual([0, 3, 4, 5]);
  });
});

describe('counters', () => {
  const key: CounterKey = {
    source: 'web',
    destination: 'orders',
    route: 'orders-1',
    gatewayRoute: '',
    direction: 'outbound',
    instance: 'web-1',
    tls: true,
  };

  it('has one slot for each key', () => {
    const counters = createCounters();
    expect(counters.slot({ ...key })).toBe(counters.slot(key));
    expect(counters.slot({ ...key, direction: 'inbound' })).not.toBe(counters.slot(key));
    expect(counters.slot({ ...key, route: '' })).not.toBe(counters.slot(key));
    expect(counters.slot({ ...key, instance: 'web-2' })).not.toBe(counters.slot(key));
    expect(counters.slot({ ...key, tls: false })).not.toBe(counters.slot(key));
  });

  it('adds up', () => {
    const counters = createCounters();
    const slot = counters.slot(key);
    for (let i = 0; i < 8; i++) countStart(slot);
    countEnd(slot, 200, -1, false, 1, 0);
    countEnd(slot, 200, 14, false, 1, 2);
    countEnd(slot, 304, -1, false, 1, 0);
    countEnd(slot, 404, -1, false, 1, 0);
    countEnd(slot, 503, -1, false, 1, 1);
    countEnd(slot, 0, -1, true, 1, 0);
    countEnd(slot, 0, -1, false, 1, 0);
    countBytes(slot, 10, 20);
    countBytes(slot, 1, 2);
    const [data] = counters.snapshot('all');
    expect(data).toMatchObject({
      ...key,
      requests: 8,
      active: 1,
      responses: [2, 0, 2, 1, 1, 1],
      failures: 3,
      failedByClass: [1, 0, 1, 0, 0, 1],
      retries: 3,
      requestBytes: 11,
      responseBytes: 22,
    });
    // One success without a gRPC status, one UNAVAILABLE.
    expect(data.grpcStatuses!.flatMap((n, i) => (n > 0 ? [[i, n]] : []))).toEqual([[18 + 14, 1]]);
    expect(counters.totals()).toEqual({ requests: 8, active: 1 });
    // Those without a response have no latency.
    expect(data.latency.buckets.filter((_, i) => i % 2 === 1).reduce((a, b) => a + b, 0)).toBe(5);
    expect(JSON.parse(JSON.stringify(data))).toEqual(data);
  });

  it('tells what changed since the last reading', () => {
    const counters = createCounters();
    const a = counters.slot(key);
    counters.slot({ ...key, route: 'other' });
    expect(counters.snapshot('changed')).toEqual([]);
    countStart(a);
    expect(counters.snapshot('changed').map((data) => data.route)).toEqual(['orders-1']);
    expect(counters.snapshot('changed')).toEqual([]);
    countEnd(a, 101, -1, false, 5, 0);
    expect(counters.snapshot('changed')).toMatchObject([{ responses: [0, 1, 0, 0, 0, 0], requests: 1 }]);
    expect(counters.snapshot('all')).toHaveLength(2);
  });

  it('forgets what is gone once nothing is under way', () => {
    const counters = createCounters();
    const slot = counters.slot(key);
    countStart(slot);
    counters.prune(() => true);
    expect(counters.snapshot('all')).toHaveLength(1);
    countEnd(slot, 200, -1, false, 1, 0);
    counters.prune((k) => k.destination === 'payments');
    expect(counters.snapshot('all')).toHaveLength(1);
    counters.prune((k) => k.destination === 'orders');
    expect(counters.snapshot('all')).toHaveLength(0);
  });
});
