import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrustedRoot, TrustStore } from './trust-store.ts';

/** NSS databases of one directory: Chrome, Chromium and other programs of the user. */
const SHARED = ['.pki/nssdb', 'snap/chromium/current/.pki/nssdb', '.var/app/org.chromium.Chromium/.pki/nssdb'];

/** Directories whose entries are Firefox profiles, each with a database. */
const FIREFOX = [
  '.mozilla/firefox',
  '.config/mozilla/firefox',
  'snap/firefox/common/.mozilla/firefox',
  '.var/app/org.mozilla.firefox/.mozilla/firefox',
];

/** The stores of Chrome and of each Firefox profile, where there are such. */
export async function nssStores(root: TrustedRoot, home: string, systemRoot: string): Promise<readonly TrustStore[]> {
  const install = await installCommand(systemRoot);
  const stores: TrustStore[] = [];
  for (const directory of SHARED) {
    const path = join(home, directory);
    if (await isDatabase(path)) stores.push(storeOf(`Chrome, Chromium (~/${directory})`, path, root, install));
  }
  for (const directory of FIREFOX) {
    const parent = join(home, directory);
    for (const profile of (await readdir(parent).catch(() => [])).sort()) {
      const path = join(parent, profile);
      if (await isDatabase(path)) stores.push(storeOf(`Firefox profile ${profile}`, path, root, install));
    }
  }
  return stores;
}

function storeOf(name: string, path: string, root: TrustedRoot, install: string): TrustStore {
  const database = `sql:${path}`;
  return {
    store: `nss:${path}`,
    name,
    needsRoot: false,
    tools: [{ name: 'certutil', install }],
    async look(run) {
      const { exitCode, output } = await run(['certutil', '-L', '-d', database]);
      const line = exitCode === 0 ? output.split('\n').find((row) => row.startsWith(`${root.nickname} `)) : undefined;
      if (line === undefined) return 'absent';
      // The first of three fields of trust flags is for TLS; C: an authority for servers.
      return /C[^,\s]*,[^,\s]*,[^,\s]*\s*$/.test(line) ? 'present' : 'partial';
    },
    install: [['certutil', '-A', '-d', database, '-t', 'C,,', '-n', root.nickname, '-i', root.path]],
    remove: [['certutil', '-D', '-d', database, '-n', root.nickname]],
  };
}

/** The format in use since 2018; the one before (cert8.db) is read by no current browser. */
async function isDatabase(path: string): Promise<boolean> {
  return stat(join(path, 'cert9.db')).then(
    (file) => file.isFile(),
    () => false,
  );
}

async function installCommand(systemRoot: string): Promise<string> {
  const has = (path: string) =>
    stat(join(systemRoot || '/', path)).then(
      () => true,
      () => false,
    );
  if (await has('/etc/debian_version')) return 'sudo apt-get install libnss3-tools';
  if (await has('/etc/arch-release')) return 'sudo pacman -S nss';
  if (await has('/etc/alpine-release')) return 'sudo apk add nss-tools';
  if (await has('/etc/SuSE-release')) return 'sudo zypper install mozilla-nss-tools';
  return 'sudo dnf install nss-tools';
}
