/** How much a peer may ask of us for nothing. All of it is per connection. */
export interface AbuseLimits {
  /**
   * Streams that the peer may abort before they were answered (CVE-2023-44487), or make us abort (CVE-2025-8671), at
   * once and per second in the long run. Each stream that is answered to the end makes up for one.
   */
  resetBurst: number;
  resetsPerSecond: number;
  /**
   * Frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown types, empty DATA; at once and per
   * second. Each frame that carries something, in either direction, makes up for ten.
   */
  idleFrameBurst: number;
  idleFramesPerSecond: number;
  /** Bytes of heads and control frames that may gather while the socket takes nothing: a peer that asks and never reads. */
  unsentBytes: number;
  /** CONTINUATION frames of one header block. */
  continuationFrames: number;
}

export const DEFAULT_ABUSE_LIMITS: AbuseLimits = {
  resetBurst: 1000,
  resetsPerSecond: 100,
  idleFrameBurst: 4096,
  idleFramesPerSecond: 1000,
  unsentBytes: 1024 * 1024,
  continuationFrames: 32,
};

/** What one frame of substance makes up for. A receiver sends up to two WINDOW_UPDATE and a PING for each DATA. */
const FRAMES_EARNED = 10;

/** DATA shorter than this earns nothing, or else windows opened byte by byte would pay for themselves (CVE-2019-9511). */
export const SUBSTANTIAL_DATA_BYTES = 64;

/**
 * Two leaky buckets. They are filled by counting alone; the clock is read only when one is full, so that ordinary
 * traffic never pays for it.
 */
export class AbuseGuard {
  private resets = 0;
  private resetsDrainedAtMs: number;
  private idleFrames = 0;
  private idleFramesDrainedAtMs: number;

  constructor(
    private readonly limits: AbuseLimits,
    private readonly now: () => number,
  ) {
    this.resetsDrainedAtMs = this.idleFramesDrainedAtMs = now();
  }

  /** A stream died before its answer was complete, by the peer's doing. False: too many. */
  streamWasted(): boolean {
    if (++this.resets <= this.limits.resetBurst) return true;
    const nowMs = this.now();
    const drained = ((nowMs - this.resetsDrainedAtMs) * this.limits.resetsPerSecond) / 1000;
    this.resets = Math.max(0, this.resets - drained);
    this.resetsDrainedAtMs = nowMs;
    return this.resets <= this.limits.resetBurst;
  }

  /** A stream was answered to its end. */
  streamCompleted(): void {
    if (this.resets > 0) this.resets--;
  }

  /** A frame came that carries nothing. False: too many. */
  idleFrame(): boolean {
    if (++this.idleFrames <= this.limits.idleFrameBurst) return true;
    const nowMs = this.now();
    const drained = ((nowMs - this.idleFramesDrainedAtMs) * this.limits.idleFramesPerSecond) / 1000;
    this.idleFrames = Math.max(0, this.idleFrames - drained);
    this.idleFramesDrainedAtMs = nowMs;
    return this.idleFrames <= this.limits.idleFrameBurst;
  }

  /** A frame of substance came or went. */
  productiveFrame(): void {
    if (this.idleFrames > 0) this.idleFrames = this.idleFrames > FRAMES_EARNED ? this.idleFrames - FRAMES_EARNED : 0;
  }
}
