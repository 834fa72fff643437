import type { Headers } from '../message.ts';

/** What has come in on a stream. */
export const Receiving = {
  /** No head yet (client: none but informational ones). */
  Head: 0,
  Body: 1,
  /** END_STREAM came. */
  Ended: 2,
} as const;
export type Receiving = (typeof Receiving)[keyof typeof Receiving];

/** What has gone out on a stream. */
export const Sending = {
  Open: 0,
  /** The end was handed over and waits behind queued data. */
  Ending: 1,
  /** END_STREAM went out. */
  Ended: 2,
} as const;
export type Sending = (typeof Sending)[keyof typeof Sending];

const EMPTY = Buffer.alloc(0);

/** Pieces shorter than this share of their buffer are copied before they wait, not to keep all of it alive. */
const RETAIN_SHARE = 4;

/**
 * One request and its response. Made by the connection; owners read `id` and keep what they like in `user`, the rest
 * is the codec's. The shape is fixed: every field is there from the start.
 */
export class H2Stream {
  /** The owner's slot. */
  // biome-ignore lint/suspicious/noExplicitAny: the codec does not know its owner's records, and a type parameter would run through every signature
  user: any;
  /** Names that the peer marked as never to be indexed; hand them on with the message (RFC 7541 section 6.2.3). */
  neverIndexed: string[] | null = null;
  /** Nothing more will happen here: ended in both directions, or reset. */
  closed = false;

  /** @internal */ receiving: Receiving = Receiving.Head;
  /** @internal Bytes that the peer may still send. */
  receiveWindow: number;
  /** @internal Bytes handed to the owner and not yet consumed. */
  unconsumed = 0;
  /** @internal Bytes consumed and not yet given back by a WINDOW_UPDATE. */
  credit = 0;
  /** @internal Bytes of DATA that the message has still to bring, -1 when it did not say. */
  expected = -1;
  /** @internal Client: the request was HEAD, or CONNECT, which change what the response may be. */
  head = false;
  /** @internal */ connect = false;

  /** @internal */ sending: Sending = Sending.Open;
  /** @internal Server: to be reset once the response has gone out, whatever is left of the request. */
  requestUnwanted = false;
  /** @internal Server: a final response head went out. */
  responded = false;
  /** @internal Bytes that we may still send; negative after the peer has shrunk its window. */
  sendWindow: number;
  /** @internal Bytes waiting in `queue`. */
  queuedBytes = 0;
  /** @internal Pieces waiting, oldest at `queueFirst`; [start, end) of the oldest moves on as it is sent. */
  queue: Buffer[] | null = null;
  /** @internal */ queueFirst = 0;
  /** @internal Trailers that follow the queued data. */
  trailers: Headers | null = null;
  /** @internal `data` returned false and the owner waits for onDrain. */
  drainDue = false;
  /** @internal In the scheduler's ring, and its neighbours there. */
  scheduled = false;
  /** @internal */ previous: H2Stream | null = null;
  /** @internal */ next: H2Stream | null = null;

  constructor(
    readonly id: number,
    sendWindow: number,
    receiveWindow: number,
    user: unknown,
  ) {
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
    this.user = user;
  }

  /** @internal Keeps buf[start, end) until the windows allow it to go. */
  enqueue(buf: Buffer, start: number, end: number): void {
    if (start === end) return;
    const small = (end - start) * RETAIN_SHARE < buf.buffer.byteLength;
    const piece = small ? Buffer.from(buf.subarray(start, end)) : buf.subarray(start, end);
    if (this.queue === null) this.queue = [piece];
    else this.queue.push(piece);
    this.queuedBytes += end - start;
  }

  /** @internal The oldest piece waiting. */
  firstPiece(): Buffer {
    return this.queue === null ? EMPTY : this.queue[this.queueFirst];
  }

  /** @internal The first `bytes` of the oldest piece are gone. */
  dropFromFirst(bytes: number): void {
    const queue = this.queue;
    if (queue === null) return;
    const piece = queue[this.queueFirst];
    this.queuedBytes -= bytes;
    if (bytes < piece.length) {
      queue[this.queueFirst] = piece.subarray(bytes);
      return;
    }
    queue[this.queueFirst++] = EMPTY;
    if (this.queueFirst === queue.length) {
      this.queue = null;
      this.queueFirst = 0;
    } else if (this.queueFirst > 32 && this.queueFirst * 2 > queue.length) {
      queue.splice(0, this.queueFirst);
      this.queueFirst = 0;
    }
  }

  /** Whether END_STREAM went out. */
  get sentAll(): boolean {
    return this.sending === Sending.Ended;
  }

  /** @internal Forgets what waits. */
  dropQueue(): void {
    this.queue = null;
    this.queueFirst = 0;
    this.queuedBytes = 0;
    this.trailers = null;
  }
}
