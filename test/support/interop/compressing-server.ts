import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { gunzipSync, gzipSync } from 'node:zlib';
import grpc from '@grpc/grpc-js';
import { type InputRequest, method, type OutputRequest, type SimpleRequest } from './protocol.ts';
import type { InteropServer } from './server.ts';

interface Message {
  compressed: boolean;
  bytes: Buffer;
}

/**
 * The three methods of the compressed interoperability cases on plain node:http2, as grpc-js servers neither compress
 * what they send nor tell whether what they got was compressed. Each call is answered when its requests have ended.
 */
export async function startCompressingServer(): Promise<InteropServer> {
  const server = http2.createServer();
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => answer(stream, headers, readMessages(Buffer.concat(chunks))));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

function answer(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, requests: Message[]): void {
  const name = String(headers[':path']).split('/')[2];
  const { requestDeserialize, responseSerialize } = method(name);
  const read = <T>(message: Message): T => {
    if (message.compressed && headers['grpc-encoding'] !== 'gzip') throw new Error('compressed, but not by gzip');
    return requestDeserialize(message.compressed ? gunzipSync(message.bytes) : message.bytes) as T;
  };
  const replies: { size: number; compressed: boolean }[] = [];
  let status: number = grpc.status.OK;
  let sum = 0;
  for (const message of requests) {
    const request = read<SimpleRequest & InputRequest & OutputRequest>(message);
    const expected = request.expect_compressed?.value;
    if (expected !== undefined && expected !== message.compressed) status = grpc.status.INVALID_ARGUMENT;
    sum += request.payload?.body.length ?? 0;
    if (name === 'UnaryCall')
      replies.push({ size: request.response_size ?? 0, compressed: request.response_compressed?.value === true });
    for (const { size, compressed } of request.response_parameters ?? [])
      replies.push({ size, compressed: compressed?.value === true });
  }
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', 'grpc-encoding': 'gzip' },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(status) }));
  if (status === grpc.status.OK) {
    if (name === 'StreamingInputCall') stream.write(frame(responseSerialize({ aggregated_payload_size: sum }), false));
    for (const { size, compressed } of replies)
      stream.write(frame(responseSerialize({ payload: { body: Buffer.alloc(size) } }), compressed));
  }
  stream.end();
}

function frame(message: Buffer, compressed: boolean): Buffer {
  const bytes = compressed ? gzipSync(message) : message;
  const head = Buffer.alloc(5);
  head[0] = compressed ? 1 : 0;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function readMessages(body: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < body.length; ) {
    const length = body.readUInt32BE(at + 1);
    messages.push({ compressed: body[at] === 1, bytes: body.subarray(at + 5, at + 5 + length) });
    at += 5 + length;
  }
  return messages;
}
