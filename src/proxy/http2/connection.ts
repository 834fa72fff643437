import type { Headers, RequestHead } from '../message.ts';
import type { OutBuffer } from '../out-buffer.ts';
import { AbuseGuard, type AbuseLimits, SUBSTANTIAL_DATA_BYTES } from './abuse.ts';
import { CANCEL, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, NO_ERROR, REFUSED_STREAM } from './error-codes.ts';
import type { H2Events } from './events.ts';
import { FrameReader } from './frame-reader.ts';
import {
  DEFAULT_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  MAX_INT31,
  PREFACE,
  writeGoaway,
  writePing,
  writeRstStream,
  writeWindowUpdate,
} from './frames.ts';
import { HeadReader } from './head.ts';
import { HeadWriter } from './head-writer.ts';
import { HpackDecoder } from './hpack/decoder.ts';
import { Inbound } from './inbound.ts';
import { completeOptions, type H2Options } from './options.ts';
import { ReceiveWindow } from './receive-window.ts';
import { SendScheduler } from './send-scheduler.ts';
import {
  defaultPeerSettings,
  type PeerSettings,
  readSettings,
  Setting,
  writeSettings,
  writeSettingsAck,
} from './settings.ts';
import { H2Stream, Receiving, Sending } from './stream.ts';
import { StreamTable } from './stream-table.ts';

export type { H2Events, H2Options };

/** Streams that a client opens before it knows the peer's limit: what RFC 9113 section 6.5.2 asks peers to allow. */
const STREAMS_BEFORE_SETTINGS = 100;
/** Larger frames than this gain nothing and hold up other streams. */
const LARGEST_SENT_FRAME_BYTES = 64 * 1024;
/** Control frames count about this many bytes towards `unsentBytes`. */
const CONTROL_FRAME_BYTES = 17;

/** The first half of a PING's data: what it is for. */
const PingFor = { RoundTrip: 1, Shutdown: 2 } as const;

const NO_HEADERS: Headers = [];

/** How far a connection is on its way out. */
const Goaway = { None: 0, Announced: 1, Final: 2 } as const;
type Goaway = (typeof Goaway)[keyof typeof Goaway];

/**
 * One HTTP/2 connection, client or server side (RFC 9113): bytes in, events out; calls in, bytes out to `out`. It knows
 * no socket and no timer, and judges nothing but the protocol.
 */
export class H2Connection {
  /** The connection is broken or closed: calls do nothing, bytes are ignored. */
  closed = false;
  /** What the peer has told us. */
  readonly peer: PeerSettings = defaultPeerSettings();
  /** Content bytes so far, for the owner's counters and for timers that look for progress. */
  bytesSent = 0;
  bytesReceived = 0;

  /** @internal */ readonly isServer: boolean;
  /** @internal */ readonly options: H2Options;
  /** @internal */ readonly limits: AbuseLimits;
  /** @internal */ readonly guard: AbuseGuard;
  /** @internal */ readonly scheduler: SendScheduler;
  /** @internal */ readonly writer: HeadWriter;
  /** @internal */ readonly table: StreamTable;

  private readonly reader: FrameReader;
  private readonly receiveWindow: ReceiveWindow;
  /** Window that new streams get; what we announced, once the peer has acknowledged it. */
  private streamWindow: number;

  private settingsReceived = false;
  private settingsAcknowledged = false;
  private goaway: Goaway = Goaway.None;
  private goawayReceived = false;
  private drainedTold = false;
  private slotsWanted = false;
  private writable = true;
  /** Bytes of heads and control frames written while the socket takes nothing. */
  private unsentBytes = 0;
  private pingSequence = 0;
  private pingSentAtMs = 0;

  /** Writes the preface and our SETTINGS to `out` at once. */
  constructor(
    side: 'client' | 'server',
    private readonly out: OutBuffer,
    readonly events: H2Events,
    options: Partial<H2Options> = {},
  ) {
    const all = completeOptions(options);
    this.isServer = side === 'server';
    this.table = new StreamTable(this.isServer);
    this.options = all;
    this.limits = all.abuse;
    this.guard = new AbuseGuard(all.abuse, all.now);
    this.scheduler = new SendScheduler(out, this, all.sendQueueBytes);
    this.writer = new HeadWriter(out, all.headerTableBytes, all.huffman);
    // A list within the limit is shorter on the wire than it counts. Up to twice the limit the block is still decoded,
    // so that the connection survives the refusal; beyond that, staying in step is not worth the memory.
    const maxBlockBytes = Math.max(all.maxHeaderListBytes * 2, DEFAULT_FRAME_BYTES);
    // Until the peer acknowledges our settings it may hold to the protocol's defaults, where those are larger.
    const decoder = new HpackDecoder(Math.max(all.headerTableBytes, 4096));
    const inbound = new Inbound(this, decoder, new HeadReader(all.maxHeaderListBytes), maxBlockBytes);
    this.reader = new FrameReader(inbound, all.maxFrameBytes, maxBlockBytes, this.isServer);
    inbound.reader = this.reader;
    const connectionWindow = Math.max(all.connectionWindowBytes, DEFAULT_WINDOW_BYTES);
    this.receiveWindow = new ReceiveWindow(connectionWindow);
    this.streamWindow = Math.max(all.initialWindowBytes, DEFAULT_WINDOW_BYTES);
    this.writePreface(connectionWindow);
  }

  /** Open streams, both halves counted as one. */
  get openStreams(): number {
    return this.table.size;
  }

  /** Client: whether the peer takes extended CONNECT (RFC 8441); known once `onSettings` was called. */
  get peerAllowsConnectProtocol(): boolean {
    return this.peer.enableConnectProtocol;
  }

  /** Client: every stream id has been used; a new connection has to take over (RFC 9113 section 5.1.1). */
  get exhausted(): boolean {
    return this.table.idsUsedUp;
  }

  /** Client: whether `request` would work now. */
  get hasSlot(): boolean {
    if (this.closed || this.goawayReceived || this.goaway !== Goaway.None || this.table.idsUsedUp) return false;
    const most = this.settingsReceived ? this.peer.maxConcurrentStreams : STREAMS_BEFORE_SETTINGS;
    return this.table.size < most;
  }

  /** Whether no new streams are taken (GOAWAY by either side) and none is left. */
  get drained(): boolean {
    return (this.goaway !== Goaway.None || this.goawayReceived) && this.table.size === 0;
  }

  /** Bytes from the socket, split anywhere. Pieces of `buf` go on by reference, so it must not be written to again. */
  receive(buf: Buffer): void {
    this.reader.receive(buf);
  }

  /**
   * Client: sends a request. Null when there is no slot for it (the peer's limit, GOAWAY, ids used up); `onStreamSlots`
   * says when to come again, unless the connection is on its way out. An extended CONNECT needs
   * `peerAllowsConnectProtocol`. `neverIndexed`: names to be sent so, of the stream that the head came from.
   */
  request(head: RequestHead, endStream: boolean, user: unknown, neverIndexed: string[] | null = null): H2Stream | null {
    if (!this.hasSlot) {
      this.slotsWanted = true;
      return null;
    }
    const stream = new H2Stream(this.table.takeId(), this.peer.initialWindowBytes, this.streamWindow, user);
    stream.head = head.method === 'HEAD';
    stream.connect = head.method === 'CONNECT';
    this.table.add(stream);
    if (endStream) stream.sending = Sending.Ended;
    this.countUnsent(this.writer.request(stream.id, head, endStream, neverIndexed));
    return stream;
  }

  /** Server: sends an informational response (1xx but 101). */
  informational(stream: H2Stream, status: number, headers: Headers): void {
    if (stream.closed || stream.sending !== Sending.Open) return;
    this.countUnsent(this.writer.response(stream.id, status, headers, false, null));
  }

  /** Server: sends the final response's head. */
  respond(
    stream: H2Stream,
    status: number,
    headers: Headers,
    endStream: boolean,
    neverIndexed: string[] | null = null,
  ): void {
    if (stream.closed || stream.sending !== Sending.Open) return;
    stream.responded = true;
    this.guard.productiveFrame();
    const bytes = this.writer.response(stream.id, status, headers, endStream, neverIndexed);
    if (endStream) {
      stream.sending = Sending.Ended;
      this.finish(stream);
    }
    this.countUnsent(bytes);
  }

  /**
   * Sends content, or queues what the windows or the socket do not take. False: more than `sendQueueBytes` wait; stop
   * until `onDrain`. `buf` must not be written to afterwards.
   */
  data(stream: H2Stream, buf: Buffer, start: number, end: number, endStream: boolean): boolean {
    if (stream.closed || stream.sending !== Sending.Open) return true;
    if (start === end && !endStream) return true;
    return this.scheduler.send(stream, buf, start, end, endStream);
  }

  /** Sends trailers behind what is queued, and with them the end. No fields: just the end. */
  trailers(stream: H2Stream, trailers: Headers): void {
    if (stream.closed || stream.sending !== Sending.Open) return;
    if (trailers.length === 0) {
      this.scheduler.send(stream, PREFACE, 0, 0, true);
      return;
    }
    stream.trailers = trailers;
    stream.sending = Sending.Ending;
    if (stream.queuedBytes === 0) this.onTrailersDue(stream);
  }

  /** The receiver is done with `bytes` of what `onData` gave it. WINDOW_UPDATE goes out for half a window at a time. */
  consume(stream: H2Stream, bytes: number): void {
    const consumed = Math.min(bytes, stream.unconsumed);
    if (consumed <= 0 || this.closed) return;
    stream.unconsumed -= consumed;
    this.creditConnection(consumed);
    if (stream.closed || stream.receiving === Receiving.Ended) return;
    stream.credit += consumed;
    if (stream.credit * 2 < this.options.initialWindowBytes) return;
    writeWindowUpdate(this.out, stream.id, stream.credit);
    stream.receiveWindow += stream.credit;
    stream.credit = 0;
    this.countUnsent(CONTROL_FRAME_BYTES);
  }

  /**
   * The receiver wants nothing more of the stream: gives back what it has not consumed. Without this a stream that ended
   * would keep its last bytes from the connection's window for ever.
   */
  discard(stream: H2Stream): void {
    if (stream.unconsumed > 0) this.consume(stream, stream.unconsumed);
  }

  /** Aborts a stream; one that has ended in both directions just ends. The owner gets no event for it. */
  reset(stream: H2Stream, code: number): void {
    if (stream.closed) return;
    if (stream.sending === Sending.Ended && stream.receiving === Receiving.Ended) {
      this.finish(stream);
      return;
    }
    this.abort(stream, code);
    this.removed();
  }

  /**
   * Server: the rest of the request is not wanted (RFC 9113 section 8.1): RST_STREAM with NO_ERROR as soon as all of the
   * response has gone out.
   */
  endRequest(stream: H2Stream): void {
    if (stream.sending === Sending.Ended) this.reset(stream, NO_ERROR);
    else stream.requestUnwanted = true;
  }

  /** Sends a PING; `onPong` tells the round trip. One at a time is measured. */
  ping(): void {
    if (this.closed) return;
    this.pingSentAtMs = this.options.now();
    writePing(this.out, PingFor.RoundTrip, ++this.pingSequence, false);
  }

  /**
   * Begins a graceful end (RFC 9113 section 6.8). A server first announces it without refusing anything; the final
   * GOAWAY goes when the client has had the time to see that (its answer to a PING), or when called again. Open streams
   * finish; `onDrained` says when the last one has.
   */
  shutdown(): void {
    if (this.closed || this.goaway === Goaway.Final) return;
    if (this.isServer && this.goaway === Goaway.None) {
      this.goaway = Goaway.Announced;
      writeGoaway(this.out, MAX_INT31, NO_ERROR, '');
      writePing(this.out, PingFor.Shutdown, 0, false);
      return;
    }
    this.goaway = Goaway.Final;
    writeGoaway(this.out, this.table.lastPeerId, NO_ERROR, '');
    this.removed();
  }

  /** Ends at once: GOAWAY, and every open stream gets its onReset. */
  close(code: number = NO_ERROR, debug = ''): void {
    if (this.closed) return;
    writeGoaway(this.out, this.table.lastPeerId, code, debug);
    this.end(code === NO_ERROR ? CANCEL : code);
  }

  /** The socket is gone: every open stream gets its onReset, with `code`. */
  destroyed(code: number = CANCEL): void {
    if (!this.closed) this.end(code);
  }

  /** Whether the socket takes more. While it does not, DATA waits in the streams' queues. */
  setWritable(writable: boolean): void {
    this.writable = writable;
    if (writable) this.unsentBytes = 0;
    if (!this.closed) this.scheduler.setWritable(writable);
  }

  // What the scheduler observes

  /** @internal */
  onSendEnded(stream: H2Stream): void {
    stream.sending = Sending.Ended;
    this.finish(stream);
  }

  /** @internal */
  onTrailersDue(stream: H2Stream): void {
    const bytes = this.writer.trailers(stream.id, stream.trailers ?? NO_HEADERS);
    stream.trailers = null;
    stream.sending = Sending.Ended;
    this.finish(stream);
    this.countUnsent(bytes);
  }

  /** @internal */
  onQueueDrained(stream: H2Stream): void {
    this.events.onDrain(stream);
  }

  /** @internal */
  onDataSent(bytes: number): void {
    this.bytesSent += bytes;
    if (bytes >= SUBSTANTIAL_DATA_BYTES) this.guard.productiveFrame();
  }

  // What the inbound half does

  /** @internal Whether one more request may be worked on. */
  hasRoom(): boolean {
    return this.table.size < this.options.maxConcurrentStreams && this.goaway !== Goaway.Final;
  }

  /** @internal */
  accept(streamId: number): H2Stream {
    const stream = new H2Stream(streamId, this.peer.initialWindowBytes, this.streamWindow, null);
    this.table.add(stream);
    return stream;
  }

  /** @internal Resets a stream and remembers it. */
  writeReset(streamId: number, code: number): void {
    this.table.rememberReset(streamId);
    writeRstStream(this.out, streamId, code);
    this.countUnsent(CONTROL_FRAME_BYTES);
  }

  /** @internal Whether the peer knows how many streams it may open. */
  get holdsToOurLimits(): boolean {
    return this.settingsAcknowledged && this.goaway !== Goaway.Final;
  }

  /** @internal The peer broke the protocol on one stream (section 5.4.2). */
  failStream(stream: H2Stream, code: number, reason: string): void {
    this.abort(stream, code);
    this.events.onReset(stream, code, false);
    this.events.onMalformed?.(stream.id, reason);
    this.countWastedStream();
    this.removed();
  }

  /** @internal The peer broke the connection (section 5.4.1). */
  fail(code: number, message: string): void {
    if (this.closed) return;
    writeGoaway(this.out, this.table.lastPeerId, code, message);
    this.end(code);
    this.events.onConnectionError(code, message);
  }

  /** @internal A stream that ended in both directions is done. */
  finish(stream: H2Stream): void {
    if (stream.closed || stream.sending !== Sending.Ended) return;
    if (stream.receiving !== Receiving.Ended) {
      if (stream.requestUnwanted) this.reset(stream, NO_ERROR);
      return;
    }
    stream.closed = true;
    this.table.delete(stream);
    this.guard.streamCompleted();
    this.removed();
  }

  /** @internal Takes a stream that was reset off the books; the caller calls `removed` after its event. */
  remove(stream: H2Stream): void {
    stream.closed = true;
    this.table.delete(stream);
    this.scheduler.unschedule(stream);
    stream.dropQueue();
    const unconsumed = stream.unconsumed;
    stream.unconsumed = 0;
    if (unconsumed > 0) this.creditConnection(unconsumed);
  }

  /** @internal A stream has gone: there may be a slot, or nothing left at all. */
  removed(): void {
    if (this.slotsWanted && this.hasSlot) {
      this.slotsWanted = false;
      this.events.onStreamSlots();
    }
    if (!this.drainedTold && !this.closed && this.drained && this.goaway !== Goaway.Announced) {
      this.drainedTold = true;
      this.events.onDrained?.();
    }
  }

  /** @internal Counts DATA against the connection's window. False: beyond it. */
  takeWindow(bytes: number): boolean {
    return this.receiveWindow.take(bytes);
  }

  /** @internal Gives bytes back to the connection's window. */
  creditConnection(bytes: number): void {
    const increment = this.receiveWindow.give(bytes);
    if (increment > 0 && !this.closed) writeWindowUpdate(this.out, 0, increment);
  }

  /** @internal False: that was one too many. */
  countIdleFrame(): boolean {
    if (this.guard.idleFrame()) return true;
    this.fail(ENHANCE_YOUR_CALM, 'too many frames that carry nothing');
    return false;
  }

  /** @internal */
  countWastedStream(): void {
    if (this.isServer && !this.guard.streamWasted()) this.fail(ENHANCE_YOUR_CALM, 'too many streams aborted');
  }

  /** @internal */
  applyPeerSettings(buf: Buffer, start: number, end: number): void {
    const before = this.peer.initialWindowBytes;
    const code = readSettings(buf, start, end, this.peer, !this.isServer);
    if (code !== NO_ERROR) {
      this.fail(code, 'an illegal SETTINGS');
      return;
    }
    this.settingsReceived = true;
    this.writer.encoder.setPeerLimit(this.peer.headerTableBytes);
    this.writer.maxFrameBytes = this.peer.maxFrameBytes;
    this.scheduler.maxFrameBytes = Math.min(this.peer.maxFrameBytes, LARGEST_SENT_FRAME_BYTES);
    writeSettingsAck(this.out);
    this.countUnsent(CONTROL_FRAME_BYTES);
    const change = this.peer.initialWindowBytes - before;
    if (change !== 0 && !this.scheduler.shiftWindows(this.table.values(), change)) {
      this.fail(FLOW_CONTROL_ERROR, 'SETTINGS push the window of a stream beyond 2^31-1');
      return;
    }
    this.events.onSettings();
    this.removed();
    if (change > 0) this.scheduler.pump();
  }

  /** @internal The peer has acknowledged our SETTINGS, so that now it holds to them. */
  applyOwnSettings(decoder: HpackDecoder): void {
    if (this.settingsAcknowledged) return;
    this.settingsAcknowledged = true;
    decoder.setLimit(this.options.headerTableBytes);
    const change = this.options.initialWindowBytes - this.streamWindow;
    this.streamWindow = this.options.initialWindowBytes;
    if (change !== 0) for (const stream of this.table.values()) stream.receiveWindow += change;
  }

  /** @internal */
  answerPing(high: number, low: number): void {
    writePing(this.out, high, low, true);
    this.countUnsent(CONTROL_FRAME_BYTES);
  }

  /** @internal */
  pong(high: number, low: number): void {
    if (high === PingFor.Shutdown && this.goaway === Goaway.Announced) this.shutdown();
    else if (high === PingFor.RoundTrip && low === this.pingSequence) {
      this.events.onPong?.(this.options.now() - this.pingSentAtMs);
    }
  }

  /** @internal */
  peerGoaway(lastStreamId: number, code: number, debug: string): void {
    this.goawayReceived = true;
    this.events.onGoaway(lastStreamId, code, debug);
    if (!this.isServer) {
      for (const stream of this.table.values()) {
        // What hears of one reset may end others.
        if (stream.id <= lastStreamId || this.table.find(stream.id) !== stream) continue;
        this.remove(stream);
        this.table.rememberReset(stream.id);
        this.events.onReset(stream, REFUSED_STREAM, true);
      }
    }
    this.removed();
  }

  private abort(stream: H2Stream, code: number): void {
    this.remove(stream);
    this.writeReset(stream.id, code);
  }

  private end(code: number): void {
    this.closed = true;
    this.reader.stopped = true;
    for (const stream of this.table.values()) {
      if (this.table.find(stream.id) !== stream) continue;
      this.remove(stream);
      this.events.onReset(stream, code, false);
    }
  }

  /** @internal Counts bytes written while the socket takes nothing. */
  countUnsent(bytes: number): void {
    if (this.writable) return;
    this.unsentBytes += bytes;
    if (this.unsentBytes > this.limits.unsentBytes) {
      this.fail(ENHANCE_YOUR_CALM, 'the peer asks and does not read the answers');
    }
  }

  private writePreface(connectionWindow: number): void {
    const { options, out } = this;
    if (!this.isServer) out.bytes(PREFACE, 0, PREFACE.length);
    const settings: [number, number][] = [
      [Setting.HeaderTableSize, options.headerTableBytes],
      [Setting.InitialWindowSize, options.initialWindowBytes],
      [Setting.MaxFrameSize, options.maxFrameBytes],
      [Setting.MaxHeaderListSize, options.maxHeaderListBytes],
    ];
    if (this.isServer) {
      settings.push([Setting.MaxConcurrentStreams, options.maxConcurrentStreams]);
      if (options.enableConnectProtocol) settings.push([Setting.EnableConnectProtocol, 1]);
    } else {
      settings.push([Setting.EnablePush, 0]);
    }
    writeSettings(out, settings);
    if (connectionWindow > DEFAULT_WINDOW_BYTES) {
      writeWindowUpdate(out, 0, connectionWindow - DEFAULT_WINDOW_BYTES);
    }
  }
}
