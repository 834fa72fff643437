import { performance } from 'node:perf_hooks';
import type { Backend, RetryPolicy } from '../model/resolved.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { EndpointState } from './cluster/endpoint.ts';
import type { NoResponse as AttemptFailure } from './cluster/outcome.ts';
import { type Deadlines, disarm, type Expiring } from './deadlines.ts';
import type { LocalReply } from './filter-chain.ts';
import { encodeGrpcMessage, GRPC_UNAVAILABLE } from './grpc-status.ts';
import type { H2Stream } from './http2/stream.ts';
import type { ListenerContext } from './listener-context.ts';
import type { Headers, RequestHead, ResponseHead } from './message.ts';
import type { PeerInfo } from './peer-info.ts';
import type { ResponseFlag } from './response-flags.ts';
import type { CompiledRoute } from './route-table.ts';
import type { BodyCapture } from './telemetry/body-capture.ts';
import type { CounterSlot } from './telemetry/counters.ts';
import type { UpstreamPool } from './upstream.ts';

/** Longest silence of an upgraded connection of which one side has ended. */
const HALF_CLOSED_IDLE_MS = 5_000;
/** A body of at most this many bytes is kept so that the request can be tried again. */
const REPLAY_BYTES = 64 * 1024;

/** The side that faces the client. One connection object serves many exchanges; `x` says which. */
export interface DownstreamConnection {
  /** Address of the client, for ring hashing and `x-forwarded-for`. */
  readonly remoteAddress: string;
  sendInformational(x: Exchange, head: ResponseHead): void;
  sendHead(x: Exchange, head: ResponseHead, last: boolean): void;
  /** False: hold back until `x.onDownstreamDrain()`. */
  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean;
  sendTrailers(x: Exchange, trailers: Headers): void;
  /** So many bytes of the request's body have been passed on; the client may send as many more. */
  consume(x: Exchange, bytes: number): void;
  /** The response cannot be finished: the client must see that it is broken. */
  abort(x: Exchange, cause: 'internal' | 'cancel' | 'refused'): void;
  /** The response is complete. If the request is not, the rest of it is not wanted. */
  release(x: Exchange): void;
}

/** The side that faces the application or another proxy. */
export interface UpstreamConnection {
  /** Address of the peer, for people. */
  readonly remoteAddress: string;
  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean;
  sendTrailers(x: Exchange, trailers: Headers): void;
  consume(x: Exchange, bytes: number): void;
  /** Lets go of the exchange: nothing more will come from it; what it began is cancelled unless complete. */
  release(x: Exchange): void;
}

/** Decides what the events of an exchange lead to; implemented by the router. */
export interface ExchangeOwner {
  attemptFailed(x: Exchange, failure: AttemptFailure, message: string): void;
  /** False: the response was not passed on, another attempt is under way. */
  responseArrived(x: Exchange, head: ResponseHead): boolean;
  timedOut(x: Exchange, kind: TimerKind): void;
  finished(x: Exchange): void;
}

export type TimerKind = 'request' | 'per-try' | 'idle' | 'parking' | 'backoff';

/** Requests under way towards one application port. */
export interface InFlightCounter {
  leave(): void;
}

/** A deadline of an exchange. */
export class ExchangeTimer implements Expiring {
  expiresAtMs = 0;
  expiryPrevious: Expiring | null = null;
  expiryNext: Expiring | null = null;
  expiryList = null;

  constructor(
    private readonly x: Exchange,
    readonly kind: TimerKind,
  ) {}

  onExpired(): void {
    this.x.owner.timedOut(this.x, this.kind);
  }
}

/**
 * One request and its response on their way through one proxy: the record that filters, router and connections share.
 * Fixed shape; also the pump that moves bodies with backpressure. HTTP/1.1 and HTTP/2 streams, upgrades and raw TCP
 * are all exchanges: a tunnel is one whose bodies run until both sides have ended them.
 */
export class Exchange {
  downStream: H2Stream | null = null;
  /** The client speaks HTTP/2; stays when the stream is let go of. */
  fromHttp2 = false;
  upConn: UpstreamConnection | null = null;
  upStream: H2Stream | null = null;

  /** As the client sent them: filters may rewrite those of `request`. */
  readonly authority: string;
  readonly path: string;

  // what the router decided
  route: CompiledRoute | null = null;
  /** The gateway's route, where the service's own routes decided after it: its response filters run too. */
  outerRoute: CompiledRoute | null = null;
  /** What is tried again; of `route`, or of `outerRoute` where that says so itself. */
  retry: RetryPolicy | null = null;
  matchIndex = 0;
  backend: Backend | null = null;
  cluster: Cluster | null = null;
  endpoint: EndpointState | null = null;
  pool: UpstreamPool | null = null;
  reply: LocalReply | null = null;
  /** Bytes that are no HTTP message: CONNECT, upgrades after 101, TCP. */
  tunnel = false;
  grpc = false;
  /** Who is at the other end of the downstream connection. */
  peer: PeerInfo | null = null;
  /** The client took us for its HTTP proxy: it named a whole URL. */
  absoluteForm = false;
  tries = 0;
  /** Endpoints that failed this request, by instance name. */
  tried: string[] | null = null;
  lastFailure = '';
  flag: ResponseFlag | '' = '';
  /** Waits for an instance. */
  parked = false;
  /** When it began to wait for the first time; 0: never. What it waits in all is bounded. */
  parkedSinceMs = 0;
  /** Name of the instance that was tried last. */
  lastEndpoint = '';
  /** Inbound: counts the exchange towards its application until it ends. */
  appInFlight: InFlightCounter | null = null;

  // progress
  requestEnded: boolean;
  requestTrailers: Headers | null = null;
  responseStarted = false;
  responseEnded = false;
  finished = false;
  status = 0;
  grpcStatus = -1;
  requestBytes = 0;
  responseBytes = 0;
  /** Monotonic milliseconds; 0: it did not come to that. The last time an endpoint was picked, and the response's head. */
  pickedAtMs = 0;
  firstByteAtMs = 0;
  /** When the last try had a connection, where it had to wait for one; 0: it did not. */
  connectedAtMs = 0;
  waitsForConnection = false;
  /** Of the bodies, for a tap that asks for them; nearly always null. */
  capture: BodyCapture | null = null;
  /** As passed on to the client. */
  responseHeaders: Headers | null = null;
  /** Where the exchange is counted, from when its destination is known. */
  counter: CounterSlot | null = null;
  traceId = '';
  spanId = '';
  /** Span that the request came with; empty where the trace began here. */
  parentSpanId = '';
  sampled = false;

  // body towards upstream
  private body: Buffer[] | null = null;
  private bodyBytes = 0;
  /** Received, not yet credited back to the client. */
  private unconsumedRequest = 0;
  /** The same for the response, towards the upstream. */
  private unconsumedResponse = 0;
  canReplay = false;

  requestTimer: ExchangeTimer | null = null;
  tryTimer: ExchangeTimer | null = null;
  idleTimer: ExchangeTimer | null = null;
  waitTimer: ExchangeTimer | null = null;
  idleMs = 0;

  constructor(
    readonly listener: ListenerContext,
    readonly owner: ExchangeOwner,
    readonly deadlines: Deadlines,
    readonly downConn: DownstreamConnection,
    public request: RequestHead,
    /** Scheme by which the client came: to this listener, not on the link. */
    readonly scheme: 'http' | 'https',
    requestEnded: boolean,
    readonly startedAtMs: number,
  ) {
    this.requestEnded = requestEnded;
    this.authority = request.authority;
    this.path = request.path;
  }

  // -- from the client ------------------------------------------------------------------------------------------

  onRequestData(buf: Buffer, start: number, end: number, last: boolean): void {
    if (this.finished) return;
    const bytes = end - start;
    this.requestBytes += bytes;
    if (this.capture !== null) this.capture.onRequest(buf, start, end);
    if (last) this.endRequest();
    this.touch();
    const up = this.upConn;
    if (up === null) {
      if (bytes > 0) this.keep(buf, start, end);
      this.unconsumedRequest += bytes;
      return;
    }
    if (this.canReplay && bytes > 0) {
      if (this.bodyBytes + bytes <= REPLAY_BYTES) this.keep(buf, start, end);
      else this.forgetBody();
    }
    if (up.sendData(this, buf, start, end, last) && this.unconsumedRequest === 0) {
      if (bytes > 0) this.downConn.consume(this, bytes);
    } else this.unconsumedRequest += bytes;
    if (last && this.responseEnded) this.endResponse();
  }

  /** Whether the request's head is all there is to send, as far as is known now. */
  get headEndsRequest(): boolean {
    return this.requestEnded && this.body === null && this.requestTrailers === null;
  }

  onRequestTrailers(trailers: Headers): void {
    if (this.finished) return;
    this.endRequest();
    this.requestTrailers = trailers;
    this.upConn?.sendTrailers(this, trailers);
  }

  onDownstreamDrain(): void {
    const bytes = this.unconsumedResponse;
    if (bytes === 0 || this.upConn === null) return;
    this.unconsumedResponse = 0;
    this.touch();
    this.upConn.consume(this, bytes);
  }

  /** The client went away; nothing can be sent to it any more. */
  onDownstreamGone(): void {
    if (this.finished) return;
    this.flag ||= 'DC';
    this.finish();
  }

  // -- from upstream --------------------------------------------------------------------------------------------

  /** The attempt has a connection and its head is on the way: now the body follows. */
  onUpstreamOpen(conn: UpstreamConnection): void {
    this.upConn = conn;
    if (this.waitsForConnection) {
      this.waitsForConnection = false;
      this.connectedAtMs = performance.now();
    }
    const body = this.body;
    let room = true;
    if (this.bodyBytes > REPLAY_BYTES) this.canReplay = false;
    if (body !== null) {
      const ended = this.requestEnded && this.requestTrailers === null;
      for (let i = 0; i < body.length; i++) {
        room = conn.sendData(this, body[i], 0, body[i].length, ended && i === body.length - 1);
        if (this.upConn !== conn) return; // the attempt failed meanwhile
      }
      if (!this.canReplay) this.forgetBody();
    }
    if (this.requestTrailers !== null) conn.sendTrailers(this, this.requestTrailers);
    if (room && this.upConn === conn) this.onUpstreamDrain();
  }

  onUpstreamDrain(): void {
    const bytes = this.unconsumedRequest;
    if (bytes === 0) return;
    this.unconsumedRequest = 0;
    this.touch();
    this.downConn.consume(this, bytes);
  }

  onInformational(head: ResponseHead): void {
    if (!this.responseStarted) this.downConn.sendInformational(this, head);
  }

  onResponse(head: ResponseHead, last: boolean): void {
    if (this.finished || this.responseStarted) return;
    if (!this.owner.responseArrived(this, head)) return;
    this.startResponse(head, last);
  }

  /** Passes a response's head on; from here on there is no other attempt. */
  startResponse(head: ResponseHead, last: boolean): void {
    this.responseStarted = true;
    this.status = head.status;
    this.firstByteAtMs = performance.now();
    this.responseHeaders = head.headers;
    this.forgetBody();
    this.touch();
    this.downConn.sendHead(this, head, last);
    if (last) this.endResponse();
  }

  onResponseData(buf: Buffer, start: number, end: number, last: boolean): void {
    if (this.finished || !this.responseStarted) return;
    const bytes = end - start;
    this.responseBytes += bytes;
    if (this.capture !== null) this.capture.onResponse(buf, start, end);
    this.touch();
    const room = this.downConn.sendData(this, buf, start, end, last);
    if (last) this.endResponse();
    else if (!room || this.unconsumedResponse > 0) this.unconsumedResponse += bytes;
    else if (bytes > 0) this.upConn?.consume(this, bytes);
  }

  onResponseTrailers(trailers: Headers): void {
    if (this.finished || !this.responseStarted) return;
    this.downConn.sendTrailers(this, trailers);
    if (this.grpc) this.grpcStatus = grpcStatusOf(trailers);
    this.endResponse();
  }

  /** The attempt broke; before the response's head another may follow. */
  onUpstreamReset(failure: AttemptFailure, message: string): void {
    if (this.finished) return;
    this.upConn = null;
    this.upStream = null;
    if (!this.responseStarted) {
      this.owner.attemptFailed(this, failure, message);
      return;
    }
    this.lastFailure = message;
    this.breakOff(failure === 'protocol-error' ? 'UPE' : 'UC', GRPC_UNAVAILABLE, message);
  }

  // -- the router's tools ---------------------------------------------------------------------------------------

  /** Ends the current attempt, if there is one, whatever state it is in. */
  dropAttempt(): void {
    const conn = this.upConn;
    this.upConn = null;
    if (conn !== null) conn.release(this);
    else this.pool?.cancel(this);
    this.upStream = null;
    if (this.tryTimer !== null) disarm(this.tryTimer);
  }

  /** Ends the exchange towards both sides. Safe to call again. */
  finish(): void {
    if (this.finished) return;
    this.finished = true;
    if (this.requestTimer !== null) disarm(this.requestTimer);
    if (this.idleTimer !== null) disarm(this.idleTimer);
    if (this.waitTimer !== null) disarm(this.waitTimer);
    this.dropAttempt();
    this.body = null;
    this.owner.finished(this);
  }

  /** Breaks the response off, or the whole exchange where it has not begun. */
  abort(flag: ResponseFlag): void {
    if (this.finished) return;
    this.flag ||= flag;
    this.downConn.abort(this, 'internal');
    this.finish();
  }

  /** Ends a response that has begun and will not be complete. gRPC has a status for that, even now. */
  breakOff(flag: ResponseFlag, grpcStatus: number, message: string): void {
    if (!this.grpc || !this.responseStarted || this.responseEnded) {
      this.abort(flag);
      return;
    }
    if (this.finished) return;
    this.flag ||= flag;
    this.onResponseTrailers(['grpc-status', String(grpcStatus), 'grpc-message', encodeGrpcMessage(message)]);
  }

  arm(kind: TimerKind, durationMs: number): void {
    const timer = this.timer(kind);
    this.deadlines.arm(timer, durationMs);
  }

  disarmRequest(): void {
    if (this.requestTimer !== null) disarm(this.requestTimer);
  }

  disarmWait(): void {
    if (this.waitTimer !== null) disarm(this.waitTimer);
  }

  private timer(kind: TimerKind): ExchangeTimer {
    switch (kind) {
      case 'request':
        return (this.requestTimer ??= new ExchangeTimer(this, kind));
      case 'per-try':
        return (this.tryTimer ??= new ExchangeTimer(this, kind));
      case 'idle':
        return (this.idleTimer ??= new ExchangeTimer(this, kind));
      default:
        if (this.waitTimer !== null) disarm(this.waitTimer);
        return (this.waitTimer = new ExchangeTimer(this, kind));
    }
  }

  private touch(): void {
    if (this.idleMs > 0) this.arm('idle', this.idleMs);
  }

  private endRequest(): void {
    this.requestEnded = true;
    if (this.tunnel) this.hurryOtherSide();
  }

  /**
   * A client of an upgraded protocol that ended its side has nearly always gone (WebSocket has its own way to say goodbye),
   * and many servers do not look: what is still under way goes on, but silence ends it. TCP may stay half-closed.
   */
  private hurryOtherSide(): void {
    if (this.request.protocol === null) return;
    if (this.idleMs === 0 || this.idleMs > HALF_CLOSED_IDLE_MS) this.idleMs = HALF_CLOSED_IDLE_MS;
    this.touch();
  }

  private endResponse(): void {
    this.responseEnded = true;
    // A tunnel lives until both directions have ended; for HTTP the response's end is the exchange's.
    if (this.tunnel && !this.requestEnded) {
      this.hurryOtherSide();
      return;
    }
    this.downConn.release(this);
    this.finish();
  }

  private keep(buf: Buffer, start: number, end: number): void {
    this.body ??= [];
    this.body.push(buf.subarray(start, end));
    this.bodyBytes += end - start;
  }

  private forgetBody(): void {
    this.canReplay = false;
    this.body = null;
    this.bodyBytes = 0;
  }
}

/** `grpc-status` of trailers, or 2 (UNKNOWN) where a gRPC response ended without one. */
export function grpcStatusOf(trailers: Headers): number {
  for (let i = 0; i < trailers.length; i += 2) {
    if (trailers[i] !== 'grpc-status') continue;
    const code = Number(trailers[i + 1]);
    return Number.isInteger(code) && code >= 0 ? code : 2;
  }
  return 2;
}
