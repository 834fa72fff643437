import { readFile } from 'node:fs/promises';
import { rootCertificates } from 'node:tls';

/** Where systems keep the bundle of the roots they trust; the first that can be read is used. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt', // Debian, Ubuntu, Arch, Gentoo
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', // Fedora, RHEL
  '/etc/pki/tls/certs/ca-bundle.crt', // older RHEL, Amazon Linux
  '/etc/ssl/ca-bundle.pem', // openSUSE
  '/var/lib/ca-certificates/ca-bundle.pem', // openSUSE, read-only root
  '/etc/ssl/cert.pem', // macOS, Alpine, the BSDs
  '/usr/local/etc/ssl/cert.pem', // FreeBSD
  '/opt/homebrew/etc/ca-certificates/cert.pem', // Homebrew
  '/run/current-system/etc/ssl/certs/ca-certificates.crt', // NixOS
];

export interface SystemRootsOptions {
  /** Read before the usual places: the user's own SSL_CERT_FILE, with the roots of a company for instance. */
  readonly preferred?: string | undefined;
  readonly candidates?: readonly string[];
}

/**
 * Text for SSL_CERT_FILE, which replaces a program's roots instead of adding to them: the mesh's root, then what the
 * system trusts. Each certificate appears once, so that a mesh started by a service of a mesh adds nothing again.
 */
export async function bundleWithSystemRoots(rootPem: string, options: SystemRootsOptions = {}): Promise<string> {
  const system = await systemRoots(options);
  return `${[...new Set([...certificatesIn(rootPem), ...system])].join('\n')}\n`;
}

async function systemRoots({ preferred, candidates = BUNDLES }: SystemRootsOptions): Promise<readonly string[]> {
  for (const path of preferred === undefined || preferred === '' ? candidates : [preferred, ...candidates]) {
    const found = certificatesIn(await readFile(path, 'utf8').catch(() => ''));
    if (found.length > 0) return found;
  }
  return rootCertificates.flatMap(certificatesIn);
}

/** The certificates of a text in PEM, without the comments between and with line ends as on Unix. */
function certificatesIn(text: string): string[] {
  const blocks = text.match(/-----BEGIN (TRUSTED )?CERTIFICATE-----[^-]+-----END (TRUSTED )?CERTIFICATE-----/g) ?? [];
  // OpenSSL's TRUSTED form is understood by OpenSSL alone.
  return blocks.filter((block) => !block.includes('TRUSTED')).map((block) => block.replaceAll('\r', ''));
}
