import { SUBSTANTIAL_DATA_BYTES } from './abuse.ts';
import type { H2Connection } from './connection.ts';
import {
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  NO_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from './error-codes.ts';
import type { FrameReader, FrameSink } from './frame-reader.ts';
import { Flag, FrameType, readInt31, readUint32 } from './frames.ts';
import { HeadOf, type HeadReader } from './head.ts';
import { HeaderBlock } from './header-block.ts';
import type { HpackDecoder } from './hpack/decoder.ts';
import { answerOnly, refuse, rejectData, rejectHeaders } from './refusals.ts';
import { type H2Stream, Receiving, Sending } from './stream.ts';

const HEADERS_TOO_LARGE = 431;

/**
 * The receiving half of a connection: what each frame means in the state that its stream is in (RFC 9113 sections
 * 5.1, 6 and 8). Frames come from the frame reader, effects go to the connection and its owner.
 */
export class Inbound implements FrameSink {
  /** Set by the connection, which makes both. */
  reader!: FrameReader;

  private readonly block: HeaderBlock;

  /** The stream of the DATA frame that is coming in; null: nobody wants it. */
  private dataStream: H2Stream | null = null;
  private dataEnds = false;
  /** Content of that frame, without padding. */
  private dataBytes = 0;

  constructor(
    private readonly connection: H2Connection,
    private readonly decoder: HpackDecoder,
    private readonly head: HeadReader,
    maxBlockBytes: number,
  ) {
    this.block = new HeaderBlock(maxBlockBytes, connection.limits.continuationFrames);
  }

  onFrameError(code: number, message: string): void {
    this.connection.fail(code, message);
  }

  onUnknownFrame(): void {
    this.connection.countIdleFrame();
  }

  onFrame(type: number, flags: number, streamId: number, buf: Buffer, start: number, end: number): void {
    switch (type) {
      case FrameType.Headers:
        this.headers(flags, streamId, buf, start, end);
        break;
      case FrameType.WindowUpdate:
        this.windowUpdate(streamId, readInt31(buf, start));
        break;
      case FrameType.RstStream:
        this.rstStream(streamId, readUint32(buf, start));
        break;
      case FrameType.Continuation:
        this.continuation(flags, streamId, buf, start, end);
        break;
      case FrameType.Priority:
        this.priority(streamId, buf, start, end);
        break;
      case FrameType.PushPromise:
        // We never allow it (section 8.4), and a client has nothing to push.
        this.connection.fail(PROTOCOL_ERROR, 'PUSH_PROMISE');
        break;
      default:
        if (streamId !== 0) this.connection.fail(PROTOCOL_ERROR, 'a connection frame on a stream');
        else if (type === FrameType.Settings) this.settings(flags, buf, start, end);
        else if (type === FrameType.Ping) this.ping(flags, buf, start);
        else this.goaway(buf, start, end);
    }
  }

  // DATA (section 6.1)

  onDataFrame(flags: number, streamId: number, length: number): void {
    const connection = this.connection;
    this.dataStream = null;
    this.dataEnds = (flags & Flag.EndStream) !== 0;
    this.dataBytes = length;
    if (streamId === 0) {
      connection.fail(PROTOCOL_ERROR, 'DATA on stream 0');
      return;
    }
    if (!connection.takeWindow(length)) {
      connection.fail(FLOW_CONTROL_ERROR, 'DATA beyond the window of the connection');
      return;
    }
    const stream = connection.table.find(streamId);
    if (stream === undefined) {
      if (connection.table.isIdle(streamId)) {
        connection.fail(PROTOCOL_ERROR, 'DATA on an idle stream');
        return;
      }
      // What nobody consumes still has to come back to the connection's window.
      connection.creditConnection(length);
      rejectData(connection, streamId);
      return;
    }
    let code: number = NO_ERROR;
    if (stream.receiving === Receiving.Ended) code = STREAM_CLOSED;
    else if (stream.receiving === Receiving.Head) code = PROTOCOL_ERROR;
    else if (length > stream.receiveWindow) code = FLOW_CONTROL_ERROR;
    if (code !== NO_ERROR) {
      connection.creditConnection(length);
      connection.failStream(stream, code, 'DATA that the state or the window of the stream does not allow');
      return;
    }
    stream.receiveWindow -= length;
    this.dataStream = stream;
  }

  onPadding(bytes: number): void {
    this.dataBytes -= bytes;
    const stream = this.dataStream;
    if (stream === null) return;
    stream.unconsumed += bytes;
    this.connection.consume(stream, bytes);
  }

  onDataPiece(buf: Buffer, start: number, end: number, last: boolean): void {
    const connection = this.connection;
    const stream = this.dataStream;
    const ends = last && this.dataEnds;
    if (last) {
      this.dataStream = null;
      if (ends || this.dataBytes >= SUBSTANTIAL_DATA_BYTES) connection.guard.productiveFrame();
      else if (this.dataBytes === 0) connection.countIdleFrame();
    }
    // Refused when the frame began: credited already.
    if (stream === null || connection.closed) return;
    const bytes = end - start;
    // Reset by the owner since the frame began.
    if (stream.closed) {
      connection.creditConnection(bytes);
      return;
    }
    if (stream.expected >= 0) {
      stream.expected -= bytes;
      if (stream.expected < 0 || (ends && stream.expected > 0)) {
        connection.creditConnection(bytes);
        connection.failStream(stream, PROTOCOL_ERROR, 'content-length does not agree with the content');
        return;
      }
    }
    if (bytes === 0 && !ends) return;
    stream.unconsumed += bytes;
    connection.bytesReceived += bytes;
    if (ends) stream.receiving = Receiving.Ended;
    connection.events.onData(stream, buf, start, end, ends);
    if (ends) connection.finish(stream);
  }

  // HEADERS and CONTINUATION (sections 6.2, 6.10)

  private headers(flags: number, streamId: number, buf: Buffer, from: number, to: number): void {
    let start = from;
    let end = to;
    let dependsOn = 0;
    // An even id cannot be one of ours; one of a stream that the client has not opened is caught below.
    if ((streamId & 1) === 0) {
      this.connection.fail(PROTOCOL_ERROR, `HEADERS on stream ${streamId}`);
      return;
    }
    if ((flags & Flag.Padded) !== 0) {
      if (start === end) {
        this.connection.fail(FRAME_SIZE_ERROR, 'HEADERS without their pad length');
        return;
      }
      end -= buf[start++];
    }
    if ((flags & Flag.Priority) !== 0) {
      if (start + 5 <= end) dependsOn = readInt31(buf, start);
      start += 5;
    }
    if (start > end) {
      this.connection.fail(PROTOCOL_ERROR, 'padding longer than its HEADERS frame');
      return;
    }
    if ((flags & Flag.EndHeaders) !== 0) {
      this.headerBlock(streamId, (flags & Flag.EndStream) !== 0, dependsOn, buf, start, end);
      return;
    }
    this.reader.continuationOf = streamId;
    this.block.begin((flags & Flag.EndStream) !== 0, dependsOn);
    this.block.add(buf, start, end);
  }

  private continuation(flags: number, streamId: number, buf: Buffer, start: number, end: number): void {
    const block = this.block;
    if (this.reader.continuationOf === 0) {
      this.connection.fail(PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
    } else if (!block.add(buf, start, end)) {
      this.connection.fail(ENHANCE_YOUR_CALM, 'a header block without end');
    } else if ((flags & Flag.EndHeaders) !== 0) {
      this.reader.continuationOf = 0;
      this.headerBlock(streamId, block.endStream, block.dependsOn, block.take(), 0, block.length);
    }
  }

  private headerBlock(
    streamId: number,
    endStream: boolean,
    dependsOn: number,
    buf: Buffer,
    start: number,
    end: number,
  ): void {
    const connection = this.connection;
    const stream = connection.table.find(streamId);
    const isNew = stream === undefined && connection.isServer && connection.table.isIdle(streamId);
    if (isNew) this.head.begin(HeadOf.Request);
    else this.head.begin(stream?.receiving === Receiving.Head ? HeadOf.Response : HeadOf.Trailers);
    // Whatever becomes of the message, its block has to pass the decoder, or the tables of the two sides part.
    if (!this.decoder.decode(buf, start, end, this.head)) {
      connection.fail(COMPRESSION_ERROR, 'a header block that cannot be decoded');
      return;
    }
    if (isNew) {
      this.request(streamId, endStream, dependsOn === streamId);
    } else if (stream === undefined) {
      if (connection.table.isIdle(streamId)) connection.fail(PROTOCOL_ERROR, 'HEADERS on an idle stream');
      else rejectHeaders(connection, streamId);
    } else if (stream.receiving === Receiving.Ended) {
      connection.failStream(stream, STREAM_CLOSED, 'HEADERS after the end of the stream');
    } else if (this.head.tooLarge) {
      connection.failStream(stream, ENHANCE_YOUR_CALM, 'a header list beyond the limit');
    } else if (stream.receiving === Receiving.Head) {
      this.response(stream, endStream);
    } else {
      this.trailers(stream, endStream);
    }
  }

  private request(streamId: number, endStream: boolean, dependsOnItself: boolean): void {
    const connection = this.connection;
    const head = this.head;
    connection.table.opened(streamId);
    if (!connection.hasRoom()) {
      refuse(connection, streamId, REFUSED_STREAM, '');
      return;
    }
    if (head.tooLarge) {
      // RFC 6585 section 5: say why, instead of a bare reset.
      answerOnly(connection, streamId, HEADERS_TOO_LARGE, endStream);
      return;
    }
    // RFC 7540 section 5.3.1; RFC 9113 has no more use for it, but a peer that sends it is broken.
    if (dependsOnItself) {
      refuse(connection, streamId, PROTOCOL_ERROR, 'a stream that depends on itself');
      return;
    }
    const request = head.finishRequest(endStream, connection.options.enableConnectProtocol);
    if (request === null) {
      refuse(connection, streamId, PROTOCOL_ERROR, head.malformed);
      return;
    }
    const stream = connection.accept(streamId);
    stream.neverIndexed = head.neverIndexed;
    stream.receiving = endStream ? Receiving.Ended : Receiving.Body;
    stream.expected = endStream || request.method === 'CONNECT' ? -1 : request.contentLength;
    connection.guard.productiveFrame();
    connection.events.onRequest(stream, request, endStream);
  }

  private response(stream: H2Stream, endStream: boolean): void {
    const connection = this.connection;
    const response = this.head.finishResponse(endStream);
    if (response === null) {
      connection.failStream(stream, PROTOCOL_ERROR, this.head.malformed);
      return;
    }
    const { status } = response;
    if (status < 200) {
      if (connection.countIdleFrame()) connection.events.onInformational(stream, response);
      return;
    }
    const declared = response.contentLength;
    const noContent = stream.head || status === 204 || status === 304;
    if (stream.connect && status < 300) {
      // A tunnel: its content has no length whatever the field says (RFC 9110 section 9.3.6).
      response.contentLength = -1;
    } else if (endStream && declared > 0 && !noContent) {
      connection.failStream(stream, PROTOCOL_ERROR, 'content-length without content');
      return;
    } else if (endStream || noContent) {
      response.contentLength = 0;
    }
    stream.expected = endStream ? -1 : response.contentLength;
    stream.receiving = endStream ? Receiving.Ended : Receiving.Body;
    stream.neverIndexed = this.head.neverIndexed;
    connection.guard.productiveFrame();
    connection.events.onResponse(stream, response, endStream);
    if (endStream) connection.finish(stream);
  }

  private trailers(stream: H2Stream, endStream: boolean): void {
    const connection = this.connection;
    const trailers = this.head.finishTrailers();
    let fault = this.head.malformed;
    if (!endStream) fault = 'a second head, or trailers that do not end the stream';
    else if (stream.expected > 0) fault = 'content-length does not agree with the content';
    if (trailers === null || fault !== '') {
      connection.failStream(stream, PROTOCOL_ERROR, fault);
      return;
    }
    stream.receiving = Receiving.Ended;
    stream.neverIndexed = this.head.neverIndexed;
    connection.events.onTrailers(stream, trailers);
    connection.finish(stream);
  }

  // The rest of section 6

  private priority(streamId: number, buf: Buffer, start: number, end: number): void {
    const connection = this.connection;
    if (streamId === 0) {
      connection.fail(PROTOCOL_ERROR, 'PRIORITY on stream 0');
      return;
    }
    if (!connection.countIdleFrame()) return;
    let code: number = NO_ERROR;
    if (end - start !== 5) code = FRAME_SIZE_ERROR;
    else if (readInt31(buf, start) === streamId) code = PROTOCOL_ERROR;
    if (code === NO_ERROR) return;
    const stream = connection.table.find(streamId);
    // RST_STREAM must not be sent on an idle stream, so there the error is the connection's.
    if (stream !== undefined) connection.failStream(stream, code, 'an illegal PRIORITY');
    else connection.fail(code, 'an illegal PRIORITY');
  }

  private rstStream(streamId: number, code: number): void {
    const connection = this.connection;
    const stream = connection.table.find(streamId);
    if (stream === undefined) {
      if (streamId === 0 || connection.table.isIdle(streamId)) {
        connection.fail(PROTOCOL_ERROR, 'RST_STREAM on an idle stream');
      } else {
        connection.countIdleFrame();
      }
      return;
    }
    const wasted = connection.isServer && !stream.responded && stream.sending !== Sending.Ended;
    connection.remove(stream);
    connection.events.onReset(stream, code, true);
    if (wasted) connection.countWastedStream();
    connection.removed();
  }

  private windowUpdate(streamId: number, increment: number): void {
    const connection = this.connection;
    if (!connection.countIdleFrame()) return;
    if (streamId === 0) {
      if (increment === 0) connection.fail(PROTOCOL_ERROR, 'a WINDOW_UPDATE of 0');
      else if (!connection.scheduler.widen(increment)) {
        connection.fail(FLOW_CONTROL_ERROR, 'the window of the connection is beyond 2^31-1');
      }
      return;
    }
    const stream = connection.table.find(streamId);
    if (stream === undefined) {
      if (connection.table.isIdle(streamId)) connection.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream');
    } else if (increment === 0) {
      connection.failStream(stream, PROTOCOL_ERROR, 'a WINDOW_UPDATE of 0');
    } else if (!connection.scheduler.widenStream(stream, increment)) {
      connection.failStream(stream, FLOW_CONTROL_ERROR, 'the window of a stream is beyond 2^31-1');
    }
  }

  private settings(flags: number, buf: Buffer, start: number, end: number): void {
    const connection = this.connection;
    if (!connection.countIdleFrame()) return;
    if ((flags & Flag.Ack) === 0) connection.applyPeerSettings(buf, start, end);
    else if (start !== end) connection.fail(FRAME_SIZE_ERROR, 'a SETTINGS acknowledgement with content');
    else connection.applyOwnSettings(this.decoder);
  }

  private ping(flags: number, buf: Buffer, start: number): void {
    const connection = this.connection;
    if (!connection.countIdleFrame()) return;
    const high = readUint32(buf, start);
    const low = readUint32(buf, start + 4);
    if ((flags & Flag.Ack) !== 0) connection.pong(high, low);
    else connection.answerPing(high, low);
  }

  private goaway(buf: Buffer, start: number, end: number): void {
    if (end - start < 8) {
      this.connection.fail(FRAME_SIZE_ERROR, 'a GOAWAY cut short');
      return;
    }
    const debug = buf.latin1Slice(start + 8, Math.min(end, start + 8 + 256));
    this.connection.peerGoaway(readInt31(buf, start), readUint32(buf, start + 4), debug);
  }
}
