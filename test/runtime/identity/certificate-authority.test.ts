import { spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, chown, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createCsr, generateKeyPair } from '../../../src/runtime/identity/csr.ts';
import { loadRoot, openRoot } from '../../../src/runtime/identity/root.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { authority, cleanUp, code, DAY_MS, openAuthority, temporaryDirectory, value } from './fixture.ts';

cleanUp();

const isRoot = process.geteuid?.() === 0;
const posix = process.platform !== 'win32';

/** Every file and directory below, with its owner and mode. */
async function tree(directory: string): Promise<{ path: string; mode: string; uid: number; gid: number }[]> {
  const entries = await readdir(directory, { recursive: true });
  return Promise.all(
    entries.sort().map(async (path) => {
      const { mode, uid, gid } = await stat(join(directory, path));
      return { path, mode: (mode & 0o777).toString(8), uid, gid };
    }),
  );
}

describe('openCertificateAuthority', () => {
  it('creates root and intermediate, private to the user, and nothing else', async () => {
    const directory = await temporaryDirectory();
    const ca = await authority(directory);
    expect(ca.notices).toEqual([]);
    const found = await tree(directory);
    expect(found.map(({ path, mode }) => (posix ? `${mode} ${path}` : path))).toEqual([
      '700 data',
      '700 data/root',
      '600 data/root/root.key',
      '644 data/root/root.pem',
      '700 shop',
      '700 shop/.mesh',
      '700 shop/.mesh/identity',
      '600 shop/.mesh/identity/intermediate.pem',
    ]);
    const root = new X509Certificate(ca.rootPem);
    const intermediate = new X509Certificate(ca.intermediatePem);
    expect(Date.parse(root.validTo) - Date.now()).toBeGreaterThan(3640 * DAY_MS);
    expect(Date.parse(intermediate.validTo) - Date.now()).toBeGreaterThan(360 * DAY_MS);
    expect(intermediate.subjectAltName).toBe('URI:spiffe://shop.local');
    const [anchor, ...more] = ca.trustAnchors.map((pem) => new X509Certificate(pem));
    expect(more).toEqual([]);
    expect(anchor!.subject).toBe(intermediate.subject);
    expect(anchor!.publicKey.equals(intermediate.publicKey)).toBe(true);
    expect(anchor!.verify(anchor!.publicKey)).toBe(true);
  });

  it('finds the same authorities again', async () => {
    const directory = await temporaryDirectory();
    const first = await authority(directory);
    const second = await authority(directory);
    expect(second.rootPem).toBe(first.rootPem);
    expect(second.intermediatePem).toBe(first.intermediatePem);
    expect(second.trustAnchors).toEqual(first.trustAnchors);
    expect(second.notices).toEqual([]);
  });

  it('gives two meshes one root and an intermediate each', async () => {
    const directory = await temporaryDirectory();
    const shop = await authority(directory);
    const blog = await authority(directory, { mesh: 'blog' });
    expect(blog.rootPem).toBe(shop.rootPem);
    expect(blog.intermediatePem).not.toBe(shop.intermediatePem);
  });

  it('ends with one root when many meshes start at once', async () => {
    const directory = await temporaryDirectory();
    const opened = await Promise.all(Array.from({ length: 12 }, (_, i) => authority(directory, { mesh: `mesh-${i}` })));
    expect(new Set(opened.map((ca) => ca.rootPem)).size).toBe(1);
    expect(await readdir(join(directory, 'data'))).toEqual(['root']);
    for (const ca of opened) {
      expect(new X509Certificate(ca.intermediatePem).verify(new X509Certificate(ca.rootPem).publicKey)).toBe(true);
    }
  });

  it('ends with one root and one intermediate when several processes start one mesh at once', async () => {
    const directory = await temporaryDirectory();
    const script = join(directory, 'open.mts');
    const source = (path: string) => JSON.stringify(pathToFileURL(join(process.cwd(), 'src/runtime', path)).href);
    await writeFile(
      script,
      `import { openCertificateAuthority } from ${source('identity/certificate-authority.ts')};
       import { systemClock } from ${source('clock.ts')};
       process.stdin.once('data', async () => {
         const opened = await openCertificateAuthority({ dataDir: process.argv[2], stateDir: process.argv[3],
           mesh: 'shop', trustDomain: 'shop.local', clock: systemClock, ttlMs: 60000 });
         console.log(JSON.stringify(opened.ok ? [opened.value.rootPem, opened.value.intermediatePem] : opened.problems));
         process.exit();
       });
       console.log('ready');`,
    );
    const children = Array.from({ length: 3 }, () => {
      const args = ['--import', 'tsx', script, join(directory, 'data'), join(directory, '.mesh')];
      const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      let output = '';
      const ready = new Promise<void>((resolve) => {
        child.stdout.on('data', (chunk) => {
          output += chunk;
          if (output.includes('ready\n')) resolve();
        });
      });
      const done = new Promise<string>((resolve) => child.on('close', () => resolve(output.replace('ready\n', ''))));
      return { child, ready, done };
    });
    await Promise.all(children.map(({ ready }) => ready));
    for (const { child } of children) child.stdin.write('go\n');
    const answers = await Promise.all(children.map(({ done }) => done));
    expect(answers[0]).toContain('BEGIN CERTIFICATE');
    expect(new Set(answers).size).toBe(1);
  });

  it('refuses a trust domain that is none', async () => {
    const directory = await temporaryDirectory();
    expect(code(await openAuthority(directory, { trustDomain: 'Shop Local' }))).toBe('MESH-I122');
    expect(await readdir(directory)).toEqual([]);
  });

  it('reports a data directory that cannot be made', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'file'), '');
    const result = await openAuthority(directory, { dataDir: join(directory, 'file', 'mesh') });
    expect(code(result)).toBe('MESH-I101');
    expect(!result.ok && result.problems[0]!.hint).toMatch(/XDG_DATA_HOME/);
  });

  it('reports a state directory that cannot be made', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'file'), '');
    expect(code(await openAuthority(directory, { stateDir: join(directory, 'file', '.mesh') }))).toBe('MESH-I107');
  });

  it.runIf(posix && !isRoot)('reports a data directory that may not be written', async () => {
    const directory = await temporaryDirectory();
    await chmod(directory, 0o500);
    expect(code(await openAuthority(directory))).toBe('MESH-I101');
    await chmod(directory, 0o700);
  });

  it.runIf(posix && isRoot)('leaves what it makes under sudo to the caller of sudo', async () => {
    const directory = await temporaryDirectory();
    const home = join(directory, 'home');
    await mkdir(home);
    await chown(home, 12345, 23456);
    const ca = await authority(directory, {
      dataDir: undefined,
      environment: {
        env: { SUDO_USER: 'ada', SUDO_UID: '12345', SUDO_GID: '23456', XDG_DATA_HOME: '/root/.local/share' },
        platform: 'linux',
        uid: 0,
        home: '/root',
        homeOf: () => home,
      },
    });
    expect(ca.rootPath).toBe(join(home, '.local/share/mesh/root/root.pem'));
    const made = await tree(directory);
    expect(made.length).toBeGreaterThan(9);
    for (const entry of made) expect(entry).toMatchObject({ uid: 12345, gid: 23456 });
  });
});

describe('a damaged root', () => {
  const cases: [what: string, damage: (root: string) => Promise<unknown>, message: RegExp][] = [
    ['no key', (root) => rm(join(root, 'root.key')), /root\.key cannot be read \(ENOENT\)/],
    ['no certificate', (root) => rm(join(root, 'root.pem')), /root\.pem cannot be read \(ENOENT\)/],
    ['an empty directory', (root) => rm(root, { recursive: true }).then(() => mkdir(root)), /cannot be read/],
    ['a broken key', (root) => writeFile(join(root, 'root.key'), 'x'), /root\.key is not a private key/],
    ['a broken certificate', (root) => writeFile(join(root, 'root.pem'), 'x'), /root\.pem is not a certificate/],
    [
      'a file cut short',
      (root) => writeFile(join(root, 'root.pem'), '-----BEGIN CERTIFICATE-----\nMII'),
      /not a certificate/,
    ],
    ['another key', (root) => writeFile(join(root, 'root.key'), generateKeyPair().privateKeyPem), /not the key of/],
  ];

  it.each(cases)('with %s is reported and left alone', async (_what, damage, message) => {
    const directory = await temporaryDirectory();
    await authority(directory);
    const root = join(directory, 'data', 'root');
    await damage(root);
    const before = await contents(root);
    const result = await openAuthority(directory);
    expect(code(result)).toBe('MESH-I102');
    expect(!result.ok && result.problems[0]!.message).toMatch(message);
    expect(!result.ok && result.problems[0]!.hint).toMatch(/mesh trust --uninstall/);
    expect(await contents(root)).toEqual(before);
  });

  it('that is the certificate of a workload is reported', async () => {
    const directory = await temporaryDirectory();
    const svid = value((await authority(directory)).issueSvid('orders'));
    await writeFile(join(directory, 'data/root/root.pem'), svid.certificatePem);
    await writeFile(join(directory, 'data/root/root.key'), svid.privateKeyPem);
    const result = await openAuthority(directory);
    expect(!result.ok && result.problems[0]!.message).toMatch(/not a self-signed certificate authority/);
  });

  it('that others could read is closed, with a warning', async () => {
    if (!posix) return;
    const directory = await temporaryDirectory();
    const first = await authority(directory);
    const key = join(directory, 'data/root/root.key');
    await chmod(key, 0o644);
    const ca = await authority(directory);
    expect(ca.notices).toMatchObject(
      [{ code: 'MESH-I106', severity: 'warning', message: /mode 644.*600 now/ }].map((notice) => ({
        ...notice,
        message: expect.stringMatching(notice.message),
      })),
    );
    expect((await stat(key)).mode & 0o777).toBe(0o600);
    expect(ca.rootPem).toBe(first.rootPem);
  });

  it('that expired, or begins in the future, is reported', async () => {
    const directory = await temporaryDirectory();
    const clock = new FakeClock();
    await authority(directory, { clock });
    clock.jump(3600 * DAY_MS);
    expect((await authority(directory, { clock })).notices).toMatchObject([{ code: 'MESH-I104', severity: 'warning' }]);
    clock.jump(60 * DAY_MS);
    expect(code(await openAuthority(directory, { clock }))).toBe('MESH-I104');
    clock.jump(-3700 * DAY_MS);
    expect(code(await openAuthority(directory, { clock }))).toBe('MESH-I105');
  });

  it('is not created by loading', async () => {
    const directory = await temporaryDirectory();
    const options = { dataDir: join(directory, 'data'), owner: undefined, label: 'ada@laptop', now: Date.now() };
    expect(code(await loadRoot(options))).toBe('MESH-I102');
    expect(await readdir(directory)).toEqual([]);
    const made = value(await openRoot(options));
    expect(made.certificate.subject).toMatch(/^O=localmesh\nCN=mesh root [0-9a-f]{8} ada@laptop$/);
    expect(value(await loadRoot(options)).pem).toBe(made.pem);
  });
});

describe('an intermediate', () => {
  const file = (directory: string) => join(directory, 'shop/.mesh/identity/intermediate.pem');

  it.each([
    ['broken', async (path: string) => writeFile(path, 'garbage'), /could not be read/],
    ['empty', async (path: string) => writeFile(path, ''), /could not be read/],
    [
      'without its key',
      async (path: string) => {
        const text = await readFile(path, 'utf8');
        const certificates = text.slice(0, text.indexOf('-----BEGIN PRIVATE'));
        await writeFile(path, certificates + generateKeyPair().privateKeyPem);
      },
      /key did not fit/,
    ],
  ])('that is %s is replaced, with a warning', async (_what, damage, why) => {
    const directory = await temporaryDirectory();
    const before = await authority(directory);
    await damage(file(directory));
    const after = await authority(directory);
    expect(after.notices).toMatchObject([
      { code: 'MESH-I103', severity: 'warning', message: expect.stringMatching(why) },
    ]);
    expect(after.intermediatePem).not.toBe(before.intermediatePem);
    expect((await authority(directory)).intermediatePem).toBe(after.intermediatePem);
    expect((await readdir(join(directory, 'shop/.mesh/identity'))).length).toBe(1);
  });

  it('of another root is replaced', async () => {
    const directory = await temporaryDirectory();
    await authority(directory);
    const ca = await authority(directory, { dataDir: join(directory, 'other') });
    expect(ca.notices[0]?.message).toMatch(/signed by another root/);
    expect(new X509Certificate(ca.intermediatePem).verify(new X509Certificate(ca.rootPem).publicKey)).toBe(true);
  });

  it('of another trust domain is replaced', async () => {
    const directory = await temporaryDirectory();
    await authority(directory);
    const ca = await authority(directory, { trustDomain: 'store.local' });
    expect(ca.notices[0]?.message).toMatch(/another trust domain/);
    expect(new X509Certificate(ca.intermediatePem).subjectAltName).toBe('URI:spiffe://store.local');
  });

  it('near its end is renewed, keeping name and key', async () => {
    const directory = await temporaryDirectory();
    const clock = new FakeClock();
    const ca = await authority(directory, { clock });
    const first = ca.intermediatePem;
    expect(value(await ca.renewIfDue())).toBe(false);
    clock.jump(336 * DAY_MS);
    expect(value(await ca.renewIfDue())).toBe(true);
    expect(value(await ca.renewIfDue())).toBe(false);
    const before = new X509Certificate(first);
    const after = new X509Certificate(ca.intermediatePem);
    expect(after.subject).toBe(before.subject);
    expect(after.publicKey.equals(before.publicKey)).toBe(true);
    expect(Date.parse(after.validTo) - clock.now()).toBeGreaterThan(360 * DAY_MS);
    expect((await authority(directory, { clock })).intermediatePem).toBe(ca.intermediatePem);
    const leaf = new X509Certificate(value(ca.issueSvid('orders')).certificatePem);
    expect(leaf.checkIssued(before) && leaf.verify(before.publicKey)).toBe(true);
  });

  it('near its end is renewed when opened', async () => {
    const directory = await temporaryDirectory();
    const clock = new FakeClock();
    const before = await authority(directory, { clock });
    clock.jump(340 * DAY_MS);
    const after = await authority(directory, { clock });
    expect(after.notices).toEqual([]);
    expect(after.intermediatePem).not.toBe(before.intermediatePem);
  });

  it('is not renewed for ever where the root ends first, and its leaves end with it', async () => {
    const directory = await temporaryDirectory();
    const clock = new FakeClock();
    await authority(directory, { clock });
    clock.jump(3640 * DAY_MS);
    const ca = await authority(directory, { clock, ttlMs: 30 * DAY_MS });
    expect(value(await ca.renewIfDue())).toBe(false);
    const rootEnd = Date.parse(new X509Certificate(ca.rootPem).validTo);
    expect(value(ca.issueSvid('orders')).notAfter).toBe(rootEnd);
    clock.jump(11 * DAY_MS);
    expect(code(ca.issueSvid('orders'))).toBe('MESH-I108');
  });
});

describe('issueSvid', () => {
  it('issues what it says', async () => {
    const clock = new FakeClock(Date.UTC(2026, 5, 1, 12, 0, 0, 400));
    const ca = await authority(await temporaryDirectory(), { clock, ttlMs: 5_000 });
    const svid = value(ca.issueSvid('orders', { namespace: 'prod' }));
    const [leaf, intermediate, more] = svid.certificatePem.split(/(?<=-----END CERTIFICATE-----\n)/);
    const certificate = new X509Certificate(leaf!);
    expect(intermediate).toBe(ca.intermediatePem);
    expect(more).toBeUndefined();
    expect(svid).toMatchObject({
      spiffeId: 'spiffe://shop.local/ns/prod/sa/orders',
      service: 'orders',
      serial: certificate.serialNumber.toLowerCase(),
      notBefore: Date.parse(certificate.validFrom),
      notAfter: Date.parse(certificate.validTo),
      issuer: certificate.issuer.replaceAll('\n', ', '),
    });
    expect(svid.notBefore).toBe(Date.UTC(2026, 5, 1, 11, 59, 0));
    expect(svid.notAfter).toBe(Date.UTC(2026, 5, 1, 12, 0, 6));
    expect(certificate.subject).toBeUndefined();
    expect(certificate.subjectAltName).toBe(
      'URI:spiffe://shop.local/ns/prod/sa/orders, DNS:orders, DNS:orders.localhost, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
    expect(certificate.checkPrivateKey(createPrivateKey(svid.privateKeyPem))).toBe(true);
  });

  it('uses a key and a serial once', async () => {
    const ca = await authority(await temporaryDirectory());
    const svids = Array.from({ length: 20 }, () => value(ca.issueSvid('orders')));
    expect(new Set(svids.map((svid) => svid.serial)).size).toBe(20);
    expect(new Set(svids.map((svid) => svid.privateKeyPem)).size).toBe(20);
  });

  it.each(['', 'a/b', '..', 'a b', 'ü', 'a'.repeat(2048), '*', 'a/sa/b'])('refuses the service %j', async (service) => {
    const ca = await authority(await temporaryDirectory());
    expect(code(ca.issueSvid(service))).toBe('MESH-I120');
    expect(code(ca.issueSvid('orders', { namespace: service }))).toBe('MESH-I120');
  });

  it('signs the request of a workload for the names it decides itself', async () => {
    const ca = await authority(await temporaryDirectory());
    const keys = generateKeyPair();
    const issued = value(ca.signCsr(createCsr(keys, ['spiffe://evil.local/ns/default/sa/admin']), 'orders'));
    const certificate = new X509Certificate(issued.certificatePem);
    expect(certificate.subjectAltName).toMatch(/^URI:spiffe:\/\/shop\.local\/ns\/default\/sa\/orders, DNS:orders,/);
    expect(certificate.checkPrivateKey(keys.privateKey)).toBe(true);
    expect(issued).not.toHaveProperty('privateKeyPem');
    expect(code(ca.signCsr('nonsense', 'orders'))).toBe('MESH-I121');
  });
});

describe('issueGateway', () => {
  it('names localhost, its wildcard, loopback and the given hosts', async () => {
    const ca = await authority(await temporaryDirectory());
    const gateway = value(ca.issueGateway(['shop.localhost', 'SHOP.test.', '127.0.0.1', '10.0.0.1', 'localhost']));
    expect(new X509Certificate(gateway.certificatePem).subjectAltName).toBe(
      'DNS:localhost, DNS:*.localhost, DNS:shop.localhost, DNS:shop.test, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:10.0.0.1',
    );
    expect(gateway.spiffeId).toBe('');
  });

  it('is valid for at most 398 days, whatever is asked', async () => {
    const ca = await authority(await temporaryDirectory());
    const { notBefore, notAfter } = value(ca.issueGateway([], 4000 * DAY_MS));
    expect(notAfter - notBefore).toBeLessThanOrEqual(398 * DAY_MS);
  });

  it.each(['', 'a b', 'http://x', 'x:443', '-x.com', 'x-.com', 'x..y', `${'a'.repeat(64)}.com`, '*'])(
    'refuses the host %j',
    async (host) => {
      const ca = await authority(await temporaryDirectory());
      expect(code(ca.issueGateway([host]))).toBe('MESH-I123');
    },
  );
});

async function contents(directory: string): Promise<Record<string, string>> {
  const files = await readdir(directory);
  return Object.fromEntries(
    await Promise.all(files.map(async (file) => [file, await readFile(join(directory, file), 'utf8')] as const)),
  );
}
