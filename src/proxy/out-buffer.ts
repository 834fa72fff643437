import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

const EMPTY = Buffer.alloc(0);

/** Bytes of one scratch slab: a turn's heads and small bodies of one connection nearly always fit, and one TLS record. */
const SLAB_BYTES = 16 * 1024;
/** Bodies at least this long are passed on by reference: copying them would cost more than one more chunk. */
const BY_REFERENCE_BYTES = 16 * 1024;

/** Bodies up to this many bytes are copied one by one. */
const BY_BYTE = 128;

/** Scratch slabs not in use. Only connections with something to write in this turn hold one. */
const freeSlabs: Buffer[] = [];
const FREE_SLABS_KEPT = 64;

/**
 * What one connection has yet to write. Codecs append to it during a turn of the event loop; the owner of the
 * socket takes it all at once when the turn ends, so that many small messages cost one system call (and, under
 * TLS, one record). An idle connection holds no memory here.
 *
 * Usage: `const at = out.reserve(n)`, write at most n bytes into `out.buf` from `at`, then `out.n = end`.
 */
export class OutBuffer {
  /** The slab being filled; valid after `reserve`. */
  buf: Buffer = EMPTY;
  /** Write position in `buf`. */
  n = 0;
  /** Chunks complete before `buf`. */
  private chunks: Buffer[] = [];
  private chunkBytes = 0;

  /** Called once when the buffer turns from empty to not empty: the owner schedules its flush. */
  constructor(private readonly wake: () => void) {}

  /** Bytes waiting. */
  get size(): number {
    return this.chunkBytes + this.n;
  }

  /** Makes room for `bytes` more and returns the position to write at. */
  reserve(bytes: number): number {
    if (this.buf.length - this.n < bytes) {
      if (this.n > 0) this.seal();
      if (bytes > SLAB_BYTES) {
        if (this.buf.length === SLAB_BYTES) giveSlab(this.buf);
        this.buf = Buffer.allocUnsafeSlow(bytes);
      } else if (this.buf.length < SLAB_BYTES) {
        this.buf = freeSlabs.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
      }
      if (this.chunkBytes === 0) this.wake();
    } else if (this.n === 0 && this.chunkBytes === 0) {
      this.wake();
    }
    return this.n;
  }

  /** Appends a string of latin1 characters. */
  latin1(s: string): void {
    const at = this.reserve(s.length);
    this.n = at + this.buf.latin1Write(s, at);
  }

  /** Appends bytes of `src`; long ones by reference, so `src` must not be written to afterwards. */
  bytes(src: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length === 0) return;
    if (length >= BY_REFERENCE_BYTES) {
      if (this.size === 0) this.wake();
      this.seal();
      this.chunks.push(src.subarray(start, end));
      this.chunkBytes += length;
      return;
    }
    const at = this.reserve(length);
    const { buf } = this;
    // `copy` makes a view of its source first; for a short piece that costs more than the bytes.
    if (length > BY_BYTE) src.copy(buf, at, start, end);
    else for (let from = start, to = at; from < end; ) buf[to++] = src[from++];
    this.n = at + length;
  }

  /**
   * Writes everything to a socket and is empty again. False: it wants no more before its event `drain`.
   * What fits into the slab is written from there, uncopied, and the slab is used again at once where it can be seen
   * that the system, or the TLS layer, has taken all of it.
   */
  writeTo(socket: Socket): boolean {
    if (this.chunks.length === 0 && this.buf.length === SLAB_BYTES && socket.writableLength === 0) {
      const slab = this.buf;
      const bytes = this.n;
      this.buf = EMPTY;
      this.n = 0;
      if (bytes === 0) {
        giveSlab(slab);
        return true;
      }
      const room = socket.write(slab.subarray(0, bytes));
      // A TLS socket that has nothing queued encrypts, or copies, within the call.
      if (socket.writableLength === 0 || socket instanceof TLSSocket) giveSlab(slab);
      return room;
    }
    const chunks = this.take();
    if (chunks.length === 0) return true;
    if (chunks.length === 1) return socket.write(chunks[0]);
    let room = true;
    socket.cork();
    for (let i = 0; i < chunks.length; i++) room = socket.write(chunks[i]);
    socket.uncork();
    return room;
  }

  /** Hands over everything, in order, and is empty again. The buffers belong to the caller. */
  take(): Buffer[] {
    this.seal();
    const taken = this.chunks;
    this.chunks = [];
    this.chunkBytes = 0;
    if (this.buf.length === SLAB_BYTES) giveSlab(this.buf);
    this.buf = EMPTY;
    return taken;
  }

  /** Copies what is in the slab to a chunk of its own, so that the slab can be used again. */
  private seal(): void {
    if (this.n === 0) return;
    if (this.buf.length > SLAB_BYTES) {
      this.chunks.push(this.buf.subarray(0, this.n));
      this.buf = EMPTY;
    } else {
      const copy = Buffer.allocUnsafe(this.n);
      this.buf.copy(copy, 0, 0, this.n);
      this.chunks.push(copy);
    }
    this.chunkBytes += this.n;
    this.n = 0;
  }
}

function giveSlab(slab: Buffer): void {
  if (freeSlabs.length < FREE_SLABS_KEPT) freeSlabs.push(slab);
}
