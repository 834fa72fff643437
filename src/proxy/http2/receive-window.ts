/**
 * What the peer may still send on a connection (RFC 9113 section 5.2). Credit is given back for half a window at a
 * time: fewer frames, and a peer that never has to wait for one.
 */
export class ReceiveWindow {
  private available: number;
  private credit = 0;

  constructor(private readonly size: number) {
    this.available = size;
  }

  /** DATA came. False: it is beyond the window. */
  take(bytes: number): boolean {
    this.available -= bytes;
    return this.available >= 0;
  }

  /** DATA was consumed. Returns the increment to announce now, or 0. */
  give(bytes: number): number {
    this.credit += bytes;
    if (this.credit * 2 < this.size) return 0;
    const increment = this.credit;
    this.available += increment;
    this.credit = 0;
    return increment;
  }
}
