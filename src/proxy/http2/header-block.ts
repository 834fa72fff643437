const EMPTY = Buffer.alloc(0);

/**
 * A header block that HEADERS began and CONTINUATION goes on with (RFC 9113 section 4.3). Bounded in bytes and in
 * frames, so that one that never ends costs next to nothing; holds no memory between blocks.
 */
export class HeaderBlock {
  /** Of its HEADERS frame. */
  endStream = false;
  dependsOn = 0;
  length = 0;
  private buf: Buffer = EMPTY;
  private frames = 0;

  constructor(
    private readonly maxBytes: number,
    private readonly maxFrames: number,
  ) {}

  begin(endStream: boolean, dependsOn: number): void {
    this.endStream = endStream;
    this.dependsOn = dependsOn;
    this.length = 0;
    this.frames = 0;
  }

  /** Adds a fragment. False: the block has too many bytes or too many frames. */
  add(buf: Buffer, start: number, end: number): boolean {
    const length = this.length + (end - start);
    // The first frame is HEADERS; only those after it count.
    if (length > this.maxBytes || this.frames++ > this.maxFrames) return false;
    if (length > this.buf.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, Math.min(this.buf.length * 2, this.maxBytes)));
      this.buf.copy(larger, 0, 0, this.length);
      this.buf = larger;
    }
    buf.copy(this.buf, this.length, start, end);
    this.length = length;
    return true;
  }

  /** Hands over the bytes, of which the first `length` count. */
  take(): Buffer {
    const buf = this.buf;
    this.buf = EMPTY;
    return buf;
  }
}
