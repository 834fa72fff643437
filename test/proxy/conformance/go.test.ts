import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, type Server, startServer } from '../../support/child.ts';
import { freePort, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { findTool, skipped } from '../../support/tools.ts';

/** `http.Protocols`, and with it HTTP/2 without TLS in the standard library, came with this minor version. */
const LEAST_GO = 24;

const go = findTool('go');
const skip = go === null ? skipped('no go') : goMinor(go) < LEAST_GO && skipped(`go is older than 1.${LEAST_GO}`);

function goMinor(file: string): number {
  const version = execFileSync(file, ['env', 'GOVERSION'], { encoding: 'utf8' });
  return Number(/go1\.(\d+)/.exec(version)?.[1] ?? 0);
}

describe.skipIf(skip)("Go's net/http", () => {
  let dir: string;
  let program: string;
  let server: Server;
  let mesh: TestMesh;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mesh-go-'));
    program = join(dir, 'program');
    const source = fileURLToPath(new URL('../../support/clients/main.go', import.meta.url));
    const built = await run(go as string, ['build', '-o', program, source], {
      env: { ...process.env, GO111MODULE: 'off' },
      timeoutMs: 120_000,
    });
    expect(built.code, built.output).toBe(0);
    const port = await freePort();
    server = await startServer(program, ['serve', String(port)], port);
    mesh = await startTestMesh({ h1: { apps: [{ port }] }, h2c: { protocol: 'http2', apps: [{ port }] } });
  }, 150_000);

  afterAll(async () => {
    await mesh?.close();
    await server?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  describe.each([
    ['h1', 'HTTP/1.1'],
    ['h2c', 'HTTP/2.0'],
  ])('server over %s', (service, appProtocol) => {
    it.each([
      ['h1', 'HTTP/1.1'],
      ['h2c', 'HTTP/2.0'],
    ])(
      'client over %s',
      async (client, clientProtocol) => {
        const { code, output } = await run(program, ['ask', String(mesh.dependency[service]), client], {
          timeoutMs: 30_000,
        });
        expect(code, output).toBe(0);
        expect(JSON.parse(output)).toEqual({
          get: `GET ${appProtocol} 0 `,
          proto: clientProtocol,
          head: '200 0',
          post: `POST ${appProtocol} 1048576 `,
          'trailers-up': `PUT ${appProtocol} 1048576 1048576`,
          expect: `POST ${appProtocol} 1000 `,
          stream: 'line 0\nline 1\nline 2\n3',
          early: '413 too large',
          bytes: 80 << 16,
          hints: '103 </style.css>; rel=preload after hints',
          cancelled: 'true',
          abort: true,
          concurrent: 64,
        });
      },
      40_000,
    );

    it('client by HTTP_PROXY', async () => {
      const env = { PATH: process.env.PATH, HTTP_PROXY: `http://127.0.0.1:${mesh.outbound}` };
      expect(await run(program, ['proxied', service], { env })).toEqual({ code: 0, output: `200 ${service}` });
    });
  });
});
