import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';

/** RFC 6455 section 5.2. */
export const Opcode = { Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;

/** Clients mask, servers do not. */
export function encodeFrame(opcode: number, payload: Buffer, masked: boolean): Buffer {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + extended);
  head[0] = 0x80 | opcode;
  head[1] = (masked ? 0x80 : 0) | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) head.writeUInt16BE(length, 2);
  if (extended === 8) head.writeBigUInt64BE(BigInt(length), 2);
  if (!masked) return Buffer.concat([head, payload]);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, masking(payload, mask)]);
}

/** Masked, or unmasked again. */
function masking(payload: Buffer, mask: Buffer): Buffer {
  const result = Buffer.allocUnsafe(payload.length);
  for (let i = 0; i < payload.length; i++) result[i] = payload[i] ^ mask[i & 3];
  return result;
}

/** Takes messages out of bytes that may be split anywhere; fragments are joined. */
export function frameReader(onMessage: (opcode: number, payload: Buffer) => void): (bytes: Buffer) => void {
  let held: Buffer = Buffer.alloc(0);
  let parts: Buffer[] = [];
  let partsOf = 0;
  return (bytes) => {
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
    for (;;) {
      if (held.length < 2) return;
      const short = held[1] & 0x7f;
      const masked = (held[1] & 0x80) !== 0;
      let at = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (held.length < at) return;
      const length = short < 126 ? short : short === 126 ? held.readUInt16BE(2) : Number(held.readBigUInt64BE(2));
      const mask = masked ? held.subarray(at, at + 4) : null;
      at += masked ? 4 : 0;
      if (held.length < at + length) return;
      const raw = held.subarray(at, at + length);
      const payload = mask === null ? raw : masking(raw, mask);
      const final = (held[0] & 0x80) !== 0;
      const opcode = held[0] & 0x0f;
      held = held.subarray(at + length);
      if (opcode >= 8) onMessage(opcode, payload);
      else {
        if (opcode !== 0) partsOf = opcode;
        parts.push(payload);
        if (!final) continue;
        const whole = parts.length === 1 ? parts[0] : Buffer.concat(parts);
        parts = [];
        onMessage(partsOf, whole);
      }
    }
  };
}

/** RFC 6455 section 4.2.2. */
export function acceptKey(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

export interface WebSocketClient {
  socket: Socket;
  send(opcode: number, payload: Buffer): void;
  /** Messages from here on; what came before is delivered at once. */
  onMessage(listener: (opcode: number, payload: Buffer) => void): void;
}

/** Opens a WebSocket; rejects if it is refused. */
export async function openWebSocket(port: number, path: string, host: string): Promise<WebSocketClient> {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const key = randomBytes(16).toString('base64');
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  const early: [number, Buffer][] = [];
  let listener: ((opcode: number, payload: Buffer) => void) | null = null;
  const read = frameReader((opcode, payload) => {
    if (listener === null) early.push([opcode, payload]);
    else listener(opcode, payload);
  });
  await new Promise<void>((resolve, reject) => {
    let head: Buffer = Buffer.alloc(0);
    const refuse = (reason: string) => {
      socket.destroy();
      reject(new Error(reason));
    };
    const onError = (error: Error) => refuse(error.message);
    const onClose = () => refuse('closed in the handshake');
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const text = head.subarray(0, end).toString('latin1');
      if (!text.startsWith('HTTP/1.1 101 ')) return refuse(`handshake refused: ${text.slice(9, 12)}`);
      if (!text.toLowerCase().includes(`sec-websocket-accept: ${acceptKey(key).toLowerCase()}`))
        return refuse('wrong sec-websocket-accept');
      socket.off('data', onData);
      socket.off('close', onClose);
      socket.off('error', onError);
      socket.on('error', () => {});
      socket.on('data', read);
      if (head.length > end + 4) read(head.subarray(end + 4));
      resolve();
    };
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.on('error', onError);
  });
  return {
    socket,
    send: (opcode, payload) => void socket.write(encodeFrame(opcode, payload, true)),
    onMessage(next) {
      listener = next;
      for (const [opcode, payload] of early.splice(0)) next(opcode, payload);
    },
  };
}
