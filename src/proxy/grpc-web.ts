import { Base64Decoder } from './base64-decoder.ts';
import { type DownstreamConnection, Exchange } from './exchange.ts';
import { isGrpcContentType } from './grpc-status.ts';
import { localReply } from './local-reply.ts';
import { deleteHeader, type Headers, header, type RequestHead, type ResponseHead, setHeader } from './message.ts';

// gRPC-Web (grpc/doc/PROTOCOL-WEB.md) becomes gRPC at the gateway and the responses become gRPC-Web again: browsers can
// neither send `te: trailers` nor read trailers, so these travel as a last frame of the body.

const WEB = 'application/grpc-web';
const TEXT = '-text';
/** First byte of the frame that holds the trailers. */
const TRAILERS_FRAME = 0x80;
const FRAME_HEAD_BYTES = 5;

/** How the client wants the body on its side. */
export interface GrpcWebFormat {
  /** The request's body is base64. */
  readonly textRequest: boolean;
  /** The response's body is to be base64. */
  readonly textResponse: boolean;
  /** What follows the name of the media type: `+proto`, parameters, or nothing. */
  readonly suffix: string;
}

/** The format of a gRPC-Web request; null for any other request, which costs two comparisons. */
export function grpcWebFormat(head: RequestHead): GrpcWebFormat | null {
  if (head.method !== 'POST') return null;
  const contentType = header(head.headers, 'content-type');
  if (contentType === undefined || !contentType.startsWith(WEB)) return null;
  const textRequest = contentType.startsWith(TEXT, WEB.length);
  const suffix = contentType.slice(WEB.length + (textRequest ? TEXT.length : 0));
  if (suffix !== '' && !'+; '.includes(suffix[0])) return null;
  const accept = header(head.headers, 'accept');
  // The client may ask for another form than its own; where it does not say, it gets what it sends.
  const textResponse = accept?.includes(WEB) === true ? accept.includes(WEB + TEXT) : textRequest;
  return { textRequest, textResponse, suffix };
}

/** The record of a gRPC-Web request, made of what any exchange is made of; translates in both directions. */
export function grpcWebExchange(format: GrpcWebFormat, ...parts: ConstructorParameters<typeof Exchange>): Exchange {
  const [listener, owner, deadlines, downConn, head, scheme, ended, startedAtMs] = parts;
  setHeader(head.headers, 'content-type', `application/grpc${format.suffix}`);
  setHeader(head.headers, 'te', 'trailers');
  if (format.textRequest) {
    deleteHeader(head.headers, 'content-length');
    if (head.contentLength > 0) head.contentLength = -1;
  }
  const web = new GrpcWebDownstream(downConn, format.textResponse);
  const Kind = format.textRequest ? GrpcWebTextExchange : Exchange;
  return new Kind(listener, owner, deadlines, web, head, scheme, ended, startedAtMs);
}

/** An exchange whose request comes in base64. */
class GrpcWebTextExchange extends Exchange {
  private readonly decoder = new Base64Decoder();

  override onRequestData(buf: Buffer, start: number, end: number, last: boolean): void {
    if (this.finished) return;
    const decoded = this.decoder.decode(buf, start, end);
    if (decoded === null || (last && !this.decoder.complete)) {
      localReply(this, 400, 'DPE', 'the body of the gRPC-Web request is no valid base64');
      return;
    }
    // What is passed on is shorter than what came: the difference is credited here.
    const dropped = end - start - decoded.length;
    if (dropped > 0) this.downConn.consume(this, dropped);
    super.onRequestData(decoded, 0, decoded.length, last);
  }
}

/** Stands before the client's connection for one exchange and turns the gRPC response into one of gRPC-Web. */
class GrpcWebDownstream implements DownstreamConnection {
  /** The response is one of gRPC; anything else passes as it is. */
  private grpc = false;

  constructor(
    private readonly inner: DownstreamConnection,
    private readonly text: boolean,
  ) {}

  get remoteAddress(): string {
    return this.inner.remoteAddress;
  }

  sendInformational(x: Exchange, head: ResponseHead): void {
    this.inner.sendInformational(x, head);
  }

  sendHead(x: Exchange, head: ResponseHead, last: boolean): void {
    const { headers } = head;
    const contentType = header(headers, 'content-type');
    this.grpc = contentType !== undefined && isGrpcContentType(contentType);
    if (contentType !== undefined && this.grpc) {
      const suffix = contentType.slice('application/grpc'.length);
      setHeader(headers, 'content-type', `${WEB}${this.text ? TEXT : ''}${suffix}`);
      deleteHeader(headers, 'trailer');
      // A response of trailers only stays one: its status is in the head, where clients look first.
      if (!last) {
        deleteHeader(headers, 'content-length');
        head.contentLength = -1;
      }
    }
    this.inner.sendHead(x, head, last);
  }

  sendData(x: Exchange, buf: Buffer, start: number, end: number, last: boolean): boolean {
    if (!this.grpc || !this.text || start === end) return this.inner.sendData(x, buf, start, end, last);
    return this.sendText(x, buf.toString('base64', start, end), last);
  }

  sendTrailers(x: Exchange, trailers: Headers): void {
    if (!this.grpc) {
      this.inner.sendTrailers(x, trailers);
      return;
    }
    const frame = trailersFrame(trailers);
    if (this.text) this.sendText(x, frame.toString('base64'), true);
    else this.inner.sendData(x, frame, 0, frame.length, true);
  }

  consume(x: Exchange, bytes: number): void {
    this.inner.consume(x, bytes);
  }

  abort(x: Exchange, cause: 'internal' | 'cancel' | 'refused'): void {
    this.inner.abort(x, cause);
  }

  release(x: Exchange): void {
    this.inner.release(x);
  }

  /** Each piece is padded: a message must not wait for the next one to complete a group of three bytes. */
  private sendText(x: Exchange, text: string, last: boolean): boolean {
    const bytes = Buffer.from(text, 'latin1');
    return this.inner.sendData(x, bytes, 0, bytes.length, last);
  }
}

/** Trailers as a frame: fields as in HTTP/1.1, names in lower case. */
export function trailersFrame(trailers: Headers): Buffer {
  let block = '';
  for (let i = 0; i < trailers.length; i += 2) block += `${trailers[i]}:${trailers[i + 1]}\r\n`;
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + block.length);
  frame[0] = TRAILERS_FRAME;
  frame.writeUInt32BE(block.length, 1);
  frame.latin1Write(block, FRAME_HEAD_BYTES);
  return frame;
}
