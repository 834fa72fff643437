import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { H2Stream } from '../../../src/proxy/http2/stream.ts';
import type { Headers } from '../../../src/proxy/message.ts';
import {
  connectH2,
  echo,
  type SocketBinding,
  silentEvents,
  startH2Server,
  type TestH2Server,
} from '../../support/h2-server.ts';

/** Names that both sides leave alone: no connection-specific, no single-value ones that Node would merge or refuse. */
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/).map((n) => `x-${n}`);
const value = fc
  .array(fc.oneof(fc.integer({ min: 0x21, max: 0x7e }), fc.integer({ min: 0xa0, max: 0xff })), { maxLength: 120 })
  .map((bytes) => String.fromCharCode(...bytes));
const fields = fc.uniqueArray(fc.tuple(name, value), { selector: ([n]) => n, maxLength: 30 });

/** Collects what one exchange of our client brings. */
interface Exchange {
  status: number;
  headers: Headers;
  body: string;
  trailers: Headers;
  done: (error?: Error) => void;
}

function collecting(binding: SocketBinding): ReturnType<typeof silentEvents> {
  return {
    ...silentEvents(),
    onResponse(stream, head, endStream) {
      const x = stream.user as Exchange;
      x.status = head.status;
      x.headers = head.headers;
      if (endStream) x.done();
    },
    onData(stream, buf, start, end, endStream) {
      const x = stream.user as Exchange;
      x.body += buf.latin1Slice(start, end);
      binding.connection.consume(stream, end - start);
      if (endStream) x.done();
    },
    onTrailers(stream, trailers) {
      const x = stream.user as Exchange;
      x.trailers = trailers;
      x.done();
    },
    onReset: (stream, code) => (stream.user as Exchange).done(new Error(`reset ${code}`)),
  };
}

async function exchange(binding: SocketBinding, headers: Headers, body: Buffer, trailers: Headers): Promise<Exchange> {
  const x: Exchange = { status: 0, headers: [], body: '', trailers: [], done: () => {} };
  const done = new Promise<void>((resolve, reject) => {
    x.done = (error) => (error === undefined ? resolve() : reject(error));
  });
  const head = {
    method: 'POST',
    scheme: 'http',
    authority: 'a.test',
    path: '/x',
    protocol: null,
    headers,
    contentLength: -1,
  };
  const stream = binding.connection.request({ ...head, expectContinue: false }, false, x) as H2Stream;
  binding.connection.data(stream, body, 0, body.length, false);
  binding.connection.trailers(stream, trailers);
  await done;
  return x;
}

const pairs = (headers: Headers): Record<string, string> => {
  const out: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) out[headers[i]] = headers[i + 1];
  return out;
};

describe.each([false, true])('our client and the server of Node, Huffman %s', (huffman) => {
  let server: http2.Http2Server;
  let client: SocketBinding;

  beforeAll(async () => {
    server = http2.createServer();
    server.on('stream', (stream, headers) => {
      const echoed: http2.OutgoingHttpHeaders = { ':status': 200 };
      for (const key of Object.keys(headers)) if (key.startsWith('x-')) echoed[key] = headers[key];
      stream.respond(echoed, { waitForTrailers: true });
      let trailers: http2.IncomingHttpHeaders = {};
      stream.on('trailers', (got) => {
        trailers = got;
      });
      stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }));
      stream.pipe(stream);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = await connectH2((server.address() as AddressInfo).port, collecting, { huffman, headerTableBytes: 1000 });
  });
  afterAll(async () => {
    client.socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  it('agree on random heads, content and trailers', async () => {
    await fc.assert(
      fc.asyncProperty(fields, fc.uint8Array({ maxLength: 2000 }), async (list, bytes) => {
        const body = Buffer.from(bytes);
        const got = await exchange(client, list.flat(), body, ['x-sum', String(body.length)]);
        const { date, ...rest } = pairs(got.headers);
        expect(rest).toEqual(Object.fromEntries(list));
        expect(got.body).toBe(body.latin1Slice());
        expect(got.trailers).toEqual(['x-sum', String(body.length)]);
      }),
      { numRuns: 100 },
    );
  });

  it('agree on content of many windows, several streams at once', async () => {
    const bodies = [3, 5, 7].map((n) => Buffer.alloc(n * 300_000, `abcdefg${n}`));
    const got = await Promise.all(bodies.map((body) => exchange(client, [], body, ['x-end', '1'])));
    for (const [i, x] of got.entries()) expect(x.body === bodies[i].latin1Slice()).toBe(true);
  });
});

describe('the client of Node and our server', () => {
  let server: TestH2Server;
  let session: http2.ClientHttp2Session;

  beforeAll(async () => {
    server = await startH2Server(
      (binding) => ({
        ...echo(binding),
        onRequest(stream, head) {
          const headers: Headers = [];
          for (let i = 0; i < head.headers.length; i += 2) {
            if (head.headers[i].startsWith('x-')) headers.push(head.headers[i], head.headers[i + 1]);
          }
          binding.connection.informational(stream, 103, ['link', '</a>']);
          binding.connection.respond(stream, 200, headers, false);
        },
      }),
      { headerTableBytes: 1000, initialWindowBytes: 70_000, enableConnectProtocol: true },
    );
    session = http2.connect(`http://127.0.0.1:${server.port}`, { settings: { headerTableSize: 300 } });
  });
  afterAll(async () => {
    session.destroy();
    await server.close();
  });

  async function send(headers: http2.OutgoingHttpHeaders, body: Buffer, trailers: http2.OutgoingHttpHeaders) {
    const stream = session.request({ ':method': 'POST', ':path': '/x', ...headers }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    let got: http2.IncomingHttpHeaders = {};
    let gotTrailers: http2.IncomingHttpHeaders = {};
    let hints = 0;
    stream.on('response', (h) => (got = h));
    stream.on('trailers', (h) => (gotTrailers = h));
    stream.on('headers', () => hints++);
    stream.end(body);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return { got, gotTrailers, hints, body: Buffer.concat(chunks) };
  }

  it('agree on random heads, content and trailers', async () => {
    await fc.assert(
      fc.asyncProperty(fields, fc.uint8Array({ maxLength: 2000 }), async (list, bytes) => {
        const reply = await send(Object.fromEntries(list), Buffer.from(bytes), { 'x-sum': '1' });
        const { ':status': status, ...rest } = reply.got;
        expect(status).toBe(200);
        expect(Object.fromEntries(Object.entries(rest))).toEqual(Object.fromEntries(list));
        expect(reply.body.equals(Buffer.from(bytes))).toBe(true);
        expect(Object.fromEntries(Object.entries(reply.gotTrailers))).toEqual({ 'x-sum': '1' });
        expect(reply.hints).toBe(1);
      }),
      { numRuns: 100 },
    );
  });

  it('agree on content of many windows, several streams at once', async () => {
    const bodies = [3, 5, 7].map((n) => Buffer.alloc(n * 300_000, `abcdefg${n}`));
    const replies = await Promise.all(bodies.map((body) => send({}, body, {})));
    for (const [i, reply] of replies.entries()) expect(reply.body.equals(bodies[i])).toBe(true);
  });

  it('end gracefully', async () => {
    const other = http2.connect(`http://127.0.0.1:${server.port}`);
    await new Promise<void>((resolve) => other.once('remoteSettings', () => resolve()));
    const stream = other.request({ ':method': 'POST', ':path': '/' });
    await new Promise<void>((resolve) => stream.once('response', () => resolve()));
    const goaway = new Promise<void>((resolve) => other.once('goaway', () => resolve()));
    const binding = server.bindings.at(-1) as SocketBinding;
    binding.connection.shutdown();
    await goaway;
    stream.end('last words');
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).latin1Slice()).toBe('last words');
    expect(binding.connection.drained).toBe(true);
    other.destroy();
  });
});
