import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  type CounterKey,
  type CounterSlot,
  type Counters,
  countBytes,
  countEnd,
  countHttp,
  countStart,
  createCounters,
} from '../../../src/proxy/telemetry/counters.ts';
import { DURATION_SUM, durationKey } from '../../../src/proxy/telemetry/http-durations.ts';
import { createTrafficHistory, type TrafficHistory } from '../../../src/runtime/telemetry/traffic-history.ts';

const KEY: CounterKey = {
  source: 'web',
  destination: 'orders',
  route: 'main',
  gatewayRoute: '',
  direction: 'outbound',
  instance: 'web-1',
  tls: true,
};
const START = Date.UTC(2026, 0, 1);

let nowMs: number;
let history: TrafficHistory;
let counters: Counters;

beforeEach(() => {
  nowMs = START;
  counters = createCounters();
  history = createTrafficHistory({
    now: () => nowMs,
    subsetOf: (instance) => (instance.includes('canary') ? 'canary' : 'stable'),
  });
});

function request(slot: CounterSlot, durationMs: number, status = 200): void {
  countStart(slot);
  countEnd(slot, status, -1, false, durationMs, 0);
}

const fold = (dataPlane = 0, from = counters) => history.fold(dataPlane, from.snapshot('changed'));
const only = (windowMs = 60_000) => {
  const rows = history.rows(windowMs, 'each');
  expect(rows).toHaveLength(1);
  return rows[0];
};

describe('the history of traffic', () => {
  it('gives rates, success and quantiles of the window', () => {
    const slot = counters.slot(KEY);
    for (let second = 0; second < 10; second++) {
      for (let i = 1; i <= 10; i++) request(slot, i, i === 10 ? 503 : 200);
      countBytes(slot, 10, 100);
      fold();
      nowMs += 1_000;
    }
    const row = only();
    expect(row).toMatchObject({
      source: 'web',
      destination: 'orders',
      route: 'main',
      subset: '',
      tls: true,
      requests: 100,
      requestsPerSecond: 10,
      failures: 10,
      successRate: 0.9,
      active: 0,
      requestBytes: 100,
      responseBytes: 1_000,
    });
    expect(row.p50Ms).toBeCloseTo(5, 0);
    expect(row.p95Ms).toBeCloseTo(10, 0);
    expect(row.p99Ms).toBeCloseTo(10, 0);
  });

  it('forgets what is older than the window', () => {
    const slot = counters.slot(KEY);
    request(slot, 1_000);
    fold();
    nowMs += 20_000;
    request(slot, 1);
    fold();
    expect(only(60_000)).toMatchObject({ requests: 2 });
    const recent = only(10_000);
    expect(recent.requests).toBe(1);
    expect(recent.p99Ms).toBeLessThan(1.1);
    nowMs += 30_000;
    expect(history.rows(10_000, 'each')).toEqual([]);
    nowMs += 700_000;
    expect(history.rows(600_000, 'each')).toEqual([]);
  });

  it('reaches ten minutes back, in steps of ten seconds beyond the first minute', () => {
    const slot = counters.slot(KEY);
    for (let second = 0; second < 700; second++) {
      request(slot, 1);
      fold();
      nowMs += 1_000;
    }
    expect(only(600_000).requests).toBeGreaterThanOrEqual(595);
    expect(only(600_000).requests).toBeLessThanOrEqual(615);
    expect(only(60_000).requests).toBe(60);
    // Every reading is in the totals.
    expect(history.series()[0].totals).toMatchObject({ requests: 700, responses: [0, 0, 700, 0, 0, 0] });
    expect(history.series()[0].totals.latency.count).toBe(700);
  });

  it('goes on when a data plane is replaced and counts from 0', () => {
    request(counters.slot(KEY), 5);
    countStart(counters.slot(KEY));
    fold();
    expect(only()).toMatchObject({ requests: 2, active: 1 });
    history.forget(0);
    expect(only()).toMatchObject({ requests: 2, active: 0 });
    const successor = createCounters();
    request(successor.slot(KEY), 5);
    fold(0, successor);
    expect(only()).toMatchObject({ requests: 3, active: 0 });
    expect(history.series()[0].totals.latency.count).toBe(2);
  });

  it('adds the data planes and the instances of a service up', () => {
    const other = createCounters();
    request(counters.slot(KEY), 1);
    request(counters.slot({ ...KEY, instance: 'web-2' }), 1);
    request(other.slot(KEY), 1);
    fold(0);
    fold(1, other);
    expect(only()).toMatchObject({ requests: 3 });
  });

  it('puts together what is asked for', () => {
    request(counters.slot(KEY), 1);
    request(counters.slot({ ...KEY, source: 'gateway', route: 'other', tls: false }), 100, 500);
    request(counters.slot({ ...KEY, destination: 'web', source: 'gateway' }), 1);
    for (const instance of ['orders-stable-1', 'orders-stable-2', 'orders-canary-1']) {
      request(counters.slot({ ...KEY, direction: 'inbound', route: '', instance }), 1);
    }
    fold();
    const groups = (by: 'each' | 'service' | 'route' | 'edge' | 'subset') =>
      history
        .rows(60_000, by)
        .map(({ source, destination, route, subset, requests }) =>
          [source, destination, route, subset, requests].join(' '),
        );
    expect(groups('service')).toEqual([' orders   2', ' web   1']);
    expect(groups('edge')).toEqual(['gateway orders   1', 'gateway web   1', 'web orders   1']);
    expect(groups('route')).toEqual([' orders main  1', ' orders other  1', ' web main  1']);
    expect(groups('subset')).toEqual([' orders  canary 1', ' orders  stable 2']);
    expect(groups('each')).toHaveLength(3);
    const [orders] = history.rows(60_000, 'service');
    expect(orders).toMatchObject({ successRate: 0.5, tls: false });
    expect(orders.p99Ms).toBeGreaterThan(95);
  });

  it('survives a clock that is set back', () => {
    const slot = counters.slot(KEY);
    request(slot, 1);
    fold();
    nowMs -= 3_600_000;
    request(slot, 1);
    fold();
    nowMs += 3_600_000;
    expect(only()).toMatchObject({ requests: 2 });
  });

  it('keeps a bounded number of series', () => {
    for (let i = 0; i < 2_100; i++) {
      request(counters.slot({ ...KEY, route: `r${i}` }), 1);
      if (i % 100 === 0) {
        fold();
        nowMs++;
      }
    }
    fold();
    expect(history.series().length).toBeLessThanOrEqual(2_000);
    // One that was forgotten comes back with what it counts from now on.
    request(counters.slot({ ...KEY, route: 'r0' }), 1);
    fold();
    expect(history.rows(60_000, 'each').find(({ route }) => route === 'r0')).toMatchObject({ requests: 1 });
  });

  it('shows by route what came in by the gateway in its table too, and counts it once elsewhere', () => {
    const viaGateway = (route: string, gatewayRoute: string, destination = 'orders') =>
      counters.slot({ ...KEY, source: 'gateway', instance: 'gateway', destination, route, gatewayRoute, tls: true });
    request(viaGateway('main', 'api'), 1);
    request(viaGateway('slow', 'api'), 1);
    request(viaGateway('main', 'admin'), 1);
    // A subset named by the gateway's route itself, a redirect, and a caller within the mesh.
    request(viaGateway('canary', 'canary'), 1);
    request(
      counters.slot({ ...KEY, source: 'gateway', destination: '', route: 'old', gatewayRoute: 'old', tls: false }),
      1,
    );
    request(counters.slot(KEY), 1);
    fold();
    const names = (by: 'route' | 'each') =>
      history.rows(60_000, by).map((row) => `${row.destination} ${row.route} ${row.requests} ${row.tls}`);
    expect(names('route')).toEqual([
      'gateway admin 1 true',
      'gateway api 2 true',
      'gateway canary 1 true',
      'gateway old 1 false',
      'orders canary 1 true',
      'orders main 3 true',
      'orders slow 1 true',
    ]);
    const once = (by: 'each' | 'service' | 'edge') =>
      history.rows(60_000, by).reduce((sum, { requests }) => sum + requests, 0);
    expect([once('each'), once('service'), once('edge')]).toEqual([6, 6, 6]);
    expect(history.rows(60_000, 'each').find(({ gatewayRoute }) => gatewayRoute === 'admin')).toMatchObject({
      source: 'gateway',
      destination: 'orders',
      route: 'main',
    });
  });

  it('adds durations up over data planes, and says since when', () => {
    const slot = counters.slot(KEY);
    request(slot, 3);
    countHttp(slot, 'GET', 200, false, 3);
    fold();
    fold();
    countHttp(slot, 'GET', 200, false, 30);
    fold();
    history.forget(0);
    const successor = createCounters();
    countHttp(successor.slot(KEY), 'GET', 200, false, 3_000);
    countHttp(successor.slot(KEY), 'POST', 500, false, 1);
    fold(0, successor);
    const [series] = history.series();
    expect(series.sinceMs).toBe(START);
    expect(
      [...series.totals.durations].map(([key, numbers]) => [
        durationKey(key)!.method,
        numbers.slice(0, DURATION_SUM).reduce((sum, n) => sum + n, 0),
        numbers[DURATION_SUM],
      ]),
    ).toEqual([
      ['GET', 3, 3_033],
      ['POST', 1, 1],
    ]);
  });

  it('sees every request once, whatever the moments of reading', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            waitMs: fc.nat(3_000),
            requests: fc.nat(5),
            latencyMs: fc.double({ min: 0, max: 1e4, noNaN: true }),
            read: fc.boolean(),
          }),
          { maxLength: 60 },
        ),
        (steps) => {
          nowMs = START;
          counters = createCounters();
          history = createTrafficHistory({ now: () => nowMs, subsetOf: () => '' });
          let sent = 0;
          for (const step of steps) {
            for (let i = 0; i < step.requests; i++) request(counters.slot(KEY), step.latencyMs);
            sent += step.requests;
            if (step.read) fold();
            nowMs += step.waitMs;
          }
          fold();
          const rows = history.rows(600_000, 'service');
          expect(rows.reduce((sum, row) => sum + row.requests, 0)).toBe(sent);
          expect(history.series().reduce((sum, { totals }) => sum + totals.latency.count, 0)).toBe(sent);
        },
      ),
      { numRuns: 100 },
    );
  });
});
