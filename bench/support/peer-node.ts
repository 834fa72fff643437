/**
 * What the ecosystem would put together: `node peer-node.mjs '{"kind":"two-hop","app":9000,...}'`. Prints its ports as
 * JSON. `two-hop`: node:http, then node:https with certificates of both sides; `http2`: one hop of node:http2, no TLS.
 */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type net from 'node:net';

export interface PeerOptions {
  kind: 'two-hop' | 'http2';
  /** Port of the application. */
  app: number;
  /** Port that paths below /upload go to; `two-hop` only. */
  sink: number;
  /** PEM files; `two-hop` only. */
  credentials: { ca: string; clientCert: string; clientKey: string; serverCert: string; serverKey: string } | null;
}

export interface PeerPorts {
  front: number;
  /** Where the second hop listens; 0: there is none. */
  inbound: number;
}

const options = JSON.parse(process.argv[2]) as PeerOptions;
const ports = options.kind === 'two-hop' ? await twoHop(options) : { front: await http2Hop(options.app), inbound: 0 };
process.stdout.write(`${JSON.stringify(ports satisfies PeerPorts)}\n`);
process.on('SIGTERM', () => process.exit());

async function twoHop({ app, sink, credentials }: PeerOptions): Promise<PeerPorts> {
  const { ca, clientCert, clientKey, serverCert, serverKey } = credentials!;
  const toApp = new http.Agent({ keepAlive: true, maxSockets: 512 });
  const inbound = https.createServer(
    {
      cert: readFileSync(serverCert),
      key: readFileSync(serverKey),
      ca: readFileSync(ca),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const port = request.url!.startsWith('/upload') ? sink : app;
      const { method, url: path } = request;
      const headers = endToEnd(request.headers);
      relay(request, response, http.request({ host: '127.0.0.1', port, method, path, headers, agent: toApp }));
    },
  );
  const inboundPort = await listen(inbound);
  const link = new https.Agent({
    keepAlive: true,
    maxSockets: 512,
    cert: readFileSync(clientCert),
    key: readFileSync(clientKey),
    ca: readFileSync(ca),
  });
  const front = http.createServer((request, response) => {
    const { method, url: path } = request;
    const headers = endToEnd(request.headers);
    // The name that the certificate is checked for.
    const to = { host: '127.0.0.1', port: inboundPort, servername: 'localhost' };
    relay(request, response, https.request({ ...to, method, path, headers, agent: link }));
  });
  return { front: await listen(front), inbound: inboundPort };
}

/** Without the fields that are about one connection only (RFC 9110 section 7.6.1). */
function endToEnd(headers: http.IncomingHttpHeaders): http.IncomingHttpHeaders {
  delete headers.connection;
  delete headers['keep-alive'];
  return headers;
}

function relay(request: http.IncomingMessage, response: http.ServerResponse, upstream: http.ClientRequest): void {
  upstream.on('response', (answer) => {
    response.writeHead(answer.statusCode!, endToEnd(answer.headers));
    answer.pipe(response);
  });
  upstream.on('error', () => {
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
  response.on('close', () => {
    if (!response.writableFinished) upstream.destroy();
  });
  // As http-proxy does it: `stream.pipeline` makes an AbortController for each call, which shows.
  request.pipe(upstream);
}

async function http2Hop(app: number): Promise<number> {
  const session = http2.connect(`http://127.0.0.1:${app}`, { settings: { initialWindowSize: 1 << 20 } });
  session.on('error', () => {});
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    const bodyless = stream.endAfterHeaders;
    const upstream = session.request(headers, { endStream: bodyless });
    upstream.on('response', (answer) => {
      if (stream.destroyed) return;
      stream.respond(answer);
      upstream.pipe(stream);
    });
    upstream.on('error', () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
    stream.on('error', () => upstream.close());
    stream.on('close', () => {
      if (!upstream.destroyed) upstream.close();
    });
    if (!bodyless) stream.pipe(upstream);
  });
  return listen(server);
}

function listen(server: net.Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port));
  });
}
