import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { currentEnvironment, invokingUser, type UserEnvironment } from './data-directory.ts';
import { findTool, runTool, shellLine, type ToolRun } from './external-tools.ts';
import { linuxStores } from './trust-store-linux.ts';
import { nssStores } from './trust-store-nss.ts';

/** What became of the root in one trust store. */
export type TrustState =
  | 'installed'
  /** It was there before. */
  | 'already'
  | 'removed'
  /** It was not there. */
  | 'absent'
  /** Only root may change this store: `fix` is the command. */
  | 'needs-root'
  /** A program is needed that is not installed: `fix` installs it. */
  | 'missing-tool'
  | 'failed';

export interface TrustStoreReport {
  /** Stable: `system`, or `nss:<directory>`. */
  readonly store: string;
  /** For people. */
  readonly name: string;
  readonly state: TrustState;
  readonly detail?: string;
  /** What to do, mostly a command to run. */
  readonly fix?: string;
}

/** The root as trust stores want it. */
export interface TrustedRoot {
  readonly path: string;
  readonly pem: string;
  /** Name in stores that go by names; holds a part of the fingerprint. */
  readonly nickname: string;
  /** For file names. */
  readonly fileStem: string;
  /** 40 uppercase hexadecimal digits: what Windows and macOS find certificates by. */
  readonly sha1: string;
}

/** A trust store: how to look whether the root is in it, and the commands that put it in and take it out. */
export interface TrustStore {
  readonly store: string;
  readonly name: string;
  /** Only root may change it. */
  readonly needsRoot: boolean;
  /** Programs that the steps run, each with the way to install it. */
  readonly tools: readonly { readonly name: string; readonly install: string }[];
  /** `partial`: begun but not in force, for instance a file in place before the bundle was made. */
  look(run: RunStep): Promise<'present' | 'absent' | 'partial'>;
  readonly install: readonly (readonly string[])[];
  readonly remove: readonly (readonly string[])[];
}

/** Runs one of the store's programs as the user whose store it is. */
export type RunStep = (argv: readonly string[]) => Promise<ToolRun>;

export interface TrustOptions {
  /** The root certificate's file, and its text. */
  readonly rootPath: string;
  readonly rootPem: string;
  /** Whether sudo may ask for a password at the terminal. Without it the command is reported instead. */
  readonly interactive: boolean;
  readonly environment?: UserEnvironment;
  /** Put before system paths such as /etc; for tests. Default: none. */
  readonly systemRoot?: string;
}

/** A dialogue of the system (macOS, Windows) or sudo's prompt may wait for the user. */
const STEP_TIMEOUT_MS = 120_000;

/** Puts the root into every trust store found. Never fails as a whole: each store has its own report. */
export function installTrust(options: TrustOptions): Promise<readonly TrustStoreReport[]> {
  return forEachStore(options, 'install');
}

/** Takes the root out of every trust store found. */
export function uninstallTrust(options: TrustOptions): Promise<readonly TrustStoreReport[]> {
  return forEachStore(options, 'remove');
}

async function forEachStore(options: TrustOptions, action: 'install' | 'remove'): Promise<readonly TrustStoreReport[]> {
  const environment = options.environment ?? currentEnvironment();
  const systemRoot = options.systemRoot ?? '';
  const root = describeRoot(options.rootPath, options.rootPem);
  const home = invokingUser(environment).home;
  const stores = await storesOf(environment.platform, root, systemRoot, home, environment);
  if (stores.length === 0) {
    const detail = 'no trust store that mesh knows was found';
    const fix = `add ${root.path} to the trusted authorities by the means of your system`;
    return [{ store: 'system', name: 'system trust store', state: 'failed', detail, fix }];
  }
  const reports: TrustStoreReport[] = [];
  // One after the other: each may ask the user something.
  for (const store of stores) reports.push(await apply(store, action, options, environment));
  return reports;
}

async function storesOf(
  platform: NodeJS.Platform,
  root: TrustedRoot,
  systemRoot: string,
  home: string,
  environment: UserEnvironment,
): Promise<readonly TrustStore[]> {
  switch (platform) {
    case 'darwin':
      return [macosStore(root, home)];
    case 'win32':
      return [windowsStore(root, environment.env)];
    default:
      // Firefox and Chrome on Linux have stores of their own; elsewhere they use the system's.
      return [...(await linuxStores(root, systemRoot)), ...(await nssStores(root, home, systemRoot))];
  }
}

async function apply(
  store: TrustStore,
  action: 'install' | 'remove',
  options: TrustOptions,
  environment: UserEnvironment,
): Promise<TrustStoreReport> {
  const { env, platform, uid } = environment;
  const user = invokingUser(environment);
  const report = (state: TrustState, detail?: string, fix?: string): TrustStoreReport => ({
    store: store.store,
    name: store.name,
    state,
    ...(detail === undefined || detail === '' ? {} : { detail }),
    ...(fix === undefined ? {} : { fix }),
  });
  const systemTools = ['/usr/local/sbin', '/usr/sbin', '/sbin'].map((path) => join(options.systemRoot ?? '/', path));
  const paths = new Map<string, string>();
  for (const tool of store.tools) {
    const path = await findTool(tool.name, env, platform, systemTools);
    if (path === undefined) return report('missing-tool', `${tool.name} is not installed`, tool.install);
    paths.set(tool.name, path);
  }
  const run = (argv: readonly string[], interactive: boolean): Promise<ToolRun> => {
    const located = argv.map((arg, i) => (i === 0 || argv[0] === 'sudo' ? (paths.get(arg) ?? arg) : arg));
    // Under sudo a user's own store must stay the user's: the program runs as the user, in the user's home.
    const as = store.needsRoot ? undefined : user.owner;
    const own = as === undefined ? env : { ...env, HOME: user.home, USER: user.name };
    return runTool(located, { env: own, timeoutMs: STEP_TIMEOUT_MS, as, interactive });
  };
  const look = () => store.look((argv) => run(argv, false));
  const wanted = action === 'install' ? 'present' : 'absent';
  if ((await look()) === wanted) return report(action === 'install' ? 'already' : 'absent');
  const bySudo = store.needsRoot && uid !== 0;
  const steps = store[action].map((step) => (bySudo ? ['sudo', ...step] : step));
  const commands = steps.map(shellLine).join(' && ');
  if (bySudo && !options.interactive) {
    return report('needs-root', 'this store is changed by root only', commands);
  }
  for (const step of steps) {
    const { exitCode, output } = await run(step, bySudo);
    if (exitCode !== 0) return report('failed', lastLines(output) || `${step[0]} failed`, commands);
  }
  // Believe the store, not the exit code.
  if ((await look()) !== wanted) {
    return report('failed', `${shellLine(steps.at(-1)!)} reported success, but the store did not change`, commands);
  }
  return report(action === 'install' ? 'installed' : 'removed');
}

function describeRoot(path: string, pem: string): TrustedRoot {
  const certificate = new X509Certificate(pem);
  const part = certificate.fingerprint256.replaceAll(':', '').slice(0, 8).toLowerCase();
  return {
    path,
    pem,
    nickname: `localmesh root ${part}`,
    fileStem: `localmesh-root-${part}`,
    sha1: certificate.fingerprint.replaceAll(':', ''),
  };
}

/** The user's own trust settings: no root needed, but macOS asks for the user's password in a window. */
function macosStore(root: TrustedRoot, home: string): TrustStore {
  const keychain = join(home, 'Library', 'Keychains', 'login.keychain-db');
  return {
    store: 'system',
    name: 'macOS login keychain',
    needsRoot: false,
    tools: [{ name: 'security', install: 'it is part of macOS: put /usr/bin on the PATH' }],
    async look(run) {
      // -l: the certificate is itself an authority; -L: do not ask the network.
      const { exitCode } = await run(['security', 'verify-cert', '-q', '-l', '-L', '-p', 'ssl', '-c', root.path]);
      return exitCode === 0 ? 'present' : 'absent';
    },
    install: [
      ['security', 'add-trusted-cert', '-r', 'trustRoot', '-p', 'ssl', '-p', 'basic', '-k', keychain, root.path],
    ],
    remove: [
      ['security', 'remove-trusted-cert', root.path],
      ['security', 'delete-certificate', '-Z', root.sha1, keychain],
    ],
  };
}

/** The user's own Root store: no administrator needed, but Windows asks for confirmation in a window. */
function windowsStore(root: TrustedRoot, env: NodeJS.ProcessEnv): TrustStore {
  // NSS has a program of the same name.
  const certutil = env.SystemRoot === undefined ? 'certutil' : join(env.SystemRoot, 'System32', 'certutil.exe');
  return {
    store: 'system',
    name: "Windows user's root store",
    needsRoot: false,
    tools: env.SystemRoot === undefined ? [{ name: 'certutil', install: 'it is part of Windows' }] : [],
    async look(run) {
      const { exitCode } = await run([certutil, '-user', '-verifystore', 'Root', root.sha1]);
      return exitCode === 0 ? 'present' : 'absent';
    },
    install: [[certutil, '-user', '-f', '-addstore', 'Root', root.path]],
    remove: [[certutil, '-user', '-delstore', 'Root', root.sha1]],
  };
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-3).join('; ');
}
