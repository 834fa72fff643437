import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import tls from 'node:tls';
import { describe, expect, it } from 'vitest';
import type { CertificateStatus } from '../../src/model/status.ts';
import { cleanUpMeshes, createMesh, eventually, startMesh, type TestMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { getJson, startLoad } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const TARGETS = [
  { path: '/a/call?env=B_URL&path=/y', service: 'a' },
  { path: '/b/x', service: 'b' },
];
const CONFIG = { services: { a: echo({ dependsOn: ['b'] }), b: echo() }, gateway: { routes: routesTo('a', 'b') } };

const certificates = async (mesh: TestMesh): Promise<Record<string, CertificateStatus>> => {
  const { certificates: list } = await mesh.json<{ certificates: CertificateStatus[] }>('certs');
  return Object.fromEntries(list.map((certificate) => [certificate.spiffeId, certificate]));
};
const openssl = (...args: string[]): string =>
  execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** What an inbound listener shows, leaf first, and how the connection goes on. */
function handshake(
  port: number,
  credentials: { cert?: string; key?: string } = {},
): Promise<{ chain: string[]; answer: string }> {
  return new Promise((resolve) => {
    const chain: string[] = [];
    let answer = '';
    const socket = tls.connect(
      { host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], ...credentials },
      () => {
        let certificate: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
        const seen = new Set<string>();
        while (certificate?.raw !== undefined && !seen.has(certificate.fingerprint256)) {
          seen.add(certificate.fingerprint256);
          chain.push(
            `-----BEGIN CERTIFICATE-----\n${certificate.raw.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
          );
          certificate = certificate.issuerCertificate;
        }
        socket.write('GET / HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n');
      },
    );
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve({ chain, answer }));
  });
}

describe('identity', () => {
  it('certificates renew themselves at 80 % of their time, under load, without a failed request', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, { ...CONFIG, identity: { ttl: '5s' } });
    const first = await certificates(mesh);
    expect(Object.keys(first)).toContain('spiffe://e2e.local/ns/default/sa/a');
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 3, http2: 1 });
    const renewed = async (before: Record<string, CertificateStatus>): Promise<Record<string, CertificateStatus>> => {
      let now = before;
      const workloads = Object.keys(before).filter((id) => id.startsWith('spiffe://'));
      await eventually(async () => {
        now = await certificates(mesh);
        return workloads.every((id) => now[id].serial !== before[id].serial);
      });
      return now;
    };
    const second = await renewed(first);
    const id = 'spiffe://e2e.local/ns/default/sa/a';
    const lifeMs = Date.parse(first[id].notAfter) - Date.parse(first[id].notBefore);
    expect(lifeMs).toBeLessThan(5_000 + 120_000);
    await renewed(second);
    // By now the first ones have expired.
    expect(Date.now()).toBeGreaterThan(Date.parse(first[id].notAfter));
    await load.progress();
    expect(await load.stop()).toMatchObject({ failures: [] });
  });

  it('`mesh certs rotate` under load', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    const [a, b] = ['a', 'b'].map((name) => `spiffe://e2e.local/ns/default/sa/${name}`);
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 3, http2: 1 });
    await load.progress();
    const before = await certificates(mesh);
    expect(await mesh.mesh('certs', 'rotate', 'a')).toMatchObject({ code: 0 });
    const one = await certificates(mesh);
    expect(one[a].serial).not.toBe(before[a].serial);
    expect(one[b].serial).toBe(before[b].serial);
    await load.progress();
    expect(await mesh.mesh('certs', 'rotate')).toMatchObject({ code: 0 });
    const all = await certificates(mesh);
    expect(all[b].serial).not.toBe(before[b].serial);
    // What new connections are shown.
    const { inboundPort } = await mesh.instance('b-1');
    const { chain } = await handshake(inboundPort!);
    writeFileSync(mesh.path('shown.pem'), chain[0]);
    const serial = openssl('x509', '-in', mesh.path('shown.pem'), '-noout', '-serial').trim().split('=')[1];
    expect(BigInt(`0x${serial}`)).toBe(BigInt(`0x${all[b].serial.replaceAll(':', '')}`));
    await load.progress();
    expect(await load.stop()).toMatchObject({ failures: [] });
    const unknown = await mesh.mesh('certs', 'rotate', 'c');
    expect(unknown.code).not.toBe(0);
  });

  it('shows chains that openssl accepts at its strictest', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    const { inboundPort } = await mesh.instance('b-1');
    const { chain } = await handshake(inboundPort!);
    expect(chain.length).toBeGreaterThanOrEqual(2);
    mesh.write('leaf.pem', chain[0]);
    mesh.write('intermediate.pem', chain[1]);
    const root = (await getJson<EchoAnswer>(mesh.gatewayPort, '/a/env')).env!.NODE_EXTRA_CA_CERTS;
    const verified = openssl(
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      '-CAfile',
      root,
      '-untrusted',
      mesh.path('intermediate.pem'),
      mesh.path('leaf.pem'),
    );
    expect(verified).toContain('OK');
    const text = openssl('x509', '-in', mesh.path('leaf.pem'), '-noout', '-text');
    expect(text).toContain('URI:spiffe://e2e.local/ns/default/sa/b');
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/);
    expect(text).toContain('TLS Web Server Authentication, TLS Web Client Authentication');
  });

  it('refuses peers without a certificate of the mesh, says why and counts them', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    const { inboundPort } = await mesh.instance('b-1');
    expect((await handshake(inboundPort!)).answer).not.toContain('200 OK');
    await up.until(/b-1\/inbound: refused a peer .*no certificate|b-1\/inbound: refused a peer \(no-certificate\)/);

    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '1',
      '-subj',
      '/CN=a',
      '-addext',
      'subjectAltName=URI:spiffe://e2e.local/ns/default/sa/a',
      '-keyout',
      mesh.path('self.key'),
      '-out',
      mesh.path('self.pem'),
    );
    const self = {
      cert: readFileSync(mesh.path('self.pem'), 'utf8'),
      key: readFileSync(mesh.path('self.key'), 'utf8'),
    };
    expect((await handshake(inboundPort!, self)).answer).not.toContain('200 OK');
    await up.until(/b-1\/inbound: refused a peer \((self-signed|untrusted|unknown)[^)]*\)/);

    const status = await mesh.statusWhen(
      ({ traffic }) => Object.values(traffic.refusedPeers).reduce((sum, n) => sum + n, 0) >= 2,
    );
    expect(Object.keys(status.traffic.refusedPeers)).toHaveLength(2);
    expect((await mesh.mesh('ps')).stdout).toContain('refused');
  });
});
