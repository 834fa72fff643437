import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EchoApp, startEchoApp } from '../../support/echo-app.ts';
import {
  ECHO_INITIAL,
  ECHO_TRAILING,
  method,
  type OutputResponse,
  type SimpleResponse,
} from '../../support/interop/protocol.ts';
import { type InteropServer, startInteropServer } from '../../support/interop/server.ts';
import { route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';

interface WebReply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** Pieces as they came, still in base64 for the text form. */
  pieces: Buffer[];
}

type Send = (path: string, headers: Record<string, string>, body: Buffer, split?: number) => Promise<WebReply>;

/** A body as gRPC-Web has it: messages, and the fields of the last frame. */
function readBody(bytes: Buffer): { messages: Buffer[]; trailers: Record<string, string> | null } {
  const messages: Buffer[] = [];
  let trailers: Record<string, string> | null = null;
  for (let at = 0; at < bytes.length; ) {
    expect(trailers, 'nothing follows the trailers').toBeNull();
    const content = bytes.subarray(at + 5, at + 5 + bytes.readUInt32BE(at + 1));
    if (bytes[at] === 0) messages.push(content);
    else {
      expect(bytes[at]).toBe(0x80);
      const lines = content.toString('latin1').split('\r\n').slice(0, -1);
      trailers = Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
      );
    }
    at += 5 + content.length;
  }
  return { messages, trailers };
}

function unText(text: string): Buffer {
  // Padding ends one encoding; another may follow.
  return Buffer.concat(text.split(/(?<==)(?!=)/).map((part) => Buffer.from(part, 'base64')));
}

function frame(name: string, request: unknown): Buffer {
  const message = method(name).requestSerialize(request);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The body in pieces of `split` bytes, or in one. */
async function write(stream: NodeJS.WritableStream, body: Buffer, split: number): Promise<void> {
  for (let at = 0; at < body.length; at += split) {
    stream.write(body.subarray(at, at + split));
    if (split < body.length) await new Promise((resolve) => setImmediate(resolve));
  }
  stream.end();
}

describe('gRPC-Web at the gateway', () => {
  let server: InteropServer;
  let echo: EchoApp;
  let mesh: TestMesh;
  let session: http2.ClientHttp2Session;

  beforeAll(async () => {
    server = await startInteropServer();
    echo = await startEchoApp();
    const to = (service: string, prefix: string) =>
      route({ service, matches: [{ path: { kind: 'prefix', value: prefix }, methods: [], headers: [], query: [] }] });
    mesh = await startTestMesh(
      {
        js: { protocol: 'grpc', apps: [{ port: server.port }] },
        echo: { apps: [{ port: echo.port }] },
        gone: { protocol: 'grpc', apps: [], cluster: { parking: { timeoutMs: 0, maxRequests: 0 } } },
      },
      [to('js', '/grpc.testing.TestService'), to('echo', '/echo'), to('gone', '/gone')],
    );
    session = http2.connect(`https://127.0.0.1:${mesh.gatewayTls}`, {
      ca: mesh.authority.rootPem,
      servername: 'shop.localhost',
    });
    await once(session, 'connect');
  });

  afterAll(async () => {
    session.destroy();
    await mesh.close();
    server.close();
    echo.close();
  });

  const byHttp1: Send = (path, headers, body, split = body.length) =>
    new Promise((resolve, reject) => {
      const request = http.request(
        { host: '127.0.0.1', port: mesh.gateway, agent: false, method: 'POST', path, headers },
        (response) => {
          const pieces: Buffer[] = [];
          response.on('data', (chunk: Buffer) => pieces.push(chunk));
          response.on('end', () => {
            expect(response.trailers, 'a browser would not see these').toEqual({});
            resolve({ status: response.statusCode!, headers: response.headers, pieces });
          });
          response.on('error', reject);
        },
      );
      request.on('error', reject);
      void write(request, body, split);
    });

  const byHttp2: Send = (path, headers, body, split = body.length) =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ...headers, ':method': 'POST', ':path': path });
      const pieces: Buffer[] = [];
      let head: http2.IncomingHttpHeaders = {};
      stream.on('response', (received) => (head = received));
      stream.on('trailers', () => reject(new Error('there are trailers, which a browser would not see')));
      stream.on('data', (chunk: Buffer) => pieces.push(chunk));
      stream.on('end', () => resolve({ status: Number(head[':status']), headers: head, pieces }));
      stream.on('error', reject);
      void write(stream, body, split);
    });

  describe.each([
    ['HTTP/1.1', byHttp1],
    ['h2 over TLS', byHttp2],
  ])('over %s', (_protocol, send) => {
    describe.each([
      ['application/grpc-web+proto', false],
      ['application/grpc-web-text', true],
    ])('%s', (contentType, text) => {
      async function call(name: string, request: unknown, headers: Record<string, string> = {}, split?: number) {
        const body = frame(name, request);
        const reply = await send(
          `/grpc.testing.TestService/${name}`,
          { 'content-type': contentType, 'x-grpc-web': '1', ...headers },
          text ? Buffer.from(body.toString('base64')) : body,
          split,
        );
        const bytes = Buffer.concat(reply.pieces);
        return { ...reply, ...readBody(text ? unText(bytes.toString('latin1')) : bytes) };
      }

      it('calls, with metadata in both directions', async () => {
        const metadata = { [ECHO_INITIAL]: 'hello', [ECHO_TRAILING]: Buffer.from([0xab, 0, 0xff]).toString('base64') };
        const reply = await call('UnaryCall', { response_size: 10 }, metadata);
        expect(reply.status).toBe(200);
        expect(reply.headers['content-type']).toBe(
          contentType === 'application/grpc-web-text' ? 'application/grpc-web-text+proto' : contentType,
        );
        expect(reply.headers[ECHO_INITIAL]).toBe('hello');
        expect(reply.headers['grpc-status']).toBeUndefined();
        expect(reply.messages).toHaveLength(1);
        const answer = method('UnaryCall').responseDeserialize(reply.messages[0]) as SimpleResponse;
        expect(answer.payload?.body.length).toBe(10);
        expect(reply.trailers).toMatchObject({ 'grpc-status': '0', [ECHO_TRAILING]: 'qwD/' });
      });

      it('carries large messages, the request split anywhere', async () => {
        const request = { response_size: 314_159, payload: { body: Buffer.alloc(271_828, 7) } };
        const { messages, trailers } = await call('UnaryCall', request, {}, 9_973);
        const answer = method('UnaryCall').responseDeserialize(messages[0]) as SimpleResponse;
        expect(answer.payload?.body.length).toBe(314_159);
        expect(trailers?.['grpc-status']).toBe('0');
      });

      it('streams: each message when it is there', async () => {
        const sizes = [31, 32, 33, 34];
        const reply = await call('StreamingOutputCall', {
          response_parameters: sizes.map((size) => ({ size, interval_us: 30_000 })),
        });
        const answers = reply.messages.map(
          (message) => method('StreamingOutputCall').responseDeserialize(message) as OutputResponse,
        );
        expect(answers.map((answer) => answer.payload.body.length)).toEqual(sizes);
        expect(reply.pieces.length).toBeGreaterThanOrEqual(4);
        if (text) for (const piece of reply.pieces.slice(0, 4)) expect(piece.length % 4).toBe(0);
        expect(reply.trailers?.['grpc-status']).toBe('0');
      });

      it('tells status and message of an error', async () => {
        const reply = await call('UnaryCall', { response_status: { code: 9, message: 'größer' } });
        const where = reply.trailers ?? reply.headers;
        expect(where).toMatchObject({ 'grpc-status': '9', 'grpc-message': 'gr%C3%B6%C3%9Fer' });
        expect(reply.headers['content-type']).toMatch(/^application\/grpc-web/);
      });

      it('tells of a method that is not there', async () => {
        const reply = await call('UnimplementedCall', {});
        expect({ ...reply.headers, ...reply.trailers }['grpc-status']).toBe('12');
      });

      it('keeps the deadline', async () => {
        const late = { response_parameters: [{ size: 1 }, { size: 1, interval_us: 5_000_000 }] };
        const reply = await call('StreamingOutputCall', late, { 'grpc-timeout': '300m' });
        expect(reply.messages).toHaveLength(1);
        expect(reply.trailers?.['grpc-status']).toBe('4');
      });

      it('gets what the gateway itself has to say in its own form', async () => {
        const reply = await send('/gone/Method', { 'content-type': contentType }, Buffer.alloc(0));
        expect(reply.status).toBe(200);
        expect(reply.headers['content-type']).toMatch(/^application\/grpc-web/);
        expect(reply.headers['grpc-status']).toBe('14');
        expect(reply.headers['x-mesh-response-flags']).toBe('UH');
      });

      it('gets a response that is none of gRPC as it is', async () => {
        const reply = await send(
          '/echo',
          { 'content-type': contentType },
          Buffer.from(text ? 'AAAAAAA=' : '\0\0\0\0\0'),
        );
        expect(reply.headers['content-type']).toBe('application/json');
        const { headers, bytes } = JSON.parse(Buffer.concat(reply.pieces).toString());
        expect(headers['content-type']).toMatch(/^application\/grpc(\+proto)?$/);
        expect(bytes).toBe(5);
      });
    });

    it('takes one form and gives the other, if that is asked for', async () => {
      const headers = { 'content-type': 'application/grpc-web+proto', accept: 'application/grpc-web-text+proto' };
      const reply = await send('/grpc.testing.TestService/EmptyCall', headers, frame('EmptyCall', {}));
      expect(reply.headers['content-type']).toBe('application/grpc-web-text+proto');
      expect(readBody(unText(Buffer.concat(reply.pieces).toString())).trailers?.['grpc-status']).toBe('0');
    });

    it.each(['AAAAAA*=', 'AAAAA'])('refuses %s, which is no base64', async (body) => {
      const headers = { 'content-type': 'application/grpc-web-text' };
      const reply = await send('/grpc.testing.TestService/EmptyCall', headers, Buffer.from(body));
      expect(reply.headers).toMatchObject({ 'grpc-status': '13', 'x-mesh-response-flags': 'DPE' });
    });
  });
});
