import type { Socket } from 'node:net';
import { SocketConnection } from './connection.ts';
import type { ConnectionManager } from './connection-manager.ts';
import type { DownstreamConnection, Exchange } from './exchange.ts';
import { H2Connection, type H2Events } from './http2/connection.ts';
import { CANCEL, INTERNAL_ERROR, REFUSED_STREAM } from './http2/error-codes.ts';
import type { H2Options } from './http2/options.ts';
import type { H2Stream } from './http2/stream.ts';
import type { ListenerContext } from './listener-context.ts';
import type { Headers, RequestHead, ResponseHead } from './message.ts';
import type { PeerInfo } from './peer-info.ts';

const ABORT_CODES = { internal: INTERNAL_ERROR, cancel: CANCEL, refused: REFUSED_STREAM } as const;

/** The server end of an HTTP/2 connection: a client of the gateway, a service's own client, or another proxy's link. */
export class Http2Downstream extends SocketConnection implements DownstreamConnection, H2Events {
  private readonly h2: H2Connection;
  private draining = false;

  constructor(
    socket: Socket,
    private readonly manager: ConnectionManager,
    private readonly listener: ListenerContext,
    private readonly peer: PeerInfo,
    options: Partial<H2Options>,
  ) {
    super(socket);
    this.h2 = new H2Connection('server', this.out, this, options);
    listener.connections.add(this);
  }

  /** Bytes that were read before this connection was made. */
  receive(chunk: Buffer): void {
    this.onSocketBytes(chunk);
  }

  /** Graceful: GOAWAY, open streams finish, then the connection closes. */
  drain(): void {
    if (this.draining || this.closed) return;
    this.draining = true;
    this.h2.shutdown();
  }

  /** Open streams are cut off. */
  kill(): void {
    this.destroy();
  }

  // -- DownstreamConnection ---------------------------------------------------------------------------------------

  sendInformational(x: Exchange, head: ResponseHead): void {
    // 101 has no meaning in HTTP/2 (RFC 9113 section 8.1).
    if (x.downStream !== null && head.status !== 101) this.h2.informational(x.downStream, head.status, head.headers);
  }

  sendHead(x: Exchange, head: ResponseHead, last: boolean): void {
    if (x.downStream === null) return;
    this.h2.respond(
      x.downStream,
      head.status,
      head.headers,
      last,
      x.upStream === null ? null : x.upStream.neverIndexed,
    );
  }

  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean {
    return x.downStream === null || this.h2.data(x.downStream, buf, start, end, last);
  }

  sendTrailers(x: Exchange, trailers: Headers): void {
    if (x.downStream !== null) this.h2.trailers(x.downStream, trailers);
  }

  consume(x: Exchange, bytes: number): void {
    if (x.downStream !== null) this.h2.consume(x.downStream, bytes);
  }

  abort(x: Exchange, cause: keyof typeof ABORT_CODES): void {
    const stream = x.downStream;
    if (stream === null) return;
    this.forget(x, stream);
    this.h2.reset(stream, ABORT_CODES[cause]);
  }

  release(x: Exchange): void {
    const stream = x.downStream;
    if (stream === null) return;
    this.forget(x, stream);
    // The whole response has been sent or queued; what is left of the request is not wanted.
    if (!x.requestEnded) this.h2.endRequest(stream);
  }

  private forget(x: Exchange, stream: H2Stream): void {
    stream.user = null;
    x.downStream = null;
    this.h2.discard(stream);
  }

  // -- H2Events ---------------------------------------------------------------------------------------------------

  onRequest(stream: H2Stream, head: RequestHead, last: boolean): void {
    const x = this.manager.begin(this, this.listener, this.peer, head, last);
    x.downStream = stream;
    x.fromHttp2 = true;
    stream.user = x;
    // For routes and everything else an upgrade is what it is in HTTP/1.1 (RFC 8441 section 4).
    if (head.protocol !== null) head.method = 'GET';
    this.manager.route(x);
  }

  onData(stream: H2Stream, buf: Buffer, start: number, end: number, last: boolean): void {
    const x = stream.user as Exchange | null;
    if (x !== null) x.onRequestData(buf, start, end, last);
    else if (end > start) this.h2.consume(stream, end - start);
  }

  onTrailers(stream: H2Stream, trailers: Headers): void {
    (stream.user as Exchange | null)?.onRequestTrailers(trailers);
  }

  onReset(stream: H2Stream): void {
    const x = stream.user as Exchange | null;
    if (x === null) return;
    this.forget(x, stream);
    x.onDownstreamGone();
  }

  onDrain(stream: H2Stream): void {
    (stream.user as Exchange | null)?.onDownstreamDrain();
  }

  onConnectionError(_code: number, message: string): void {
    this.errorMessage ||= message;
    this.manager.protocolError(this.listener, this.remoteAddress, message);
    this.hangUp();
  }

  onInformational(): void {}
  onResponse(): void {}
  onGoaway(): void {}
  onSettings(): void {}
  onStreamSlots(): void {}

  onDrained(): void {
    this.hangUp();
  }

  // -- SocketConnection -------------------------------------------------------------------------------------------

  protected onSocketBytes(chunk: Buffer): void {
    this.h2.receive(chunk);
  }

  protected onSocketEnd(): void {
    // Without a reader there is nobody to answer; streams that are open have lost their client.
    this.endSocket();
    this.h2.destroyed();
  }

  protected onSocketWritable(): void {
    this.h2.setWritable(true);
  }

  protected onSocketClose(): void {
    this.listener.connections.delete(this);
    this.h2.destroyed();
  }

  override flush(): void {
    super.flush();
    if (!this.closed && !this.hasRoom()) this.h2.setWritable(false);
  }
}
