import { X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CertificateSpec,
  ipBytes,
  name,
  type Signer,
  signCertificate,
  signerOf,
} from '../../../src/runtime/identity/certificate.ts';
import { generateKeyPair } from '../../../src/runtime/identity/csr.ts';
import { keyIdentifier } from '../../../src/runtime/identity/der.ts';
import { authority, cleanUp, DAY_MS, openssl, runOpenssl, temporaryDirectory, value } from './fixture.ts';

cleanUp();

const keys = generateKeyPair();
const signer: Signer = { name: name([['CN', 'x']]), keyId: keyIdentifier(keys.publicKey), privateKey: keys.privateKey };

function issue(changes: Partial<CertificateSpec> = {}): X509Certificate {
  const spec: CertificateSpec = {
    subject: [],
    publicKey: keys.publicKey,
    notBefore: Date.UTC(2026, 0, 1),
    notAfter: Date.UTC(2026, 1, 1),
    names: { uris: ['spiffe://td/x'], dns: [], ips: [] },
    use: { kind: 'peer' },
    ...changes,
  };
  return new X509Certificate(signCertificate(spec, signer).pem);
}

/** What openssl prints of an extension: the line of its name and the line after. */
function extensionText(pem: string, extension: string): string {
  const { output } = runOpenssl(['x509', '-noout', '-text'], pem);
  const lines = output.split('\n').map((line) => line.trim());
  const at = lines.findIndex((line) => line.startsWith(extension));
  return at < 0 ? '' : `${lines[at]} ${lines[at + 1]}`;
}

describe.runIf(openssl)('openssl verify -x509_strict', () => {
  it.each(['sslclient', 'sslserver'])('accepts root -> intermediate -> workload as %s', async (purpose) => {
    const directory = await temporaryDirectory();
    const ca = await authority(directory);
    await writeFile(join(directory, 'intermediate.pem'), ca.intermediatePem);
    await writeFile(join(directory, 'leaf.pem'), value(ca.issueSvid('orders')).certificatePem);
    const chain = ['-CAfile', ca.rootPath, '-untrusted', join(directory, 'intermediate.pem')];
    const good = runOpenssl(['verify', '-x509_strict', '-purpose', purpose, ...chain, join(directory, 'leaf.pem')]);
    expect(good).toMatchObject({ status: 0, output: expect.stringMatching(/leaf\.pem: OK/) });
    const bare = runOpenssl(['verify', '-x509_strict', '-CAfile', ca.rootPath, join(directory, 'leaf.pem')]);
    expect(bare.status).not.toBe(0);
  });

  it('accepts the gateway as a server for its hosts, and not as a client', async () => {
    const directory = await temporaryDirectory();
    const ca = await authority(directory);
    const files = { intermediate: join(directory, 'i.pem'), leaf: join(directory, 'g.pem') };
    await writeFile(files.intermediate, ca.intermediatePem);
    await writeFile(files.leaf, value(ca.issueGateway(['shop.localhost'])).certificatePem);
    const verify = (...more: string[]) =>
      runOpenssl([
        'verify',
        '-x509_strict',
        '-CAfile',
        ca.rootPath,
        '-untrusted',
        files.intermediate,
        ...more,
        files.leaf,
      ]).status;
    expect(verify('-purpose', 'sslserver', '-verify_hostname', 'shop.localhost')).toBe(0);
    expect(verify('-purpose', 'sslserver', '-verify_hostname', 'localhost')).toBe(0);
    expect(verify('-purpose', 'sslserver', '-verify_ip', '127.0.0.1')).toBe(0);
    expect(verify('-purpose', 'sslserver', '-verify_ip', '::1')).toBe(0);
    expect(verify('-purpose', 'sslserver', '-verify_hostname', 'example.com')).not.toBe(0);
    expect(verify('-purpose', 'sslclient')).not.toBe(0);
  });

  it('refuses an authority below the intermediate', async () => {
    const directory = await temporaryDirectory();
    const ca = await authority(directory);
    const { X509Certificate: Parsed, createPrivateKey } = await import('node:crypto');
    const { readFile } = await import('node:fs/promises');
    const bundle = await readFile(join(directory, 'shop', '.mesh', 'identity', 'intermediate.pem'), 'utf8');
    const above = signerOf(new Parsed(bundle), createPrivateKey(bundle));
    const below = signCertificate(
      {
        subject: [['CN', 'below']],
        publicKey: keys.publicKey,
        notBefore: Date.now() - 1000,
        notAfter: Date.now() + DAY_MS,
        names: { uris: [], dns: [], ips: [] },
        use: { kind: 'ca', pathLength: 0 },
      },
      above,
    );
    await writeFile(join(directory, 'untrusted.pem'), ca.intermediatePem + below.pem);
    await writeFile(join(directory, 'leaf.pem'), signLeafUnder(below.pem));
    const args = ['-CAfile', ca.rootPath, '-untrusted', join(directory, 'untrusted.pem'), join(directory, 'leaf.pem')];
    expect(runOpenssl(['verify', ...args]).output).toMatch(/path length constraint exceeded/);
  });
});

function signLeafUnder(issuerPem: string): string {
  const leafKeys = generateKeyPair();
  return signCertificate(
    {
      subject: [],
      publicKey: leafKeys.publicKey,
      notBefore: Date.now() - 1000,
      notAfter: Date.now() + DAY_MS,
      names: { uris: ['spiffe://shop.local/ns/default/sa/evil'], dns: [], ips: [] },
      use: { kind: 'peer' },
    },
    signerOf(new X509Certificate(issuerPem), keys.privateKey),
  ).pem;
}

describe.runIf(openssl)('extensions', () => {
  it('are those of an X.509-SVID', () => {
    const pem = issue({ names: { uris: ['spiffe://td/x'], dns: ['orders'], ips: ['127.0.0.1', '::1'] } }).toString();
    expect(extensionText(pem, 'X509v3 Basic Constraints')).toBe('X509v3 Basic Constraints: critical CA:FALSE');
    expect(extensionText(pem, 'X509v3 Key Usage')).toBe('X509v3 Key Usage: critical Digital Signature');
    expect(extensionText(pem, 'X509v3 Extended Key Usage')).toBe(
      'X509v3 Extended Key Usage: TLS Web Server Authentication, TLS Web Client Authentication',
    );
    expect(extensionText(pem, 'X509v3 Subject Alternative Name')).toBe(
      'X509v3 Subject Alternative Name: critical URI:spiffe://td/x, DNS:orders, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
  });

  it('are those of an authority', () => {
    const pem = issue({ subject: [['CN', 'ca']], use: { kind: 'ca', pathLength: 0 } }).toString();
    expect(extensionText(pem, 'X509v3 Basic Constraints')).toBe(
      'X509v3 Basic Constraints: critical CA:TRUE, pathlen:0',
    );
    expect(extensionText(pem, 'X509v3 Key Usage')).toBe('X509v3 Key Usage: critical Certificate Sign, CRL Sign');
  });

  it('mark the alternative name critical only where the subject is empty', () => {
    expect(extensionText(issue().toString(), 'X509v3 Subject Alternative Name')).toMatch(/critical/);
    expect(extensionText(issue({ subject: [['CN', 'x']] }).toString(), 'X509v3 Subject Alternative Name')).not.toMatch(
      /critical/,
    );
  });

  it('leave out an empty alternative name', () => {
    const pem = issue({ subject: [['CN', 'x']], names: { uris: [], dns: [], ips: [] } }).toString();
    expect(extensionText(pem, 'X509v3 Subject Alternative Name')).toBe('');
  });
});

describe('signCertificate', () => {
  it('gives each certificate a positive serial of 20 bytes', () => {
    const serials = new Set<string>();
    for (let i = 0; i < 200; i++) {
      const { serialNumber } = issue();
      expect(serialNumber).toMatch(/^[4-7][0-9A-F]{39}$/);
      serials.add(serialNumber);
    }
    expect(serials.size).toBe(200);
  });

  it('writes dates on both sides of 2050', () => {
    const certificate = issue({ notBefore: Date.UTC(2049, 11, 31, 23, 59, 59), notAfter: Date.UTC(2050, 0, 1) });
    expect(Date.parse(certificate.validFrom)).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
    expect(Date.parse(certificate.validTo)).toBe(Date.UTC(2050, 0, 1));
    expect(certificate.raw.includes(Buffer.from('491231235959Z'))).toBe(true);
    expect(certificate.raw.includes(Buffer.from('20500101000000Z'))).toBe(true);
  });

  it('cuts a common name to 64 characters, not bytes', () => {
    const certificate = issue({ subject: [['CN', 'ü'.repeat(70)]] });
    expect(certificate.subject).toBe(`CN=${'ü'.repeat(64)}`);
  });

  it('takes over the name of the issuer byte for byte', () => {
    const issuer = issue({
      subject: [
        ['O', 'Zoë & Söhne, "GmbH"'],
        ['CN', 'a\nb'],
      ],
      use: { kind: 'ca', pathLength: 0 },
    });
    const leaf = new X509Certificate(
      signCertificate(
        {
          subject: [],
          publicKey: generateKeyPair().publicKey,
          notBefore: 0,
          notAfter: Date.UTC(2040, 0),
          names: { uris: ['spiffe://td/x'], dns: [], ips: [] },
          use: { kind: 'peer' },
        },
        signerOf(issuer, keys.privateKey),
      ).pem,
    );
    expect(leaf.checkIssued(issuer)).toBe(true);
    expect(leaf.verify(issuer.publicKey)).toBe(true);
  });
});

describe('ipBytes', () => {
  it.each([
    ['127.0.0.1', '7f000001'],
    ['::1', '00000000000000000000000000000001'],
    ['::', '00000000000000000000000000000000'],
    ['fe80::1%lo', 'fe800000000000000000000000000001'],
    ['2001:db8::ff00:42:8329', '20010db8000000000000ff0000428329'],
    ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
    ['1::', '00010000000000000000000000000000'],
  ])('encodes %s', (ip, hex) => {
    expect(ipBytes(ip).toString('hex')).toBe(hex);
  });

  it('encodes any address as it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const groups = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2]! << 8) | bytes[i * 2 + 1]!).toString(16));
        expect([...ipBytes(groups.join(':'))]).toEqual([...bytes]);
      }),
    );
  });

  it('throws on what is no address', () => {
    expect(() => ipBytes('localhost')).toThrow(/not an IP address/);
  });
});
