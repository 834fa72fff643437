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
import { localReply } from './local-reply.ts';
import { type Headers, header, type ResponseHead } from './message.ts';
import type { PeerInfo } from './peer-info.ts';
import { websocketAccept } from './websocket.ts';

/** Time a client has for a whole request head, counted from its first byte. */
const HEAD_TIMEOUT_MS = 30_000;
/** Time a connection is kept without a request. */
const KEEP_ALIVE_MS = 75_000;
/** While it drains, an idle connection is kept for so long. */
const DRAIN_IDLE_MS = 2_000;
/** After the last response the rest of a request is read and thrown away for so long, so that the client sees the response and no reset (RFC 9112 section 9.6). */
const LINGER_MS = 1_000;
/** A client that has taken nothing of the last response for this many times `LINGER_MS` is given up. */
const LINGER_STALLS = 75;
/** Unconsumed request bytes beyond which the socket is not read. */
const READ_AHEAD_BYTES = 64 * 1024;
/** The rest of a request that was answered early is thrown away up to this size, for the connection's sake. */
const DISCARD_BYTES = 256 * 1024;

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
  private lingerStalls = 0;
  private lingerWritten = -1;
  /** Reading and throwing away the rest of a request that has been answered; how much may come. */
  private discarding = 0;
  private draining = false;
  private parsing = false;
  /** Bytes of the next pipelined requests. */
  private rest: Buffer = EMPTY;
  private unconsumed = 0;
  private headTimerArmed = false;
  private tunnelTo: string | null = null;
  /** A request of HTTP/1.x has come on this connection. */
  private spokeHttp1 = false;

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
    // The next request may be on its way to us this very moment: it is answered, and told that it was the last.
    if (this.x === null && this.parser.idle && !this.lingering) this.manager.deadlines.arm(this, DRAIN_IDLE_MS);
  }

  kill(): void {
    this.destroy();
  }

  onExpired(): void {
    if (this.x !== null) return;
    if (this.lingering) this.lingerOn();
    // In the middle of a head the client gets to know why; between requests closing says enough.
    else if (this.parser.readingHead) this.refuse(408, 'the request head did not arrive in time');
    else if (this.draining) this.linger();
    else this.destroy();
  }

  // -- DownstreamConnection ---------------------------------------------------------------------------------------

  sendInformational(x: Exchange, head: ResponseHead): void {
    if (this.x !== x) return;
    // HTTP/1.0 knows no 1xx (RFC 9110 section 15.2).
    if (this.minor === 1) writeInformational(this.out, head.status, head.headers);
    if (head.status === 100) x.request.expectContinue = false;
  }

  sendHead(x: Exchange, head: ResponseHead, last: boolean): void {
    if (this.x !== x) return;
    if (x.tunnel) {
      this.openTunnel(x, head, last);
      return;
    }
    this.framing = framingForResponse(x.request.method, this.minor, head.status, last ? 0 : head.contentLength);
    if (this.framing === 'close' || this.endsWithRequest(x)) this.keepAlive = false;
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
    if (this.x !== x) return;
    if (this.raw) this.endSocket();
    // Without its last chunk the client would wait for ever: the connection has to end.
    else if (this.framing === 'chunked' && !writeLastChunk(this.out, trailers)) x.abort('UPE');
  }

  consume(_x: Exchange, bytes: number): void {
    this.unconsumed -= bytes;
    if (this.unconsumed <= READ_AHEAD_BYTES && this.socket.isPaused() && this.rest.length === 0) this.socket.resume();
  }

  abort(x: Exchange): void {
    // Cutting the connection is HTTP/1.1's only way to say that a response is incomplete.
    if (this.x !== x) return;
    this.x = null;
    // A client that sees nothing of a response that has begun may send its request again (RFC 9112 section 9.3.1).
    this.flush();
    // Where the end of the connection is the end of the body, it takes a reset to tell them apart.
    if (this.raw || this.framing === 'close') this.reset();
    else this.destroy();
  }

  release(x: Exchange): void {
    if (this.x !== x) return;
    this.x = null;
    this.unconsumed = 0;
    if (this.raw) {
      this.endSocket();
      return;
    }
    // An upgrade that was not accepted is a complete request all the same; CONNECT has no end but the connection's.
    const requestOver = x.requestEnded || x.request.protocol !== null;
    if (!this.keepAlive || (!requestOver && x.request.method === 'CONNECT')) {
      this.linger();
      return;
    }
    this.headTimerArmed = false;
    if (!requestOver) {
      this.discarding = DISCARD_BYTES;
      this.manager.deadlines.arm(this, HEAD_TIMEOUT_MS);
    } else this.manager.deadlines.arm(this, KEEP_ALIVE_MS);
    if (this.rest.length > 0) {
      // Next turn: a client that pipelines must not make us recurse.
      setImmediate(() => this.takeRest());
    } else if (this.socket.isPaused()) this.socket.resume();
  }

  // -- RequestParserEvents ----------------------------------------------------------------------------------------

  onRequest(head: Http1RequestHead): typeof CONTINUE | typeof STOP {
    disarm(this);
    this.spokeHttp1 = true;
    this.minor = head.minor;
    this.keepAlive = head.keepAlive && !this.draining;
    this.framing = 'none';
    // A server may ignore an upgrade (RFC 9110 section 7.8): those that HTTP/2 cannot carry, and those to TLS.
    if (head.protocol !== null && (head.method !== 'GET' || head.protocol.startsWith('tls/'))) head.protocol = null;
    const tunnel = head.method === 'CONNECT' || head.protocol !== null;
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
    const bytes = end - start;
    if (this.x !== null) {
      this.unconsumed += bytes;
      this.x.onRequestData(buf, start, end, false);
    } else if (this.discarding > 0) {
      this.discarding -= bytes;
      if (this.discarding <= 0) this.linger();
    }
  }

  onEnd(trailers: Headers | null): void {
    const x = this.x;
    if (x === null) {
      if (this.discarding > 0) this.manager.deadlines.arm(this, KEEP_ALIVE_MS);
      this.discarding = 0;
      return;
    }
    if (x.requestEnded) return;
    if (trailers !== null && trailers.length > 0) x.onRequestTrailers(trailers);
    else x.onRequestData(EMPTY, 0, 0, true);
  }

  onParseError(error: Http1ParseError): void {
    this.manager.protocolError(this.listener, this.remoteAddress, error.message);
    const x = this.x;
    if (x !== null) {
      // The connection is of no use afterwards: what follows cannot be told from what belongs to this request.
      this.keepAlive = false;
      if (x.responseStarted) x.abort('DPE');
      else localReply(x, error.status, 'DPE', error.message);
    } else if (this.discarding > 0)
      this.destroy(); // It has been answered.
    else if (error.code === 'BAD_VERSION' && !this.spokeHttp1)
      this.destroy(); // The client's protocol is another one, in which an answer of HTTP/1.1 would mean nothing.
    else this.refuse(error.status, error.message);
  }

  // -- SocketConnection -------------------------------------------------------------------------------------------

  protected onSocketBytes(chunk: Buffer): void {
    if (this.lingering) return;
    if (this.raw) {
      this.unconsumed += chunk.length;
      this.x?.onRequestData(chunk, 0, chunk.length, false);
    } else if (
      this.parsing ||
      this.rest.length > 0 ||
      (this.x !== null && (this.x.requestEnded || this.waitsForTunnel()))
    ) {
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
    // What is still on its way to a client that has closed its side is not for us to cut off.
    if (this.lingering && !this.socket.writableFinished) return;
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

  /** Whether the connection cannot outlive a response that begins now, because of the request that it answers. */
  private endsWithRequest(x: Exchange): boolean {
    if (x.requestEnded || x.request.protocol !== null) return false;
    const { contentLength, expectContinue } = x.request;
    // A client that was not told to go on may or may not send its body (RFC 9110 section 10.1.1).
    return expectContinue || contentLength < 0 || contentLength > DISCARD_BYTES;
  }

  private openTunnel(x: Exchange, head: ResponseHead, last: boolean): void {
    this.raw = true;
    this.keepAlive = false;
    const protocol = x.request.protocol;
    if (protocol === 'websocket' && header(head.headers, 'sec-websocket-accept') === undefined) {
      // An application that speaks HTTP/2 (RFC 8441 section 5) does not know what HTTP/1.1 clients expect.
      const key = header(x.request.headers, 'sec-websocket-key');
      if (key !== undefined) head.headers.push('sec-websocket-accept', websocketAccept(key));
    }
    const status = protocol === null ? head.status : 101;
    const connection = { minor: 1, keepAlive: true, upgrade: protocol } as const;
    if (!writeResponseHead(this.out, status, head.headers, 'none', connection)) {
      x.abort('UPE');
      return;
    }
    if (last) this.endSocket();
    this.takeRest();
  }

  private parse(chunk: Buffer): void {
    let buf = chunk;
    for (;;) {
      if (!this.headTimerArmed && this.x === null && this.discarding === 0) {
        this.headTimerArmed = true;
        this.manager.deadlines.arm(this, HEAD_TIMEOUT_MS);
      }
      this.parsing = true;
      const at = this.parser.execute(buf, 0, buf.length);
      this.parsing = false;
      if (this.tunnelTo !== null) {
        this.out.latin1('HTTP/1.1 200 Connection established\r\n\r\n');
        this.listener.connections.delete(this);
        this.listener.acceptTunnel(this.detach(), buf.subarray(at), this.tunnelTo);
        return;
      }
      if (at >= buf.length || this.closed || this.lingering) return;
      buf = buf.subarray(at);
      if (this.x !== null || this.raw) break;
    }
    this.rest = buf;
    if (this.raw) this.takeRest();
    else this.socket.pause();
  }

  /** Goes on with bytes that had to wait. */
  private takeRest(): void {
    if (this.parsing || this.closed || this.lingering || (this.x !== null && !this.raw)) return;
    const chunk = this.rest;
    this.rest = EMPTY;
    if (this.socket.isPaused()) this.socket.resume();
    if (chunk.length > 0) this.onSocketBytes(chunk);
  }

  /** Answers a request that never became an exchange. */
  private refuse(status: number, message: string): void {
    const body = Buffer.from(`${message}\n`, 'latin1');
    const headers = ['content-type', 'text/plain; charset=utf-8', 'content-length', String(body.length)];
    headers.push('x-mesh-response-flags', 'DPE');
    writeResponseHead(this.out, status, headers, 'length', { minor: 1, keepAlive: false, upgrade: null });
    this.out.bytes(body, 0, body.length);
    this.linger();
  }

  /** Ends our side and reads on until the client has ended its own. */
  private linger(): void {
    this.endSocket();
    this.lingering = true;
    this.discarding = 0;
    this.rest = EMPTY;
    if (this.socket.isPaused()) this.socket.resume();
    this.manager.deadlines.arm(this, LINGER_MS);
  }

  /** A second has gone by. A client that reads slowly gets all of its response. */
  private lingerOn(): void {
    const written = this.socket.bytesWritten - this.socket.writableLength;
    this.lingerStalls = written === this.lingerWritten ? this.lingerStalls + 1 : 0;
    this.lingerWritten = written;
    if (this.socket.writableFinished || this.lingerStalls >= LINGER_STALLS) this.destroy();
    else this.manager.deadlines.arm(this, LINGER_MS);
  }
}
