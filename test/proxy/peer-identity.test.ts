import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  certificateHash,
  checkClientIdentity,
  checkServerId,
  checkServerIdentity,
  formatXfcc,
  linkContextOptions,
  type PeerIdentity,
  type PresentedIdentity,
  peerIdentity,
} from '../../src/proxy/peer-identity.ts';
import { type Clock, systemClock } from '../../src/runtime/clock.ts';
import {
  type CertificateSpec,
  name,
  type Signer,
  signCertificate,
  signerOf,
} from '../../src/runtime/identity/certificate.ts';
import {
  type CertificateAuthority,
  openCertificateAuthority,
} from '../../src/runtime/identity/certificate-authority.ts';
import { generateKeyPair, type KeyPair } from '../../src/runtime/identity/csr.ts';
import { keyIdentifier } from '../../src/runtime/identity/der.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const TRUST_DOMAIN = 'shop.local';
const ORDERS = 'spiffe://shop.local/ns/default/sa/orders';
const WEB = 'spiffe://shop.local/ns/default/sa/web';

let directory: string;
let shop: CertificateAuthority;
let orders: PresentedIdentity;
let web: PresentedIdentity;

const servers: tls.Server[] = [];
const sockets: tls.TLSSocket[] = [];

/** An authority of the user whose data is in `data`, looking at a clock that is off by `offsetMs`. */
async function authority(mesh: string, checkout = mesh, offsetMs = 0, data = 'data'): Promise<CertificateAuthority> {
  const clock: Clock = { ...systemClock, now: () => Date.now() + offsetMs };
  const opened = await openCertificateAuthority({
    dataDir: join(directory, data),
    stateDir: join(directory, checkout, '.mesh'),
    mesh,
    trustDomain: `${mesh}.local`,
    clock,
    ttlMs: HOUR_MS,
  });
  if (!opened.ok) throw new Error(opened.problems[0]!.message);
  return opened.value;
}

function present(ca: CertificateAuthority, service: string, ttlMs?: number): PresentedIdentity {
  const issued = ca.issueSvid(service, ttlMs === undefined ? {} : { ttlMs });
  if (!issued.ok) throw new Error(issued.problems[0]!.message);
  return { certificate: issued.value.certificatePem, privateKey: issued.value.privateKeyPem };
}

/** A certificate with these names under the shop's own intermediate, which its authority would not issue. */
function forged(changes: Partial<CertificateSpec>, signer: Signer, chain: string, keys: KeyPair = generateKeyPair()) {
  const { pem } = signCertificate(
    {
      subject: [['CN', 'forged']],
      publicKey: keys.publicKey,
      notBefore: Date.now() - HOUR_MS,
      notAfter: Date.now() + HOUR_MS,
      names: { uris: [WEB], dns: [], ips: [] },
      use: { kind: 'peer' },
      ...changes,
    },
    signer,
  );
  return { certificate: pem + chain, privateKey: keys.privateKeyPem };
}

let shopSigner: Signer;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mesh-peer-'));
  shop = await authority('shop');
  orders = present(shop, 'orders');
  web = present(shop, 'web');
  const { readFile } = await import('node:fs/promises');
  const { createPrivateKey } = await import('node:crypto');
  const bundle = await readFile(join(directory, 'shop/.mesh/identity/intermediate.pem'), 'utf8');
  shopSigner = signerOf(new X509Certificate(bundle), createPrivateKey(bundle));
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

interface Handshake {
  /** What the server makes of the client. */
  client: PeerIdentity;
  /** What the client makes of the server. */
  server: PeerIdentity;
  clientAuthorized: boolean;
  clientReused: boolean;
  clientCertificate: X509Certificate | undefined;
}

interface HandshakeOptions {
  anchors?: readonly string[];
  serverAnchors?: readonly string[];
  version?: tls.SecureVersion;
  expected?: string;
  serverNow?: number;
}

interface Listening {
  port: number;
  next: () => Promise<Pick<Handshake, 'client' | 'clientAuthorized' | 'clientReused' | 'clientCertificate'>>;
}

async function listen(identity: PresentedIdentity, options: HandshakeOptions = {}): Promise<Listening> {
  const context = linkContextOptions(identity, options.serverAnchors ?? options.anchors ?? shop.trustAnchors);
  const queue: ((socket: tls.TLSSocket) => void)[] = [];
  const server = tls.createServer(
    { ...context, requestCert: true, rejectUnauthorized: false, ...versions(options) },
    (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      queue.shift()?.(socket);
      // The session ticket of TLS 1.3 comes with the first bytes.
      socket.write('hello');
    },
  );
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    next: () =>
      new Promise((resolve) =>
        queue.push((socket) =>
          resolve({
            client: checkClientIdentity(socket, TRUST_DOMAIN, options.serverNow ?? Date.now()),
            clientAuthorized: socket.authorized,
            clientReused: socket.isSessionReused(),
            clientCertificate: socket.getPeerX509Certificate(),
          }),
        ),
      ),
  };
}

function versions({ version }: HandshakeOptions): tls.SecureContextOptions {
  return version === undefined ? {} : { minVersion: version, maxVersion: version };
}

function connect(
  port: number,
  identity: PresentedIdentity | undefined,
  options: HandshakeOptions & { session?: Buffer | undefined } = {},
): Promise<{ socket: tls.TLSSocket; session: Promise<Buffer> }> {
  const anchors = options.anchors ?? shop.trustAnchors;
  const context = identity === undefined ? { ca: [...anchors] } : linkContextOptions(identity, anchors);
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      ...context,
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      session: options.session,
      ...versions(options),
    });
    const session = new Promise<Buffer>((got) => socket.once('session', got));
    socket.once('error', reject);
    socket.resume();
    socket.once('secureConnect', () => resolve({ socket, session }));
    sockets.push(socket);
  });
}

/** A real handshake on loopback, and what both ends make of it. */
async function handshake(
  server: PresentedIdentity,
  client: PresentedIdentity | undefined,
  options: HandshakeOptions = {},
): Promise<Handshake> {
  const { port, next } = await listen(server, options);
  const seen = next();
  const { socket } = await connect(port, client, options);
  return { ...(await seen), server: checkServerIdentity(socket, TRUST_DOMAIN, options.expected ?? ORDERS) };
}

describe.each(['TLSv1.3', 'TLSv1.2'] as const)('a handshake in %s', (version) => {
  it('tells each end who the other is', async () => {
    const seen = await handshake(orders, web, { version });
    expect(seen.client).toEqual({ ok: true, spiffeId: WEB });
    expect(seen.server).toEqual({ ok: true, spiffeId: ORDERS });
  });

  it('refuses a client without a certificate', async () => {
    const seen = await handshake(orders, undefined, { version });
    expect(seen.client).toMatchObject({ ok: false, reason: 'no-certificate' });
    expect(seen.server.ok).toBe(true);
  });

  it('refuses a server that is another service', async () => {
    const seen = await handshake(web, orders, { version });
    expect(seen.server).toEqual({
      ok: false,
      reason: 'wrong-spiffe-id',
      message: `the peer is ${WEB}, not ${ORDERS}`,
    });
  });

  it('refuses an expired certificate', async () => {
    const old = await authority('shop', 'shop', -2 * HOUR_MS);
    const seen = await handshake(present(old, 'orders'), present(old, 'web'), { version });
    expect(seen.client).toMatchObject({ ok: false, reason: 'expired', message: expect.stringContaining(WEB) });
    expect(seen.server).toMatchObject({ ok: false, reason: 'expired', message: expect.stringContaining(ORDERS) });
  });

  it('refuses a certificate that is not valid yet', async () => {
    const early = await authority('shop', 'shop', 2 * HOUR_MS);
    const seen = await handshake(present(early, 'orders'), present(early, 'web'), { version });
    expect(seen.client).toMatchObject({ ok: false, reason: 'not-yet-valid' });
    expect(seen.server).toMatchObject({ ok: false, reason: 'not-yet-valid' });
  });

  it('refuses a self-signed certificate', async () => {
    const keys = generateKeyPair();
    const self: Signer = {
      name: name([['CN', 'forged']]),
      keyId: keyIdentifier(keys.publicKey),
      privateKey: keys.privateKey,
    };
    const seen = await handshake(
      forged({ names: { uris: [ORDERS], dns: [], ips: [] } }, self, '', keys),
      forged({}, self, '', keys),
      { version },
    );
    expect(seen.client).toMatchObject({ ok: false, reason: 'self-signed' });
    expect(seen.server).toMatchObject({ ok: false, reason: 'self-signed' });
  });

  it('refuses another mesh of the same user by its trust domain', async () => {
    const blog = await authority('blog');
    const seen = await handshake(present(blog, 'orders'), present(blog, 'web'), { version });
    for (const end of [seen.client, seen.server]) {
      expect(end).toMatchObject({
        ok: false,
        reason: 'wrong-trust-domain',
        message: expect.stringMatching(/blog\.local/),
      });
    }
  });

  it('refuses it also where the common root is trusted', async () => {
    const blog = await authority('blog');
    const options = { version, anchors: [shop.rootPem] };
    const seen = await handshake(present(blog, 'orders'), present(blog, 'web'), options);
    expect(seen.clientAuthorized).toBe(true);
    expect(seen.client).toMatchObject({ ok: false, reason: 'wrong-trust-domain' });
    expect(seen.server).toMatchObject({ ok: false, reason: 'wrong-trust-domain' });
  });

  it('refuses another checkout of the same mesh', async () => {
    const other = await authority('shop', 'shop-checkout-2');
    expect(other.rootPem).toBe(shop.rootPem);
    const seen = await handshake(present(other, 'orders'), present(other, 'web'), { version });
    for (const end of [seen.client, seen.server]) {
      expect(end).toMatchObject({
        ok: false,
        reason: 'unknown-authority',
        message: expect.stringMatching(/authority of this mesh/),
      });
    }
  });

  it('refuses the same mesh of another user', async () => {
    const other = await authority('shop', 'shop-of-bob', 0, 'data-of-bob');
    const chained = present(other, 'web');
    const withRoot = { ...chained, certificate: chained.certificate + other.rootPem };
    expect((await handshake(orders, chained, { version })).client).toMatchObject({ reason: 'unknown-authority' });
    expect((await handshake(orders, withRoot, { version })).client).toMatchObject({ reason: 'unknown-authority' });
  });

  it('refuses a certificate that only claims the name of the authority', async () => {
    const keys = generateKeyPair();
    const impostor: Signer = { ...shopSigner, privateKey: keys.privateKey };
    const seen = await handshake(orders, forged({}, impostor, shop.intermediatePem), { version });
    expect(seen.client).toMatchObject({ ok: false, reason: 'invalid-certificate' });
  });

  it.each([
    ['no-spiffe-id', []],
    ['several-spiffe-ids', [WEB, ORDERS]],
    ['several-spiffe-ids', [WEB, 'https://shop.local/web']],
    ['invalid-spiffe-id', ['https://shop.local/web']],
    ['invalid-spiffe-id', ['spiffe://shop.local']],
    ['invalid-spiffe-id', ['spiffe://shop.local/ns//sa/web']],
    ['invalid-spiffe-id', [`${WEB}, URI:${ORDERS}`]],
    ['wrong-trust-domain', ['spiffe://shop.local.evil/ns/default/sa/web']],
    ['wrong-trust-domain', ['spiffe://blog.local/ns/default/sa/web']],
  ])('answers %s to a certificate of its authority with the URIs %j', async (reason, uris) => {
    const client = forged(
      { names: { uris, dns: ['web', 'localhost'], ips: ['127.0.0.1'] } },
      shopSigner,
      shop.intermediatePem,
    );
    const seen = await handshake(orders, client, { version });
    expect(seen.clientAuthorized).toBe(true);
    expect(seen.client).toMatchObject({ ok: false, reason });
  });

  it('refuses the certificate of the gateway as a client', async () => {
    const issued = shop.issueGateway([]);
    if (!issued.ok) throw new Error('no gateway');
    const gateway = { certificate: issued.value.certificatePem, privateKey: issued.value.privateKeyPem };
    expect((await handshake(orders, gateway, { version })).client).toMatchObject({ ok: false });
  });

  it('refuses an authority as a peer', async () => {
    const client = forged({ use: { kind: 'ca', pathLength: 0 } }, shopSigner, shop.intermediatePem);
    expect((await handshake(orders, client, { version })).client).toMatchObject({
      ok: false,
      reason: 'invalid-certificate',
    });
  });
});

describe('chains before and after the renewal of the intermediate', () => {
  it('are good for each other, in either direction', async () => {
    const past = await authority('renewing', 'renewing', -340 * DAY_MS, 'old-data');
    const before = past.trustAnchors;
    const now = await authority('renewing', 'renewing', 0, 'old-data');
    const after = now.trustAnchors;
    expect(after).not.toEqual(before);
    const withOld = present(past, 'web', 341 * DAY_MS);
    const withNew = present(now, 'web');
    for (const [anchors, client] of [
      [before, withNew],
      [after, withOld],
    ] as const) {
      const { port, next } = await listen(withNew, { anchors });
      const seen = next();
      await connect(port, client, { anchors });
      const { clientCertificate } = await seen;
      expect((await seen).clientAuthorized).toBe(true);
      expect(peerIdentity(clientCertificate, undefined, 'renewing.local', Date.now())).toMatchObject({ ok: true });
    }
  });
});

describe.each(['TLSv1.3', 'TLSv1.2'] as const)('a resumed session in %s', (version) => {
  /** Connects twice, the second time with the session of the first. */
  async function twice(client: PresentedIdentity | undefined, options: HandshakeOptions = {}) {
    const { port, next } = await listen(orders, { version, ...options });
    const first = next();
    const { socket, session } = await connect(port, client, { version });
    const ticket = await session;
    socket.destroy();
    const second = next();
    const resumed = await connect(port, client, { version, session: ticket });
    expect(resumed.socket.isSessionReused()).toBe(true);
    return { first: await first, second: await second, resumed: resumed.socket };
  }

  it('names the client by the certificate of the first handshake', async () => {
    const { second } = await twice(web);
    expect(second.clientReused).toBe(true);
    expect(second.client).toEqual({ ok: true, spiffeId: WEB });
  });

  it('names no server, since Node forgets its certificate: the client refuses', async () => {
    const { resumed } = await twice(web);
    expect(checkServerIdentity(resumed, TRUST_DOMAIN, ORDERS)).toMatchObject({ ok: false, reason: 'no-certificate' });
  });

  it('is refused without a certificate, although it may count as authorized', async () => {
    const { first, second } = await twice(undefined);
    expect(first.client).toMatchObject({ reason: 'no-certificate' });
    expect(second.clientReused).toBe(true);
    expect(second.client).toMatchObject({ ok: false, reason: 'no-certificate' });
  });

  it('is refused where the first handshake was: another mesh', async () => {
    const blog = await authority('blog');
    const { second } = await twice(present(blog, 'web'));
    expect(second.clientReused).toBe(true);
    expect(second.client).toMatchObject({ ok: false });
  });

  it('is refused once the certificate has expired since the first handshake', async () => {
    const { second } = await twice(web, { serverNow: Date.now() + 2 * HOUR_MS });
    expect(second.clientReused).toBe(true);
    expect(second.clientAuthorized).toBe(true);
    expect(second.client).toMatchObject({ ok: false, reason: 'expired' });
  });
});

describe('peerIdentity', () => {
  const certificate = () => new X509Certificate(web.certificate);

  it('takes DER as well', () => {
    expect(peerIdentity(certificate().raw, undefined, TRUST_DOMAIN, Date.now())).toEqual({ ok: true, spiffeId: WEB });
    expect(peerIdentity(Buffer.from('no'), undefined, TRUST_DOMAIN, Date.now())).toMatchObject({
      reason: 'invalid-certificate',
    });
  });

  it('is exact about the moment of expiry', () => {
    const end = Date.parse(certificate().validTo);
    expect(peerIdentity(certificate(), undefined, TRUST_DOMAIN, end - 1).ok).toBe(true);
    expect(peerIdentity(certificate(), undefined, TRUST_DOMAIN, end)).toMatchObject({ reason: 'expired' });
    const start = Date.parse(certificate().validFrom);
    expect(peerIdentity(certificate(), undefined, TRUST_DOMAIN, start).ok).toBe(true);
    expect(peerIdentity(certificate(), undefined, TRUST_DOMAIN, start - 1)).toMatchObject({ reason: 'not-yet-valid' });
  });

  it.each([
    ['CERT_HAS_EXPIRED', 'expired', /authority in the chain/],
    ['CERT_NOT_YET_VALID', 'not-yet-valid', /authority in the chain/],
    ['CERT_REVOKED', 'invalid-certificate', /CERT_REVOKED/],
    ['INVALID_PURPOSE', 'invalid-certificate', /INVALID_PURPOSE/],
    ['SOMETHING_NEW', 'invalid-certificate', /SOMETHING_NEW/],
    ['', 'invalid-certificate', /refused/],
  ])('names the error %s', (error, reason, message) => {
    expect(peerIdentity(certificate(), error, TRUST_DOMAIN, Date.now())).toMatchObject({
      ok: false,
      reason,
      message: expect.stringMatching(message),
    });
  });
});

describe('a socket that was never verified', () => {
  it('does not pass for one that was', async () => {
    const raw = net.createServer();
    const accepted = new Promise<tls.TLSSocket>((resolve) => {
      raw.on('connection', (socket) => {
        const secureContext = tls.createSecureContext(linkContextOptions(orders, shop.trustAnchors));
        const server = new tls.TLSSocket(socket, {
          isServer: true,
          secureContext,
          requestCert: true,
          rejectUnauthorized: false,
        });
        server.on('error', () => {});
        server.once('secure', () => resolve(server));
        sockets.push(server);
      });
    });
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
    const blog = await authority('blog');
    void connect((raw.address() as AddressInfo).port, present(blog, 'web'));
    const socket = await accepted;
    expect(socket.getPeerX509Certificate()).toBeDefined();
    expect(socket.authorizationError ?? null).toBeNull();
    expect(checkClientIdentity(socket, 'blog.local')).toMatchObject({
      ok: false,
      message: expect.stringMatching(/NOT_VERIFIED/),
    });
    raw.close();
  });
});

describe('checkServerId', () => {
  it('passes on a refusal as it is', () => {
    const refused: PeerIdentity = { ok: false, reason: 'expired', message: 'x' };
    expect(checkServerId(refused, ORDERS)).toBe(refused);
  });
});

describe('formatXfcc', () => {
  it("has Envoy's form", () => {
    const hash = certificateHash(new X509Certificate(web.certificate));
    expect(hash).toBe(new X509Certificate(web.certificate).fingerprint256.replaceAll(':', '').toLowerCase());
    expect(formatXfcc({ by: ORDERS, hash, uri: WEB })).toBe(`By=${ORDERS};Hash=${hash};URI=${WEB}`);
  });

  it('quotes what would read as structure', () => {
    expect(formatXfcc({ by: 'a,b', hash: '00', uri: 'x;URI="y"' })).toBe('By="a,b";Hash=00;URI="x;URI=\\"y\\""');
  });
});
