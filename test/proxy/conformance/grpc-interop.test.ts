import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, type Server, startServer } from '../../support/child.ts';
import { COMPRESSED_CASES, INTEROP_CASES, InteropClient } from '../../support/interop/cases.ts';
import { startCompressingServer } from '../../support/interop/compressing-server.ts';
import { type InteropServer, startInteropServer } from '../../support/interop/server.ts';
import { freePort, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { findTool, skipped } from '../../support/tools.ts';

const goClient = findTool('grpc-interop-client', 'MESH_GRPC_INTEROP_CLIENT');
const goServer = findTool('grpc-interop-server', 'MESH_GRPC_INTEROP_SERVER');
if (goClient === null || goServer === null) skipped('no grpc-go interop');

describe('gRPC interoperability through two proxies with mutual TLS', () => {
  let jsServer: InteropServer;
  let compressingServer: InteropServer;
  let server: Server | null = null;
  let mesh: TestMesh;

  beforeAll(async () => {
    jsServer = await startInteropServer();
    compressingServer = await startCompressingServer();
    const goPort = await freePort();
    if (goServer !== null) server = await startServer(goServer, ['-port', String(goPort)], goPort);
    mesh = await startTestMesh({
      js: { protocol: 'grpc', apps: [{ port: jsServer.port }] },
      compressing: { protocol: 'grpc', apps: [{ port: compressingServer.port }] },
      go: { protocol: 'grpc', apps: [{ port: goPort }] },
    });
  });

  afterAll(async () => {
    await mesh.close();
    jsServer.close();
    compressingServer.close();
    await server?.stop();
  });

  async function byGrpcJs(service: string, test: (client: InteropClient) => Promise<void>): Promise<void> {
    const client = new InteropClient(mesh.dependency[service]);
    try {
      await test(client);
    } finally {
      client.close();
    }
  }

  async function byGrpcGo(service: string, name: string): Promise<void> {
    const args = ['-server_host', '127.0.0.1', '-server_port', String(mesh.dependency[service]), '-test_case', name];
    const { code, output } = await run(goClient as string, [...args, '-soak_iterations', '50']);
    expect(code, output).toBe(0);
  }

  const names = Object.keys(INTEROP_CASES);

  describe('grpc-js client, grpc-js server', () => {
    it.each(names)('%s', (name) => byGrpcJs('js', INTEROP_CASES[name]));
  });

  describe('grpc-js client, server that compresses', () => {
    it.each(Object.keys(COMPRESSED_CASES))('%s', (name) => byGrpcJs('compressing', COMPRESSED_CASES[name]));
  });

  describe.skipIf(goServer === null)('grpc-js client, grpc-go server', () => {
    it.each(names)('%s', (name) => byGrpcJs('go', INTEROP_CASES[name]));
  });

  describe.skipIf(goClient === null)('grpc-go client, grpc-js server', () => {
    it.each(names)('%s', (name) => byGrpcGo('js', name));
  });

  describe.skipIf(goClient === null || goServer === null)('grpc-go client, grpc-go server', () => {
    it.each(names)('%s', (name) => byGrpcGo('go', name));
  });
});
