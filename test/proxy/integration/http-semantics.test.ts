import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { eventually, fetchH1, httpApp, listenOn, rawExchange, settled, type TestApp } from '../../support/traffic.ts';

describe('what HTTP allows, through two proxies', () => {
  let app: TestApp;
  let old: TestApp;
  let mesh: TestMesh;
  const events = new Set<http.ServerResponse>();
  let continued = 0;
  const expectations: (string | undefined)[] = [];
  let connections = 0;

  beforeAll(async () => {
    const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      switch (request.url) {
        case '/events':
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.write('data: first\n\n');
          events.add(response);
          response.on('close', () => events.delete(response));
          return;
        case '/hints':
          response.writeEarlyHints({ link: '</a.css>; rel=preload' });
          response.end('after hints');
          return;
        case '/unchanged':
          response.writeHead(304, { etag: '"x"' }).end();
          return;
        case '/early':
          response.writeHead(413, { 'content-length': '5' }).end('early');
          return;
        case '/early-204':
          response.writeHead(204).end();
          return;
        case '/length':
          response
            .writeHead(200, { 'content-length': '1000' })
            .end(request.method === 'HEAD' ? undefined : 'y'.repeat(1000));
          return;
        default: {
          let n = 0;
          request.on('data', (chunk: Buffer) => (n += chunk.length));
          request.on('end', () => response.end(`${request.method} ${request.url} ${n}`));
        }
      }
    });
    server.on('connection', () => connections++);
    server.on('checkContinue', (request, response) => {
      expectations.push(request.headers.expect);
      if (request.url === '/refuse') {
        response.writeHead(417, { 'content-length': '2' }).end('no');
        return;
      }
      continued++;
      response.writeContinue();
      server.emit('request', request, response);
    });
    app = await listenOn(server);
    old = await listenOn(
      net.createServer((socket) => {
        socket.on('error', () => {});
        socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nuntil the end'));
      }),
    );
    mesh = await startTestMesh(
      {
        app: {
          apps: [{ port: app.port }],
          routes: [
            {
              ...route({ name: 'events' }),
              matches: [{ path: { kind: 'exact', value: '/events' }, methods: [], headers: [], query: [] }],
              timeouts: { requestMs: 700, idleMs: 0 },
            },
            {},
          ],
        },
        old: { apps: [{ port: old.port }] },
      },
      [route()],
    );
  });

  afterAll(async () => {
    await mesh?.close();
    await app?.close();
    await old?.close();
  });

  it('delivers an event before the next one is produced, beyond the request timeout, and ends it on both sides', async () => {
    const request = http.get({ host: '127.0.0.1', port: mesh.dependency.app, path: '/events', agent: false });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => (text += chunk));
    response.on('error', () => {});
    await eventually(() => text === 'data: first\n\n', 'the first event');
    const [stream] = events;
    const begun = performance.now();
    for (let i = 0; performance.now() - begun < 900; i++) {
      stream.write(`data: ${i}\n\n`);
      await eventually(() => text.endsWith(`data: ${i}\n\n`), `event ${i}`);
    }
    request.destroy();
    await eventually(() => events.size === 0, 'the application sees that the client left');
    await settled(mesh);
  });

  it('asks the application before the body is sent: 100 (Continue)', async () => {
    const before = continued;
    const socket = net.connect(mesh.dependency.app, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk));
    socket.write('POST /c HTTP/1.1\r\nhost: app\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n');
    await eventually(() => text === 'HTTP/1.1 100 Continue\r\n\r\n', 'the 100');
    expect(continued).toBe(before + 1);
    expect(expectations.at(-1)).toBe('100-continue');
    socket.write('body');
    await eventually(() => text.includes('POST /c 4'), 'the answer');
    // The connection lives on.
    socket.write('GET /next HTTP/1.1\r\nhost: app\r\n\r\n');
    await eventually(() => text.includes('GET /next 0'), 'the next answer');
    socket.destroy();

    const session = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
    const stream = session.request({ ':method': 'POST', ':path': '/c2', expect: '100-continue' });
    await once(stream, 'continue');
    stream.end('12345');
    let body = '';
    for await (const chunk of stream) body += chunk;
    expect(body).toBe('POST /c2 5');
    session.close();
  });

  it('passes a refused expectation on and closes, because nobody knows whether the body follows', async () => {
    const text = await rawExchange(
      mesh.dependency.app,
      'POST /refuse HTTP/1.1\r\nhost: app\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1\.1 417 /);
    expect(text).toContain('connection: close\r\n');
    await settled(mesh);
  });

  it('passes early hints to HTTP/1.1 and h2, and none to HTTP/1.0', async () => {
    const text = await rawExchange(mesh.dependency.app, 'GET /hints HTTP/1.1\r\nhost: app\r\n\r\n', 'after hints');
    expect(text).toMatch(/^HTTP\/1\.1 103 [^\r]*\r\nlink: <\/a\.css>; rel=preload\r\n\r\nHTTP\/1\.1 200 /i);
    const ancient = await rawExchange(mesh.dependency.app, 'GET /hints HTTP/1.0\r\nhost: app\r\n\r\n', 'after hints');
    expect(ancient).toMatch(/^HTTP\/1\.1 200 /);
    const session = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
    const stream = session.request({ ':path': '/hints' });
    const [hints] = await once(stream, 'headers');
    expect(hints).toMatchObject({ ':status': 103, link: '</a.css>; rel=preload' });
    stream.resume();
    await once(stream, 'end');
    session.close();
  });

  it('keeps what HEAD and 304 say about the body that they have not', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const head = await fetchH1(mesh.dependency.app, { agent, method: 'HEAD', path: '/length' });
    expect([head.headers['content-length'], head.body]).toEqual(['1000', '']);
    const unchanged = await fetchH1(mesh.dependency.app, { agent, path: '/unchanged' });
    expect([unchanged.status, unchanged.headers.etag, unchanged.body]).toEqual([304, '"x"', '']);
    expect((await fetchH1(mesh.dependency.app, { agent, path: '/length' })).body).toHaveLength(1000);
    agent.destroy();
  });

  it('serves HTTP/1.0 clients, with and without keep-alive, and ends what has no length by closing', async () => {
    const once10 = await rawExchange(mesh.dependency.app, 'GET /a HTTP/1.0\r\n\r\n');
    expect(once10).toMatch(/^HTTP\/1\.1 200 /);
    expect(once10).toContain('connection: close\r\n');
    expect(once10).not.toContain('chunked');
    expect(once10.endsWith('GET /a 0')).toBe(true);
    const kept = await rawExchange(
      mesh.dependency.app,
      'GET /length HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n',
    );
    expect(kept).toContain('connection: keep-alive\r\n');
    expect(kept.endsWith('GET /b 0')).toBe(true);
  });

  it('reads a response without length from an HTTP/1.0 application to its end', async () => {
    expect((await fetchH1(mesh.dependency.old)).body).toBe('until the end');
    const text = await rawExchange(mesh.dependency.old, 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    expect(text).toContain('connection: close\r\n');
    expect(text).toMatch(/until the end\r\n0\r\n\r\n$/);
  });

  it('reuses connections on both ends', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    await fetchH1(mesh.dependency.app, { agent });
    const before = connections;
    for (let i = 0; i < 20; i++) await fetchH1(mesh.dependency.app, { agent, method: 'POST', body: 'x' });
    expect(connections).toBe(before);
    agent.destroy();
  });

  it('delivers an early response to an unfinished upload, and the upload ends', async () => {
    const socket = net.connect(mesh.dependency.app, '127.0.0.1');
    socket.on('error', () => {});
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk));
    socket.write('POST /early HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n');
    await eventually(() => text.includes('early'), 'the early response');
    expect(text).toContain('connection: close\r\n');
    await settled(mesh);
    socket.destroy();

    const session = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
    const stream = session.request({ ':method': 'POST', ':path': '/early' });
    stream.write('some');
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(413);
    let body = '';
    for await (const chunk of stream) body += chunk;
    expect(body).toBe('early');
    await once(stream, 'close');
    expect(stream.rstCode).toBe(0);
    session.close();
    await settled(mesh);
  });

  it('keeps a connection whose small body was not wanted', async () => {
    const text = await rawExchange(
      mesh.outbound,
      'POST / HTTP/1.1\r\nhost: nowhere\r\ncontent-length: 5\r\n\r\nhelloGET /after HTTP/1.1\r\nhost: app\r\n\r\n',
      'GET /after 0',
    );
    expect(text).toMatch(/^HTTP\/1\.1 404 /);
    expect(text).toContain('HTTP/1.1 200 ');
  });

  it('answers many pipelined requests that are answered at once without growing the stack', async () => {
    const n = 5_000;
    const one = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
    const text = await rawExchange(
      mesh.outbound,
      one.repeat(n) + one.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'),
    );
    expect(text.match(/HTTP\/1\.1 404 /g)).toHaveLength(n + 1);
  });

  it('gives a slow reader all of a response that closes its connection', async () => {
    const big = await httpApp((_request, response) => response.end(Buffer.alloc(6_000_000, 'b')));
    mesh.update({ app: { apps: [{ port: app.port }] }, old: { apps: [{ port: big.port }] } });
    const socket = net.connect({ port: mesh.dependency.old, host: '127.0.0.1' });
    socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    await once(socket, 'readable');
    // Longer than connections linger after their last response.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    let bytes = 0;
    for await (const chunk of socket) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(6_000_000);
    await big.close();
    mesh.update({ app: { apps: [{ port: app.port }] }, old: { apps: [{ port: old.port }] } });
  });
});
