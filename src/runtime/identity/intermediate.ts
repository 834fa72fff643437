import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { type CertificateSpec, name, type Signer, signCertificate, signerOf } from './certificate.ts';
import { generateKeyPair } from './csr.ts';
import type { Owner } from './data-directory.ts';
import { keyIdentifier } from './der.ts';
import { createPrivateFile, isErrno, makePrivateDirectory, replacePrivateFile } from './private-files.ts';
import { CA_BACKDATE_MS, type RootAuthority } from './root.ts';

/** The mesh's own authority, loaded. */
export interface IntermediateAuthority {
  /** Signed by the user's root: goes into the chains that workloads present. */
  readonly pem: string;
  /** The same name and key, signed by itself: what the proxies of the mesh trust. */
  readonly anchorPem: string;
  /** Its name on one line, as `mesh certs` shows it. */
  readonly displayName: string;
  readonly signer: Signer;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface IntermediateOptions {
  readonly stateDir: string;
  readonly owner: Owner | undefined;
  readonly mesh: string;
  readonly trustDomain: string;
  readonly root: RootAuthority;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const DAY_MS = 24 * 60 * 60_000;
const VALIDITY_MS = 365 * DAY_MS;
/** Renewed when less than this is left, so that no leaf is cut short by it. */
const RENEWAL_WINDOW_MS = 30 * DAY_MS;

/** Certificate, anchor and key lie in one file in this order, so that replacing them is one step. */
const FILE = 'intermediate.pem';

/**
 * Loads the mesh's intermediate authority, or makes it where it is missing, damaged, signed by another root or for
 * another trust domain: everything issued under it is short-lived, so a new one loses nothing. `notices` says so.
 */
export async function openIntermediate(
  options: IntermediateOptions,
): Promise<Result<{ authority: IntermediateAuthority; notices: readonly Problem[] }>> {
  const directory = join(options.stateDir, 'identity');
  const path = join(directory, FILE);
  const notices: Problem[] = [];
  try {
    await makePrivateDirectory(directory, options.owner);
    let text = await readOrUndefined(path);
    if (text === undefined) {
      await createPrivateFile(path, issue(options, generateKeyPair().privateKey), options.owner);
      // Read back: a daemon that started at the same time may have been first.
      text = await readOrUndefined(path);
    }
    let usable = read(options, text ?? '');
    if (typeof usable === 'string') {
      notices.push({
        code: 'MESH-I103',
        severity: 'warning',
        message: `The intermediate authority ${path} was replaced: ${usable}`,
        hint: 'nothing to do: certificates are issued anew',
      });
      const fresh = issue(options, generateKeyPair().privateKey);
      await replacePrivateFile(path, fresh, options.owner);
      usable = read(options, fresh);
    } else if (renewalDue(usable, options.root, options.now)) {
      const renewed = await renewIntermediate(options, usable);
      if (!renewed.ok) return renewed;
      usable = renewed.value;
    }
    if (typeof usable === 'string') throw new Error(`a fresh intermediate authority is not usable: ${usable}`);
    return ok({ authority: usable, notices });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return unwritable(directory, error as Error);
  }
}

/** Whether an intermediate is past or near its end, or lies in the future because the clock was set back. */
export function renewalDue(authority: IntermediateAuthority, root: RootAuthority, now: number): boolean {
  if (now < authority.notBefore || now >= authority.notAfter) return true;
  if (authority.notAfter - now > RENEWAL_WINDOW_MS) return false;
  // Where the root ends first, a new certificate would not last longer.
  return Math.min(now + VALIDITY_MS, root.notAfter) - authority.notAfter > DAY_MS;
}

/**
 * Makes a new certificate for the same key and name. Chains under the old certificate stay valid under the new one and
 * the other way round, so that proxies may learn of it in any order without refusing one another.
 */
export async function renewIntermediate(
  options: IntermediateOptions,
  authority: IntermediateAuthority,
): Promise<Result<IntermediateAuthority>> {
  const directory = join(options.stateDir, 'identity');
  const text = issue(options, authority.signer.privateKey);
  const renewed = read(options, text);
  if (typeof renewed === 'string') throw new Error(`a renewed intermediate authority is not usable: ${renewed}`);
  try {
    await makePrivateDirectory(directory, options.owner);
    await replacePrivateFile(join(directory, FILE), text, options.owner);
    return ok(renewed);
  } catch (error) {
    return unwritable(directory, error as Error);
  }
}

/**
 * The mesh's authority in its two forms. Every mesh of a user hangs under the same root, two checkouts of one project
 * with the same trust domain included; if proxies trusted that root, one of them could pass for a proxy of the other
 * after a port changed hands. So they trust the authority alone. It is signed by itself for that purpose, because
 * verifiers want a chain to end in a self-signed certificate unless told otherwise, and `tls.Server` has no way to be
 * told (`allowPartialTrustChain` is ignored there, Node 20 to 24). The chain that is presented leads to both.
 */
function issue(options: IntermediateOptions, privateKey: KeyObject): string {
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const keyId = keyIdentifier(publicKey);
  const spec: CertificateSpec = {
    subject: [
      ['O', 'localmesh'],
      // A part of the key's identifier tells two checkouts of one mesh apart.
      ['CN', `mesh ${keyId.toString('hex', 0, 4)} ${options.mesh}`],
    ],
    publicKey,
    notBefore: Math.max(options.now - CA_BACKDATE_MS, options.root.notBefore),
    notAfter: Math.min(options.now + VALIDITY_MS, options.root.notAfter),
    // An authority's SPIFFE ID is its trust domain, without a path (X509-SVID, section 3.2).
    names: { uris: [`spiffe://${options.trustDomain}`], dns: [], ips: [] },
    use: { kind: 'ca', pathLength: 0 },
  };
  const own: Signer = { name: name(spec.subject), keyId, privateKey };
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  return signCertificate(spec, options.root.signer).pem + signCertificate(spec, own).pem + key;
}

/** The authority in a file's text, or why it cannot be used. */
function read(options: IntermediateOptions, text: string): IntermediateAuthority | string {
  let certificate: X509Certificate;
  let anchor: X509Certificate;
  let privateKey: KeyObject;
  try {
    const [first, second] = text.split(/(?<=-----END CERTIFICATE-----)/);
    certificate = new X509Certificate(first!);
    anchor = new X509Certificate(second!);
    privateKey = createPrivateKey(text);
  } catch {
    return 'it could not be read';
  }
  if (!certificate.checkPrivateKey(privateKey) || !anchor.checkPrivateKey(privateKey)) {
    return 'its key did not fit its certificate';
  }
  const { root } = options;
  if (!certificate.checkIssued(root.certificate) || !certificate.verify(root.certificate.publicKey)) {
    return 'it was signed by another root';
  }
  if (!certificate.ca) return 'it was not a certificate authority';
  if (certificate.subjectAltName !== `URI:spiffe://${options.trustDomain}`) return 'it was for another trust domain';
  return {
    pem: certificate.toString(),
    anchorPem: anchor.toString(),
    displayName: certificate.subject.replaceAll('\n', ', '),
    signer: signerOf(certificate, privateKey),
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
  };
}

async function readOrUndefined(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error) => {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  });
}

function unwritable(directory: string, error: Error): Result<never> {
  return fail({
    code: 'MESH-I107',
    message: `The identity directory ${directory} cannot be used: ${error.message}`,
    hint: 'make it writable for your user, or remove it: it is made anew',
  });
}
