import { isIP } from 'node:net';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { formatSpiffeId, parseSpiffeId, validTrustDomain } from '../../model/spiffe.ts';
import type { Clock } from '../clock.ts';
import { type CertificateSpec, signCertificate } from './certificate.ts';
import { createCsr, generateKeyPair, verifyCsr } from './csr.ts';
import { currentEnvironment, type UserEnvironment } from './data-directory.ts';
import {
  type IntermediateAuthority,
  type IntermediateOptions,
  openIntermediate,
  renewalDue,
  renewIntermediate,
} from './intermediate.ts';
import { openRoot, userRootOptions } from './root.ts';

/** What a certificate says, without its key. Times in milliseconds since 1970. */
export interface IssuedCertificate {
  /** Empty for the gateway's server certificate, which is no SVID. */
  readonly spiffeId: string;
  readonly service: string;
  /** Leaf, then intermediate. */
  readonly certificatePem: string;
  /** 40 lowercase hexadecimal digits. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly issuer: string;
}

/** An X.509-SVID with its private key. Never log one whole. */
export interface Svid extends IssuedCertificate {
  /** PKCS#8. */
  readonly privateKeyPem: string;
}

export interface IssueOptions {
  /** Default: `default`. */
  readonly namespace?: string;
  /** Milliseconds. Default: the authority's. Cut where the intermediate ends first. */
  readonly ttlMs?: number;
}

export interface CertificateAuthority {
  readonly trustDomain: string;
  /** The user's root: what clients outside the mesh trust. */
  readonly rootPem: string;
  readonly rootPath: string;
  /** The mesh's own authority. It changes when it is renewed, keeping name and key. */
  readonly intermediatePem: string;
  /**
   * What the proxies of this mesh trust: its own authority, signed by itself, and not the user's root, under which
   * every other mesh of the user hangs too. Chains that end in `intermediatePem` lead there.
   */
  readonly trustAnchors: readonly string[];
  /** Warnings met while opening: a replaced intermediate, a root near its end, a key that was readable by others. */
  readonly notices: readonly Problem[];
  /** Makes a key and a certification request, and signs it: the whole path a workload of its own would go. */
  issueSvid(service: string, options?: IssueOptions): Result<Svid>;
  /** Signs the request of a workload that keeps its key. The names are this authority's, never the request's. */
  signCsr(csrPem: string, service: string, options?: IssueOptions): Result<IssuedCertificate>;
  /**
   * A server certificate for `localhost`, `*.localhost`, 127.0.0.1, ::1 and the given hosts, for browsers. Name each
   * host that is to work: OpenSSL, curl and Chrome accept no wildcard directly below a top-level name.
   */
  issueGateway(hosts: readonly string[], ttlMs?: number): Result<Svid>;
  /** Renews the intermediate where it is near its end. True if it did: then pass on `trustAnchors` again. */
  renewIfDue(): Promise<Result<boolean>>;
}

export interface AuthorityOptions {
  /** Directory of the user's data. Default: by XDG rules, that of the calling user under sudo. */
  readonly dataDir?: string;
  /** The mesh's `.mesh` directory. */
  readonly stateDir: string;
  readonly mesh: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Time a workload certificate is valid. */
  readonly ttlMs: number;
  readonly environment?: UserEnvironment;
}

/** Leaves start a little in the past: the clocks of a container or virtual machine on the same laptop may lag. */
const BACKDATE_MS = 60_000;
const DAY_MS = 24 * 60 * 60_000;
/** Browsers refuse server certificates that are valid for more than 398 days. */
const GATEWAY_MAX_TTL_MS = 397 * DAY_MS;
const GATEWAY_TTL_MS = 90 * DAY_MS;

const HOST = /^(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** Opens the user's root and the mesh's intermediate, creating what is missing. */
export async function openCertificateAuthority(options: AuthorityOptions): Promise<Result<CertificateAuthority>> {
  const { clock, trustDomain } = options;
  if (!validTrustDomain(trustDomain)) {
    return fail({
      code: 'MESH-I122',
      message: `${JSON.stringify(trustDomain)} is not a trust domain`,
      hint: 'use lowercase letters, digits, dots, hyphens and underscores, at most 255 characters',
      path: 'trustDomain',
    });
  }
  const rootOptions = userRootOptions(options.environment ?? currentEnvironment(), clock.now(), options.dataDir);
  const opened = await openRoot(rootOptions);
  if (!opened.ok) return opened;
  const root = opened.value;
  const at = (now: number): IntermediateOptions => ({
    stateDir: options.stateDir,
    owner: rootOptions.owner,
    mesh: options.mesh,
    trustDomain,
    root,
    now,
  });
  const first = await openIntermediate(at(clock.now()));
  if (!first.ok) return first;
  let intermediate = first.value.authority;

  const sign = (publicKey: Buffer, leaf: LeafNames, use: 'peer' | 'server', ttlMs: number): Result<IssuedCertificate> =>
    signLeaf(intermediate, clock.now(), publicKey, leaf, use, ttlMs);

  const withKey = (leaf: LeafNames, use: 'peer' | 'server', ttlMs: number): Result<Svid> => {
    const keys = generateKeyPair();
    const verified = verifyCsr(createCsr(keys, leaf.spiffeId === '' ? [] : [leaf.spiffeId]));
    if (!verified.ok) return verified;
    const issued = sign(verified.value, leaf, use, ttlMs);
    return issued.ok ? ok({ ...issued.value, privateKeyPem: keys.privateKeyPem }) : issued;
  };

  return ok({
    trustDomain,
    rootPem: root.pem,
    rootPath: root.certificatePath,
    get intermediatePem() {
      return intermediate.pem;
    },
    get trustAnchors() {
      return [intermediate.anchorPem];
    },
    notices: [...root.notices, ...first.value.notices],
    issueSvid(service, { namespace = 'default', ttlMs = options.ttlMs } = {}) {
      const leaf = workloadNames(trustDomain, namespace, service);
      return leaf.ok ? withKey(leaf.value, 'peer', ttlMs) : leaf;
    },
    signCsr(csrPem, service, { namespace = 'default', ttlMs = options.ttlMs } = {}) {
      const leaf = workloadNames(trustDomain, namespace, service);
      if (!leaf.ok) return leaf;
      const verified = verifyCsr(csrPem);
      return verified.ok ? sign(verified.value, leaf.value, 'peer', ttlMs) : verified;
    },
    issueGateway(hosts, ttlMs = GATEWAY_TTL_MS) {
      const leaf = gatewayNames(hosts);
      return leaf.ok ? withKey(leaf.value, 'server', Math.min(ttlMs, GATEWAY_MAX_TTL_MS)) : leaf;
    },
    async renewIfDue() {
      const now = clock.now();
      if (!renewalDue(intermediate, root, now)) return ok(false);
      const renewed = await renewIntermediate(at(now), intermediate);
      if (!renewed.ok) return renewed;
      intermediate = renewed.value;
      return ok(true);
    },
  });
}

interface LeafNames {
  readonly spiffeId: string;
  readonly service: string;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
}

function signLeaf(
  intermediate: IntermediateAuthority,
  now: number,
  publicKey: Buffer,
  leaf: LeafNames,
  use: 'peer' | 'server',
  ttlMs: number,
): Result<IssuedCertificate> {
  const notBefore = Math.floor((now - BACKDATE_MS) / 1000) * 1000;
  // Rounded up: a TTL of seconds must not lose a good part of one.
  const notAfter = Math.min(Math.ceil((now + ttlMs) / 1000) * 1000, intermediate.notAfter);
  if (notAfter <= now) {
    return fail({
      code: 'MESH-I108',
      message: `No certificate can be issued for ${leaf.service}: the mesh's intermediate authority has expired`,
      hint: 'check the clock of this machine, then restart the mesh',
    });
  }
  const spec: CertificateSpec = {
    // An SVID is named by its SAN alone, so that nobody comes to rely on anything else.
    subject:
      use === 'peer'
        ? []
        : [
            ['O', 'localmesh'],
            ['CN', 'mesh gateway'],
          ],
    publicKey,
    notBefore,
    notAfter,
    names: { uris: leaf.spiffeId === '' ? [] : [leaf.spiffeId], dns: leaf.dns, ips: leaf.ips },
    use: { kind: use },
  };
  const { pem, serial } = signCertificate(spec, intermediate.signer);
  return ok({
    spiffeId: leaf.spiffeId,
    service: leaf.service,
    certificatePem: pem + intermediate.pem,
    serial,
    notBefore,
    notAfter,
    issuer: intermediate.displayName,
  });
}

function workloadNames(trustDomain: string, namespace: string, service: string): Result<LeafNames> {
  const spiffeId = formatSpiffeId({ trustDomain, namespace, service });
  const parsed = parseSpiffeId(spiffeId);
  if (!parsed.ok) return parsed;
  if (parsed.value.path.split('/').length !== 5) {
    return fail({
      code: 'MESH-I120',
      message: `Namespace ${JSON.stringify(namespace)} or service ${JSON.stringify(service)} is not one path segment`,
      hint: 'use letters, digits, dots, hyphens and underscores',
    });
  }
  // Clients that know no SPIFFE (curl, a Go server's health check) verify by these.
  const dns = [service.toLowerCase(), `${service.toLowerCase()}.localhost`, 'localhost'].filter((host) =>
    HOST.test(host),
  );
  return ok({ spiffeId, service, dns: [...new Set(dns)], ips: ['127.0.0.1', '::1'] });
}

function gatewayNames(hosts: readonly string[]): Result<LeafNames> {
  const dns = new Set(['localhost', '*.localhost']);
  const ips = new Set(['127.0.0.1', '::1']);
  for (const given of hosts) {
    const host = given.toLowerCase().replace(/\.$/, '');
    if (isIP(host) !== 0) ips.add(host);
    else if (host.length <= 253 && HOST.test(host)) dns.add(host);
    else {
      return fail({
        code: 'MESH-I123',
        message: `${JSON.stringify(given)} is neither a host name nor an IP address`,
        hint: 'give the gateway host names such as shop.localhost',
      });
    }
  }
  return ok({ spiffeId: '', service: 'gateway', dns: [...dns], ips: [...ips] });
}
