import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Server, startServer } from '../../support/child.ts';
import { freePort, route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { skipped } from '../../support/tools.ts';
import { openByHttp1, openByHttp2, type WebSocketClient } from '../../support/websocket-client.ts';

/** The Vite that vitest runs on. */
function findVite(): string | null {
  try {
    const fromVitest = createRequire(createRequire(import.meta.url).resolve('vitest/package.json'));
    return join(dirname(fromVitest.resolve('vite/package.json')), 'bin', 'vite.js');
  } catch {
    return null;
  }
}

const vite = findVite();
if (vite === null) skipped('no vite');

const PAGE = '<!doctype html><script type="module" src="/main.js"></script>';
const module = (text: string) => `console.log(${JSON.stringify(text)});\nimport.meta.hot.accept();\n`;

describe.skipIf(vite === null)("a Vite dev server's hot module replacement through the gateway", () => {
  let dir: string;
  let server: Server;
  let mesh: TestMesh;
  let session: http2.ClientHttp2Session;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mesh-vite-'));
    await writeFile(join(dir, 'index.html'), PAGE);
    await writeFile(join(dir, 'main.js'), module('first'));
    const port = await freePort();
    const args = [vite as string, dir, '--host', '127.0.0.1', '--port', String(port), '--strictPort'];
    // Not as one of vitest's own processes, which Vite would notice.
    const env = { PATH: process.env.PATH, HOME: dir };
    server = await startServer(process.execPath, args, port, { cwd: dir, env });
    mesh = await startTestMesh({ web: { apps: [{ port }] } }, [route({ service: 'web' })]);
    session = http2.connect(`https://127.0.0.1:${mesh.gatewayTls}`, {
      ca: mesh.authority.rootPem,
      servername: 'shop.localhost',
    });
    await once(session, 'connect');
  }, 40_000);

  afterAll(async () => {
    session?.destroy();
    await mesh?.close();
    await server?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const ways = {
    'HTTP/1.1': {
      get: (path: string) =>
        getByHttp1(http.request, { port: mesh.gateway, path, headers: { host: `shop.localhost:${mesh.gateway}` } }),
      open: (path: string) =>
        openByHttp1(
          http.request,
          {
            host: '127.0.0.1',
            port: mesh.gateway,
            path,
            headers: { host: `shop.localhost:${mesh.gateway}`, origin: `http://shop.localhost:${mesh.gateway}` },
          },
          'vite-hmr',
        ),
    },
    'HTTP/1.1 over TLS': {
      get: (path: string) =>
        getByHttp1(https.request as typeof http.request, { port: mesh.gatewayTls, path, ...tlsOptions() }),
      open: (path: string) =>
        openByHttp1(
          https.request as typeof http.request,
          { host: '127.0.0.1', port: mesh.gatewayTls, path, ...tlsOptions() },
          'vite-hmr',
        ),
    },
    'h2 over TLS': {
      get: async (path: string) => {
        const stream = session.request({ ':path': path, ':authority': `shop.localhost:${mesh.gatewayTls}` });
        let text = '';
        stream.setEncoding('utf8').on('data', (chunk) => (text += chunk));
        await once(stream, 'end');
        return text;
      },
      open: (path: string) =>
        openByHttp2(
          session,
          {
            ':path': path,
            ':scheme': 'https',
            ':authority': `shop.localhost:${mesh.gatewayTls}`,
            origin: `https://shop.localhost:${mesh.gatewayTls}`,
          },
          'vite-hmr',
        ),
    },
  };

  function tlsOptions() {
    const authority = `shop.localhost:${mesh.gatewayTls}`;
    return {
      ca: mesh.authority.rootPem,
      servername: 'shop.localhost',
      headers: { host: authority, origin: `https://${authority}` },
    };
  }

  async function getByHttp1(request: typeof http.request, options: http.RequestOptions): Promise<string> {
    const sent = request({ host: '127.0.0.1', agent: false, ...options });
    sent.end();
    const [response] = (await once(sent, 'response')) as [http.IncomingMessage];
    let text = '';
    response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    await once(response, 'end');
    return text;
  }

  it.each(Object.keys(ways) as (keyof typeof ways)[])('over %s', async (name) => {
    const way = ways[name];
    // What a browser does: the page, Vite's client with its token, and the module that it will be told about.
    expect(await way.get('/')).toContain('/@vite/client');
    const token = /const wsToken = "([^"]+)"/.exec(await way.get('/@vite/client'))?.[1];
    expect(token).toBeDefined();
    expect(await way.get('/main.js')).toContain('console.log');

    const socket: WebSocketClient = await way.open(`/?token=${token}`);
    try {
      expect(socket.protocol).toBe('vite-hmr');
      await expect.poll(() => socket.messages.map((text) => JSON.parse(text).type)).toEqual(['connected']);
      await writeFile(join(dir, 'main.js'), module(`edited for ${name}`));
      const update = () => socket.messages.map((text) => JSON.parse(text)).find((message) => message.type === 'update');
      await expect
        .poll(update, { timeout: 10_000 })
        .toMatchObject({ updates: [{ path: '/main.js', type: 'js-update' }] });
      const { timestamp } = update().updates[0];
      expect(await way.get(`/main.js?t=${timestamp}`)).toContain(`edited for ${name}`);
    } finally {
      socket.close();
    }
    // The server closes in its turn: the end has passed in both directions.
    await expect.poll(() => socket.closedWith).toBeGreaterThan(0);
  });
});
