import { execFile } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { startSvidForwarder } from '../../support/svid-forwarder.ts';
import { findTool, skipped } from '../../support/tools.ts';

const h2spec = findTool('h2spec', 'MESH_H2SPEC');
if (h2spec === null) skipped('no h2spec');

/** What the suite has to say about a port; passes if nothing of it failed. */
async function expectConformance(port: number, ...options: string[]): Promise<void> {
  const report = await new Promise<string>((resolve) => {
    const args = ['--strict', '-h', '127.0.0.1', '-p', String(port), '-o', '2', ...options];
    execFile(h2spec as string, args, { maxBuffer: 16 << 20 }, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(report);
  expect(summary, report).not.toBeNull();
  const [, , passed, , failed] = summary!.map(Number);
  expect(failed, report).toBe(0);
  // The whole suite has run: v2.2.1 has 146 cases, of which some are skipped by servers without push or priorities.
  expect(passed, report).toBeGreaterThan(140);
}

describe.skipIf(h2spec === null)('h2spec against real listeners, with an application behind', () => {
  let app: http.Server;
  let mesh: TestMesh;

  beforeAll(async () => {
    app = http.createServer((request, response) => {
      request.resume();
      request.on('end', () => response.end('x'.repeat(64)));
    });
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    mesh = await startTestMesh({ app: { apps: [{ port: (app.address() as AddressInfo).port }] } }, [route()]);
  });

  afterAll(async () => {
    await mesh.close();
    app.close();
    app.closeAllConnections();
  });

  it('outbound: h2c on the port of a dependency', { timeout: 120_000 }, () => expectConformance(mesh.dependency.app));

  it('inbound: TLS with a client certificate', { timeout: 120_000 }, async () => {
    const identity = mesh.identities['spiffe://test.local/ns/default/sa/client'];
    const forwarder = await startSvidForwarder(mesh.inbound['app-1'], identity, mesh.authority.trustAnchors);
    try {
      await expectConformance(forwarder.port);
    } finally {
      await forwarder.close();
    }
  });

  it('gateway: TLS', { timeout: 120_000 }, () => expectConformance(mesh.gatewayTls, '-t', '-k'));
});
