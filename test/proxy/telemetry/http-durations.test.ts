import { describe, expect, it } from 'vitest';
import {
  countDuration,
  DURATION_BOUNDS_S,
  DURATION_NUMBERS,
  DURATION_SUM,
  durationKey,
  type HttpDurations,
  OVERFLOW_KEY,
} from '../../../src/proxy/telemetry/http-durations.ts';

describe('durations by method and status', () => {
  it('count into the bucket whose bound they do not exceed', () => {
    const durations: HttpDurations = new Map();
    for (const ms of [0, 5, 5.1, 10_000, 10_001, -3]) countDuration(durations, 'GET', 200, false, ms);
    const [[key, numbers]] = [...durations];
    expect(durationKey(key)).toEqual({ method: 'GET', status: 200, broken: false });
    expect(numbers[0]).toBe(3);
    expect(numbers[1]).toBe(1);
    expect(numbers[DURATION_BOUNDS_S.length - 1]).toBe(1);
    expect(numbers[DURATION_BOUNDS_S.length]).toBe(1);
    expect(numbers[DURATION_SUM]).toBeCloseTo(20_011.1);
    expect(numbers).toHaveLength(DURATION_NUMBERS);
  });

  it('tell method, status and a broken end apart; methods that nobody knows are one', () => {
    const durations: HttpDurations = new Map();
    const cases = [
      { method: 'GET', status: 200, broken: false },
      { method: 'GET', status: 200, broken: true },
      { method: 'POST', status: 503, broken: false },
      { method: 'TRACE', status: 0, broken: true },
    ];
    for (const { method, status, broken } of cases) countDuration(durations, method, status, broken, 1);
    countDuration(durations, 'FROB', 999, false, 1);
    countDuration(durations, 'BREW', 1_200, false, 1);
    expect([...durations.keys()].map(durationKey)).toEqual([
      ...cases,
      { method: '_OTHER', status: 999, broken: false },
    ]);
  });

  it('are bounded, whatever statuses an application invents', () => {
    const durations: HttpDurations = new Map();
    for (let status = 100; status < 999; status++) countDuration(durations, 'GET', status, false, 1);
    expect(durations.size).toBe(101);
    expect(durationKey(OVERFLOW_KEY)).toBeNull();
    expect(durations.get(OVERFLOW_KEY)![0]).toBe(899 - 100);
  });
});
