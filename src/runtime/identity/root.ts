import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { chmod, readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { type DistinguishedName, name, type Signer, signCertificate, signerOf } from './certificate.ts';
import { generateKeyPair } from './csr.ts';
import { dataDirectory, invokingUser, type Owner, type UserEnvironment } from './data-directory.ts';
import { keyIdentifier } from './der.ts';
import { createDirectoryOnce, isErrno, makePrivateDirectory } from './private-files.ts';

/** The user's root authority, loaded. */
export interface RootAuthority {
  /** Where the certificate is: what `mesh trust` installs and NODE_EXTRA_CA_CERTS names. */
  readonly certificatePath: string;
  readonly pem: string;
  readonly certificate: X509Certificate;
  readonly signer: Signer;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Warnings: what is not as it should be, but does not stop anything. */
  readonly notices: readonly Problem[];
}

export interface RootOptions {
  /** The user's data directory of mesh, such as `~/.local/share/mesh`. */
  readonly dataDir: string;
  readonly owner: Owner | undefined;
  /** Shown in the root's name, so that the user knows it again in a list of authorities: `ada@laptop`. */
  readonly label: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const DAY_MS = 24 * 60 * 60_000;
export const ROOT_VALIDITY_MS = 3650 * DAY_MS;
/** CAs start in the past, so that setting back a clock that was ahead does not make them invalid. */
export const CA_BACKDATE_MS = DAY_MS;
const EXPIRY_WARNING_MS = 60 * DAY_MS;

/** Both files lie in a directory of their own, which appears in one step: half a root is never seen. */
const DIRECTORY = 'root';
const CERTIFICATE = 'root.pem';
const KEY = 'root.key';

/** Where the root of the user is, whom the process works for: the caller of sudo, not root. */
export function userRootOptions(at: UserEnvironment, now: number, dataDir: string = dataDirectory(at)): RootOptions {
  const user = invokingUser(at);
  return { dataDir, owner: user.owner, label: `${user.name ?? 'user'}@${hostname()}`, now };
}

/** Path of the root certificate under a data directory, whether or not it exists yet. */
export function rootCertificatePath(dataDir: string): string {
  return join(dataDir, DIRECTORY, CERTIFICATE);
}

/**
 * Loads the user's root authority, creating it where there is none. Safe against several meshes that start at once: all
 * of them end up with the same root. A root that is damaged is reported and never replaced, because the user's browsers
 * and every running mesh may trust it.
 */
export async function openRoot(options: RootOptions): Promise<Result<RootAuthority>> {
  const directory = join(options.dataDir, DIRECTORY);
  try {
    await makePrivateDirectory(options.dataDir, options.owner);
    const there = await stat(directory).catch((error) => {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    });
    if (there === undefined) await createDirectoryOnce(directory, newRoot(options), options.owner);
  } catch (error) {
    return fail({
      code: 'MESH-I101',
      message: `The data directory ${options.dataDir} cannot be written: ${(error as Error).message}`,
      hint: 'make it writable for your user, or set XDG_DATA_HOME to a directory that is',
    });
  }
  // Read back even after creating: another process may have been first.
  return loadRoot(options);
}

/** Loads the root that is there. Creates nothing. */
export async function loadRoot(options: RootOptions): Promise<Result<RootAuthority>> {
  const directory = join(options.dataDir, DIRECTORY);
  const certificatePath = join(directory, CERTIFICATE);
  const keyPath = join(directory, KEY);
  const [pem, keyPem] = await Promise.all([readText(certificatePath), readText(keyPath)]);
  for (const [path, text] of [
    [certificatePath, pem],
    [keyPath, keyPem],
  ] as const) {
    if (typeof text !== 'string') return damaged(directory, `${path} cannot be read (${text.code})`);
  }
  return checkRoot(options, certificatePath, keyPath, pem as string, keyPem as string);
}

async function checkRoot(
  options: RootOptions,
  certificatePath: string,
  keyPath: string,
  pem: string,
  keyPem: string,
): Promise<Result<RootAuthority>> {
  const directory = join(options.dataDir, DIRECTORY);
  let certificate: X509Certificate;
  let privateKey: KeyObject;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    return damaged(directory, `${certificatePath} is not a certificate`);
  }
  try {
    privateKey = createPrivateKey(keyPem);
  } catch {
    return damaged(directory, `${keyPath} is not a private key`);
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    return damaged(directory, `${keyPath} is not the key of ${certificatePath}`);
  }
  if (!certificate.ca || !certificate.verify(certificate.publicKey)) {
    return damaged(directory, `${certificatePath} is not a self-signed certificate authority`);
  }
  if (privateKey.asymmetricKeyType !== 'ec') return damaged(directory, `${keyPath} is not an ECDSA key`);
  const notBefore = Date.parse(certificate.validFrom);
  const notAfter = Date.parse(certificate.validTo);
  if (options.now >= notAfter) {
    return fail({
      code: 'MESH-I104',
      message: `The root certificate ${certificatePath} expired on ${certificate.validTo}`,
      hint: `check the clock; if it is right, run \`mesh trust --uninstall\`, remove ${directory}, and start again`,
    });
  }
  if (options.now < notBefore) {
    return fail({
      code: 'MESH-I105',
      message: `The root certificate ${certificatePath} is not valid before ${certificate.validFrom}`,
      hint: `the clock of this machine says ${new Date(options.now).toISOString()}: set it right`,
    });
  }
  const notices = await permissionNotices(keyPath);
  if (notAfter - options.now < EXPIRY_WARNING_MS) {
    notices.push({
      code: 'MESH-I104',
      severity: 'warning',
      message: `The root certificate ${certificatePath} expires on ${certificate.validTo}`,
      hint: `when no mesh runs: \`mesh trust --uninstall\`, remove ${directory}, start again and \`mesh trust\``,
    });
  }
  return ok({
    certificatePath,
    pem: certificate.toString(),
    certificate,
    signer: signerOf(certificate, privateKey),
    notBefore,
    notAfter,
    notices,
  });
}

function newRoot(options: RootOptions): Record<string, { text: string; mode: number }> {
  const keys = generateKeyPair();
  const keyId = keyIdentifier(keys.publicKey);
  // The name holds a part of the key's identifier: a root made anew never goes by the name of one trusted before.
  const subject: DistinguishedName = [
    ['O', 'localmesh'],
    ['CN', `mesh root ${keyId.toString('hex', 0, 4)} ${options.label}`],
  ];
  const { pem } = signCertificate(
    {
      subject,
      publicKey: keys.publicKey,
      notBefore: options.now - CA_BACKDATE_MS,
      notAfter: options.now + ROOT_VALIDITY_MS,
      names: { uris: [], dns: [], ips: [] },
      use: { kind: 'ca', pathLength: 1 },
    },
    { name: name(subject), keyId, privateKey: keys.privateKey },
  );
  return {
    [CERTIFICATE]: { text: pem, mode: 0o644 },
    [KEY]: { text: keys.privateKeyPem, mode: 0o600 },
  };
}

/** Closes the key to others where it is open; warns, since it may have been read already. */
async function permissionNotices(keyPath: string): Promise<Problem[]> {
  if (process.platform === 'win32') return [];
  const { mode } = await stat(keyPath);
  if ((mode & 0o077) === 0) return [];
  const closed = await chmod(keyPath, 0o600).then(
    async () => ((await stat(keyPath)).mode & 0o077) === 0,
    () => false,
  );
  return [
    {
      code: 'MESH-I106',
      severity: 'warning',
      message: `The root's private key ${keyPath} was readable by others (mode ${(mode & 0o777).toString(8)})${
        closed ? '; it is 600 now' : ''
      }`,
      hint: closed
        ? 'if others use this machine, make a new root: `mesh trust --uninstall`, remove the directory, start again'
        : `run \`chmod 600 ${keyPath}\`; on a file system without permissions set XDG_DATA_HOME to another one`,
    },
  ];
}

async function readText(path: string): Promise<string | { code: string }> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => ({ code: error.code ?? error.message }));
}

function damaged(directory: string, what: string): Result<RootAuthority> {
  return fail({
    code: 'MESH-I102',
    message: `The root authority is damaged: ${what}`,
    hint: `restore ${directory} from a backup; or run \`mesh trust --uninstall\`, remove that directory, and the next \`mesh up\` makes a new root`,
  });
}
