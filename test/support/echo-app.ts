import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';

export interface EchoApp {
  port: number;
  close(): void;
}

/** What it says about a request, as JSON. */
export interface Echo {
  method: string;
  path: string;
  protocol: string;
  headers: Record<string, string>;
  bytes: number;
  sha256: string;
}

/**
 * Says what it got. `/stream` sends three lines 20 ms apart with a trailer `x-sum` behind them, `/bytes?<n>` so many
 * bytes, `/early` refuses a body without reading it.
 */
export async function startEchoApp(protocol: 'h1' | 'h2c' = 'h1'): Promise<EchoApp> {
  const answer = async (request: http.IncomingMessage, response: http.ServerResponse) => {
    const [path, query] = (request.url ?? '').split('?');
    if (path === '/early') {
      response.writeHead(413, { 'content-type': 'text/plain' }).end('too large\n');
      return;
    }
    if (path === '/bytes') {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': query });
      response.end(Buffer.alloc(Number(query), 0x61));
      return;
    }
    if (path === '/stream') {
      response.writeHead(200, { 'content-type': 'text/plain', trailer: 'x-sum' });
      for (const line of ['one', 'two', 'three']) {
        response.write(`${line}\n`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      response.addTrailers({ 'x-sum': '3' });
      response.end();
      return;
    }
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    const body = JSON.stringify({
      method: request.method,
      path: request.url,
      protocol: request.httpVersion,
      headers: request.headers,
      bytes,
      sha256: hash.digest('hex'),
    });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const respond = (request: http.IncomingMessage, response: http.ServerResponse) => {
    answer(request, response).catch(() => response.destroy());
  };
  const sessions = new Set<http2.ServerHttp2Session>();
  const server =
    protocol === 'h1'
      ? http.createServer(respond)
      : http2.createServer(
          {},
          respond as unknown as (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void,
        );
  if (protocol === 'h2c') (server as http2.Http2Server).on('session', (session) => sessions.add(session));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      if (server instanceof http.Server) server.closeAllConnections();
      for (const session of sessions) session.destroy();
    },
  };
}
