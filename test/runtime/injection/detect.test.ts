import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Result } from '../../../src/model/result.ts';
import { type Detected, detectProtocol } from '../../../src/runtime/injection/detect.ts';
import { cleanUpOutsiders, startOutsider } from '../../support/outsiders.ts';
import { findTool, skipped } from '../../support/tools.ts';

cleanUpOutsiders();

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** Port of a server that is closed, with what is left of its connections, after the test. */
async function listen(server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as net.AddressInfo).port;
}

const detect = (port: number, command = ''): Promise<Result<Detected>> =>
  detectProtocol({ host: '127.0.0.1', port, command, local: true, wanted: null });

async function detected(port: number, command?: string): Promise<Detected> {
  const result = await detect(port, command);
  if (!result.ok) throw new Error(result.problems[0].message);
  return result.value;
}

let keys: { key: Buffer; cert: Buffer };
const openssl = findTool('openssl');
const withoutOpenssl = openssl === null && skipped('openssl is not installed: servers with TLS are not probed');

beforeAll(() => {
  if (openssl === null) return;
  const dir = mkdtempSync(path.join(tmpdir(), 'mesh-detect-'));
  const [key, cert] = [path.join(dir, 'key.pem'), path.join(dir, 'cert.pem')];
  const made = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost';
  const outcome = spawnSync(openssl, [...made.split(' '), '-keyout', key, '-out', cert]);
  expect(outcome.status, String(outcome.stderr)).toBe(0);
  keys = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(dir, { recursive: true });
});

describe('detectProtocol', () => {
  it('knows HTTP/1.1, without a request reaching the application', async () => {
    let requests = 0;
    const port = await listen(http.createServer(() => requests++));
    expect(await detected(port)).toEqual({ protocol: 'http', protocolFrom: 'HTTP/1.1', tls: false });
    expect(requests).toBe(0);
  });

  it('knows HTTP/2 without TLS', async () => {
    const port = await listen(http2.createServer((_request, response) => response.end('hello')));
    expect(await detected(port)).toMatchObject({ protocol: 'http2', tls: false });
  });

  it.each([true, false])('knows gRPC, with a health service: %s', async (health) => {
    const server = new Server();
    const bytes = (value: Buffer): Buffer => value;
    const method = {
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    };
    const name = health ? 'grpc.health.v1.Health' : 'shop.Orders';
    server.addService(
      { Check: { path: `/${name}/Check`, ...method } },
      { Check: (_call: unknown, reply: (error: null, value: Buffer) => void) => reply(null, Buffer.from([8, 1])) },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    closers.push(() => server.forceShutdown());
    expect(await detected(port)).toEqual({
      protocol: 'grpc',
      protocolFrom: health ? 'gRPC (health)' : 'gRPC (no health service)',
      tls: false,
    });
  });

  it.skipIf(withoutOpenssl)('knows HTTP/1.1, HTTP/2 and something else inside TLS', async () => {
    const one = await listen(https.createServer(keys, (_request, response) => response.end()));
    expect(await detected(one)).toEqual({ protocol: 'http', protocolFrom: 'TLS, then HTTP/1.1', tls: true });
    const two = await listen(http2.createSecureServer(keys, (_request, response) => response.end()));
    expect(await detected(two)).toEqual({ protocol: 'http2', protocolFrom: 'TLS, then HTTP/2', tls: true });
    const other = await listen(tls.createServer(keys, (socket) => socket.on('error', () => {}).end('bye')));
    expect(await detected(other)).toMatchObject({ protocol: 'tcp', tls: false });
  });

  it.each([
    ['220 mail.example ESMTP\r\n', 'raw TCP (SMTP)'],
    ['SSH-2.0-OpenSSH_9.6\r\n', 'raw TCP (SSH)'],
    ['J\0\0\0\n8.4.0\0', 'raw TCP (MySQL)'],
    ['hello\n', 'raw TCP'],
  ])('knows a server that speaks first by its greeting %j', async (greeting, protocolFrom) => {
    const port = await listen(net.createServer((socket) => socket.write(greeting)));
    expect(await detected(port)).toEqual({ protocol: 'tcp', protocolFrom, tls: false });
  });

  it('knows a server that answers the probe in a tongue of its own', async () => {
    const redis = net.createServer((socket) =>
      socket.once('data', () => socket.write("-ERR unknown command 'HEAD'\r\n")),
    );
    expect(await detected(await listen(redis))).toMatchObject({ protocol: 'tcp', protocolFrom: 'raw TCP (Redis)' });
  });

  it('knows PostgreSQL by its answer to SSLRequest', async () => {
    const postgres = net.createServer((socket) =>
      socket.once('data', (data) => {
        if (data.equals(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))) socket.write('N');
        else socket.end();
      }),
    );
    const port = await listen(postgres);
    expect(await detected(port)).toMatchObject({ protocol: 'tcp', protocolFrom: 'raw TCP (PostgreSQL)' });
    expect(await detected(port, 'postgres -D data')).toMatchObject({ protocolFrom: 'raw TCP (PostgreSQL)' });
  });

  it('waits for an HTTP server that is slow to answer', async () => {
    const slow = net.createServer((socket) =>
      socket.once('data', () => setTimeout(() => socket.end('HTTP/1.1 404 Not Found\r\n\r\n'), 100)),
    );
    expect(await detected(await listen(slow))).toMatchObject({ protocol: 'http' });
  });

  it('asks for --protocol where nothing answers, soon', async () => {
    const port = await listen(net.createServer(() => {}));
    const began = performance.now();
    const result = await detect(port);
    expect(performance.now() - began).toBeLessThan(2_500);
    expect(result).toMatchObject({ ok: false, problems: [{ code: 'MESH-J108' }] });
    expect(result.ok || result.problems[0].hint).toContain('--protocol tcp');
  });

  it('says that nothing listens', async () => {
    const server = net.createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await detect(port)).toMatchObject({ ok: false, problems: [{ code: 'MESH-J101' }] });
  });
});

const python = findTool('python3');
const go = findTool('go');

describe('servers as they are found on a machine', () => {
  it.skipIf(python === null && skipped('python3 is not installed'))("Python's http.server", async () => {
    const { port } = await startOutsider([python!, '-m', 'http.server', 'PORT', '--bind', '127.0.0.1']);
    expect(await detected(port)).toMatchObject({ protocol: 'http', protocolFrom: 'HTTP/1.0', tls: false });
  });

  describe.skipIf(go === null && skipped('go is not installed'))("Go's net/http", () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'mesh-go-'));
    const binary = path.join(dir, 'server');
    beforeAll(() => {
      writeFileSync(path.join(dir, 'main.go'), GO_SERVER);
      const env = { ...process.env, GO111MODULE: 'off', GOFLAGS: '' };
      const built = spawnSync(go!, ['build', '-o', binary, 'main.go'], { cwd: dir, env });
      expect(built.status, String(built.stderr)).toBe(0);
    }, 180_000);
    afterAll(() => rmSync(dir, { recursive: true, force: true }));

    it('plain', async () => {
      const { port } = await startOutsider([binary]);
      expect(await detected(port)).toEqual({ protocol: 'http', protocolFrom: 'HTTP/1.1', tls: false });
    });

    it.skipIf(withoutOpenssl)('with TLS, where it answers plain text in plain text', async () => {
      writeFileSync(path.join(dir, 'cert.pem'), keys.cert);
      writeFileSync(path.join(dir, 'key.pem'), keys.key);
      const { port } = await startOutsider([binary, 'tls'], { cwd: dir });
      expect(await detected(port)).toMatchObject({ protocol: 'http2', tls: true });
    });
  });
});

const GO_SERVER = `package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "go", r.Proto) })
	address := "127.0.0.1:" + os.Getenv("PORT")
	if len(os.Args) > 1 {
		panic(http.ListenAndServeTLS(address, "cert.pem", "key.pem", nil))
	}
	panic(http.ListenAndServe(address, nil))
}
`;
