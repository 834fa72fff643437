import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { coarseMs, type DeadlineList, Deadlines, disarm, type Expiring } from '../../src/proxy/deadlines.ts';

class Member implements Expiring {
  expiresAtMs = 0;
  expiryPrevious: Expiring | null = null;
  expiryNext: Expiring | null = null;
  expiryList: DeadlineList | null = null;
  readonly expired: number[] = [];
  constructor(private readonly then: (self: Member) => void = () => {}) {}
  onExpired(): void {
    this.expired.push(performance.now());
    this.then(this);
  }
}

describe('deadlines', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'queueMicrotask'] }));
  afterEach(() => void vi.useRealTimers());

  const setUp = () => {
    const begin = performance.now();
    return {
      deadlines: new Deadlines(() => performance.now()),
      since: (member: Member) => member.expired.map((at) => at - begin),
    };
  };

  it('expires each member once, in order, when its time is up', () => {
    const { deadlines, since } = setUp();
    const [a, b] = [new Member(), new Member()];
    deadlines.arm(a, 100);
    vi.advanceTimersByTime(60);
    deadlines.arm(b, 100);
    vi.advanceTimersByTime(39);
    expect(since(a)).toEqual([]);
    vi.advanceTimersByTime(1_000);
    expect(since(a)).toEqual([100]);
    expect(since(b)).toEqual([160]);
  });

  it('forgets what is disarmed, wherever it stands', () => {
    const { deadlines, since } = setUp();
    const members = Array.from({ length: 5 }, () => new Member());
    for (const member of members) deadlines.arm(member, 50);
    for (const i of [0, 2, 4]) disarm(members[i]);
    disarm(members[0]);
    vi.advanceTimersByTime(100);
    expect(members.map((m) => since(m).length)).toEqual([0, 1, 0, 1, 0]);
  });

  it('starts anew what is armed again, with another duration too', () => {
    const { deadlines, since } = setUp();
    const member = new Member();
    deadlines.arm(member, 100);
    vi.advanceTimersByTime(80);
    deadlines.arm(member, 100);
    vi.advanceTimersByTime(80);
    deadlines.arm(member, 30);
    vi.advanceTimersByTime(500);
    expect(since(member)).toEqual([190]);
  });

  it('is not late for others when one arms itself again as it expires', () => {
    const { deadlines, since } = setUp();
    const again = new Member((self) => {
      if (self.expired.length < 3) deadlines.arm(self, 100);
    });
    const late = new Member();
    deadlines.arm(again, 100);
    vi.advanceTimersByTime(30);
    deadlines.arm(late, 100);
    vi.advanceTimersByTime(1_000);
    expect(since(again)).toEqual([100, 200, 300]);
    expect(since(late)).toEqual([130]);
  });

  it('lets one member disarm another as it expires', () => {
    const { deadlines, since } = setUp();
    const victim = new Member();
    const first = new Member(() => disarm(victim));
    deadlines.arm(first, 10);
    deadlines.arm(victim, 10);
    vi.advanceTimersByTime(100);
    expect(since(first)).toEqual([10]);
    expect(since(victim)).toEqual([]);
  });

  it('keeps no list and no timer for a duration that is no longer in use', () => {
    const { deadlines } = setUp();
    for (let i = 1; i <= 100; i++) {
      const member = new Member();
      deadlines.arm(member, i);
      disarm(member);
    }
    vi.advanceTimersByTime(200);
    expect(vi.getTimerCount()).toBe(0);
    expect((deadlines as unknown as { lists: Map<number, unknown> }).lists.size).toBe(0);
  });

  it('rounds up by a thirty-second at most, to few values', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 1e10, noNaN: true }), (ms) => {
        const coarse = coarseMs(ms);
        expect(coarse).toBeGreaterThanOrEqual(ms);
        expect(coarse).toBeLessThanOrEqual(Math.max(ms + 1, ms * (1 + 1 / 32)));
        expect(coarseMs(coarse)).toBe(coarse);
      }),
    );
    expect(new Set(Array.from({ length: 100_000 }, (_, i) => coarseMs(i + 0.5))).size).toBeLessThan(500);
  });
});
