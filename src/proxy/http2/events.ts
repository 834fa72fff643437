import type { Headers, RequestHead, ResponseHead } from '../message.ts';
import type { H2Stream } from './stream.ts';

/**
 * What a connection tells its owner; one object serves any number of connections. All calls come from within a call
 * into the connection (`receive`, `setWritable`, `close`, ...), and the owner may call back into it from any of them.
 */
export interface H2Events {
  /** Server: a request came. `endStream`: it has no content. */
  onRequest(stream: H2Stream, head: RequestHead, endStream: boolean): void;
  /** Client: an informational response (1xx) came. */
  onInformational(stream: H2Stream, head: ResponseHead): void;
  /** Client: the final response came. */
  onResponse(stream: H2Stream, head: ResponseHead, endStream: boolean): void;
  /**
   * Content came; `start === end` only with `endStream`. `buf` may be kept. Whoever is done with bytes says so by
   * `consume`, or the peer will stop.
   */
  onData(stream: H2Stream, buf: Buffer, start: number, end: number, endStream: boolean): void;
  /** Trailers came, and with them the end. */
  onTrailers(stream: H2Stream, trailers: Headers): void;
  /**
   * The stream died: the peer reset it (`remote`), it broke the protocol, or the connection is gone. Comes once, is
   * the stream's last event, and never comes for a stream that ended in both directions or that the owner reset.
   * REFUSED_STREAM: the peer has not looked at the request; it may be sent again (RFC 9113 section 8.7).
   */
  onReset(stream: H2Stream, code: number, remote: boolean): void;
  /** `data` had returned false and there is room again. */
  onDrain(stream: H2Stream): void;
  /** The peer will take no new streams; those above `lastStreamId` are reset after this call. */
  onGoaway(lastStreamId: number, code: number, debug: string): void;
  /** The peer's settings came or changed. */
  onSettings(): void;
  /** Client: `request` had returned null for want of a slot and will work now. */
  onStreamSlots(): void;
  /** The connection broke. GOAWAY is in `out`; the owner writes that and closes the socket. */
  onConnectionError(code: number, message: string): void;
  /** The connection takes no new streams (GOAWAY by either side) and the last one has ended: time to close. Comes once. */
  onDrained?(): void;
  /** The answer to `ping`. */
  onPong?(rttMs: number): void;
  /** A message was malformed or too large and its stream was refused; for a log. */
  onMalformed?(streamId: number, reason: string): void;
}
