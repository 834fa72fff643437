import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { eventually, fetchH1, httpApp, listenOn, rawExchange, settled, type TestApp } from '../../support/traffic.ts';

const MEGABYTE = 1024 * 1024;

/** Writes that many megabytes of changing content, as fast as they are taken, then ends; hashes what was written. */
async function pour(socket: net.Socket, megabytes: number): Promise<string> {
  const hash = createHash('sha256');
  for (let i = 0; i < megabytes; i++) {
    const chunk = Buffer.alloc(MEGABYTE, `${i};`);
    hash.update(chunk);
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  socket.end();
  return hash.digest('hex');
}

/** Reads to the end; iterating a socket would also close it. */
async function drink(socket: net.Socket): Promise<string> {
  const hash: Hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => hash.update(chunk));
  await once(socket, 'end');
  return hash.digest('hex');
}

async function textOf(socket: net.Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk));
  await once(socket, 'end');
  return text;
}

describe('raw TCP and CONNECT', () => {
  const apps: TestApp[] = [];
  let mesh: TestMesh;
  let echoSocket: net.Socket | null = null;
  let outside: TestApp;
  let received = Promise.resolve('');

  beforeAll(async () => {
    const add = async (on: (socket: net.Socket) => void) => {
      const app = await listenOn(net.createServer({ allowHalfOpen: true }, on));
      apps.push(app);
      return { protocol: 'tcp' as const, apps: [{ port: app.port }] };
    };
    const http = await httpApp((request, response) => response.end(`http ${request.headers.host} ${request.url}`));
    apps.push(http);
    outside = await httpApp((request, response) => response.end(`outside ${request.headers.host} ${request.url}`));
    apps.push(outside);
    mesh = await startTestMesh({
      greeter: await add((socket) => socket.write('220 ready\r\n')),
      echo: await add((socket) => {
        echoSocket = socket;
        socket.pipe(socket);
      }),
      sink: await add((socket) => {
        received = drink(socket);
        received.then(
          (hash) => socket.end(hash),
          () => {},
        );
      }),
      source: await add((socket) => {
        socket.resume();
        socket.on('end', () => void pour(socket, 50).catch(() => {}));
      }),
      dead: { protocol: 'tcp', apps: [{ port: 1 }], cluster: { parking: { timeoutMs: 100, maxRequests: 5 } } },
      web: { apps: [{ port: http.port }] },
    });
  });

  afterAll(async () => {
    await mesh?.close();
    for (const app of apps) await app.close();
  });

  const dial = (service: string) => {
    const socket = net.connect({ port: mesh.dependency[service], host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    return socket;
  };

  it('lets the server speak first', async () => {
    const socket = dial('greeter');
    const [chunk] = await once(socket, 'data');
    expect(chunk.toString()).toBe('220 ready\r\n');
    socket.resetAndDestroy();
    await settled(mesh);
  });

  it('lets the client speak first and close its side first', async () => {
    const socket = dial('echo');
    socket.end('hello');
    expect(await textOf(socket)).toBe('hello');
    await settled(mesh);
  });

  it('lets the server close its side first and still hear the client', async () => {
    const socket = dial('echo');
    socket.write('x');
    await once(socket, 'data');
    const server = echoSocket!;
    server.unpipe(server);
    server.end('last');
    expect(await textOf(socket)).toBe('last');
    const heard: Buffer[] = [];
    server.on('data', (chunk: Buffer) => heard.push(chunk));
    server.resume();
    socket.write('more');
    await eventually(() => Buffer.concat(heard).toString() === 'more', 'the server hears the client');
    const closed = new Promise((resolve) => server.on('close', resolve));
    socket.end();
    await closed;
    await settled(mesh);
  });

  it('passes a reset on, either way', async () => {
    const first = dial('echo');
    first.write('x');
    await once(first, 'data');
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => first.on('error', resolve));
    echoSocket!.resetAndDestroy();
    expect((await failed).code).toBe('ECONNRESET');

    const second = dial('echo');
    second.write('x');
    await once(second, 'data');
    const server = echoSocket!;
    const seen = new Promise<NodeJS.ErrnoException>((resolve) => server.on('error', resolve));
    second.resetAndDestroy();
    expect((await seen).code).toBe('ECONNRESET');
    await settled(mesh);
  });

  it('resets a connection to an application that does not listen', async () => {
    const socket = dial('dead');
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => {
      socket.removeAllListeners('error');
      socket.on('error', resolve);
    });
    socket.write('anyone?');
    expect((await failed).code).toBe('ECONNRESET');
    await settled(mesh);
  });

  it('carries 50 MB each way, unchanged', async () => {
    const up = dial('sink');
    const answer = textOf(up);
    const sent = await pour(up, 50);
    expect(await answer).toBe(sent);
    expect(await received).toBe(sent);

    const down = dial('source');
    down.end();
    const expected = createHash('sha256');
    for (let i = 0; i < 50; i++) expected.update(Buffer.alloc(MEGABYTE, `${i};`));
    expect(await drink(down)).toBe(expected.digest('hex'));
    await settled(mesh);
  });

  const connect = async (target: string, port = mesh.outbound) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
    const [chunk] = await once(socket, 'data');
    return { socket, head: chunk.toString('latin1') as string };
  };

  it('routes HTTP inside of a CONNECT to a service as HTTP', async () => {
    const { socket, head } = await connect('web:80');
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    for (const path of ['/one', '/two']) {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: web\r\n\r\n`);
      const [chunk] = await once(socket, 'data');
      expect(chunk.toString()).toContain(`http web ${path}`);
    }
    socket.destroy();
    await settled(mesh);
    const slot = mesh.proxy.counters.snapshot('all').find((s) => s.destination === 'web' && s.direction === 'outbound');
    expect(slot!.responses[2]).toBe(2);
  });

  it('connects to a TCP service, and to an address outside of the mesh', async () => {
    const tcp = await connect('greeter:25');
    expect(tcp.head).toMatch(/^HTTP\/1\.1 200 /);
    if (!tcp.head.includes('220 ready')) expect((await once(tcp.socket, 'data'))[0].toString()).toBe('220 ready\r\n');
    tcp.socket.resetAndDestroy();

    const there = await connect(`127.0.0.1:${outside.port}`);
    expect(there.head).toMatch(/^HTTP\/1\.1 200 /);
    there.socket.write('GET /x HTTP/1.1\r\nhost: o\r\n\r\n');
    expect((await once(there.socket, 'data'))[0].toString()).toContain('outside o /x');
    there.socket.destroy();
    await settled(mesh);
  });

  it('says why a CONNECT failed', async () => {
    const { socket, head } = await connect('127.0.0.1:1');
    expect(head).toMatch(/^HTTP\/1\.1 503 /);
    expect(head).toContain('x-mesh-response-flags: UF\r\n');
    expect(head).toMatch(/no connection to 127\.0\.0\.1:1: .*ECONNREFUSED/);
    socket.destroy();
    const gateway = await connect('web:80', mesh.gateway);
    expect(gateway.head).toMatch(/^HTTP\/1\.1 405 /);
    gateway.socket.destroy();
    await settled(mesh);
  });

  it('passes absolute-form requests on to hosts outside of the mesh', async () => {
    const reply = await fetchH1(mesh.outbound, { path: `http://127.0.0.1:${outside.port}/abs?q` });
    expect(reply.body).toBe(`outside 127.0.0.1:${outside.port} /abs?q`);
    const refused = await fetchH1(mesh.outbound, { path: 'http://127.0.0.1:1/' });
    expect([refused.status, refused.headers['x-mesh-response-flags']]).toEqual([503, 'UF']);
    expect(refused.body).toMatch(/^no connection to 127\.0\.0\.1:1: /);
    await settled(mesh);
  });
});

describe('services outside of the mesh', () => {
  it('reaches them by HTTP and TCP, with their own name, and says why TLS is refused', async () => {
    const plain = await httpApp((request, response) =>
      response.end(`${request.headers.host} ${request.headers['x-forwarded-client-cert']}`),
    );
    const tcp = await listenOn(net.createServer((socket) => socket.end('tcp')));
    const identity = await startTestMesh({});
    const cert = identity.identities.gateway;
    const secure = await listenOn(
      tls.createServer({ cert: cert.certificate, key: cert.privateKey }, (socket) => socket.end()),
    );
    const external = (port: number, protocol: 'http' | 'tcp', withTls: boolean) => ({
      protocol,
      apps: [],
      cluster: {
        spiffeId: null,
        tls: withTls,
        host: 'localhost',
        subsets: ['default'],
        endpoints: [
          {
            id: 'x',
            subset: 'default',
            host: '127.0.0.1',
            port,
            health: { host: '127.0.0.1', port },
            state: 'ready' as const,
            weight: 1,
          },
        ],
      },
    });
    const mesh = await startTestMesh({
      plain: external(plain.port, 'http', false),
      raw: external(tcp.port, 'tcp', false),
      secure: external(secure.port, 'http', true),
      gone: external(1, 'http', false),
    });
    try {
      const reply = await fetchH1(mesh.dependency.plain);
      expect(reply.body).toBe(`localhost:${plain.port} undefined`);
      expect(await rawExchange(mesh.dependency.raw, '')).toBe('tcp');
      const refused = await fetchH1(mesh.dependency.secure);
      expect([refused.status, refused.headers['x-mesh-response-flags']]).toEqual([503, 'UF']);
      expect(refused.body).toMatch(/the certificate of localhost is not trusted: (UNABLE|SELF_SIGNED)/);
      const started = performance.now();
      const gone = await fetchH1(mesh.dependency.gone);
      expect([gone.status, gone.headers['x-mesh-response-flags']]).toEqual([503, 'UF']);
      // Nobody would tell us that it comes back, so there is nothing to wait for.
      expect(performance.now() - started).toBeLessThan(900);
      await settled(mesh);
    } finally {
      await mesh.close();
      await identity.close();
      for (const app of [plain, tcp, secure]) await app.close();
    }
  });
});
