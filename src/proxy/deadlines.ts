import { reportBug, turnTimeMs } from './turn.ts';

/** A member of a deadline list: intrusive, so that arming one allocates nothing. */
export interface Expiring {
  expiresAtMs: number;
  expiryPrevious: Expiring | null;
  expiryNext: Expiring | null;
  expiryList: DeadlineList | null;
  /** The time is up; the member has left the list. */
  onExpired(): void;
}

/**
 * Deadlines that all lie the same time ahead when armed, so that they expire in the order of arming and one timer
 * serves them all. Arming and disarming are a few pointer writes: every request has a deadline, hardly any expires.
 */
export class DeadlineList {
  private head: Expiring | null = null;
  private tail: Expiring | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    readonly durationMs: number,
    private readonly now: () => number,
    /** The same clock, as of the beginning of the turn. */
    private readonly turnNow: () => number,
    private readonly onEmpty: (list: DeadlineList) => void,
  ) {}

  arm(member: Expiring): void {
    if (member.expiryList !== null) disarm(member);
    member.expiryList = this;
    member.expiresAtMs = this.turnNow() + this.durationMs;
    member.expiryPrevious = this.tail;
    member.expiryNext = null;
    if (this.tail === null) this.head = member;
    else this.tail.expiryNext = member;
    this.tail = member;
    if (this.timer === null) this.schedule(this.durationMs);
  }

  remove(member: Expiring): void {
    if (member.expiryPrevious === null) this.head = member.expiryNext;
    else member.expiryPrevious.expiryNext = member.expiryNext;
    if (member.expiryNext === null) this.tail = member.expiryPrevious;
    else member.expiryNext.expiryPrevious = member.expiryPrevious;
    member.expiryPrevious = member.expiryNext = null;
    member.expiryList = null;
    // The timer stays: it finds out by itself, and a list in use would only set it again.
  }

  private schedule(ms: number): void {
    this.timer = setTimeout(() => this.tick(), Math.max(1, Math.ceil(ms)));
    this.timer.unref();
  }

  private tick(): void {
    const now = this.now();
    // `timer` stays set meanwhile: what arms anew in `onExpired` must not set one that is later than the others are due.
    while (this.head !== null && this.head.expiresAtMs <= now) {
      const member = this.head;
      this.remove(member);
      try {
        member.onExpired();
      } catch (error) {
        reportBug(error);
      }
    }
    this.timer = null;
    if (this.head === null) this.onEmpty(this);
    else this.schedule(this.head.expiresAtMs - this.now());
  }
}

/** Takes a member out of its list, if it is in one. */
export function disarm(member: Expiring): void {
  member.expiryList?.remove(member);
}

/**
 * A duration at least as long as `ms` and at most a thirty-second longer, from a coarse scale: durations that callers
 * make up (`grpc-timeout`, jittered back-off) would otherwise each have a list and a timer of their own.
 */
export function coarseMs(ms: number): number {
  if (ms <= 64) return Math.max(1, Math.ceil(ms));
  const step = 2 ** (Math.floor(Math.log2(ms)) - 5);
  return Math.ceil(ms / step) * step;
}

/** One list for each duration in use; a list without members goes away at its next tick. */
export class Deadlines {
  private readonly lists = new Map<number, DeadlineList>();

  private readonly turnNow: () => number;

  /** @param now another clock, in tests */
  constructor(private readonly now: (() => number) | null = null) {
    this.turnNow = now ?? turnTimeMs;
  }

  /** Arms `member` to expire in `durationMs`; one that was armed before is armed anew. */
  arm(member: Expiring, durationMs: number): void {
    // Armed anew, most often for the same time.
    const known = member.expiryList;
    if (known !== null && known.durationMs === durationMs) {
      known.arm(member);
      return;
    }
    let list = this.lists.get(durationMs);
    if (list === undefined) {
      const now = this.now ?? (() => performance.now());
      list = new DeadlineList(durationMs, now, this.turnNow, (empty) => {
        if (this.lists.get(empty.durationMs) === empty) this.lists.delete(empty.durationMs);
      });
      this.lists.set(durationMs, list);
    }
    list.arm(member);
  }
}
