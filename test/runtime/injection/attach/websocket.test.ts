import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { WebSocketClient } from '../../../../src/runtime/injection/attach/websocket.ts';

const servers: net.Server[] = [];
const sockets: net.Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

/** A server that shakes hands (or answers `refusal`) and hands over the socket, with what follows in the same packet. */
async function serve(options: { refusal?: string; first?: Buffer } = {}) {
  const accepted: net.Socket[] = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    accepted.push(socket);
    socket.on('error', () => {});
    socket.once('data', (head: Buffer) => {
      const key = /Sec-WebSocket-Key: (\S+)/.exec(head.toString())![1];
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      const answer =
        options.refusal ??
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
      socket.write(Buffer.concat([Buffer.from(answer), options.first ?? Buffer.alloc(0)]));
    });
  });
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: (server.address() as AddressInfo).port, accepted };
}

const frame = (first: number, text: string): Buffer =>
  Buffer.concat([Buffer.from([first, text.length]), Buffer.from(text)]);

async function connect(port: number) {
  const texts: string[] = [];
  let closes = 0;
  const client = await WebSocketClient.connect(
    { host: '127.0.0.1', port, path: '/x' },
    { onText: (text) => texts.push(text), onClose: () => closes++ },
    2_000,
  );
  return { client, texts, closes: () => closes };
}

it('puts messages together from frames, whatever packets they come in', async () => {
  const { port, accepted } = await serve({ first: frame(0x81, 'with the head') });
  const { texts, closes } = await connect(port);
  const long = 'ä'.repeat(40_000);
  const longFrame = Buffer.alloc(10);
  longFrame[0] = 0x81;
  longFrame[1] = 127;
  longFrame.writeBigUInt64BE(80_000n, 2);
  const bytes = Buffer.concat([
    ...[frame(0x01, 'one '), frame(0x89, 'ping'), frame(0x00, 'two '), frame(0x80, 'three')],
    ...[longFrame, Buffer.from(long)],
  ]);
  for (let at = 0; at < bytes.length; at += 7_001) accepted[0].write(bytes.subarray(at, at + 7_001));
  await expect.poll(() => texts.length).toBe(3);
  expect(texts).toEqual(['with the head', 'one two three', long]);
  expect(closes()).toBe(0);
});

it('masks what it sends, answers pings, and closes in order', async () => {
  const { port, accepted } = await serve();
  const { client, closes } = await connect(port);
  const received: Buffer[] = [];
  accepted[0].on('data', (chunk: Buffer) => received.push(chunk));
  client.send('x'.repeat(300));
  accepted[0].write(frame(0x89, 'hi'));
  await expect.poll(() => Buffer.concat(received).length).toBe(4 + 4 + 300 + 2 + 4 + 2);
  const bytes = Buffer.concat(received);
  expect([...bytes.subarray(0, 4)]).toEqual([0x81, 0xfe, 0x01, 0x2c]);
  const unmasked = bytes.subarray(8, 308).map((byte, i) => byte ^ bytes[4 + (i & 3)]);
  expect(Buffer.from(unmasked).toString()).toBe('x'.repeat(300));
  expect([...bytes.subarray(308, 310)]).toEqual([0x8a, 0x82]);
  accepted[0].once('end', () => accepted[0].end());
  await client.close(2_000);
  expect(closes()).toBe(1);
  expect(Buffer.concat(received)[bytes.length]).toBe(0x88);
});

it('tells when the other side goes, once', async () => {
  const { port, accepted } = await serve();
  const { client, closes } = await connect(port);
  accepted[0].destroy();
  await expect.poll(closes).toBe(1);
  await client.close(100);
  expect(closes()).toBe(1);
});

it.each([
  ['HTTP/1.1 400 Bad Request\r\n\r\n', 'the answer is HTTP/1.1 400 Bad Request'],
  ['HTTP/1.1 101 Fine\r\nSec-WebSocket-Accept: other\r\n\r\n', 'does not belong'],
  ['x'.repeat(20_000), 'no HTTP head'],
])('refuses a server that is none: %s', async (refusal, reason) => {
  const { port } = await serve({ refusal });
  await expect(connect(port)).rejects.toThrow(reason);
});
