import { describe, expect, it } from 'vitest';
import type { HealthCheck } from '../../../src/model/resolved.ts';
import { HealthChecker } from '../../../src/proxy/cluster/health-check.ts';
import type { Probe } from '../../../src/proxy/cluster/health-probe.ts';
import { endpoint } from '../../support/endpoints.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const SPEC: HealthCheck = {
  action: { kind: 'tcp' },
  intervalMs: 1000,
  timeoutMs: 200,
  unhealthyThreshold: 3,
  healthyThreshold: 2,
};

/** Endpoints answer as `failures` says, by port; an id that is missing passes. */
function bench(random = () => 0.5) {
  const clock = new FakeClock();
  const failures = new Map<number, string>();
  const probed: number[] = [];
  const changes: string[] = [];
  const probe: Probe = async (_action, target) => {
    probed.push(target.port);
    return failures.get(target.port) ?? null;
  };
  const checker = new HealthChecker(
    'orders',
    SPEC,
    (id, healthy, reason) => changes.push(`${id} ${healthy ? 'up' : `down: ${reason}`}`),
    { clock, random, probe },
  );
  return { clock, failures, probed, changes, checker };
}

const at = (id: string, port: number, over = {}) => endpoint(id, { health: { host: '127.0.0.1', port }, ...over });

/** One interval without jitter: `random` is 0.5. */
const ROUND = 1000;

describe('HealthChecker', () => {
  it('decides by the first check alone', async () => {
    const b = bench();
    b.failures.set(1, 'refused');
    b.checker.reconcile([at('a', 1), at('b', 2)]);
    expect(b.checker.isHealthy('a')).toBe(true);
    await b.clock.advanceAsync(250);
    expect(b.changes).toEqual(['a down: refused']);
    expect(b.checker.isHealthy('a')).toBe(false);
    expect(b.checker.isHealthy('b')).toBe(true);
    expect(b.checker.lastFailure('a')).toBe('refused');
    b.checker.close();
  });

  it('takes so many results in a row to change the verdict', async () => {
    const b = bench();
    b.checker.reconcile([at('a', 1)]);
    await b.clock.advanceAsync(250);
    b.failures.set(1, 'HTTP 500');
    await b.clock.advanceAsync(2 * ROUND);
    expect(b.changes).toEqual([]);
    b.failures.delete(1);
    await b.clock.advanceAsync(ROUND);
    b.failures.set(1, 'HTTP 500');
    await b.clock.advanceAsync(2 * ROUND);
    expect(b.changes).toEqual([]);
    await b.clock.advanceAsync(ROUND);
    expect(b.changes).toEqual(['a down: HTTP 500']);
    b.failures.delete(1);
    await b.clock.advanceAsync(ROUND);
    expect(b.changes).toHaveLength(1);
    await b.clock.advanceAsync(ROUND);
    expect(b.changes).toEqual(['a down: HTTP 500', 'a up']);
    b.checker.close();
  });

  it('keeps verdicts over a reload, and forgets them with the process', async () => {
    const b = bench();
    b.failures.set(1, 'refused');
    b.checker.reconcile([at('a', 1)]);
    await b.clock.advanceAsync(250);
    b.checker.reconcile([at('a', 1, { weight: 7 }), at('b', 2)]);
    expect(b.checker.isHealthy('a')).toBe(false);
    expect(b.changes).toHaveLength(1);
    // The same instance, restarted: another inbound port.
    b.checker.reconcile([at('a', 1, { port: 4999 }), at('b', 2)]);
    expect(b.changes).toEqual(['a down: refused', 'a up']);
    b.checker.close();
  });

  it('checks only endpoints that are ready', async () => {
    const b = bench();
    b.failures.set(1, 'refused').set(2, 'refused');
    b.checker.reconcile([at('a', 1, { state: 'starting' }), at('b', 2)]);
    await b.clock.advanceAsync(250);
    expect(b.probed).toEqual([2]);
    b.checker.reconcile([at('a', 1), at('b', 2, { state: 'down' })]);
    await b.clock.advanceAsync(250);
    expect(b.changes).toEqual(['b down: refused', 'b up', 'a down: refused']);
    b.checker.close();
  });

  it('begins anew when something else is to be checked', async () => {
    const b = bench();
    b.failures.set(1, 'refused');
    b.checker.reconcile([at('a', 1)]);
    await b.clock.advanceAsync(250);
    b.checker.reconcile([at('a', 1)], { ...SPEC, action: { kind: 'http', path: '/' } });
    expect(b.changes).toEqual(['a down: refused', 'a up']);
    // Only the interval is different: the verdict and the schedule stay.
    await b.clock.advanceAsync(250);
    b.checker.reconcile([at('a', 1)], { ...SPEC, action: { kind: 'http', path: '/' }, intervalMs: 100 });
    expect(b.checker.isHealthy('a')).toBe(false);
    b.checker.close();
  });

  it('does not check all at once', async () => {
    let n = 0;
    const b = bench(() => (n++ % 10) / 10);
    b.checker.reconcile(Array.from({ length: 10 }, (_, i) => at(`e${i}`, i)));
    const after: number[] = [];
    for (let ms = 0; ms < 500; ms += 100) {
      await b.clock.advanceAsync(100);
      after.push(b.probed.length);
    }
    expect(after[0]).toBeLessThan(4);
    expect(after[4]).toBe(10);
    expect(after.every((count, i) => i === 0 || count > after[i - 1])).toBe(true);
    b.checker.close();
  });

  it('ends a check that takes too long', async () => {
    const clock = new FakeClock();
    const changes: string[] = [];
    const probe: Probe = (_action, _target, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve((signal.reason as Error).message)));
    const checker = new HealthChecker(
      'orders',
      SPEC,
      (id, healthy, reason) => changes.push(`${id} ${healthy} ${reason}`),
      { clock, random: () => 0, probe },
    );
    checker.reconcile([at('a', 1)]);
    await clock.advanceAsync(199);
    expect(changes).toEqual([]);
    await clock.advanceAsync(1);
    expect(changes).toEqual(['a false no answer within 200 ms']);
    checker.close();
  });

  it('says nothing after it was closed, and leaves no timer', async () => {
    const clock = new FakeClock();
    const changes: string[] = [];
    let answer: (failure: string) => void = () => undefined;
    const probe: Probe = () => new Promise((resolve) => (answer = resolve));
    const checker = new HealthChecker('orders', SPEC, (id) => changes.push(id), { clock, random: () => 0, probe });
    checker.reconcile([at('a', 1), at('b', 2)]);
    await clock.advanceAsync(1);
    checker.close();
    answer('late');
    await clock.advanceAsync(10 * ROUND);
    expect(changes).toEqual([]);
    expect(clock.pending).toBe(0);
    checker.reconcile([at('a', 1)]);
    expect(clock.pending).toBe(0);
  });

  it('reaches each endpoint in its own way, and follows when that changes', async () => {
    const clock = new FakeClock();
    const probed: unknown[] = [];
    const probe: Probe = async (_action, { port, tls, authority }) => {
      probed.push([port, tls === null ? 'plain' : (tls.rejectUnauthorized ?? true), authority]);
      return null;
    };
    const peer = { tls: { servername: 'pay.example' }, authority: 'pay.example' };
    const options = { clock, random: () => 0.5, probe, ...peer };
    const checker = new HealthChecker('pay', SPEC, () => undefined, options);
    checker.reconcile([at('pay', 1)]);
    await clock.advanceAsync(250);
    const injected = at('pay-injected-1', 2, { health: { host: '127.0.0.1', port: 2, tls: true } });
    // Taken over: it is no external service any more, and one of its endpoints insists on TLS.
    checker.reconcile([injected, at('pay-1', 3)], SPEC, { tls: null, authority: null });
    await clock.advanceAsync(250);
    expect(probed).toEqual([
      [1, true, 'pay.example'],
      [2, false, null],
      [3, 'plain', null],
    ]);
    checker.close();
  });
});
