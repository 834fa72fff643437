import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RetryCondition } from '../../src/model/config.ts';
import type { RetryPolicy } from '../../src/model/resolved.ts';
import type { Outcome } from '../../src/proxy/cluster/outcome.ts';
import { backoffMs, shouldRetry } from '../../src/proxy/retry.ts';

const policy = (over: Partial<RetryPolicy>): RetryPolicy => ({
  attempts: 2,
  perTryTimeoutMs: 0,
  on: [],
  statusCodes: [],
  backoffMs: 25,
  maxBackoffMs: 250,
  ...over,
});

const CONDITIONS: RetryCondition[] = [
  '5xx',
  'gateway-error',
  'reset',
  'connect-failure',
  'refused-stream',
  'retriable-4xx',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
];

const response = (status: number, grpcStatus: number | null = null): Outcome => ({
  kind: 'response',
  status,
  grpcStatus,
});

describe('shouldRetry', () => {
  // Every condition that leads to another try for that outcome, and none besides.
  it.each<[Outcome, RetryCondition[]]>([
    [{ kind: 'connect-failure' }, ['5xx', 'gateway-error', 'reset', 'connect-failure']],
    [{ kind: 'refused-stream' }, ['5xx', 'gateway-error', 'reset', 'refused-stream']],
    [{ kind: 'reset' }, ['5xx', 'gateway-error', 'reset']],
    [{ kind: 'protocol-error' }, ['5xx', 'gateway-error', 'reset']],
    [{ kind: 'per-try-timeout' }, ['5xx', 'gateway-error', 'reset']],
    [response(200), []],
    [response(200, 0), []],
    [response(404), []],
    [response(409), ['retriable-4xx']],
    [response(500), ['5xx']],
    [response(501), ['5xx']],
    [response(502), ['5xx', 'gateway-error']],
    [response(503), ['5xx', 'gateway-error']],
    [response(504), ['5xx', 'gateway-error']],
    [response(505), ['5xx']],
    [response(200, 1), ['cancelled']],
    [response(200, 2), []],
    [response(200, 4), ['deadline-exceeded']],
    [response(200, 8), ['resource-exhausted']],
    [response(200, 13), ['internal']],
    [response(200, 14), ['unavailable']],
  ])('%j is retried on %j', (outcome, expected) => {
    expect(CONDITIONS.filter((on) => shouldRetry(policy({ on: [on] }), outcome, 1, true))).toEqual(expected);
  });

  it('knows status codes', () => {
    expect(shouldRetry(policy({ statusCodes: [429] }), response(429), 1, true)).toBe(true);
    expect(shouldRetry(policy({ statusCodes: [429] }), response(430), 1, true)).toBe(false);
  });

  it('ends with the attempts', () => {
    const p = policy({ on: ['5xx'], attempts: 2 });
    expect([1, 2, 3].map((tries) => shouldRetry(p, response(500), tries, true))).toEqual([true, true, false]);
    expect(shouldRetry(policy({ on: ['5xx'], attempts: 0 }), response(500), 1, true)).toBe(false);
  });

  it('needs the request', () => {
    expect(shouldRetry(policy({ on: ['connect-failure'] }), { kind: 'connect-failure' }, 1, false)).toBe(false);
  });
});

describe('backoffMs', () => {
  it('doubles up to its limit', () => {
    const most = () => 1 - Number.EPSILON;
    expect([1, 2, 3, 4, 5, 6].map((n) => Math.round(backoffMs(policy({}), n, most)))).toEqual([
      25, 50, 100, 200, 250, 250,
    ]);
    expect(backoffMs(policy({}), 1, () => 0)).toBe(0);
  });

  it('stays within its limit', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (n, r) => {
          const ms = backoffMs(policy({}), n, () => r);
          expect(ms).toBeGreaterThanOrEqual(0);
          expect(ms).toBeLessThanOrEqual(250);
        },
      ),
    );
  });
});
