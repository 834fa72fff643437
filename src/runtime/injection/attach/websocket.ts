import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';

/** RFC 6455 section 1.3: what a server appends to the key before it hashes it. */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const MOST_HEAD_BYTES = 16 * 1024;
/** The inspector answers with text of the size that we ask for. More than this is not an inspector. */
const MOST_MESSAGE_BYTES = 64 * 1024 * 1024;

const CONTINUATION = 0x0;
const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;

export interface WebSocketEvents {
  onText(text: string): void;
  /** Once, however it ends, also by `close`. */
  onClose(): void;
}

/**
 * The client half of RFC 6455 that the inspector protocol takes: text messages over plain TCP, no extensions.
 * Node.js 20 has no WebSocket of its own.
 */
export class WebSocketClient {
  private pending: Buffer = Buffer.alloc(0);
  private fragments: Buffer[] = [];
  private fragmentBytes = 0;
  private closed = false;

  private constructor(
    private readonly socket: net.Socket,
    private readonly events: WebSocketEvents,
  ) {}

  /** @throws Error with the reason when nobody there speaks WebSocket in time */
  static connect(
    target: { host: string; port: number; path: string },
    events: WebSocketEvents,
    timeoutMs: number,
  ): Promise<WebSocketClient> {
    return new Promise((resolve, reject) => {
      const key = randomBytes(16).toString('base64');
      const socket = net.connect({ host: target.host, port: target.port, noDelay: true });
      const timer = setTimeout(() => fail(new Error('no answer in time')), timeoutMs);
      let head: Buffer = Buffer.alloc(0);
      const stopListening = (): void => {
        clearTimeout(timer);
        socket.off('data', onData).off('error', fail).off('close', onEnd);
      };
      const fail = (error: Error): void => {
        stopListening();
        socket.on('error', () => {}).destroy();
        reject(error);
      };
      const onEnd = (): void => fail(new Error('the connection was closed'));
      const onData = (chunk: Buffer): void => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) {
          if (head.length > MOST_HEAD_BYTES) fail(new Error('the answer is no HTTP head'));
          return;
        }
        const refusal = refusalOf(head.toString('latin1', 0, end), key);
        if (refusal !== null) {
          fail(new Error(refusal));
          return;
        }
        stopListening();
        const client = new WebSocketClient(socket, events);
        client.begin(head.subarray(end + 4));
        resolve(client);
      };
      socket.on('data', onData).on('error', fail).on('close', onEnd);
      socket.write(
        `GET ${target.path} HTTP/1.1\r\nHost: ${target.host}:${target.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
      );
    });
  }

  send(text: string): void {
    if (!this.closed) this.write(TEXT, Buffer.from(text));
  }

  /** Section 7.1.1. Resolves when the other side has closed too, or did not in time. */
  close(timeoutMs: number): Promise<void> {
    if (!this.closed) {
      this.write(CLOSE, Buffer.from([0x03, 0xe8]));
      this.socket.end();
      this.finish();
    }
    if (this.socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.socket.destroy(), timeoutMs);
      this.socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.socket.resume();
    });
  }

  private begin(first: Buffer): void {
    this.socket.on('data', (chunk: Buffer) => this.receive(chunk));
    this.socket.on('error', () => this.finish());
    this.socket.on('close', () => this.finish());
    // The promise of `connect` resolves first, so that its owner is there for what came with the head.
    if (first.length > 0) queueMicrotask(() => this.receive(first));
  }

  private receive(chunk: Buffer): void {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    while (!this.closed) {
      const frame = readFrame(this.pending);
      if (frame === null) return;
      if (frame === 'too long') {
        this.abort();
        return;
      }
      this.pending = this.pending.subarray(frame.bytes);
      this.take(frame.opcode, frame.final, frame.payload);
    }
  }

  private take(opcode: number, final: boolean, payload: Buffer): void {
    if (opcode === PING) this.write(PONG, payload);
    else if (opcode === CLOSE) void this.close(0);
    else if (opcode === TEXT || opcode === CONTINUATION) {
      this.fragments.push(payload);
      this.fragmentBytes += payload.length;
      if (this.fragmentBytes > MOST_MESSAGE_BYTES) {
        this.abort();
        return;
      }
      if (!final) return;
      const text = Buffer.concat(this.fragments).toString();
      this.fragments = [];
      this.fragmentBytes = 0;
      this.events.onText(text);
    }
  }

  private write(opcode: number, payload: Buffer): void {
    this.socket.write(encodeFrame(opcode, payload, randomBytes(4)));
  }

  private abort(): void {
    this.socket.destroy();
    this.finish();
  }

  private finish(): void {
    if (this.closed) return;
    this.closed = true;
    this.events.onClose();
  }
}

/** Null: the server switched to WebSocket as asked (section 4.1). */
function refusalOf(head: string, key: string): string | null {
  const [status, ...lines] = head.split('\r\n');
  if (!/^HTTP\/1\.1 101( |$)/.test(status)) return `the answer is ${status}`;
  const accept = createHash('sha1')
    .update(key + ACCEPT_GUID)
    .digest('base64');
  const given = lines.map((line) => /^sec-websocket-accept:\s*(\S+)\s*$/i.exec(line)?.[1]).find((v) => v !== undefined);
  return given === accept ? null : 'the answer does not belong to the request';
}

interface Frame {
  opcode: number;
  final: boolean;
  payload: Buffer;
  /** Of the whole frame. */
  bytes: number;
}

/** Section 5.2. Null: not all of it is there. */
function readFrame(bytes: Buffer): Frame | null | 'too long' {
  if (bytes.length < 2) return null;
  const masked = (bytes[1] & 0x80) !== 0;
  let length = bytes[1] & 0x7f;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    const long = bytes.readBigUInt64BE(2);
    if (long > BigInt(MOST_MESSAGE_BYTES)) return 'too long';
    length = Number(long);
    at = 10;
  }
  const maskAt = at;
  if (masked) at += 4;
  if (bytes.length < at + length) return null;
  let payload = bytes.subarray(at, at + length);
  if (masked) payload = applyMask(payload, bytes.subarray(maskAt, maskAt + 4));
  return { opcode: bytes[0] & 0x0f, final: (bytes[0] & 0x80) !== 0, payload, bytes: at + length };
}

/** A whole message in one frame. Clients have to mask theirs (section 5.3). */
function encodeFrame(opcode: number, payload: Buffer, mask: Buffer): Buffer {
  let head: Buffer;
  if (payload.length < 126) head = Buffer.from([0x80 | opcode, 0x80 | payload.length]);
  else if (payload.length < 0x10000) {
    head = Buffer.from([0x80 | opcode, 0x80 | 126, 0, 0]);
    head.writeUInt16BE(payload.length, 2);
  } else {
    head = Buffer.from([0x80 | opcode, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([head, mask, applyMask(payload, mask)]);
}

function applyMask(payload: Buffer, mask: Buffer): Buffer {
  const out = Buffer.allocUnsafe(payload.length);
  for (let i = 0; i < payload.length; i++) out[i] = payload[i] ^ mask[i & 3];
  return out;
}
