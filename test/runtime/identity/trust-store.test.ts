import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { installTrust, type TrustOptions, uninstallTrust } from '../../../src/runtime/identity/trust-store.ts';
import { authority, cleanUp, temporaryDirectory } from './fixture.ts';

cleanUp();

const posix = process.platform !== 'win32';

interface Machine {
  directory: string;
  /** Stands for `/`. */
  system: string;
  home: string;
  bin: string;
  options: (changes?: {
    uid?: number;
    interactive?: boolean;
    platform?: NodeJS.Platform;
    env?: NodeJS.ProcessEnv;
  }) => TrustOptions;
  /** What was run, a line each. */
  ran: () => Promise<string[]>;
  file: string;
}

/** A machine in a directory: real files, real processes, programs of our own. */
async function machine(): Promise<Machine> {
  const directory = await temporaryDirectory();
  const { rootPath, rootPem } = await authority(directory);
  const [system, home, bin] = ['system', 'home', 'bin'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [system, home, bin]) await mkdir(path);
  const log = join(directory, 'log');
  await writeFile(log, '');
  // The programs of the system that steps use besides the ones that tests put there.
  for (const tool of ['install', 'rm', 'sh', 'cat', 'ls', 'grep']) {
    const found = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim();
    await symlink(found, join(bin, tool));
  }
  return {
    directory,
    system,
    home,
    bin,
    options: ({ uid = 0, interactive = false, platform = 'linux', env = {} } = {}) => ({
      rootPath,
      rootPem,
      interactive,
      systemRoot: system,
      environment: {
        env: { PATH: bin, LOG: log, SYSTEM: system, ...env },
        platform,
        uid,
        home,
        homeOf: () => home,
      },
    }),
    ran: async () => (await readFile(log, 'utf8')).split('\n').filter((line) => line !== ''),
    file: rootPath,
  };
}

/** A program on the machine's PATH that logs its arguments. */
async function program(at: Machine, name: string, script: string): Promise<void> {
  const path = join(at.bin, name);
  await writeFile(path, `#!/bin/sh\necho "${name} $*" >> "$LOG"\n${script}\n`);
  await chmod(path, 0o755);
}

async function put(at: Machine, path: string, text = ''): Promise<void> {
  await mkdir(dirname(join(at.system, path)), { recursive: true });
  await writeFile(join(at.system, path), text);
}

const DEBIAN = '/usr/local/share/ca-certificates';

/** Debian's update: the bundle is what lies in the directory. */
async function debian(at: Machine): Promise<void> {
  await mkdir(join(at.system, DEBIAN), { recursive: true });
  await put(at, '/etc/ssl/certs/ca-certificates.crt');
  await program(
    at,
    'update-ca-certificates',
    `: > "$SYSTEM/etc/ssl/certs/ca-certificates.crt"
     for f in "$SYSTEM${DEBIAN}"/*.crt; do [ -e "$f" ] && cat "$f" >> "$SYSTEM/etc/ssl/certs/ca-certificates.crt"; done; exit 0`,
  );
}

/** certutil of NSS: a database is a directory, an entry a file that holds the trust flags. */
async function certutil(at: Machine): Promise<void> {
  await program(
    at,
    'certutil',
    `while [ $# -gt 0 ]; do
       case "$1" in -A|-D|-L) mode=$1;; -d) shift; db="\${1#sql:}";; -n) shift; nick=$1;; -t) shift; trust=$1;; -i) shift; cat "$1" > /dev/null || exit 1;; esac
       shift
     done
     case $mode in
       -A) echo "$trust" > "$db/$nick.entry";;
       -D) rm "$db/$nick.entry";;
       -L) echo "Certificate Nickname                     Trust Attributes"
           ls "$db" | grep entry | while read -r f; do echo "\${f%.entry}        $(cat "$db/$f")"; done;;
     esac`,
  );
}

describe.runIf(posix)('the store of a Linux system', () => {
  it('takes the root and gives it back', async () => {
    const at = await machine();
    await debian(at);
    const name = 'system trust store (Debian, Ubuntu, Alpine)';
    expect(await installTrust(at.options())).toEqual([{ store: 'system', name, state: 'installed' }]);
    const [anchor, ...others] = await readdir(join(at.system, DEBIAN));
    expect(anchor).toMatch(/^localmesh-root-[0-9a-f]{8}\.crt$/);
    expect(others).toEqual([]);
    expect(await installTrust(at.options())).toEqual([{ store: 'system', name, state: 'already' }]);
    expect(await at.ran()).toEqual(['update-ca-certificates ']);
    expect(await uninstallTrust(at.options())).toEqual([{ store: 'system', name, state: 'removed' }]);
    expect(await readdir(join(at.system, DEBIAN))).toEqual([]);
    expect(await uninstallTrust(at.options())).toEqual([{ store: 'system', name, state: 'absent' }]);
    expect(await at.ran()).toEqual(['update-ca-certificates ', 'update-ca-certificates --fresh']);
  });

  it.each([
    [
      '/etc/pki/ca-trust/source/anchors',
      'update-ca-trust',
      'extract',
      '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
      'pem',
    ],
    [
      '/etc/ca-certificates/trust-source/anchors',
      'trust',
      'extract-compat',
      '/etc/ca-certificates/extracted/tls-ca-bundle.pem',
      'crt',
    ],
    ['/usr/share/pki/trust/anchors', 'update-ca-certificates', '', '/var/lib/ca-certificates/ca-bundle.pem', 'pem'],
  ])('is found at %s', async (anchors, tool, argument, bundle, extension) => {
    const at = await machine();
    await mkdir(join(at.system, anchors), { recursive: true });
    await put(at, bundle);
    await program(at, tool, `cat "$SYSTEM${anchors}"/* > "$SYSTEM${bundle}" 2> /dev/null; exit 0`);
    expect(await installTrust(at.options())).toMatchObject([{ state: 'installed' }]);
    expect((await readdir(join(at.system, anchors)))[0]).toMatch(new RegExp(`\\.${extension}$`));
    expect(await at.ran()).toEqual([`${tool} ${argument}`]);
    expect(await uninstallTrust(at.options())).toMatchObject([{ state: 'removed' }]);
  });

  it('names the command for root, and runs nothing', async () => {
    const at = await machine();
    await debian(at);
    const [report] = await installTrust(at.options({ uid: 1000 }));
    expect(report).toMatchObject({ state: 'needs-root' });
    expect(report!.fix).toMatch(
      /^sudo install -m 0644 \S+\/root\.pem \S+\/localmesh-root-[0-9a-f]{8}\.crt && sudo update-ca-certificates$/,
    );
    expect(await at.ran()).toEqual([]);
    // The command does what it says.
    await program(at, 'sudo', 'exec "$@"');
    spawnSync('sh', ['-c', report!.fix!], { env: at.options().environment!.env });
    expect(await installTrust(at.options({ uid: 1000 }))).toMatchObject([{ state: 'already' }]);
    const [removal] = await uninstallTrust(at.options({ uid: 1000 }));
    expect(removal!.fix).toMatch(/^sudo rm -f \S+\.crt && sudo update-ca-certificates --fresh$/);
  });

  it('calls sudo where the user can be asked', async () => {
    const at = await machine();
    await debian(at);
    await program(at, 'sudo', 'exec "$@"');
    expect(await installTrust(at.options({ uid: 1000, interactive: true }))).toMatchObject([{ state: 'installed' }]);
    const ran = await at.ran();
    expect(ran[0]).toMatch(/^sudo install -m 0644/);
    expect(ran[1]).toBe(`sudo ${join(at.bin, 'update-ca-certificates')}`);
  });

  it('says so where sudo is refused', async () => {
    const at = await machine();
    await debian(at);
    await program(at, 'sudo', 'echo "ada is not in the sudoers file" >&2; exit 1');
    expect(await installTrust(at.options({ uid: 1000, interactive: true }))).toMatchObject([
      { state: 'failed', detail: 'ada is not in the sudoers file', fix: expect.stringMatching(/^sudo install/) },
    ]);
  });

  it('names the package of a missing program', async () => {
    const at = await machine();
    await mkdir(join(at.system, DEBIAN), { recursive: true });
    expect(await installTrust(at.options())).toMatchObject([
      {
        state: 'missing-tool',
        detail: 'update-ca-certificates is not installed',
        fix: 'sudo apt-get install ca-certificates',
      },
    ]);
  });

  it('finds programs of root that are not on the PATH of users', async () => {
    const at = await machine();
    await debian(at);
    await mkdir(join(at.system, 'usr/sbin'), { recursive: true });
    const { rename } = await import('node:fs/promises');
    await rename(join(at.bin, 'update-ca-certificates'), join(at.system, 'usr/sbin/update-ca-certificates'));
    expect(await installTrust(at.options())).toMatchObject([{ state: 'installed' }]);
  });

  it('does not believe a program that changed nothing', async () => {
    const at = await machine();
    await debian(at);
    await program(at, 'update-ca-certificates', 'exit 0');
    expect(await installTrust(at.options())).toMatchObject([
      { state: 'failed', detail: 'update-ca-certificates reported success, but the store did not change' },
    ]);
    // The anchor is in place now, but not in force: that is finished, not taken for done.
    await debian(at);
    expect(await installTrust(at.options())).toMatchObject([{ state: 'installed' }]);
  });

  it('reports a program that fails with its last words', async () => {
    const at = await machine();
    await debian(at);
    await program(at, 'update-ca-certificates', 'echo "disk full" >&2; exit 3');
    expect(await installTrust(at.options())).toMatchObject([{ state: 'failed', detail: 'disk full' }]);
  });

  it('is reported missing where there is none', async () => {
    const at = await machine();
    expect(await installTrust(at.options())).toMatchObject([
      { store: 'system', state: 'failed', fix: expect.stringContaining(at.file) },
    ]);
  });

  it.runIf(spawnSync('test', ['-x', '/usr/sbin/update-ca-certificates']).status === 0)(
    "works with Debian's own program",
    async () => {
      const at = await machine();
      await debian(at);
      await mkdir(join(at.system, 'hooks'));
      // One authority besides ours: without any left the program does not write its bundle anew.
      await put(at, '/etc/ca-certificates.conf', 'other.crt\n');
      await put(at, '/usr/share/ca-certificates/other.crt', `${rootCertificates[0]}\n`);
      await program(
        at,
        'update-ca-certificates',
        `PATH=/usr/sbin:/usr/bin:/sbin:/bin exec /usr/sbin/update-ca-certificates "$@" --certsconf "$SYSTEM/etc/ca-certificates.conf" \
           --certsdir "$SYSTEM/usr/share/ca-certificates" --localcertsdir "$SYSTEM${DEBIAN}" --etccertsdir "$SYSTEM/etc/ssl/certs" --hooksdir "$SYSTEM/hooks"`,
      );
      expect(await installTrust(at.options())).toMatchObject([{ state: 'installed' }]);
      expect(await installTrust(at.options())).toMatchObject([{ state: 'already' }]);
      expect(await uninstallTrust(at.options())).toMatchObject([{ state: 'removed' }]);
    },
  );
});

describe.runIf(posix)('the stores of browsers', () => {
  async function browsers(at: Machine): Promise<void> {
    await debian(at);
    for (const path of ['.pki/nssdb', '.mozilla/firefox/b.default', '.mozilla/firefox/a.dev-edition']) {
      await mkdir(join(at.home, path), { recursive: true });
      await writeFile(join(at.home, path, 'cert9.db'), '');
    }
    await mkdir(join(at.home, '.mozilla/firefox/Crash Reports'), { recursive: true });
  }

  it('take the root, each with its own report, and give it back', async () => {
    const at = await machine();
    await browsers(at);
    await certutil(at);
    const names = [
      'system trust store (Debian, Ubuntu, Alpine)',
      'Chrome, Chromium (~/.pki/nssdb)',
      'Firefox profile a.dev-edition',
      'Firefox profile b.default',
    ];
    const states = (reports: readonly { name: string; state: string }[]) =>
      reports.map(({ name, state }) => [name, state]);
    const all = (state: string) => names.map((name) => [name, state]);
    const installed = await installTrust(at.options());
    expect(states(installed)).toEqual(all('installed'));
    expect(installed[1]!.store).toBe(`nss:${join(at.home, '.pki/nssdb')}`);
    expect(states(await installTrust(at.options()))).toEqual(all('already'));
    expect(states(await uninstallTrust(at.options()))).toEqual(all('removed'));
    expect(states(await uninstallTrust(at.options()))).toEqual(all('absent'));
    const additions = (await at.ran()).filter((line) => line.includes(' -A '));
    expect(additions[0]).toMatch(/-A -d sql:\S+nssdb -t C,, -n localmesh root [0-9a-f]{8} -i \S+root\.pem$/);
    expect(additions).toHaveLength(3);
  });

  it('are changed without root', async () => {
    const at = await machine();
    await browsers(at);
    await certutil(at);
    const reports = await installTrust(at.options({ uid: 1000 }));
    expect(reports.map(({ state }) => state)).toEqual(['needs-root', 'installed', 'installed', 'installed']);
  });

  it('that hold the root without trusting it are set right', async () => {
    const at = await machine();
    await browsers(at);
    await certutil(at);
    await installTrust(at.options());
    const database = join(at.home, '.pki/nssdb');
    const entry = (await readdir(database)).find((name) => name.endsWith('.entry'))!;
    await writeFile(join(database, entry), ',,\n');
    const reports = await installTrust(at.options());
    expect(reports.map(({ state }) => state)).toEqual(['already', 'installed', 'already', 'already']);
  });

  it.each([
    ['/etc/debian_version', 'sudo apt-get install libnss3-tools'],
    ['/etc/arch-release', 'sudo pacman -S nss'],
    ['/etc/fedora-release', 'sudo dnf install nss-tools'],
  ])('name the package of certutil on a system with %s', async (marker, fix) => {
    const at = await machine();
    await browsers(at);
    await put(at, marker);
    const reports = await installTrust(at.options());
    expect(reports.slice(1)).toHaveLength(3);
    for (const report of reports.slice(1)) {
      expect(report).toMatchObject({ state: 'missing-tool', detail: 'certutil is not installed', fix });
    }
  });

  it.runIf(process.geteuid?.() === 0)('stay the property of the caller of sudo', async () => {
    const at = await machine();
    await browsers(at);
    await program(at, 'certutil', 'id="$(/usr/bin/id -u):$(/usr/bin/id -g)"; echo "$id $HOME" >> "$LOG"; exit 1');
    for (const path of [at.directory, join(at.directory, 'log')]) await chmod(path, 0o777);
    const env = { SUDO_USER: 'ada', SUDO_UID: '12345', SUDO_GID: '23456' };
    await installTrust(at.options({ env }));
    expect(await at.ran()).toContain(`12345:23456 ${at.home}`);
  });
});

describe.runIf(posix)('the stores of other systems', () => {
  it("macOS: the user's keychain", async () => {
    const at = await machine();
    await program(
      at,
      'security',
      `case "$1" in
         verify-cert) [ -e "$SYSTEM/trusted" ];;
         add-trusted-cert) : > "$SYSTEM/trusted";;
         delete-certificate) rm "$SYSTEM/trusted";;
       esac`,
    );
    const options = at.options({ uid: 501, platform: 'darwin' });
    expect(await installTrust(options)).toEqual([
      { store: 'system', name: 'macOS login keychain', state: 'installed' },
    ]);
    expect(await installTrust(options)).toMatchObject([{ state: 'already' }]);
    expect(await uninstallTrust(options)).toMatchObject([{ state: 'removed' }]);
    expect(await uninstallTrust(options)).toMatchObject([{ state: 'absent' }]);
    const ran = await at.ran();
    expect(ran).toContain(
      `security add-trusted-cert -r trustRoot -p ssl -p basic -k ${at.home}/Library/Keychains/login.keychain-db ${at.file}`,
    );
    expect(ran.at(-3)).toMatch(/^security delete-certificate -Z [0-9A-F]{40} /);
  });

  it('macOS: a dialogue that the user cancelled', async () => {
    const at = await machine();
    await program(
      at,
      'security',
      '[ "$1" = verify-cert ] || echo "The authorization was canceled by the user." >&2; exit 1',
    );
    expect(await installTrust(at.options({ uid: 501, platform: 'darwin' }))).toMatchObject([
      {
        state: 'failed',
        detail: 'The authorization was canceled by the user.',
        fix: expect.stringMatching(/^security add/),
      },
    ]);
  });

  it("Windows: the user's root store", async () => {
    const at = await machine();
    await program(
      at,
      'certutil',
      `case "$2 $3" in
         "-verifystore Root") [ -e "$SYSTEM/trusted" ];;
         "-f -addstore") : > "$SYSTEM/trusted";;
         "-delstore Root") rm "$SYSTEM/trusted";;
       esac`,
    );
    const options = at.options({ platform: 'win32' });
    expect(await installTrust(options)).toMatchObject([{ state: 'installed' }]);
    expect(await installTrust(options)).toMatchObject([{ state: 'already' }]);
    expect(await uninstallTrust(options)).toMatchObject([{ state: 'removed' }]);
    expect((await at.ran())[0]).toMatch(/^certutil -user -verifystore Root [0-9A-F]{40}$/);
  });
});
