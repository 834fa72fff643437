import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { eventually, fetchH1, listenOn, rawExchange, settled, type TestApp, underWay } from '../../support/traffic.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const accept = (key: string) =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

describe('upgrades', () => {
  let app: TestApp;
  let h2app: TestApp;
  let mesh: TestMesh;
  const upgrades: http.IncomingMessage[] = [];
  const sockets: Duplex[] = [];
  let smuggled = 0;

  beforeAll(async () => {
    const server = http.createServer((request, response) => {
      if (request.url === '/smuggled') smuggled++;
      const status = request.url === '/plain' ? 200 : 404;
      response.writeHead(status, { 'content-type': 'text/plain' }).end(`no upgrade at ${request.url}`);
    });
    server.on('upgrade', (request, socket: Duplex) => {
      upgrades.push(request);
      socket.on('error', () => {});
      if (request.url === '/plain' || request.url === '/missing') {
        const status = request.url === '/plain' ? '200 OK' : '404 Not Found';
        socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 11\r\nconnection: close\r\n\r\nnot like so`);
        return;
      }
      sockets.push(socket);
      const given = request.url === '/liar' ? 'bm90IHRoaXM=' : accept(String(request.headers['sec-websocket-key']));
      const protocol = request.headers['sec-websocket-protocol'] ? 'sec-websocket-protocol: chat\r\n' : '';
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${given}\r\n${protocol}\r\nHELLO`,
      );
      socket.on('data', (chunk: Buffer) => socket.write(Buffer.concat([Buffer.from('<'), chunk, Buffer.from('>')])));
      if (request.url !== '/deaf') socket.on('end', () => socket.end('BYE'));
    });
    app = await listenOn(server);

    const second = http2.createServer({ settings: { enableConnectProtocol: true } });
    second.on('stream', (stream, headers) => {
      if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
        stream.respond({ ':status': 400 });
        stream.end();
        return;
      }
      stream.respond({ ':status': 200 });
      stream.on('data', (chunk: Buffer) => stream.write(`h2:${chunk}`));
      stream.on('end', () => stream.end());
    });
    h2app = await listenOn(second);
    mesh = await startTestMesh(
      {
        app: {
          apps: [{ port: app.port }],
          routes: [{ ...route(), matches: [{ path: null, methods: ['GET'], headers: [], query: [] }] }],
        },
        second: { protocol: 'http2', apps: [{ port: h2app.port }] },
      },
      [route({ name: 'all' })],
    );
  });

  afterAll(async () => {
    await mesh?.close();
    await app?.close();
    await h2app?.close();
  });

  const handshake = (path: string, extra = '') =>
    `GET ${path} HTTP/1.1\r\nhost: app\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${KEY}\r\n${extra}\r\n`;

  async function open(socket: Socket, path: string, extra = '') {
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.write(handshake(path, extra));
    await eventually(() => text.includes('\r\n\r\n'), 'a response head');
    const end = text.indexOf('\r\n\r\n') + 4;
    const head = text.slice(0, end);
    let at = end;
    return {
      head,
      async until(pattern: RegExp) {
        await eventually(() => pattern.test(text.slice(at)), `${pattern}`);
        const got = text.slice(at);
        at = text.length;
        return got;
      },
      async read(n: number) {
        await eventually(() => text.length >= at + n, `${n} more bytes than ${JSON.stringify(text.slice(at))}`);
        return text.slice(at, (at += n));
      },
    };
  }

  for (const where of ['dependency port', 'gateway', 'gateway over TLS'] as const) {
    it(`carries a WebSocket of HTTP/1.1 through the ${where}, both directions, until the client closes`, async () => {
      const socket =
        where === 'gateway over TLS'
          ? tls.connect({
              host: '127.0.0.1',
              port: mesh.gatewayTls,
              rejectUnauthorized: false,
              ALPNProtocols: ['http/1.1'],
              allowHalfOpen: true,
            } as tls.ConnectionOptions)
          : net.connect({
              host: '127.0.0.1',
              port: where === 'gateway' ? mesh.gateway : mesh.dependency.app,
              allowHalfOpen: true,
            });
      const { head, read, until } = await open(socket, '/chat', 'sec-websocket-protocol: chat, superchat\r\n');
      expect(head).toMatch(/^HTTP\/1\.1 101 /);
      expect(head).toContain(`sec-websocket-accept: ${accept(KEY)}\r\n`);
      expect(head).toContain('sec-websocket-protocol: chat\r\n');
      expect(head.toLowerCase()).toContain('upgrade: websocket\r\n');
      expect(await read(5)).toBe('HELLO');
      socket.write('abc');
      expect(await read(5)).toBe('<abc>');
      const big = 'z'.repeat(300_000);
      socket.write(big);
      // The application wraps each piece that it reads; how many there are is not ours to know.
      let back = '';
      while (back.length < big.length) back += (await until(/./s)).replaceAll(/[<>]/g, '');
      expect(back).toBe(big);
      const ended = once(socket, 'end');
      socket.end();
      // Half-close: the application still says its last word.
      await until(/BYE/);
      await ended;
      socket.destroy();
      await settled(mesh);
      const request = upgrades.at(-1)!;
      expect(request.method).toBe('GET');
      expect(request.headers.upgrade).toBe('websocket');
    });
  }

  it('passes on that the application closes, and that the client vanishes', async () => {
    const first = net.connect(mesh.dependency.app, '127.0.0.1');
    const one = await open(first, '/a');
    expect(await one.read(5)).toBe('HELLO');
    const gone = new Promise((resolve) => first.on('close', resolve));
    sockets.at(-1)!.destroy();
    await gone;
    const second = net.connect(mesh.dependency.app, '127.0.0.1');
    const two = await open(second, '/b');
    expect(await two.read(5)).toBe('HELLO');
    const seen = new Promise((resolve) => sockets.at(-1)!.on('close', resolve));
    second.resetAndDestroy();
    await seen;
    await settled(mesh);
  });

  it('lets go of an application that does not notice that the client has gone', async () => {
    const client = net.connect(mesh.dependency.app, '127.0.0.1');
    const { read } = await open(client, '/deaf');
    expect(await read(5)).toBe('HELLO');
    // No reset: an end, which this application ignores.
    client.end();
    await eventually(() => underWay(mesh).active === 0, 'the end of the exchange', 15_000);
    sockets.at(-1)!.destroy();
  }, 20_000);

  it('sends bytes that came right behind the handshake', async () => {
    const text = await rawExchange(mesh.dependency.app, `${handshake('/early')}early`, '<early>');
    expect(text).toContain('HELLO<early>');
    await settled(mesh);
  });

  it('lets an application answer an upgrade with an ordinary response, and goes on with the connection', async () => {
    for (const [path, status] of [
      ['/plain', 200],
      ['/missing', 404],
    ] as const) {
      const socket = net.connect(mesh.dependency.app, '127.0.0.1');
      socket.on('error', () => {});
      let text = '';
      socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
      socket.write(handshake(path));
      await eventually(() => text.includes('not like so'), `an answer at ${path}`);
      expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(text).not.toContain('x-mesh-upgrade');
      text = '';
      socket.write('GET /plain HTTP/1.1\r\nhost: app\r\n\r\n');
      await eventually(() => text.includes('no upgrade at /plain'), 'the next response');
      socket.destroy();
    }
    await settled(mesh);
  });

  const connectStream = async (port: number, path: string, secure: boolean) => {
    const session = http2.connect(`${secure ? 'https' : 'http'}://127.0.0.1:${port}`, { rejectUnauthorized: false });
    session.on('error', () => {});
    await once(session, 'remoteSettings');
    expect(session.remoteSettings.enableConnectProtocol).toBe(true);
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':authority': 'app',
      ':path': path,
      'sec-websocket-version': '13',
    });
    stream.on('error', () => {});
    return { session, stream };
  };

  it('makes a GET with key of an extended CONNECT, checks the answer and keeps it', async () => {
    for (const [port, secure] of [
      [mesh.dependency.app, false],
      [mesh.gateway, false],
      [mesh.gatewayTls, true],
    ] as const) {
      const { session, stream } = await connectStream(port, '/h2', secure);
      const [headers] = await once(stream, 'response');
      expect(headers[':status']).toBe(200);
      expect(headers['sec-websocket-accept']).toBeUndefined();
      let text = '';
      stream.on('data', (chunk: Buffer) => (text += chunk));
      stream.write('one');
      await eventually(() => text === 'HELLO<one>', 'an echo');
      const request = upgrades.at(-1)!;
      expect(request.method).toBe('GET');
      expect(Buffer.from(String(request.headers['sec-websocket-key']), 'base64')).toHaveLength(16);
      stream.end();
      await once(stream, 'end');
      expect(text).toBe('HELLO<one>BYE');
      session.close();
    }
    await settled(mesh);
  });

  it('refuses an application that accepts with a wrong answer to the key', async () => {
    const { session, stream } = await connectStream(mesh.dependency.app, '/liar', false);
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(502);
    expect(headers['x-mesh-response-flags']).toBe('UPE');
    stream.resume();
    session.close();
    await settled(mesh);
  });

  it('tells a client of HTTP/2 by a status that there is no upgrade', async () => {
    for (const [path, status] of [
      ['/missing', 404],
      ['/plain', 502],
    ] as const) {
      const { session, stream } = await connectStream(mesh.dependency.app, path, false);
      const [headers] = await once(stream, 'response');
      expect(headers[':status']).toBe(status);
      stream.resume();
      session.close();
    }
    await settled(mesh);
  });

  it('keeps bytes of a tunnel from the application until it has agreed', async () => {
    const { session, stream } = await connectStream(mesh.dependency.app, '/missing', false);
    stream.write('GET /smuggled HTTP/1.1\r\nhost: app\r\n\r\n');
    const [headers] = await once(stream, 'response');
    expect(headers[':status']).toBe(404);
    stream.resume();
    session.close();
    expect((await fetchH1(mesh.dependency.app, { path: '/plain' })).status).toBe(200);
    expect(smuggled).toBe(0);
  });

  it('reaches an application that takes extended CONNECT over HTTP/2', async () => {
    const socket = net.connect(mesh.dependency.second, '127.0.0.1');
    const { head, read } = await open(socket, '/x');
    expect(head).toMatch(/^HTTP\/1\.1 101 /);
    expect(head).toContain(`sec-websocket-accept: ${accept(KEY)}\r\n`);
    socket.write('hi');
    expect(await read(5)).toBe('h2:hi');
    socket.destroy();
    await settled(mesh);
  });
});
