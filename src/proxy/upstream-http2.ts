import type { Socket } from 'node:net';
import type { NoResponse as AttemptFailure } from './cluster/outcome.ts';
import { SocketConnection } from './connection.ts';
import type { Connector } from './connector.ts';
import type { Exchange, UpstreamConnection } from './exchange.ts';
import { H2Connection, type H2Events } from './http2/connection.ts';
import { CANCEL, NO_ERROR, REFUSED_STREAM } from './http2/error-codes.ts';
import type { H2Options } from './http2/options.ts';
import type { H2Stream } from './http2/stream.ts';
import type { Headers, ResponseHead } from './message.ts';
import type { UpstreamPool } from './upstream.ts';

/**
 * HTTP/2 connections to one address. Everything rides on one; another is opened only when the peer's limit of
 * concurrent streams is reached or the first is going away.
 */
export class Http2Pool implements UpstreamPool {
  private readonly connections: Http2Upstream[] = [];
  private waiting: Exchange[] = [];
  private connecting: Socket | null = null;
  private closed = false;

  constructor(
    private readonly connector: Connector,
    private readonly options: Partial<H2Options>,
  ) {}

  acquire(x: Exchange): void {
    if (this.start(x)) return;
    this.waiting.push(x);
    this.connect();
  }

  cancel(x: Exchange): void {
    const at = this.waiting.indexOf(x);
    if (at >= 0) this.waiting.splice(at, 1);
  }

  drain(): void {
    this.closed = true;
    // Those that wait still get what they wait for.
    if (this.waiting.length > 0) return;
    for (const connection of this.connections.slice()) connection.drain();
  }

  destroy(): void {
    this.closed = true;
    this.connecting?.destroy();
    for (const connection of this.connections.slice()) connection.kill();
    this.fail('connect-failure', 'the connection was closed');
  }

  /** A stream slot became free, or settings arrived. */
  startWaiting(): void {
    while (this.waiting.length > 0) {
      // Out of the list first: what starting it leads to may come back here.
      const x = this.waiting.shift()!;
      if (this.start(x)) continue;
      this.waiting.unshift(x);
      this.connect();
      return;
    }
    if (this.closed) for (const connection of this.connections.slice()) connection.drain();
  }

  /** Whether a connection opened for a peak is not needed any more: an earlier one would take its streams. */
  isSpare(connection: Http2Upstream): boolean {
    for (let i = 0; i < this.connections.length; i++) {
      if (this.connections[i] === connection) return false;
      if (this.connections[i].usable) return true;
    }
    return false;
  }

  connectionGone(connection: Http2Upstream): void {
    const at = this.connections.indexOf(connection);
    if (at >= 0) this.connections.splice(at, 1);
    // Exchanges that waited for a slot on it go to a new one.
    if (this.waiting.length > 0) this.connect();
  }

  private start(x: Exchange): boolean {
    for (let i = 0; i < this.connections.length; i++) if (this.connections[i].start(x)) return true;
    return false;
  }

  private connect(): void {
    if (this.connecting !== null) return;
    // One that has not told its settings yet may still take what waits.
    for (const connection of this.connections) if (connection.settling) return;
    this.connecting = this.connector.connect((failure, socket) => {
      this.connecting = null;
      if (failure !== null) {
        this.fail('connect-failure', `${this.connector.address}: ${failure}`);
        return;
      }
      const connection = new Http2Upstream(socket, this, this.connector.address, this.options);
      this.connections.push(connection);
      this.startWaiting();
    });
  }

  private fail(failure: AttemptFailure, message: string): void {
    const failed = this.waiting;
    this.waiting = [];
    for (const x of failed) x.onUpstreamReset(failure, message);
  }
}

/** The client end of one HTTP/2 connection: the link to another proxy, or an application that speaks h2c. */
class Http2Upstream extends SocketConnection implements UpstreamConnection, H2Events {
  private readonly h2: H2Connection;
  /** Its settings have not arrived: whether it takes extended CONNECT is unknown. */
  settling = true;
  private draining = false;

  constructor(
    socket: Socket,
    private readonly pool: Http2Pool,
    private readonly address: string,
    options: Partial<H2Options>,
  ) {
    super(socket);
    this.h2 = new H2Connection('client', this.out, this, options);
  }

  override get remoteAddress(): string {
    return this.address;
  }

  get usable(): boolean {
    return !this.draining && !this.closed && this.h2.hasSlot;
  }

  /** False: no room on this connection. */
  start(x: Exchange): boolean {
    if (this.draining || this.closed) return false;
    const request = x.request;
    let stream: H2Stream | null;
    const neverIndexed = x.downStream === null ? null : x.downStream.neverIndexed;
    if (request.protocol === null) stream = this.h2.request(request, x.headEndsRequest, x, neverIndexed);
    else {
      if (!this.h2.peerAllowsConnectProtocol) {
        if (this.settling) return false;
        // The application speaks HTTP/2 without RFC 8441; another connection would not differ.
        const message = `${this.address} does not accept upgrades over HTTP/2`;
        queueMicrotask(() => x.onUpstreamReset('protocol-error', message));
        return true;
      }
      // An upgrade is a GET everywhere but on the wire of HTTP/2 (RFC 8441 section 4).
      const method = request.method;
      request.method = 'CONNECT';
      stream = this.h2.request(request, x.headEndsRequest, x, neverIndexed);
      request.method = method;
    }
    if (stream === null) {
      if (this.h2.exhausted) this.drain();
      return false;
    }
    x.upStream = stream;
    x.onUpstreamOpen(this);
    return true;
  }

  drain(): void {
    if (this.draining) return;
    this.draining = true;
    // `onDrained` follows when the last stream has ended.
    this.h2.shutdown();
  }

  kill(): void {
    this.destroy();
  }

  // -- UpstreamConnection -----------------------------------------------------------------------------------------

  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean {
    return x.upStream === null || this.h2.data(x.upStream, buf, start, end, last);
  }

  sendTrailers(x: Exchange, trailers: Headers): void {
    if (x.upStream !== null) this.h2.trailers(x.upStream, trailers);
  }

  consume(x: Exchange, bytes: number): void {
    if (x.upStream !== null) this.h2.consume(x.upStream, bytes);
  }

  release(x: Exchange): void {
    const stream = x.upStream;
    if (stream === null) return;
    stream.user = null;
    x.upStream = null;
    this.h2.discard(stream);
    if (!x.responseEnded) this.h2.reset(stream, CANCEL);
    else if (!stream.sentAll) {
      // The response is there before the request was: nobody will read what is left of it. A tunnel has to deliver it.
      if (!x.tunnel || !x.requestEnded) this.h2.reset(stream, NO_ERROR);
    }
    // A stream that ends with this event still counts.
    if (this.h2.openStreams <= (stream.closed ? 0 : 1) && this.pool.isSpare(this)) this.drain();
  }

  // -- H2Events ---------------------------------------------------------------------------------------------------

  onInformational(stream: H2Stream, head: ResponseHead): void {
    (stream.user as Exchange | null)?.onInformational(head);
  }

  onResponse(stream: H2Stream, head: ResponseHead, last: boolean): void {
    (stream.user as Exchange | null)?.onResponse(head, last);
  }

  onData(stream: H2Stream, buf: Buffer, start: number, end: number, last: boolean): void {
    const x = stream.user as Exchange | null;
    if (x !== null) x.onResponseData(buf, start, end, last);
    else if (end > start) this.h2.consume(stream, end - start);
  }

  onTrailers(stream: H2Stream, trailers: Headers): void {
    (stream.user as Exchange | null)?.onResponseTrailers(trailers);
  }

  onReset(stream: H2Stream, code: number, remote: boolean): void {
    const x = stream.user as Exchange | null;
    if (x === null) return;
    stream.user = null;
    x.upStream = null;
    if (this.closed) x.onUpstreamReset('reset', `${this.address}: ${this.errorMessage || 'connection closed'}`);
    else if (code === REFUSED_STREAM) x.onUpstreamReset('refused-stream', `${this.address} refused the stream`);
    else x.onUpstreamReset(remote ? 'reset' : 'protocol-error', `${this.address} reset the stream (code ${code})`);
  }

  onDrain(stream: H2Stream): void {
    (stream.user as Exchange | null)?.onUpstreamDrain();
  }

  onGoaway(): void {
    this.drain();
  }

  onSettings(): void {
    this.settling = false;
    this.pool.startWaiting();
  }

  onDrained(): void {
    this.hangUp();
  }

  onStreamSlots(): void {
    this.pool.startWaiting();
  }

  onConnectionError(_code: number, message: string): void {
    this.errorMessage ||= message;
    this.draining = true;
    this.hangUp();
  }

  onRequest(): void {}

  // -- SocketConnection -------------------------------------------------------------------------------------------

  protected onSocketBytes(chunk: Buffer): void {
    this.h2.receive(chunk);
  }

  protected onSocketEnd(): void {
    this.errorMessage ||= 'closed by the peer';
    this.destroy();
  }

  protected onSocketWritable(): void {
    this.h2.setWritable(true);
  }

  protected onSocketClose(): void {
    this.draining = true;
    this.h2.destroyed();
    this.pool.connectionGone(this);
  }

  override flush(): void {
    super.flush();
    if (!this.closed && !this.hasRoom()) this.h2.setWritable(false);
  }
}
