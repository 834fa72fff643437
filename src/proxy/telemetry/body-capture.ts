import type { CapturedBody } from '../../model/bodies.ts';
import type { Exchange } from '../exchange.ts';
import { type Headers, header } from '../message.ts';

/** Bytes that captures may take at any time in one data plane, over all exchanges under way. */
const MOST_CAPTURED_BYTES = 16 * 1024 * 1024;
/** A first piece is rarely all. */
const FIRST_BYTES = 1_024;

/** What all captures of a data plane take together; outlives the taps that ask for them. */
export class CaptureBudget {
  private taken = 0;

  constructor(private readonly mostBytes = MOST_CAPTURED_BYTES) {}

  get takenBytes(): number {
    return this.taken;
  }

  take(bytes: number): boolean {
    if (this.taken + bytes > this.mostBytes) return false;
    this.taken += bytes;
    return true;
  }

  give(bytes: number): void {
    this.taken -= bytes;
  }
}

const NOTHING = Buffer.alloc(0);

/** The first bytes of one direction, copied: the buffers they come in are used again. */
class Side {
  dropped = false;
  length = 0;
  buffer = NOTHING;

  constructor(
    private readonly budget: CaptureBudget,
    private readonly limitBytes: number,
  ) {}

  add(buf: Buffer, start: number, end: number): void {
    const room = this.limitBytes - this.length;
    if (room <= 0 || this.dropped || start === end) return;
    const bytes = Math.min(room, end - start);
    if (this.length + bytes > this.buffer.length && !this.grow(this.length + bytes)) {
      this.dropped = true;
      return;
    }
    buf.copy(this.buffer, this.length, start, start + bytes);
    this.length += bytes;
  }

  release(): void {
    this.budget.give(this.buffer.length);
    this.buffer = NOTHING;
    this.length = 0;
  }

  private grow(least: number): boolean {
    const size = Math.min(this.limitBytes, Math.max(least, FIRST_BYTES, this.buffer.length * 2));
    if (!this.budget.take(size - this.buffer.length)) return false;
    // Not from the pool, of which a few bytes could hold a whole slab.
    const larger = Buffer.allocUnsafeSlow(size);
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
    return true;
  }
}

/** What is kept of the bodies of one exchange. Exists only while a tap asks for bodies. */
export class BodyCapture {
  private readonly requestSide: Side;
  private readonly responseSide: Side;

  /** @param limitBytes of each direction */
  constructor(budget: CaptureBudget, limitBytes: number) {
    this.requestSide = new Side(budget, limitBytes);
    this.responseSide = new Side(budget, limitBytes);
  }

  onRequest(buf: Buffer, start: number, end: number): void {
    this.requestSide.add(buf, start, end);
  }

  onResponse(buf: Buffer, start: number, end: number): void {
    this.responseSide.add(buf, start, end);
  }

  /** Bytes kept of both. */
  get length(): number {
    return this.requestSide.length + this.responseSide.length;
  }

  get dropped(): boolean {
    return this.requestSide.dropped || this.responseSide.dropped;
  }

  /** What was kept of a finished exchange. A copy: the capture gives its memory back. @param limitBytes of the tap it is for */
  bodies(x: Exchange, limitBytes: number): { request: CapturedBody; response: CapturedBody } {
    return {
      request: captured(this.requestSide, limitBytes, x.request.headers, x.requestBytes, x.grpc),
      response: captured(this.responseSide, limitBytes, x.responseHeaders, x.responseBytes, x.grpc),
    };
  }

  /** Gives the memory back. Safe to call again. */
  release(): void {
    this.requestSide.release();
    this.responseSide.release();
  }
}

function captured(side: Side, limitBytes: number, headers: Headers | null, bytes: number, grpc: boolean): CapturedBody {
  const value = (name: string): string => (headers === null ? '' : (header(headers, name) ?? ''));
  return {
    contentType: value('content-type').slice(0, 256),
    encoding: value(grpc ? 'grpc-encoding' : 'content-encoding').slice(0, 64),
    data: Uint8Array.prototype.slice.call(side.buffer, 0, Math.min(side.length, limitBytes)),
    bytes,
    dropped: side.dropped,
  };
}
