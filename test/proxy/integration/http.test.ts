import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';

interface Reply {
  status: number;
  headers: http.IncomingHttpHeaders;
  trailers: NodeJS.Dict<string>;
  body: string;
}

function get(port: number, options: http.RequestOptions & { body?: string | Buffer } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options;
    const request = http.request({ host: '127.0.0.1', port, agent: false, ...rest }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          trailers: response.trailers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

describe('HTTP through two proxies with mutual TLS', () => {
  let app: http.Server;
  let mesh: TestMesh;
  const seen: http.IncomingMessage[] = [];

  beforeAll(async () => {
    app = http.createServer((request, response) => {
      seen.push(request);
      if (request.url === '/trailers') {
        response.writeHead(200, { trailer: 'x-sum' });
        response.write('part');
        response.addTrailers({ 'x-sum': '42' });
        response.end();
        return;
      }
      if (request.url === '/empty') {
        response.writeHead(204).end();
        return;
      }
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = JSON.stringify({
          method: request.method,
          url: request.url,
          headers: request.headers,
          body: Buffer.concat(chunks).toString('latin1').slice(0, 200),
          length: Buffer.concat(chunks).length,
        });
        response.writeHead(200, { 'content-type': 'application/json', 'x-mesh-response-flags': 'FORGED' });
        response.end(request.method === 'HEAD' ? undefined : body);
      });
    });
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    mesh = await startTestMesh({ app: { apps: [{ port: (app.address() as AddressInfo).port }] } });
  });

  afterAll(async () => {
    await mesh.close();
    app.close();
    app.closeAllConnections();
  });

  it('reaches the service by its own port, with identity and trace', async () => {
    const reply = await get(mesh.dependency.app, { path: '/hello?x=1' });
    expect(reply.status).toBe(200);
    expect(reply.headers['x-mesh-response-flags']).toBeUndefined();
    const { url, headers } = JSON.parse(reply.body);
    expect(url).toBe('/hello?x=1');
    expect(headers['x-forwarded-client-cert']).toMatch(
      /^By=spiffe:\/\/test\.local\/ns\/default\/sa\/app;Hash=[0-9a-f]{64};URI=spiffe:\/\/test\.local\/ns\/default\/sa\/client$/,
    );
    expect(headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$/);
  });

  it('strips a forged client certificate and continues a trace', async () => {
    const trace = '0af7651916cd43dd8448eb211c80319c';
    const reply = await get(mesh.dependency.app, {
      headers: { 'x-forwarded-client-cert': 'URI=spiffe://evil', traceparent: `00-${trace}-b7ad6b7169203331-01` },
    });
    const { headers } = JSON.parse(reply.body);
    expect(headers['x-forwarded-client-cert']).not.toContain('evil');
    expect(headers.traceparent.slice(0, 36)).toBe(`00-${trace}-`);
    expect(headers.traceparent).not.toContain('b7ad6b7169203331');
  });

  it('finds the service by Host, by <name>.localhost and by absolute-form', async () => {
    for (const host of ['app', 'app.localhost', 'app.test.local', 'APP:80']) {
      expect((await get(mesh.outbound, { headers: { host } })).status, host).toBe(200);
    }
    expect((await get(mesh.outbound, { path: 'http://app/deep?q' })).status).toBe(200);
    const unknown = await get(mesh.outbound, { headers: { host: 'nope' } });
    expect(unknown.status).toBe(404);
    expect(unknown.headers['x-mesh-response-flags']).toBe('NC');
    expect(unknown.body).toContain('there are: app');
  });

  it('sends bodies with length, in chunks, and with trailers', async () => {
    const big = 'x'.repeat(300_000);
    const withLength = await get(mesh.dependency.app, {
      method: 'POST',
      headers: { 'content-length': big.length },
      body: big,
    });
    expect(JSON.parse(withLength.body).length).toBe(300_000);
    const chunked = await get(mesh.dependency.app, {
      method: 'POST',
      headers: { 'transfer-encoding': 'chunked' },
      body: big,
    });
    expect(JSON.parse(chunked.body).length).toBe(300_000);
    const trailers = await get(mesh.dependency.app, { path: '/trailers' });
    expect(trailers.body).toBe('part');
    expect(trailers.trailers['x-sum']).toBe('42');
  });

  it('keeps HEAD and 204 without body on a connection that lives on', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 3; i++) {
      const head = await get(mesh.dependency.app, { agent, method: 'HEAD', path: '/h' });
      expect([head.status, head.body]).toEqual([200, '']);
      const empty = await get(mesh.dependency.app, { agent, path: '/empty' });
      expect([empty.status, empty.body]).toEqual([204, '']);
      expect((await get(mesh.dependency.app, { agent })).status).toBe(200);
    }
    agent.destroy();
  });

  it('answers pipelined requests in order', async () => {
    const socket = net.connect(mesh.dependency.app, '127.0.0.1');
    socket.write(
      ['/1', '/2', '/3']
        .map((path) => `GET ${path} HTTP/1.1\r\nhost: app\r\n${path === '/3' ? 'connection: close\r\n' : ''}\r\n`)
        .join(''),
    );
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(socket, 'close');
    const urls = [
      ...Buffer.concat(chunks)
        .toString()
        .matchAll(/"url":"([^"]+)"/g),
    ].map((m) => m[1]);
    expect(urls).toEqual(['/1', '/2', '/3']);
  });

  it('speaks h2c to a client and passes many streams at once', async () => {
    const client = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
    const bodies = await Promise.all(
      Array.from(
        { length: 50 },
        (_, i) =>
          new Promise<string>((resolve, reject) => {
            const stream = client.request({ ':path': `/s${i}`, ':method': 'POST' });
            let text = '';
            stream.setEncoding('utf8');
            stream.on('data', (chunk: string) => (text += chunk));
            stream.on('end', () => resolve(text));
            stream.on('error', reject);
            stream.end(`body ${i}`);
          }),
      ),
    );
    for (const [i, body] of bodies.entries())
      expect(JSON.parse(body)).toMatchObject({ url: `/s${i}`, body: `body ${i}` });
    client.close();
  });

  it('refuses what cannot be parsed, with a reason', async () => {
    const socket = net.connect(mesh.dependency.app, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(socket, 'close');
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1\.1 400 /);
  });
});

describe('a client that breaks HTTP/2 and does not close', () => {
  it('is told why, and not waited for', async () => {
    const mesh = await startTestMesh({ app: { apps: [{ port: 1 }] } });
    const socket = net.connect({ port: mesh.dependency.app, host: '127.0.0.1', allowHalfOpen: true });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', () => {});
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.alloc(64, 0xff));
    await once(socket, 'end');
    expect(Buffer.concat(chunks).includes(7, 0)).toBe(true);
    const writing = setInterval(() => socket.write('more'), 100);
    // A reset is how it learns that nobody is there any more.
    await new Promise<void>((resolve) => socket.once('close', () => resolve()));
    clearInterval(writing);
    await mesh.close();
  });
});
