import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrustedRoot, TrustStore } from './trust-store.ts';

/** How a family of distributions keeps its own authorities. */
interface Layout {
  readonly name: string;
  /** Directory for authorities that the administrator adds; tells the family. */
  readonly anchors: string;
  readonly extension: 'crt' | 'pem';
  readonly update: readonly string[];
  readonly updateAfterRemoval: readonly string[];
  readonly installTool: string;
  /** What the update writes, and programs read. */
  readonly bundle: string;
}

const LAYOUTS: readonly Layout[] = [
  {
    name: 'system trust store (Fedora, RHEL)',
    anchors: '/etc/pki/ca-trust/source/anchors',
    extension: 'pem',
    update: ['update-ca-trust', 'extract'],
    updateAfterRemoval: ['update-ca-trust', 'extract'],
    installTool: 'sudo dnf install ca-certificates',
    bundle: '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  },
  {
    name: 'system trust store (Debian, Ubuntu, Alpine)',
    anchors: '/usr/local/share/ca-certificates',
    // Files with another extension are passed over.
    extension: 'crt',
    update: ['update-ca-certificates'],
    // Without --fresh older versions keep the links of certificates that are gone.
    updateAfterRemoval: ['update-ca-certificates', '--fresh'],
    installTool: 'sudo apt-get install ca-certificates',
    bundle: '/etc/ssl/certs/ca-certificates.crt',
  },
  {
    name: 'system trust store (Arch)',
    anchors: '/etc/ca-certificates/trust-source/anchors',
    extension: 'crt',
    update: ['trust', 'extract-compat'],
    updateAfterRemoval: ['trust', 'extract-compat'],
    installTool: 'sudo pacman -S p11-kit ca-certificates-utils',
    bundle: '/etc/ca-certificates/extracted/tls-ca-bundle.pem',
  },
  {
    name: 'system trust store (openSUSE)',
    anchors: '/usr/share/pki/trust/anchors',
    extension: 'pem',
    update: ['update-ca-certificates'],
    updateAfterRemoval: ['update-ca-certificates'],
    installTool: 'sudo zypper install ca-certificates',
    bundle: '/var/lib/ca-certificates/ca-bundle.pem',
  },
];

/** The system's trust store, which curl, OpenSSL, Go, Python and git use. */
export async function linuxStores(root: TrustedRoot, systemRoot: string): Promise<readonly TrustStore[]> {
  for (const layout of LAYOUTS) {
    const anchors = join(systemRoot, layout.anchors);
    const there = await stat(anchors).catch(() => undefined);
    if (there?.isDirectory()) return [storeOf(layout, anchors, root, systemRoot)];
  }
  return [];
}

function storeOf(layout: Layout, anchors: string, root: TrustedRoot, systemRoot: string): TrustStore {
  const anchor = join(anchors, `${root.fileStem}.${layout.extension}`);
  const bundle = join(systemRoot || '/', layout.bundle);
  return {
    store: 'system',
    name: layout.name,
    needsRoot: true,
    tools: [{ name: layout.update[0]!, install: layout.installTool }],
    async look() {
      const anchored = (await text(anchor)) !== undefined;
      const inForce = base64Of((await text(bundle)) ?? '').includes(base64Of(root.pem));
      if (anchored && inForce) return 'present';
      return anchored || inForce ? 'partial' : 'absent';
    },
    install: [['install', '-m', '0644', root.path, anchor], layout.update],
    remove: [['rm', '-f', anchor], layout.updateAfterRemoval],
  };
}

/** The text of PEM blocks without line ends, which tools may set anew. */
function base64Of(pem: string): string {
  return pem.replace(/\s+/g, '');
}

async function text(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}
