import type { Socket } from 'node:net';
import { hostKey } from './authority.ts';
import { SocketConnection } from './connection.ts';
import type { ConnectionManager } from './connection-manager.ts';
import { disarm, type Expiring } from './deadlines.ts';
import type { DownstreamConnection, Exchange } from './exchange.ts';
import { type Framing, framingForResponse } from './http1/framing.ts';
import type { Http1ParseError } from './http1/parse-error.ts';
import { type Http1RequestHead, Http1RequestParser } from './http1/request-parser.ts';
import { CONTINUE, STOP } from './http1/signals.ts';
import { writeChunk, writeInformational, writeLastChunk, writeResponseHead } from './http1/writer.ts';
import type { ListenerContext } from './listener-context.ts';
import type { Headers, ResponseHead } from './message.ts';
import type { PeerInfo } from './peer-info.ts';

/** Time a client has for a whole request head, counted from its first byte. */
const HEAD_TIMEOUT_MS = 30_000;
/** Time a connection is kept without a request. */
const KEEP_ALIVE_MS = 75_000;
/** After the last response the rest of a request is read and thrown away for so long, so that the client sees the response and no reset (RFC 9112 section 9.6). */
const LINGER_MS = 1_000;
/** Unconsumed request bytes beyond which the socket is not read. */
const READ_AHEAD_BYTES = 64 * 1024;

const EMPTY = Buffer.alloc(0);

/** The server end of an HTTP/1.x connection; one exchange at a time, pipelined requests wait in the read buffer. */
export class Http1Downstream extends SocketConnection implements DownstreamConnection, Expiring {
  expiresAtMs = 0;
  expiryPrevious: Expiring | null = null;
  expiryNext: Expiring | null = null;
  expiryList = null;

  private readonly parser: Http1RequestParser;
  private x: Exchange | null = null;
  private minor: 0 | 1 = 1;
  private keepAlive = true;
  private framing: Framing = 'none';
  private raw = false;
  /** Reading and throwing away until the client closes. */
  private lingering = false;
  private draining = false;
  private parsing = false;
  /** Bytes of the next pipelined requests. */
  private rest: Buffer = EMPTY;
  private unconsumed = 0;
  private headTimerArmed = false;
  private tunnelTo: string | null = null;

  constructor(
    socket: Socket,
    private readonly manager: ConnectionManager,
    private readonly listener: ListenerContext,
    private readonly peer: PeerInfo,
  ) {
    super(socket);
    this.parser = new Http1RequestParser(this);
    listener.connections.add(this);
    manager.deadlines.arm(this, HEAD_TIMEOUT_MS);
  }

  /** Bytes that were read before this connection was made. */
  receive(chunk: Buffer): void {
    this.onSocketBytes(chunk);
  }

  drain(): void {
    this.draining = true;
    this.keepAlive = false;
    if (this.x === null && this.parser.idle) this.endSocket();
  }

  kill(): void {
    this.destroy();
  }

  onExpired(): void {
    if (this.x !== null) return;
    // In the middle of a head the client gets to know why; between requests closing says enough.
    if (!this.parser.idle && !this.lingering) this.refuse(408, 'the request head did not arrive in time');
    else this.destroy();
  }

  // -- DownstreamConnection ---------------------------------------------------------------------------------------

  sendInformational(x: Exchange, head: ResponseHead): void {
    // HTTP/1.0 knows no 1xx (RFC 9110 section 15.2).
    if (this.x === x && this.minor === 1) writeInformational(this.out, head.status, head.headers);
  }

  sendHead(x: Exchange, head: ResponseHead, last: boolean): void {
    if (this.x !== x) return;
    if (x.tunnel) {
      this.raw = true;
      this.keepAlive = false;
      const protocol = x.request.protocol;
      const status = protocol === null ? head.status : 101;
      writeResponseHead(this.out, status, head.headers, 'none', { minor: 1, keepAlive: true, upgrade: protocol });
      this.takeRest();
      return;
    }
    this.framing = framingForResponse(x.request.method, this.minor, head.status, last ? 0 : head.contentLength);
    if (this.framing === 'close') this.keepAlive = false;
    const connection = { minor: this.minor, keepAlive: this.keepAlive, upgrade: null };
    // HTTP/2 and filters can carry fields that HTTP/1.1 must not: the response is broken then, not mended.
    if (!writeResponseHead(this.out, head.status, head.headers, this.framing, connection)) x.abort('UPE');
  }

  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean {
    if (this.x !== x) return true;
    if (this.raw) {
      this.out.bytes(buf, start, end);
      if (last) this.endSocket();
    } else if (this.framing === 'none' || this.framing === 'head') {
      // A body here would be taken for the next response.
    } else if (this.framing === 'chunked') {
      if (end > start) writeChunk(this.out, buf, start, end);
      if (last) writeLastChunk(this.out, null);
    } else this.out.bytes(buf, start, end);
    return this.hasRoom();
  }

  sendTrailers(x: Exchange, trailers: Headers): void {
    if (this.x === x && this.framing === 'chunked') writeLastChunk(this.out, trailers);
  }

  consume(_x: Exchange, bytes: number): void {
    this.unconsumed -= bytes;
    if (this.unconsumed <= READ_AHEAD_BYTES && this.socket.isPaused() && this.rest.length === 0) this.socket.resume();
  }

  abort(x: Exchange): void {
    // Cutting the connection is HTTP/1.1's only way to say that a response is incomplete.
    if (this.x !== x) return;
    this.x = null;
    this.destroy();
  }

  release(x: Exchange): void {
    if (this.x !== x) return;
    this.x = null;
    this.unconsumed = 0;
    if (this.raw || this.framing === 'close') {
      this.endSocket();
      return;
    }
    // An upgrade that was not accepted is a complete request all the same.
    const refusedUpgrade = x.request.protocol !== null;
    if (!x.requestEnded && !refusedUpgrade) {
      this.linger();
      return;
    }
    if (!this.keepAlive || this.draining) {
      this.endSocket();
      this.lingerUntilClosed();
      return;
    }
    this.manager.deadlines.arm(this, KEEP_ALIVE_MS);
    this.headTimerArmed = false;
    if (this.rest.length > 0) {
      // Next turn: a client that pipelines must not make us recurse.
      setImmediate(() => this.takeRest());
    } else if (this.socket.isPaused()) this.socket.resume();
  }

  // -- RequestParserEvents ----------------------------------------------------------------------------------------

  onRequest(head: Http1RequestHead): typeof CONTINUE | typeof STOP {
    disarm(this);
    this.minor = head.minor;
    this.keepAlive = head.keepAlive && !this.draining;
    // Upgrades to HTTP/2 or TLS are offers that a server may ignore (RFC 9110 section 7.8); these two we do.
    if (head.protocol === 'h2c' || head.protocol?.startsWith('tls/')) head.protocol = null;
    const tunnel = head.method === 'CONNECT' || (head.protocol !== null && head.contentLength === 0 && !head.chunked);
    if (!tunnel) head.protocol = null;
    if (head.method === 'CONNECT' && this.listener.spec.kind === 'outbound') {
      const service = this.manager.serviceByHost(hostKey(head.authority));
      if (service !== null) {
        // What comes through is a connection to that service like any other: HTTP in it is routed as HTTP.
        this.tunnelTo = service;
        return STOP;
      }
    }
    const x = this.manager.begin(this, this.listener, this.peer, head, !tunnel && head.contentLength === 0);
    x.absoluteForm = head.form === 'absolute';
    this.x = x;
    this.manager.route(x);
    return tunnel ? STOP : CONTINUE;
  }

  onData(buf: Buffer, start: number, end: number): void {
    if (this.x === null) return;
    this.unconsumed += end - start;
    this.x.onRequestData(buf, start, end, false);
  }

  onEnd(trailers: Headers | null): void {
    const x = this.x;
    if (x === null || x.requestEnded) return;
    if (trailers !== null && trailers.length > 0) x.onRequestTrailers(trailers);
    else x.onRequestData(EMPTY, 0, 0, true);
  }

  onParseError(error: Http1ParseError): void {
    this.manager.protocolError(this.listener, this.remoteAddress, error.message);
    if (this.x !== null) {
      // Broken framing in the middle of a body: the response, if any, cannot be trusted to belong to it.
      this.x.abort('DPE');
      return;
    }
    this.refuse(error.status, error.message);
  }

  // -- SocketConnection -------------------------------------------------------------------------------------------

  protected onSocketBytes(chunk: Buffer): void {
    if (this.lingering) return;
    if (this.raw) {
      this.unconsumed += chunk.length;
      this.x?.onRequestData(chunk, 0, chunk.length, false);
    } else if (this.parsing || this.rest.length > 0 || (this.x !== null && (this.x.requestEnded || this.waitsForTunnel()))) {
      // A pipelined request, or the first bytes of a tunnel that is not open yet.
      this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
      this.socket.pause();
      return;
    } else this.parse(chunk);
    if (this.unconsumed > READ_AHEAD_BYTES && !this.closed) this.socket.pause();
  }

  protected onSocketEnd(): void {
    const x = this.x;
    if (this.raw && x !== null) {
      x.onRequestData(EMPTY, 0, 0, true);
      return;
    }
    // A client that closes its side has gone away, as far as HTTP/1.1 servers agree (nginx, Envoy, Node).
    this.x = null;
    this.destroy();
    x?.onDownstreamGone();
  }

  protected onSocketWritable(): void {
    this.x?.onDownstreamDrain();
  }

  protected onSocketClose(): void {
    disarm(this);
    this.listener.connections.delete(this);
    const x = this.x;
    this.x = null;
    x?.onDownstreamGone();
  }

  private waitsForTunnel(): boolean {
    const request = this.x?.request;
    return request !== undefined && (request.method === 'CONNECT' || request.protocol !== null);
  }

  private parse(chunk: Buffer): void {
    if (!this.headTimerArmed && this.x === null) {
      this.headTimerArmed = true;
      this.manager.deadlines.arm(this, HEAD_TIMEOUT_MS);
    }
    this.parsing = true;
    const at = this.parser.execute(chunk, 0, chunk.length);
    this.parsing = false;
    if (this.tunnelTo !== null) {
      this.out.latin1('HTTP/1.1 200 Connection established\r\n\r\n');
      this.listener.connections.delete(this);
      this.listener.acceptTunnel(this.detach(), chunk.subarray(at), this.tunnelTo);
      return;
    }
    if (at >= chunk.length || this.closed || this.lingering) return;
    this.rest = chunk.subarray(at);
    if (this.x === null || this.raw) this.takeRest();
    else this.socket.pause();
  }

  /** Goes on with bytes that had to wait. */
  private takeRest(): void {
    if (this.parsing || this.closed || (this.x !== null && !this.raw)) return;
    const chunk = this.rest;
    this.rest = EMPTY;
    if (this.socket.isPaused()) this.socket.resume();
    if (chunk.length > 0) this.onSocketBytes(chunk);
  }

  /** Answers a request that never became an exchange. */
  private refuse(status: number, message: string): void {
    const body = Buffer.from(`${message}\n`, 'latin1');
    const headers = ['content-type', 'text/plain; charset=utf-8', 'content-length', String(body.length), 'x-mesh-response-flags', 'DPE'];
    writeResponseHead(this.out, status, headers, 'length', { minor: 1, keepAlive: false, upgrade: null });
    this.out.bytes(body, 0, body.length);
    this.linger();
  }

  private linger(): void {
    this.endSocket();
    this.lingerUntilClosed();
  }

  private lingerUntilClosed(): void {
    this.lingering = true;
    this.rest = EMPTY;
    if (this.socket.isPaused()) this.socket.resume();
    this.manager.deadlines.arm(this, LINGER_MS);
  }
}
