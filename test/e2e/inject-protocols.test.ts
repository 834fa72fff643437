import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import type { InjectionStatus } from '../../src/model/injection.ts';
import { connectControl } from '../../src/runtime/control/client.ts';
import { serverAccount } from '../../src/runtime/resources/server-account.ts';
import { cleanUpMeshes, createMesh, type TestMesh } from '../support/e2e.ts';
import { ECHO, echo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';
import { cleanUpOutsiders, startOutsider } from '../support/outsiders.ts';
import { findTool, skipped } from '../support/tools.ts';

cleanUpMeshes();
cleanUpOutsiders();

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function oneService(): Promise<{ mesh: TestMesh; outbound: number }> {
  const mesh = await createMesh({ 'echo.mjs': ECHO }, { gateway: null, services: { web: echo() } });
  await mesh.up();
  return { mesh, outbound: (await mesh.instance('web-1')).outboundPort! };
}

const inject = (mesh: TestMesh, ...args: string[]): Promise<InjectionStatus> => mesh.json('inject', ...args);

const answers = (status: InjectionStatus) =>
  expect(status.coverage[0]).toMatchObject({ direction: 'inbound', covered: true });

const python = findTool('python3');
const openssl = findTool('openssl');
const initdb = findTool('initdb');
const postgres = findTool('postgres');
const psql = findTool('psql');

describe('processes of every protocol in the mesh', () => {
  it.skipIf(python === null && skipped('python3 is not installed'))(
    'http.server of Python, by name and at an address',
    async () => {
      const { mesh, outbound } = await oneService();
      mesh.write('files/hello.txt', 'hello from python');
      const { port, pid } = await startOutsider([python!, '-m', 'http.server', 'PORT', '--bind', '127.0.0.1'], {
        cwd: mesh.path('files'),
      });
      const byPid = await inject(mesh, String(pid), '--as', 'files');
      expect(byPid).toMatchObject({ port, pid, protocol: 'http', protocolFrom: 'HTTP/1.0' });
      answers(byPid);
      expect((await get(outbound, '/hello.txt', { host: 'files' })).body).toBe('hello from python');
      await mesh.json('eject', 'files');
      answers(await inject(mesh, '--address', `localhost:${port}`, '--as', 'files'));
      expect((await get(outbound, '/hello.txt', { host: 'files' })).body).toBe('hello from python');
    },
  );

  it('a Vite dev server, which answers to names under localhost only', async () => {
    const { mesh, outbound } = await oneService();
    mesh.write('site/index.html', '<title>from vite</title>');
    const vite = fileURLToPath(new URL('../../node_modules/vite/bin/vite.js', import.meta.url));
    const { port } = await startOutsider(
      ['node', vite, '--port', 'PORT', '--host', '127.0.0.1', '--strictPort', '--logLevel', 'error'],
      { cwd: mesh.path('site') },
    );
    const status = await inject(mesh, String(port), '--as', 'site');
    expect(status).toMatchObject({ protocol: 'http' });
    answers(status);
    const page = await get(outbound, '/', { host: 'site.localhost', accept: 'text/html' });
    expect(page.status, page.body).toBe(200);
    expect(page.body).toContain('from vite');
  });

  it('a gRPC server', async () => {
    const { mesh, outbound } = await oneService();
    const bytes = (value: Buffer): Buffer => value;
    const method = {
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    };
    const server = new Server();
    server.addService(
      { Hello: { path: '/shop.Greeter/Hello', requestStream: false, responseStream: false, ...method } },
      {
        Hello: (call: { request: Buffer }, reply: (error: null, value: Buffer) => void) =>
          reply(null, Buffer.concat([Buffer.from('hello '), call.request])),
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    closers.push(() => server.forceShutdown());
    const status = await inject(mesh, String(port), '--as', 'greeter');
    expect(status).toMatchObject({ protocol: 'grpc', protocolFrom: 'gRPC (no health service)' });
    answers(status);
    const client = new Client(`127.0.0.1:${outbound}`, credentials.createInsecure(), {
      'grpc.default_authority': 'greeter',
      'grpc.enable_http_proxy': 0,
    });
    closers.push(() => client.close());
    const greeting = await new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest('/shop.Greeter/Hello', bytes, bytes, Buffer.from('mesh'), (error, value) =>
        error === null ? resolve(value!) : reject(error),
      ),
    );
    expect(String(greeting)).toBe('hello mesh');
  });

  it.skipIf(openssl === null && skipped('openssl is not installed'))('a server that speaks TLS itself', async () => {
    const { mesh, outbound } = await oneService();
    const [key, cert] = [mesh.path('key.pem'), mesh.path('cert.pem')];
    const made = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost';
    spawnSync(openssl!, [...made.split(' '), '-keyout', key, '-out', cert]);
    const server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) =>
      response.end(`secure ${request.url}`),
    );
    const port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port)),
    );
    closers.push(() => server.close().closeAllConnections());
    const status = await inject(mesh, String(port), '--as', 'vault');
    expect(status).toMatchObject({ protocol: 'http', protocolFrom: 'TLS, then HTTP/1.1' });
    answers(status);
    expect(await get(outbound, '/x', { host: 'vault' })).toMatchObject({ status: 200, body: 'secure /x' });
  });

  it.skipIf([initdb, postgres, psql].includes(null) && skipped('PostgreSQL is not installed'))(
    'PostgreSQL',
    async () => {
      const { mesh } = await oneService();
      const account = serverAccount() ?? null;
      const data = mkdtempSync(path.join(tmpdir(), 'mesh-pg-'));
      closers.push(() => rmSync(data, { recursive: true, force: true }));
      chmodSync(data, 0o700);
      if (account !== null) chownSync(data, account.uid, account.gid);
      const as = account === null ? {} : { uid: account.uid, gid: account.gid };
      const args = ['-D', path.join(data, 'db'), '-U', 'shop', '-A', 'trust', '-E', 'UTF8', '--no-sync'];
      const made = spawnSync(initdb!, args, { ...as, cwd: data });
      expect(made.status, String(made.stderr)).toBe(0);
      const server = [postgres!, '-D', path.join(data, 'db'), '-p', 'PORT', '-h', '127.0.0.1', '-k', data, '-F'];
      const { port, end } = await startOutsider(server, { account, cwd: data });
      const status = await inject(mesh, String(port), '--as', 'db');
      expect(status).toMatchObject({ protocol: 'tcp', protocolFrom: 'raw TCP (PostgreSQL)' });
      answers(status);
      // Another injected workload may call everything: it has a port for the database.
      const { port: other } = await startOutsider(['node', mesh.path('echo.mjs')]);
      const { environment } = await inject(mesh, String(other), '--as', 'reports');
      const url = new URL(environment.DB_URL);
      const query = spawnSync(psql!, [
        '-h',
        '127.0.0.1',
        '-p',
        url.port,
        '-U',
        'shop',
        '-d',
        'postgres',
        '-Atc',
        'select 6 * 7',
      ]);
      expect(String(query.stdout).trim(), String(query.stderr)).toBe('42');
      expect(await mesh.json<unknown>('eject', '--all')).toMatchObject({
        ejected: ['db-injected-1', 'reports-injected-1'],
      });
      await end('SIGINT');
    },
  );
});

describe('how long it takes', () => {
  it('answers the first request through the mesh soon after inject', async () => {
    const { mesh, outbound } = await oneService();
    const tries: number[] = [];
    const connected = await connectControl(mesh.path('.mesh/control.sock'));
    if (!connected.ok) throw new Error(connected.problems[0].message);
    closers.push(() => connected.value.close());
    for (let i = 0; i < 5; i++) {
      const { port, pid, end } = await startOutsider(['node', mesh.path('echo.mjs')]);
      const service = `legacy-${i}`;
      const began = performance.now();
      const injected = connected.value.inject({
        service,
        target: { kind: 'address', host: '127.0.0.1', port },
        pid,
        protocol: null,
        takeover: null,
        sticky: false,
        transparent: false,
        attach: false,
      });
      while ((await get(outbound, '/', { host: service })).status !== 200) await new Promise((r) => setTimeout(r, 2));
      tries.push(performance.now() - began);
      expect(await injected).toMatchObject({ ok: true });
      await end();
    }
    tries.sort((a, b) => a - b);
    console.log(`inject to first answered request: ${tries.map((ms) => ms.toFixed(0)).join(', ')} ms`);
    // The goal is 300 ms on a machine that does nothing else; tests share theirs.
    expect(tries[0]).toBeLessThan(300);
  });
});
