/**
 * The HTTP/1.1 service of the soak: `/echo` gives the request's body back as it comes, `/big?bytes=` a body of that size,
 * `/events` server-sent events, `/ws` a WebSocket that echoes. Every answer names the id that its request came with.
 */
import http from 'node:http';
import type { Socket } from 'node:net';
import { patternChunks } from '../pattern.ts';
import { acceptKey, encodeFrame, frameReader, Opcode } from '../websocket.ts';

const EVENT_INTERVAL_MS = 40;

/** Proxies leave idle connections a second before: what they hold at rest does not depend on what there was at the peak. */
const KEEP_ALIVE_MS = 5_000;

const server = http.createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
  const url = new URL(request.url ?? '/', 'http://x');
  const id = String(request.headers['x-id'] ?? '');
  response.setHeader('x-id', id);
  request.on('error', () => {});
  response.on('error', () => {});
  switch (url.pathname) {
    case '/echo': {
      const length = request.headers['content-length'];
      if (length !== undefined) response.setHeader('content-length', length);
      request.pipe(response);
      return;
    }
    case '/big': {
      request.resume();
      const bytes = Number(url.searchParams.get('bytes'));
      response.setHeader('content-length', bytes);
      const chunks = patternChunks(bytes);
      const more = (): void => {
        for (let next = chunks.next(); !next.done; next = chunks.next()) {
          if (!response.write(next.value)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
      return;
    }
    case '/events': {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
      let n = 0;
      const timer = setInterval(() => response.write(`id: ${n}\ndata: ${id} ${n++}\n\n`), EVENT_INTERVAL_MS);
      response.on('close', () => clearInterval(timer));
      return;
    }
    default:
      response.writeHead(404).end();
  }
});

server.on('upgrade', (request, socket: Socket, head: Buffer) => {
  const key = String(request.headers['sec-websocket-key']);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`,
  );
  const read = frameReader((opcode, payload) => {
    if (opcode === Opcode.Close) socket.end(encodeFrame(Opcode.Close, payload, false));
    else if (opcode === Opcode.Ping) socket.write(encodeFrame(Opcode.Pong, payload, false));
    else socket.write(encodeFrame(opcode, payload, false));
  });
  socket.on('error', () => {});
  socket.on('data', read);
  if (head.length > 0) read(head);
});

server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
