import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../support/child.ts';
import { InteropClient } from '../../support/interop/cases.ts';
import type { OutputResponse } from '../../support/interop/protocol.ts';
import { type InteropServer, startInteropServer } from '../../support/interop/server.ts';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { findTool, skipped } from '../../support/tools.ts';

const goClient = findTool('grpc-interop-client', 'MESH_GRPC_INTEROP_CLIENT');
if (goClient === null) skipped('no grpc-go interop client');

/** grpc/doc/http-grpc-status-mapping.md, with the names that grpc-go prints. */
const MAPPING: [number, number, string][] = [
  [400, grpc.status.INTERNAL, 'Internal'],
  [401, grpc.status.UNAUTHENTICATED, 'Unauthenticated'],
  [403, grpc.status.PERMISSION_DENIED, 'PermissionDenied'],
  [404, grpc.status.UNIMPLEMENTED, 'Unimplemented'],
  [429, grpc.status.UNAVAILABLE, 'Unavailable'],
  [502, grpc.status.UNAVAILABLE, 'Unavailable'],
  [503, grpc.status.UNAVAILABLE, 'Unavailable'],
  [504, grpc.status.UNAVAILABLE, 'Unavailable'],
  [500, grpc.status.UNKNOWN, 'Unknown'],
];

describe('what gRPC clients see of HTTP errors', () => {
  let apps: (http.Server | http2.Http2Server)[];
  let mesh: TestMesh;
  let status = 200;

  beforeAll(async () => {
    // An application that is none of gRPC's, or a proxy of its own before one.
    const headers = { 'content-type': 'text/html' };
    const body = '<h1>no gRPC here</h1>';
    apps = [
      http.createServer((request, response) => response.writeHead(status, headers).end(body, () => request.resume())),
      http2.createServer((request, response) => response.writeHead(status, headers).end(body, () => request.resume())),
    ];
    for (const app of apps) {
      app.listen(0, '127.0.0.1');
      await once(app, 'listening');
    }
    const [h1, h2c] = apps.map((app) => (app.address() as AddressInfo).port);
    mesh = await startTestMesh({
      h1: { apps: [{ port: h1 }] },
      h2c: { protocol: 'grpc', apps: [{ port: h2c }] },
      gone: { protocol: 'grpc', apps: [], cluster: { parking: { timeoutMs: 0, maxRequests: 0 } } },
    });
  });

  afterAll(async () => {
    await mesh.close();
    for (const app of apps) app.close();
  });

  describe.each(['h1', 'h2c'])('from an application that speaks %s', (service) => {
    it.each(MAPPING)('%d', async (code, grpcStatus, name) => {
      status = code;
      const client = new InteropClient(mesh.dependency[service]);
      try {
        await expect(client.unary('EmptyCall', {})).rejects.toMatchObject({ code: grpcStatus });
      } finally {
        client.close();
      }
      if (goClient === null) return;
      const { output } = await run(goClient, [
        '-server_host',
        '127.0.0.1',
        '-server_port',
        String(mesh.dependency[service]),
        '-test_case',
        'empty_unary',
      ]);
      expect(output).toContain(`code = ${name} `);
    });
  });

  it('of the proxy: a status of gRPC with a reason', async () => {
    const client = new InteropClient(mesh.dependency.gone);
    try {
      await expect(client.unary('EmptyCall', {})).rejects.toMatchObject({
        code: grpc.status.UNAVAILABLE,
        details: expect.stringContaining('no healthy endpoint of gone'),
      });
    } finally {
      client.close();
    }
  });
});

describe('keepalive', () => {
  let server: InteropServer;
  let atServer: PingCounter;
  let atProxy: PingCounter;
  let mesh: TestMesh;

  beforeAll(async () => {
    server = await startInteropServer();
    atServer = await startPingCounter(server.port);
    mesh = await startTestMesh({ js: { protocol: 'grpc', apps: [{ port: atServer.port }] } });
    atProxy = await startPingCounter(mesh.dependency.js);
  });

  afterAll(async () => {
    atProxy.close();
    await mesh.close();
    atServer.close();
    server.close();
  });

  it('pings are answered by the proxy and never reach the server, which may take offence', async () => {
    const client = new InteropClient(atProxy.port, {
      'grpc.keepalive_time_ms': 20,
      'grpc.keepalive_timeout_ms': 2_000,
      'grpc.keepalive_permit_without_calls': 1,
    });
    try {
      const call = client.duplex();
      const ended = new Promise<grpc.StatusObject>((resolve) => call.on('status', resolve));
      call.on('error', () => {});
      const replies: OutputResponse[] = [];
      call.on('data', (reply) => replies.push(reply));
      // By default servers of gRPC put up with two pings, and end the connection at the third.
      await expect.poll(() => atProxy.pings(), { timeout: 10_000 }).toBeGreaterThan(10);
      call.write({ response_parameters: [{ size: 7 }] });
      await expect.poll(() => replies.length).toBe(1);
      call.end();
      expect((await ended).code).toBe(grpc.status.OK);
      expect(atServer.pings()).toBe(0);
    } finally {
      client.close();
    }
  });

  it('two hundred pings in a row are no abuse', async () => {
    const session = http2.connect(`http://127.0.0.1:${mesh.dependency.js}`);
    await once(session, 'connect');
    let answered = 0;
    let goaway = false;
    session.on('goaway', () => (goaway = true));
    for (let i = 0; i < 200; i++) {
      await new Promise<void>((resolve, reject) =>
        session.ping((error) => (error === null ? resolve() : reject(error))),
      );
      answered++;
    }
    expect([answered, goaway]).toEqual([200, false]);
    session.destroy();
  });
});

interface PingCounter {
  port: number;
  /** PING frames of clients so far, answers to the server's not counted. */
  pings(): number;
  close(): void;
}

/** Passes connections on to `target` and counts the keepalive of their clients. */
async function startPingCounter(target: number): Promise<PingCounter> {
  let pings = 0;
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    const onwards = net.connect(target, '127.0.0.1');
    sockets.add(socket);
    socket.on(
      'data',
      countPings(() => pings++),
    );
    socket.pipe(onwards).pipe(socket);
    socket.on('error', () => onwards.destroy());
    onwards.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    pings: () => pings,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Reads an HTTP/2 client's bytes and tells of each PING that is no answer to one. */
function countPings(onPing: () => void): (chunk: Buffer) => void {
  const PREFACE_BYTES = 24;
  let seen = Buffer.alloc(0);
  let skip = PREFACE_BYTES;
  return (chunk) => {
    seen = Buffer.concat([seen, chunk]);
    for (;;) {
      const dropped = Math.min(skip, seen.length);
      seen = seen.subarray(dropped);
      skip -= dropped;
      if (skip > 0 || seen.length < 9) return;
      if (seen[3] === 6 && (seen[4] & 1) === 0) onPing();
      skip = 9 + seen.readUIntBE(0, 3);
    }
  };
}
