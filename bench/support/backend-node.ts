/**
 * Backends in Node: `node backend-node.mjs JSON_BODY BODIES_DIR`. Prints its ports as JSON. `sink` takes uploads of any
 * size, answers with the number of bytes it got, and `GET /total` with that of all; `h1` and `h2` stand in for nginx
 * where it is not installed: `/` is the JSON, every other path a file of the directory.
 */
import { createReadStream, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import type net from 'node:net';
import path from 'node:path';

export interface BackendPorts {
  sink: number;
  h1: number;
  h2: number;
}

const [json, directory] = process.argv.slice(2);
/** Files up to this size are kept. */
const CACHED_BYTES = 1 << 20;
const cache = new Map<string, Buffer>();

let total = 0;
const sink = http.createServer((request, response) => {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    total += chunk.length;
  });
  request.on('end', () => {
    const body = String(request.url === '/upload/total' ? total : bytes);
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length });
    response.end(body);
  });
});

const h1 = http.createServer((request, response) => {
  const found = look(request.url!);
  response.writeHead(200, { 'content-type': found.type, 'content-length': found.length });
  if (found.body === null) createReadStream(found.file, { highWaterMark: 1 << 18 }).pipe(response);
  else response.end(found.body);
});

const h2 = http2.createServer();
h2.on('stream', (stream, headers) => {
  const found = look(headers[':path']!);
  stream.respond({ ':status': 200, 'content-type': found.type, 'content-length': found.length });
  if (found.body === null) createReadStream(found.file, { highWaterMark: 1 << 18 }).pipe(stream);
  else stream.end(found.body);
});

interface Found {
  type: string;
  length: number;
  file: string;
  /** Null: too large to be kept. */
  body: Buffer | null;
}

function look(url: string): Found {
  const file = path.join(directory, path.basename(url));
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
    const body = Buffer.from(json);
    return { type: 'application/json', length: body.length, file, body };
  }
  const length = statSync(file).size;
  let body = cache.get(file) ?? null;
  if (body === null && length <= CACHED_BYTES) cache.set(file, (body = readFileSync(file)));
  return { type: 'application/octet-stream', length, file, body };
}

function listen(server: net.Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port));
  });
}

for (const server of [sink, h1]) server.keepAliveTimeout = 600_000;
const ports: BackendPorts = { sink: await listen(sink), h1: await listen(h1), h2: await listen(h2) };
process.stdout.write(`${JSON.stringify(ports)}\n`);
process.on('SIGTERM', () => process.exit());
