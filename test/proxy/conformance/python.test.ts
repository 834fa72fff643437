import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, type Server, startServer } from '../../support/child.ts';
import { type EchoApp, startEchoApp } from '../../support/echo-app.ts';
import { freePort, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { findTool, skipped } from '../../support/tools.ts';

const python = findTool('python3');
if (python === null) skipped('no python3');

const program = (name: string) => fileURLToPath(new URL(`../../support/clients/${name}`, import.meta.url));

describe.skipIf(python === null)("Python's standard library", () => {
  let apps: EchoApp[];
  let servers: Server[];
  let mesh: TestMesh;

  beforeAll(async () => {
    apps = [await startEchoApp('h1'), await startEchoApp('h2c')];
    const ports = [await freePort(), await freePort()];
    servers = await Promise.all(
      ['HTTP/1.0', 'HTTP/1.1'].map((version, i) =>
        startServer(python as string, [program('server.py'), String(ports[i]), version], ports[i]),
      ),
    );
    mesh = await startTestMesh({
      h1: { apps: [{ port: apps[0].port }] },
      h2c: { protocol: 'http2', apps: [{ port: apps[1].port }] },
      'HTTP-1-0': { apps: [{ port: ports[0] }] },
      'HTTP-1-1': { apps: [{ port: ports[1] }] },
    });
  });

  afterAll(async () => {
    await mesh.close();
    for (const app of apps) app.close();
    for (const server of servers) await server.stop();
  });

  it.each(['h1', 'h2c'])('http.client and urllib, to an application that speaks %s', async (service) => {
    const args = [program('client.py'), String(mesh.dependency[service]), service, String(mesh.outbound)];
    const env = { PATH: process.env.PATH, http_proxy: `http://127.0.0.1:${mesh.outbound}` };
    const { code, output } = await run(python as string, args, { env });
    expect(code, output).toBe(0);
    expect(JSON.parse(output)).toEqual({
      get: [200, '/get?x=1'],
      head: [200, 0, true],
      post: 300_000,
      chunks: 140_001,
      stream: 'one\ntwo\nthree\n',
      large: 5 << 20,
      connections: 1,
      proxied: '/by-proxy',
      tunnel: '/by-tunnel',
    });
  });

  it.each(['HTTP-1-0', 'HTTP-1-1'])('http.server that speaks %s', async (service) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (method: string, path: string, body?: string) =>
      new Promise<string>((resolve, reject) => {
        const headers = { 'x-test': 'yes' };
        const request = http.request(
          { host: '127.0.0.1', port: mesh.dependency[service], method, path, headers, agent },
          (response) => {
            let text = '';
            response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
            response.on('end', () => resolve(`${response.statusCode} ${text}`));
            response.on('error', reject);
          },
        );
        request.on('error', reject);
        request.end(body);
      });
    try {
      // Several rounds: what one leaves behind must not disturb the next.
      for (let i = 0; i < 3; i++) {
        expect(await ask('GET', `/${i}`)).toBe(`200 GET /${i}`);
        expect(await ask('HEAD', '/')).toBe('200 ');
        expect(await ask('POST', '/', 'x'.repeat(100_000))).toBe('200 POST 100000 yes');
        expect(await ask('GET', '/until-close')).toBe(`200 ${'z'.repeat(300_000)}`);
      }
    } finally {
      agent.destroy();
    }
  });
});
