import type { Socket } from 'node:net';
import { SocketConnection } from './connection.ts';
import type { Connector } from './connector.ts';
import { type Deadlines, disarm, type Expiring } from './deadlines.ts';
import type { Exchange, UpstreamConnection } from './exchange.ts';
import { framingForRequest } from './http1/framing.ts';
import type { Http1ParseError } from './http1/parse-error.ts';
import { type Http1ResponseHead, Http1ResponseParser } from './http1/response-parser.ts';
import { CONTINUE, STOP } from './http1/signals.ts';
import { writeChunk, writeLastChunk, writeRequestHead } from './http1/writer.ts';
import { deleteHeader, type Headers, header, type ResponseHead } from './message.ts';
import type { UpstreamPool } from './upstream.ts';
import { websocketAccept, websocketKey } from './websocket.ts';

/** Idle connections are closed by us before the application does it: Node's server keeps them 5 s. */
const IDLE_MS = 4_000;
/** Unconsumed response bytes beyond which the socket is not read. */
const READ_AHEAD_BYTES = 64 * 1024;
/** Most connections to one application; exchanges beyond that wait for one. */
const MAX_CONNECTIONS = 1_024;

/** HTTP/1.1 connections to one address, the most recently used one first. */
export class Http1Pool implements UpstreamPool {
  private readonly idle: Http1Upstream[] = [];
  private readonly all = new Set<Http1Upstream>();
  /** Exchanges waiting for a connection, oldest first; a set, so that cancelling does not search. */
  private readonly waiting = new Set<Exchange>();
  private readonly connecting = new Set<Socket>();
  private closed = false;

  constructor(
    private readonly connector: Connector,
    readonly deadlines: Deadlines,
  ) {}

  acquire(x: Exchange): void {
    // What an idle connection has refused by closing gets a new one: the others may be as stale.
    const connection = x.lastFailure === '' ? this.idle.pop() : undefined;
    if (connection !== undefined) {
      connection.start(x);
      return;
    }
    this.waiting.add(x);
    this.connect();
  }

  cancel(x: Exchange): void {
    this.waiting.delete(x);
  }

  drain(): void {
    this.closed = true;
    for (const connection of this.idle.splice(0)) connection.close();
  }

  destroy(): void {
    this.closed = true;
    const failed = [...this.waiting];
    // First, or each connection that closes would have the next one opened.
    this.waiting.clear();
    for (const socket of this.connecting) socket.destroy();
    for (const connection of [...this.all]) connection.close();
    for (const x of failed) x.onUpstreamReset('connect-failure', `${this.connector.address}: closed`);
  }

  /** A connection is free for its next exchange. */
  giveBack(connection: Http1Upstream): void {
    for (const x of this.waiting) {
      this.waiting.delete(x);
      connection.start(x);
      return;
    }
    if (this.closed) {
      connection.close();
      return;
    }
    this.idle.push(connection);
    connection.rest();
  }

  gone(connection: Http1Upstream): void {
    this.all.delete(connection);
    const at = this.idle.indexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
    if (this.waiting.size > this.connecting.size) this.connect();
  }

  private connect(): void {
    if (this.connecting.size >= this.waiting.size || this.all.size + this.connecting.size >= MAX_CONNECTIONS) return;
    const pending = this.connector.connect((failure, socket) => {
      this.connecting.delete(pending);
      if (failure === null) {
        const connection = new Http1Upstream(socket, this, this.connector.address);
        this.all.add(connection);
        this.giveBack(connection);
        return;
      }
      // One failed connection fails one exchange: the others have connections of their own under way.
      for (const x of this.waiting) {
        this.waiting.delete(x);
        x.onUpstreamReset('connect-failure', `${this.connector.address}: ${failure}`);
        break;
      }
      // Those beyond the limit of connections had none under way.
      this.connect();
    });
    this.connecting.add(pending);
  }
}

class Http1Upstream extends SocketConnection implements UpstreamConnection, Expiring {
  expiresAtMs = 0;
  expiryPrevious: Expiring | null = null;
  expiryNext: Expiring | null = null;
  expiryList = null;

  private readonly parser = new Http1ResponseParser(this);
  private x: Exchange | null = null;
  private chunked = false;
  private raw = false;
  private reusable = true;
  private served = 0;
  private gotBytes = false;
  private parsing = false;
  private settling = false;
  /** The application has closed its side. */
  private ended = false;
  private requestDone = true;
  private responseDone = true;
  /** Bytes of a tunnel to be, until the application has agreed to switch: before, they would be a request to it. */
  private held: Buffer[] | null = null;
  private heldEnd = false;
  /** The key of a WebSocket handshake that we made up; empty: the client's own. */
  private madeUpKey = '';
  /** Whether any of the request may have left. */
  private sent = false;
  private unconsumed = 0;
  private idleMs = IDLE_MS;

  constructor(
    socket: Socket,
    private readonly pool: Http1Pool,
    private readonly address: string,
  ) {
    super(socket);
  }

  override get remoteAddress(): string {
    return this.address;
  }

  start(x: Exchange): void {
    disarm(this);
    const request = x.request;
    const last = x.headEndsRequest;
    this.x = x;
    this.gotBytes = false;
    this.sent = false;
    this.requestDone = last;
    this.heldEnd = last && request.protocol !== null;
    this.responseDone = false;
    const framing = framingForRequest(request.method, request.protocol, last ? 0 : request.contentLength);
    this.chunked = framing === 'chunked';
    if (request.protocol === 'websocket' && header(request.headers, 'sec-websocket-key') === undefined) {
      this.madeUpKey = websocketKey();
      request.headers.push('sec-websocket-key', this.madeUpKey);
    }
    const written = writeRequestHead(this.out, request, request.headers, framing);
    if (this.madeUpKey !== '') deleteHeader(request.headers, 'sec-websocket-key');
    if (!written) {
      this.x = null;
      this.requestDone = this.responseDone = true;
      this.settle();
      x.onUpstreamReset('protocol-error', 'the request has a field that HTTP/1.1 cannot carry');
      return;
    }
    this.parser.expect(request.method, request.protocol !== null);
    x.onUpstreamOpen(this);
  }

  /** Waits for its next exchange. */
  rest(): void {
    this.pool.deadlines.arm(this, this.idleMs);
  }

  onExpired(): void {
    this.close();
  }

  close(): void {
    this.destroy();
  }

  // -- UpstreamConnection -----------------------------------------------------------------------------------------

  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean {
    if (this.x !== x) return true;
    if (x.request.protocol !== null && !this.raw) {
      if (end > start) (this.held ??= []).push(buf.subarray(start, end));
      if (last) this.heldEnd = true;
      return false;
    }
    if (this.chunked) {
      if (end > start) writeChunk(this.out, buf, start, end);
      if (last) writeLastChunk(this.out, null);
    } else this.out.bytes(buf, start, end);
    if (last) this.endRequest();
    return this.hasRoom();
  }

  sendTrailers(x: Exchange, trailers: Headers): void {
    if (this.x !== x) return;
    // Without chunks there is no place for trailers (RFC 9112 section 7.1.2): the length was promised.
    if (this.chunked && !writeLastChunk(this.out, trailers)) {
      this.fail('protocol-error', 'the request has a trailer that HTTP/1.1 cannot carry');
      return;
    }
    if (x.request.protocol !== null && !this.raw) this.heldEnd = true;
    else this.endRequest();
  }

  consume(_x: Exchange, bytes: number): void {
    this.unconsumed -= bytes;
    if (this.unconsumed <= READ_AHEAD_BYTES && this.socket.isPaused()) this.socket.resume();
  }

  release(x: Exchange): void {
    if (this.x !== x) return;
    this.x = null;
    if (!this.requestDone || !this.responseDone) {
      if (this.raw) this.reset();
      else this.destroy();
    }
    // The parser is still in the old response: the next exchange must not touch it yet.
    else if (this.parsing) this.settling = true;
    else this.settle();
  }

  // -- ResponseParserEvents ---------------------------------------------------------------------------------------

  onInformational(head: ResponseHead): void {
    this.x?.onInformational(head);
  }

  onResponse(head: Http1ResponseHead): typeof CONTINUE | typeof STOP {
    const x = this.x;
    if (x === null) return STOP;
    if (!head.keepAlive) this.reusable = false;
    // It says how long it waits: leave before it hangs up.
    if (head.keepAliveTimeoutMs > 0) this.idleMs = Math.min(60_000, Math.max(500, head.keepAliveTimeoutMs - 1_000));
    if (head.status === 101) {
      this.switchProtocols(x, head);
      return STOP;
    }
    const last = head.contentLength === 0;
    if (last) this.responseDone = true;
    x.onResponse(head, last);
    return CONTINUE;
  }

  onData(buf: Buffer, start: number, end: number): void {
    const x = this.x;
    if (x === null) return;
    this.unconsumed += end - start;
    x.onResponseData(buf, start, end, false);
  }

  onEnd(trailers: Headers | null): void {
    this.responseDone = true;
    const x = this.x;
    if (x === null || x.responseEnded) return;
    if (trailers !== null && trailers.length > 0) x.onResponseTrailers(trailers);
    else x.onResponseData(EMPTY, 0, 0, true);
  }

  onParseError(error: Http1ParseError): void {
    // A response that the connection's end cut short is a broken connection, which `onSocketClose` reports.
    if (this.ended) return;
    this.fail('protocol-error', `invalid response: ${error.message}`);
  }

  // -- SocketConnection -------------------------------------------------------------------------------------------

  protected onSocketBytes(chunk: Buffer): void {
    this.gotBytes = true;
    const x = this.x;
    if (x === null) {
      // Bytes that nobody asked for: the connection cannot be trusted with another exchange.
      this.destroy();
      return;
    }
    let at = 0;
    if (!this.raw) {
      this.parsing = true;
      at = this.parser.execute(chunk, 0, chunk.length);
      this.parsing = false;
      // More than one response to one request: nothing that follows can be trusted.
      if (!this.raw && at < chunk.length) this.reusable = false;
    }
    if (this.settling) {
      this.settling = false;
      this.settle();
    } else if (this.raw && at < chunk.length && this.x === x) {
      this.unconsumed += chunk.length - at;
      x.onResponseData(chunk, at, chunk.length, false);
    }
    if (this.unconsumed > READ_AHEAD_BYTES && !this.closed) this.socket.pause();
  }

  protected onSocketEnd(): void {
    const x = this.x;
    if (this.raw) {
      this.responseDone = true;
      x?.onResponseData(EMPTY, 0, 0, true);
      return;
    }
    this.reusable = false;
    this.ended = true;
    // The end of a body without another delimiter.
    if (x !== null && !this.responseDone) this.parser.finish();
    this.errorMessage ||= 'closed by the application';
    this.destroy();
  }

  protected onSocketWritable(): void {
    this.x?.onUpstreamDrain();
  }

  protected onSocketClose(reason: string): void {
    disarm(this);
    this.pool.gone(this);
    const x = this.x;
    if (x === null) return;
    this.x = null;
    // An idle connection that closes as it is used again: what never left can be sent again on a new one, and so can
    // idempotent requests that the application has most likely not read (RFC 9112 section 9.3.1).
    const unread = !this.sent || (this.served > 0 && !this.gotBytes && isIdempotent(x.request.method));
    x.onUpstreamReset(unread ? 'refused-stream' : 'reset', `${this.address}: ${reason}`);
  }

  override flush(): void {
    this.sent = true;
    super.flush();
  }

  private switchProtocols(x: Exchange, head: Http1ResponseHead): void {
    if (this.madeUpKey !== '') {
      // To the client, which has not sent the key, the answer to it means nothing; to us it does (RFC 6455 section 4.1).
      const accept = header(head.headers, 'sec-websocket-accept');
      if (accept !== websocketAccept(this.madeUpKey)) {
        this.fail('protocol-error', 'accepted a WebSocket with a wrong sec-websocket-accept');
        return;
      }
      deleteHeader(head.headers, 'sec-websocket-accept');
    }
    this.raw = true;
    this.reusable = false;
    x.tunnel = true;
    // Between the two sides an upgrade that was accepted is a 200, as in RFC 8441.
    x.onResponse({ status: 200, headers: head.headers, contentLength: -1 }, false);
    if (this.x !== x) return;
    const held = this.held;
    this.held = null;
    if (held !== null) for (const piece of held) this.out.bytes(piece, 0, piece.length);
    if (this.heldEnd) this.endRequest();
    if (this.hasRoom()) x.onUpstreamDrain();
  }

  private endRequest(): void {
    this.requestDone = true;
    if (this.raw) this.endSocket();
  }

  private settle(): void {
    this.served++;
    this.unconsumed = 0;
    this.held = null;
    this.heldEnd = false;
    this.madeUpKey = '';
    if (this.closed) return;
    if (this.socket.isPaused()) this.socket.resume();
    if (this.reusable && !this.raw) this.pool.giveBack(this);
    else if (this.raw) this.endSocket();
    else this.destroy();
  }

  private fail(failure: 'protocol-error', message: string): void {
    const x = this.x;
    this.x = null;
    this.destroy();
    x?.onUpstreamReset(failure, `${this.address}: ${message}`);
  }
}

const EMPTY = Buffer.alloc(0);

/** RFC 9110 section 9.2.2. */
function isIdempotent(method: string): boolean {
  return (
    method === 'GET' ||
    method === 'HEAD' ||
    method === 'OPTIONS' ||
    method === 'PUT' ||
    method === 'DELETE' ||
    method === 'TRACE'
  );
}
