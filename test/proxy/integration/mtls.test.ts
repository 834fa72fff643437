import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import http2 from 'node:http2';
import https from 'node:https';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/runtime/clock.ts';
import {
  type CertificateSpec,
  name,
  type Signer,
  signCertificate,
  signerOf,
} from '../../../src/runtime/identity/certificate.ts';
import { openCertificateAuthority } from '../../../src/runtime/identity/certificate-authority.ts';
import { generateKeyPair } from '../../../src/runtime/identity/csr.ts';
import { keyIdentifier } from '../../../src/runtime/identity/der.ts';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { eventually, fetchH1, httpApp, settled, type TestApp } from '../../support/traffic.ts';

const HOUR_MS = 3_600_000;
const WEB = 'spiffe://test.local/ns/default/sa/web';

interface Presented {
  cert: string;
  key: string;
}

describe('mutual TLS of real listeners', () => {
  let app: TestApp;
  let mesh: TestMesh;
  let signer: Signer;
  let chain: string;
  const seen: (string | undefined)[] = [];

  beforeAll(async () => {
    app = await httpApp((request, response) => {
      seen.push(String(request.headers['x-forwarded-client-cert']));
      response.end(`${request.httpVersion} ${request.url}`);
    });
    mesh = await startTestMesh({ app: { apps: [{ port: app.port }] } });
    chain = await readFile(join(mesh.directory, 'state/identity/intermediate.pem'), 'utf8');
    signer = signerOf(new X509Certificate(chain), createPrivateKey(chain));
  });

  afterAll(async () => {
    await mesh?.close();
    await app?.close();
  });

  function forged(changes: Partial<CertificateSpec>): Presented {
    const keys = generateKeyPair();
    const spec: CertificateSpec = {
      subject: [['CN', 'forged']],
      publicKey: keys.publicKey,
      notBefore: Date.now() - HOUR_MS,
      notAfter: Date.now() + HOUR_MS,
      names: { uris: [WEB], dns: [], ips: [] },
      use: { kind: 'peer' },
      ...changes,
    };
    return { cert: signCertificate(spec, signer).pem + new X509Certificate(chain).toString(), key: keys.privateKeyPem };
  }

  const selfSigned = (): Presented => {
    const keys = generateKeyPair();
    const subject = [['CN', 'self']] as const;
    const own: Signer = {
      name: name(subject),
      keyId: keyIdentifier(keys.publicKey),
      privateKey: createPrivateKey(keys.privateKeyPem),
    };
    const spec: CertificateSpec = {
      subject,
      publicKey: keys.publicKey,
      notBefore: Date.now() - HOUR_MS,
      notAfter: Date.now() + HOUR_MS,
      names: { uris: [WEB], dns: [], ips: [] },
      use: { kind: 'peer' },
    };
    return { cert: signCertificate(spec, own).pem, key: keys.privateKeyPem };
  };

  const otherMesh = async (): Promise<Presented> => {
    // The same user, so the same root: only the intermediate tells the meshes apart.
    const opened = await openCertificateAuthority({
      dataDir: join(mesh.directory, 'data'),
      stateDir: join(mesh.directory, 'other'),
      mesh: 'test',
      trustDomain: 'test.local',
      clock: systemClock,
      ttlMs: HOUR_MS,
    });
    if (!opened.ok) throw new Error(opened.problems[0].message);
    const svid = opened.value.issueSvid('web');
    if (!svid.ok) throw new Error(svid.problems[0].message);
    return { cert: svid.value.certificatePem, key: svid.value.privateKeyPem };
  };

  const refusals: [string, () => Promise<Presented | null> | Presented | null][] = [
    ['no-certificate', () => null],
    ['self-signed', selfSigned],
    ['expired', () => forged({ notBefore: Date.now() - 2 * HOUR_MS, notAfter: Date.now() - HOUR_MS })],
    ['not-yet-valid', () => forged({ notBefore: Date.now() + HOUR_MS, notAfter: Date.now() + 2 * HOUR_MS })],
    [
      'wrong-trust-domain',
      () => forged({ names: { uris: ['spiffe://other.local/ns/default/sa/web'], dns: [], ips: [] } }),
    ],
    ['no-spiffe-id', () => forged({ names: { uris: [], dns: ['web'], ips: [] } })],
    ['unknown-authority', otherMesh],
  ];

  it.each(refusals)('refuses a client with %s, counts it and says so', async (reason, make) => {
    const presented = await make();
    const requests = seen.length;
    const before = mesh.proxy.refusedPeers[reason] ?? 0;
    const socket = tls.connect({
      host: '127.0.0.1',
      port: mesh.inbound['app-1'],
      rejectUnauthorized: false,
      ...presented,
    });
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.write('GET / HTTP/1.1\r\nhost: app\r\n\r\n');
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk));
    await closed;
    expect(answer).toBe('');
    expect(seen).toHaveLength(requests);
    expect(mesh.proxy.refusedPeers[reason]).toBe(before + 1);
    expect(
      mesh.notices.some(
        (text) => text.startsWith('app: app-1/inbound: refused a peer') && text.includes(`(${reason})`),
      ),
    ).toBe(true);
  });

  it('accepts standard clients with an SVID over HTTP/1.1 and h2, and tells the application who they are', async () => {
    const svid = mesh.authority.issueSvid('web');
    if (!svid.ok) throw new Error('no SVID');
    const options = {
      host: '127.0.0.1',
      port: mesh.inbound['app-1'],
      cert: svid.value.certificatePem,
      key: svid.value.privateKeyPem,
      rejectUnauthorized: false,
      headers: { 'x-forwarded-client-cert': 'URI=spiffe://evil' },
    };
    const body = await new Promise<string>((resolve, reject) => {
      https
        .get({ ...options, path: '/one', agent: false }, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk));
          response.on('end', () => resolve(text));
        })
        .on('error', reject);
    });
    expect(body).toBe('1.1 /one');
    const session = http2.connect(`https://127.0.0.1:${options.port}`, options);
    const stream = session.request({ ':path': '/two', 'x-forwarded-client-cert': 'URI=spiffe://evil' });
    let text = '';
    for await (const chunk of stream) text += chunk;
    expect(text).toBe('1.1 /two');
    expect((session.socket as tls.TLSSocket).alpnProtocol).toBe('h2');
    session.close();
    const hash = new X509Certificate(svid.value.certificatePem).fingerprint256.replaceAll(':', '').toLowerCase();
    for (const xfcc of seen.slice(-2)) {
      expect(xfcc).toBe(`By=spiffe://test.local/ns/default/sa/app;Hash=${hash};URI=${WEB}`);
    }
    await settled(mesh);
  });

  it('sends nothing to a peer that is not who it should be', async () => {
    const requests = seen.length;
    mesh.update({
      app: {
        apps: [{ port: app.port }],
        cluster: { spiffeId: 'spiffe://test.local/ns/default/sa/other', parking: { timeoutMs: 100, maxRequests: 10 } },
      },
    });
    // Links that were made before have proven who they are; a new identity makes new ones.
    mesh.rotate('client');
    const reply = await fetchH1(mesh.dependency.app);
    expect([reply.status, reply.headers['x-mesh-response-flags']]).toEqual([503, 'UF']);
    expect(reply.body).toContain(
      'the peer is spiffe://test.local/ns/default/sa/app, not spiffe://test.local/ns/default/sa/other',
    );
    expect(seen).toHaveLength(requests);
    expect(mesh.proxy.refusedPeers['wrong-spiffe-id']).toBeGreaterThan(0);
    expect(mesh.notices.some((text) => text.startsWith('app: refused app-1 (wrong-spiffe-id)'))).toBe(true);
    mesh.update({ app: { apps: [{ port: app.port }] } });
    expect((await fetchH1(mesh.dependency.app)).status).toBe(200);
    await settled(mesh);
  });

  it('reports a client that does not speak TLS', async () => {
    const reply = await fetchH1(mesh.inbound['app-1']).catch((error: Error) => error);
    expect(reply).toBeInstanceOf(Error);
    await eventually(() => mesh.notices.some((text) => text.includes('TLS handshake failed')), 'a notice');
  });
});
