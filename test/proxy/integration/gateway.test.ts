import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FilterPolicies, Match, ResolvedRoute } from '../../../src/model/resolved.ts';
import { route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { fetchH1, httpApp, settled, type TestApp } from '../../support/traffic.ts';

const on = (path: Match['path']): Match[] => [{ path, methods: [], headers: [], query: [] }];
const none: FilterPolicies = { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null };

const ROUTES: ResolvedRoute[] = [
  route({
    name: 'moved',
    hosts: ['*.localhost'],
    matches: on({ kind: 'exact', value: '/old' }),
    backends: [],
    filters: {
      ...none,
      redirect: { scheme: 'https', host: null, port: 8443, path: { kind: 'full', value: '/new' }, status: 308 },
    },
  }),
  route({
    name: 'rewritten',
    hosts: ['*.localhost'],
    matches: on({ kind: 'prefix', value: '/api' }),
    filters: {
      ...none,
      rewrite: { path: { kind: 'prefix', value: '/v1' }, host: 'inside.example' },
      requestHeaders: { set: [['x-set', 'gateway']], add: [], remove: ['x-secret'] },
      responseHeaders: { set: [['x-out', 'gateway']], add: [['vary', 'x']], remove: ['x-powered-by'] },
    },
  }),
  route({ name: 'canary', hosts: ['canary.localhost'], backends: [{ service: 'app', subset: 'canary', weight: 1 }] }),
  route({
    name: 'capped',
    hosts: ['*.localhost'],
    matches: on({ kind: 'prefix', value: '/slow' }),
    timeouts: { requestMs: 120, idleMs: 0 },
  }),
  route({ name: 'shop', hosts: ['*.localhost'] }),
];

describe('the gateway', () => {
  const apps: TestApp[] = [];
  let mesh: TestMesh;

  beforeAll(async () => {
    for (const name of ['stable', 'canary']) {
      apps.push(
        await httpApp((request, response) => {
          if (request.url!.startsWith('/slow')) return;
          response.setHeader('x-powered-by', 'test');
          response.end(JSON.stringify({ name, url: request.url, headers: request.headers }));
        }),
      );
    }
    mesh = await startTestMesh(
      {
        app: {
          apps: [
            { port: apps[0].port, subset: 'stable' },
            { port: apps[1].port, subset: 'canary' },
          ],
          // The service's own routes: everything to stable.
          routes: [
            {
              backends: [{ service: 'app', subset: 'stable', weight: 1 }],
              filters: { ...none, responseHeaders: { set: [['x-service', 'own']], add: [], remove: [] } },
            },
          ],
        },
      },
      ROUTES,
    );
  });

  afterAll(async () => {
    await mesh?.close();
    for (const app of apps) await app.close();
  });

  const ask = async (path: string, host: string, headers: Record<string, string> = {}) => {
    const reply = await fetchH1(mesh.gateway, { path, headers: { host, ...headers } });
    return { ...reply, seen: reply.headers['x-service'] || reply.status === 200 ? JSON.parse(reply.body) : null };
  };

  it('routes by host and path, by subset or by the routes of the service itself', async () => {
    for (let i = 0; i < 6; i++) {
      const own = await ask('/x?y', 'shop.localhost');
      expect(own.seen).toMatchObject({ name: 'stable', url: '/x?y' });
      expect(own.headers['x-service']).toBe('own');
      const canary = await ask('/x', 'Canary.localhost:8080');
      expect(canary.seen.name).toBe('canary');
      expect(canary.headers['x-service']).toBeUndefined();
    }
    const none = await ask('/x', 'elsewhere.example');
    expect([none.status, none.headers['x-mesh-response-flags']]).toEqual([404, 'NR']);
    expect(none.body).toBe('no route of the gateway for GET elsewhere.example/x; see `mesh routes gateway`\n');
    await settled(mesh);
  });

  it('redirects, rewrites and changes headers, on top of what the service does', async () => {
    const moved = await ask('/old?a=1', 'shop.localhost:8080');
    expect([moved.status, moved.headers.location]).toEqual([308, 'https://shop.localhost:8443/new?a=1']);
    const reply = await ask('/api/items?q=1', 'shop.localhost', { 'x-secret': 's', 'x-set': 'client' });
    expect(reply.seen).toMatchObject({ name: 'stable', url: '/v1/items?q=1' });
    expect(reply.seen.headers).toMatchObject({ host: 'inside.example', 'x-set': 'gateway' });
    expect(reply.seen.headers['x-secret']).toBeUndefined();
    expect(reply.headers).toMatchObject({ 'x-out': 'gateway', 'x-service': 'own', vary: 'x' });
    expect(reply.headers['x-powered-by']).toBeUndefined();
  });

  it('tells the application who came, and by which scheme', async () => {
    const plain = await ask('/', 'shop.localhost:8080', { 'x-forwarded-for': '10.1.1.1' });
    expect(plain.seen.headers).toMatchObject({
      'x-forwarded-for': '10.1.1.1, 127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'shop.localhost:8080',
    });
    expect(plain.seen.headers['x-forwarded-client-cert']).toContain('URI=spiffe://test.local/ns/default/sa/gateway');
  });

  it('serves TLS for localhost names, with h2 and HTTP/1.1', async () => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: mesh.gatewayTls,
      servername: 'shop.localhost',
      rejectUnauthorized: false,
      ALPNProtocols: ['h2', 'http/1.1'],
    });
    await once(socket, 'secureConnect');
    expect(socket.alpnProtocol).toBe('h2');
    const certificate = socket.getPeerX509Certificate()!;
    expect(certificate.checkHost('shop.localhost')).toBeDefined();
    expect(certificate.checkHost('other.example')).toBeUndefined();
    socket.destroy();

    const body = await new Promise<string>((resolve, reject) => {
      https
        .get(
          {
            host: '127.0.0.1',
            port: mesh.gatewayTls,
            servername: 'shop.localhost',
            headers: { host: 'shop.localhost:8443' },
            rejectUnauthorized: false,
            agent: false,
          },
          (response) => {
            let text = '';
            response.on('data', (chunk: Buffer) => (text += chunk));
            response.on('end', () => resolve(text));
          },
        )
        .on('error', reject);
    });
    expect(JSON.parse(body).headers).toMatchObject({
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'shop.localhost:8443',
    });

    const session = http2.connect(`https://127.0.0.1:${mesh.gatewayTls}`, {
      servername: 'shop.localhost',
      rejectUnauthorized: false,
    });
    const stream = session.request({ ':path': '/h2', ':authority': 'shop.localhost' });
    let text = '';
    for await (const chunk of stream) text += chunk;
    expect(JSON.parse(text)).toMatchObject({ name: 'stable', url: '/h2' });
    session.close();
  });

  it('keeps the shorter of its own request timeout and the service’s', async () => {
    const started = performance.now();
    const reply = await ask('/slow', 'shop.localhost');
    expect([reply.status, reply.headers['x-mesh-response-flags']]).toEqual([504, 'UT']);
    expect(performance.now() - started).toBeLessThan(3_000);
    await settled(mesh);
  });

  it('answers gRPC callers in their own way', async () => {
    const session = http2.connect(`http://127.0.0.1:${mesh.gateway}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/a.B/C',
      ':authority': 'elsewhere.example',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end();
    const [headers] = await once(stream, 'response');
    expect(headers).toMatchObject({
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': '12',
      'x-mesh-response-flags': 'NR',
    });
    expect(headers['grpc-message']).toContain('no route of the gateway for POST elsewhere.example/a.B/C');
    stream.resume();
    await once(stream, 'close');
    session.close();
  });
});
