import type { OutBuffer } from '../out-buffer.ts';
import { DEFAULT_FRAME_BYTES, DEFAULT_WINDOW_BYTES, MAX_INT31, writeDataHeader } from './frames.ts';
import { type H2Stream, Sending } from './stream.ts';

/** Told when a stream's queue moves. */
export interface SendObserver {
  /** END_STREAM went out with the last DATA. */
  onSendEnded(stream: H2Stream): void;
  /** The queue is empty and trailers are to follow. */
  onTrailersDue(stream: H2Stream): void;
  /** The queue went below its mark after `data` had returned false. */
  onQueueDrained(stream: H2Stream): void;
  /** A DATA frame of `bytes` payload went out. */
  onDataSent(bytes: number): void;
}

/**
 * Sends DATA as far as the connection's window, the stream's window and the socket allow (RFC 9113 section 5.2), and
 * keeps the rest in order. Streams that could go on stand in a ring and get one frame each in turn.
 */
export class SendScheduler {
  /** Bytes that the peer takes on the connection. */
  window = DEFAULT_WINDOW_BYTES;
  /** Largest DATA payload: the peer's SETTINGS_MAX_FRAME_SIZE. */
  maxFrameBytes = DEFAULT_FRAME_BYTES;
  private writable = true;
  private pumping = false;
  private first: H2Stream | null = null;
  private last: H2Stream | null = null;

  constructor(
    private readonly out: OutBuffer,
    private readonly observer: SendObserver,
    private readonly queueMarkBytes: number,
  ) {}

  /** Sends or queues. False when the stream now has more than the mark waiting. */
  send(stream: H2Stream, buf: Buffer, start: number, end: number, endStream: boolean): boolean {
    let from = start;
    if (endStream) stream.sending = Sending.Ending;
    if (stream.queuedBytes === 0) {
      // Behind others that wait for the connection's window or the socket, this one has to wait too.
      if (this.writable && this.first === null) {
        while (from < end) {
          const bytes = this.sendable(stream, end - from);
          if (bytes === 0) break;
          this.frame(stream, bytes, endStream && from + bytes === end);
          this.out.bytes(buf, from, from + bytes);
          from += bytes;
        }
      }
      if (from === end) {
        if (endStream && start === end) writeDataHeader(this.out, stream.id, 0, true);
        if (endStream) this.observer.onSendEnded(stream);
        return true;
      }
    }
    stream.enqueue(buf, from, end);
    this.schedule(stream);
    if (stream.queuedBytes <= this.queueMarkBytes) return true;
    stream.drainDue = true;
    return false;
  }

  /** Queued data may go, or must wait: the state of the socket. */
  setWritable(writable: boolean): void {
    this.writable = writable;
    if (writable) this.pump();
  }

  /** The peer has widened the connection's window. False: beyond 2^31-1. */
  widen(bytes: number): boolean {
    if (this.window + bytes > MAX_INT31) return false;
    this.window += bytes;
    this.pump();
    return true;
  }

  /** The peer has widened a stream's window. False: beyond 2^31-1. */
  widenStream(stream: H2Stream, bytes: number): boolean {
    if (stream.sendWindow + bytes > MAX_INT31) return false;
    stream.sendWindow += bytes;
    if (stream.queuedBytes > 0) {
      this.schedule(stream);
      this.pump();
    }
    return true;
  }

  /** The peer has changed its initial window, and with it that of every stream (section 6.9.2). False: beyond 2^31-1. */
  shiftWindows(streams: Iterable<H2Stream>, change: number): boolean {
    for (const stream of streams) {
      stream.sendWindow += change;
      if (stream.sendWindow > MAX_INT31) return false;
      this.schedule(stream);
    }
    return true;
  }

  /** Puts a stream into the ring if it has something that its own window allows. */
  schedule(stream: H2Stream): void {
    if (stream.scheduled || stream.sendWindow <= 0 || stream.queuedBytes === 0) return;
    stream.scheduled = true;
    stream.previous = this.last;
    if (this.last === null) this.first = stream;
    else this.last.next = stream;
    this.last = stream;
  }

  /** Takes a stream out of the ring: it is its turn, or it died. (A dead one left behind would be a leak.) */
  unschedule(stream: H2Stream): void {
    if (!stream.scheduled) return;
    if (stream.previous === null) this.first = stream.next;
    else stream.previous.next = stream.next;
    if (stream.next === null) this.last = stream.previous;
    else stream.next.previous = stream.previous;
    stream.scheduled = false;
    stream.previous = null;
    stream.next = null;
  }

  /** Sends round robin, one frame a stream, until something runs out. */
  pump(): void {
    // An observer may write, and so come back here; the loop that runs already will see what it did.
    if (this.pumping) return;
    this.pumping = true;
    while (this.writable && this.first !== null) {
      if (this.window <= 0) break;
      const stream = this.first;
      this.unschedule(stream);
      this.sendQueued(stream);
    }
    this.pumping = false;
  }

  private sendQueued(stream: H2Stream): void {
    let bytes = this.sendable(stream, stream.queuedBytes);
    if (bytes === 0) return;
    const emptied = bytes === stream.queuedBytes;
    const ends = emptied && stream.sending === Sending.Ending && stream.trailers === null;
    this.frame(stream, bytes, ends);
    while (bytes > 0) {
      const piece = stream.firstPiece();
      const take = Math.min(piece.length, bytes);
      this.out.bytes(piece, 0, take);
      stream.dropFromFirst(take);
      bytes -= take;
    }
    this.schedule(stream);
    if (ends) this.observer.onSendEnded(stream);
    else if (emptied && stream.trailers !== null) this.observer.onTrailersDue(stream);
    else if (stream.drainDue && stream.queuedBytes * 2 <= this.queueMarkBytes) {
      stream.drainDue = false;
      this.observer.onQueueDrained(stream);
    }
  }

  private sendable(stream: H2Stream, bytes: number): number {
    let most = Math.min(bytes, this.maxFrameBytes);
    if (most > stream.sendWindow) most = stream.sendWindow;
    if (most > this.window) most = this.window;
    return Math.max(most, 0);
  }

  private frame(stream: H2Stream, bytes: number, endStream: boolean): void {
    writeDataHeader(this.out, stream.id, bytes, endStream);
    stream.sendWindow -= bytes;
    this.window -= bytes;
    this.observer.onDataSent(bytes);
  }
}
