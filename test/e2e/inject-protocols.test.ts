import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import type net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, credentials, type Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { InjectionStatus } from '../../src/model/injection.ts';
import { connectControl } from '../../src/runtime/control/client.ts';
import { serverAccount } from '../../src/runtime/resources/server-account.ts';
import { cleanUpMeshes, createMesh, isAlive, type TestMesh } from '../support/e2e.ts';
import { ECHO, echo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';
import { expectFootprint, type Footprint, footprint } from '../support/footprint.ts';
import { cleanUpOutsiders, startOutsider } from '../support/outsiders.ts';
import { findTool, skipped } from '../support/tools.ts';

cleanUpMeshes();
cleanUpOutsiders();

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function oneService(services = {}): Promise<{ mesh: TestMesh; outbound: number; before: Footprint }> {
  const mesh = await createMesh({ 'echo.mjs': ECHO }, { gateway: null, services: { web: echo(), ...services } });
  await mesh.up();
  return { mesh, outbound: (await mesh.instance('web-1')).outboundPort!, before: await footprint(mesh) };
}

const inject = (mesh: TestMesh, ...args: string[]): Promise<InjectionStatus> => mesh.json('inject', ...args);

const answers = (status: InjectionStatus) =>
  expect(status.coverage[0]).toMatchObject({ direction: 'inbound', covered: true });

/** Out of the mesh again: nothing of it is left there, and the process itself runs on. */
async function ejected(mesh: TestMesh, before: Footprint, pid?: number): Promise<void> {
  await mesh.json('eject', '--all');
  await expectFootprint(mesh, before);
  if (pid !== undefined) expect(isAlive(pid)).toBe(true);
}

/** Written into answers by the servers below: what the proxy told them of the caller's certificate. */
const WEB_IDENTITY = 'URI=spiffe://e2e.local/ns/default/sa/web';

const go = findTool('go');
const java = findTool('java');
const python = findTool('python3');
const openssl = findTool('openssl');
const initdb = findTool('initdb');
const postgres = findTool('postgres');
const psql = findTool('psql');

describe('processes of every protocol in the mesh', () => {
  it.skipIf(python === null && skipped('python3 is not installed'))(
    'http.server of Python, by name and at an address',
    async () => {
      const { mesh, outbound, before } = await oneService();
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
      await ejected(mesh, before, pid);
    },
  );

  it.skipIf(go === null && skipped('go is not installed'))(
    'a Go server',
    async () => {
      const { mesh, outbound, before } = await oneService();
      mesh.write('main.go', GO_SERVER);
      const env = { ...process.env, GO111MODULE: 'off', GOFLAGS: '' };
      const built = spawnSync(go!, ['build', '-o', mesh.path('orders'), 'main.go'], { cwd: mesh.dir, env });
      expect(built.status, String(built.stderr)).toBe(0);
      const { pid, port } = await startOutsider([mesh.path('orders')]);
      const status = await inject(mesh, String(port));
      // Called after its program, since nothing else was said.
      expect(status).toMatchObject({ service: 'orders', pid, protocol: 'http', protocolFrom: 'HTTP/1.1' });
      answers(status);
      const reply = await get(outbound, '/x', { host: 'orders' });
      expect(reply).toMatchObject({ status: 200 });
      expect(reply.body).toMatch(/^go \/x By=/);
      expect(reply.body).toContain(WEB_IDENTITY);
      await ejected(mesh, before, pid);
      expect((await get(port, '/x')).body).toBe('go /x ');
    },
    180_000,
  );

  it.skipIf(java === null && skipped('java is not installed'))(
    "a Java server, the JDK's own",
    async () => {
      const { mesh, outbound, before } = await oneService();
      mesh.write('Single.java', JAVA_SERVER);
      const { pid, port } = await startOutsider([java!, mesh.path('Single.java'), 'PORT']);
      const status = await inject(mesh, String(port), '--as', 'billing');
      expect(status).toMatchObject({ pid, protocol: 'http' });
      answers(status);
      const reply = await get(outbound, '/x', { host: 'billing' });
      expect(reply).toMatchObject({ status: 200 });
      expect(reply.body).toMatch(/^java \/x By=/);
      expect(reply.body).toContain(WEB_IDENTITY);
      await ejected(mesh, before, pid);
      expect((await get(port, '/x')).body).toBe('java /x ');
    },
    120_000,
  );

  it('one at another address of this machine, beside a service on the same port', async () => {
    const { mesh, outbound, before } = await oneService();
    const { appPort } = await mesh.instance('web-1');
    mesh.write('there.mjs', ELSEWHERE);
    const { pid, port } = await startOutsider(['node', mesh.path('there.mjs')], { port: appPort!, host: '127.0.0.2' });
    const status = await inject(mesh, '--address', `127.0.0.2:${port}`, '--as', 'elsewhere');
    expect(status).toMatchObject({ pid, host: '127.0.0.2', port: appPort });
    answers(status);
    expect((await get(outbound, '/', { host: 'elsewhere' })).body).toContain(WEB_IDENTITY);
    await ejected(mesh, before, pid);
  });

  it('a Vite dev server, which answers to names under localhost only', async () => {
    const { mesh, outbound, before } = await oneService();
    mesh.write('site/index.html', '<title>from vite</title>');
    const vite = fileURLToPath(new URL('../../node_modules/vite/bin/vite.js', import.meta.url));
    const { pid, port } = await startOutsider(
      ['node', vite, '--port', 'PORT', '--host', '127.0.0.1', '--strictPort', '--logLevel', 'error'],
      { cwd: mesh.path('site') },
    );
    const status = await inject(mesh, String(port), '--as', 'site');
    expect(status).toMatchObject({ protocol: 'http' });
    answers(status);
    expect(status.coverage[0].detail).toContain('answers 403');
    const page = await get(outbound, '/', { host: 'site.localhost', accept: 'text/html' });
    expect(page.status, page.body).toBe(200);
    expect(page.body).toContain('from vite');
    await ejected(mesh, before, pid);
  });

  it('a gRPC server', async () => {
    const { mesh, outbound, before } = await oneService();
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
        Hello: (call: { request: Buffer; metadata: Metadata }, reply: (error: null, value: Buffer) => void) =>
          reply(null, Buffer.from(`hello ${call.request}, ${call.metadata.get('x-forwarded-client-cert')}`)),
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
    expect(String(greeting)).toContain('hello mesh, ');
    expect(String(greeting)).toContain(WEB_IDENTITY);
    client.close();
    await ejected(mesh, before);
  });

  it.skipIf(openssl === null && skipped('openssl is not installed'))('a server that speaks TLS itself', async () => {
    const { mesh, outbound, before } = await oneService({
      guarded: echo({ healthCheck: { http: '/healthz', interval: '100ms', unhealthyThreshold: 1 } }),
    });
    const [key, cert] = [mesh.path('key.pem'), mesh.path('cert.pem')];
    const made = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost';
    spawnSync(openssl!, [...made.split(' '), '-keyout', key, '-out', cert]);
    let checks = 0;
    const server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
      if (request.url === '/healthz') checks++;
      response.end(`secure ${request.url}`);
    });
    const port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as net.AddressInfo).port)),
    );
    closers.push(() => server.close().closeAllConnections());
    const status = await inject(mesh, String(port), '--as', 'vault');
    expect(status).toMatchObject({ protocol: 'http', protocolFrom: 'TLS, then HTTP/1.1' });
    answers(status);
    expect(await get(outbound, '/x', { host: 'vault' })).toMatchObject({ status: 200, body: 'secure /x' });
    await mesh.json('eject', 'vault');

    // Health checks are TLS as well: in plain text every one would fail, and with it every request.
    await inject(mesh, String(port), '--as', 'guarded', '--takeover');
    await vi.waitFor(() => expect(checks).toBeGreaterThan(5), { timeout: 10_000 });
    expect(await get(outbound, '/x', { host: 'guarded' })).toMatchObject({ status: 200, body: 'secure /x' });
    await mesh.json('eject', 'guarded');
    // Its own instance is a new process: nothing else differs.
    await mesh.statusWhen(({ services }) =>
      services.every(({ instances }) => instances.every((i) => i.state === 'ready')),
    );
    const { endpoints } = await footprint(mesh);
    expect(JSON.stringify(endpoints)).not.toContain('injected');
    expect((await footprint(mesh)).identities).toEqual(before.identities);
  });

  it.skipIf([initdb, postgres, psql].includes(null) && skipped('PostgreSQL is not installed'))(
    'PostgreSQL',
    async () => {
      const { mesh, before } = await oneService();
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
      await expectFootprint(mesh, before);
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

const GO_SERVER = `package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "go ", r.URL.Path, " ", r.Header.Get("X-Forwarded-Client-Cert"))
	})
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
`;

const JAVA_SERVER = `import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Single {
  public static void main(String[] arguments) throws Exception {
    var address = new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
    var server = HttpServer.create(address, 0);
    server.createContext("/", exchange -> {
      var caller = exchange.getRequestHeaders().getFirst("X-Forwarded-Client-Cert");
      var body = ("java " + exchange.getRequestURI() + " " + (caller == null ? "" : caller)).getBytes();
      exchange.sendResponseHeaders(200, exchange.getRequestMethod().equals("HEAD") ? -1 : body.length);
      if (!exchange.getRequestMethod().equals("HEAD")) exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
  }
}
`;

const ELSEWHERE = `import http from 'node:http';
http.createServer((request, response) => response.end(request.headers['x-forwarded-client-cert']))
  .listen(Number(process.env.PORT), '127.0.0.2');
`;
