import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type http from 'node:http';
import type http2 from 'node:http2';
import type { Duplex } from 'node:stream';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const Opcode = { Continuation: 0, Text: 1, Close: 8, Ping: 9, Pong: 10 } as const;

/** The client's end of a WebSocket (RFC 6455): text messages, no extensions. */
export class WebSocketClient {
  /** All text messages so far. */
  readonly messages: string[] = [];
  /** Status of the close frame that came, 0 before. */
  closedWith = 0;
  private seen: Buffer;
  private fragments = '';

  constructor(
    private readonly stream: Duplex,
    readonly protocol: string,
    first: Buffer = Buffer.alloc(0),
  ) {
    this.seen = first;
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => {
      this.seen = Buffer.concat([this.seen, chunk]);
      this.read();
    });
    this.read();
  }

  send(text: string): void {
    this.frame(Opcode.Text, Buffer.from(text));
  }

  close(): void {
    this.frame(Opcode.Close, Buffer.from([0x03, 0xe8]));
    this.stream.end();
  }

  private frame(opcode: number, payload: Buffer): void {
    const long = payload.length > 125;
    const head = Buffer.alloc(long ? 8 : 6);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (long ? 126 : payload.length);
    if (long) head.writeUInt16BE(payload.length, 2);
    const mask = randomBytes(4);
    mask.copy(head, head.length - 4);
    this.stream.write(Buffer.concat([head, payload.map((byte, i) => byte ^ mask[i & 3])]));
  }

  private read(): void {
    while (this.seen.length >= 2) {
      let length = this.seen[1] & 0x7f;
      let at = 2;
      if (length === 126) at = 4;
      else if (length === 127) at = 10;
      if (this.seen.length < at) return;
      if (length === 126) length = this.seen.readUInt16BE(2);
      else if (length === 127) length = Number(this.seen.readBigUInt64BE(2));
      if (this.seen.length < at + length) return;
      const payload = this.seen.subarray(at, at + length);
      this.take(this.seen[0] & 0x0f, (this.seen[0] & 0x80) !== 0, payload);
      this.seen = this.seen.subarray(at + length);
    }
  }

  private take(opcode: number, last: boolean, payload: Buffer): void {
    if (opcode === Opcode.Ping) this.frame(Opcode.Pong, payload);
    else if (opcode === Opcode.Close) this.closedWith = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
    else if (opcode === Opcode.Text || opcode === Opcode.Continuation) {
      this.fragments += payload.toString();
      if (!last) return;
      this.messages.push(this.fragments);
      this.fragments = '';
    }
  }
}

/** Handshake over HTTP/1.1; `request` is that of node:http or node:https. */
export async function openByHttp1(
  request: typeof http.request,
  options: http.RequestOptions,
  protocol: string,
): Promise<WebSocketClient> {
  const key = randomBytes(16).toString('base64');
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': key,
    'sec-websocket-protocol': protocol,
    ...options.headers,
  };
  const sent = request({ agent: false, ...options, headers });
  sent.on('response', (response) => sent.destroy(new Error(`no upgrade: ${response.statusCode}`)));
  sent.end();
  const [response, socket, first] = (await once(sent, 'upgrade')) as [http.IncomingMessage, Duplex, Buffer];
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  if (response.headers['sec-websocket-accept'] !== accept) throw new Error('the key was answered wrongly');
  return new WebSocketClient(socket, String(response.headers['sec-websocket-protocol']), first);
}

/** Handshake by extended CONNECT on an HTTP/2 session (RFC 8441). */
export async function openByHttp2(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  protocol: string,
): Promise<WebSocketClient> {
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-protocol': protocol,
    ...headers,
  });
  const [response] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
  if (response[':status'] !== 200) throw new Error(`no upgrade: ${response[':status']}`);
  return new WebSocketClient(stream, String(response['sec-websocket-protocol']));
}
