/** Checks of the machine, whatever the mesh. */
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import net from 'node:net';
import { currentEnvironment } from '../../identity/data-directory.ts';
import { loadRoot, rootCertificatePath, userRootOptions } from '../../identity/root.ts';
import { isTrustedBySystem } from '../../identity/system-trust.ts';
import { type Check, failed, passed, skipped, warning } from './check.ts';

/** Of package.json's `engines`. */
const LEAST_NODE = [20, 19] as const;
/** Sockets and log files of a mesh of ten services under load. */
const FEW_FILES = 1_024;
/** A source tree of some size, watched by a dev server besides. */
const FEW_WATCHES = 16_384;
const LITTLE_SPACE_BYTES = 500 * 1024 * 1024;
const NO_SPACE_BYTES = 50 * 1024 * 1024;

export function checkNode(version: string = process.versions.node): Check {
  const [major, minor] = version.split('.').map(Number);
  const old = major < LEAST_NODE[0] || (major === LEAST_NODE[0] && minor < LEAST_NODE[1]);
  return old
    ? failed('node', `Node.js ${version}`, `install Node.js ${LEAST_NODE.join('.')} or later`)
    : passed('node', `Node.js ${version}`);
}

/** A connection to itself, over both families of addresses. */
export async function checkLoopback(): Promise<Check> {
  try {
    const address = await connectTo('127.0.0.1');
    return passed('loopback', `a connection to ${address} works`);
  } catch (error) {
    return failed(
      'loopback',
      `a connection to 127.0.0.1 fails: ${(error as Error).message}`,
      'bring the loopback interface up (`ip link set lo up`) and let the firewall pass it',
    );
  }
}

function connectTo(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.end());
    server.once('error', reject);
    server.listen(0, host, () => {
      const { port } = server.address() as net.AddressInfo;
      const socket = net.connect({ host, port, timeout: 2_000 });
      const finish = (error?: Error) => {
        socket.destroy();
        server.close();
        if (error === undefined) resolve(host);
        else reject(error);
      };
      socket.once('connect', () => finish());
      socket.once('timeout', () => finish(new Error('no answer')));
      socket.once('error', finish);
    });
  });
}

/** By the resolver of the system; browsers that answer `*.localhost` themselves do not need it. */
export async function checkLocalhostNames(name = 'mesh-doctor.localhost'): Promise<Check> {
  const own = await lookup('localhost', { all: true }).catch(() => []);
  if (!own.some(({ address }) => address === '127.0.0.1')) {
    return failed('localhost', '`localhost` is not 127.0.0.1', 'put `127.0.0.1 localhost` into /etc/hosts');
  }
  const found = await lookup(name, { all: true }).catch(() => []);
  return found.some(({ address }) => address === '127.0.0.1' || address === '::1')
    ? passed('localhost', '`localhost` and `*.localhost` resolve')
    : warning(
        'localhost',
        '`*.localhost` does not resolve by the system',
        'Chrome, Firefox and recent curl know it anyway; for Safari and programs use http://localhost or 127.0.0.1, or put the names into /etc/hosts',
      );
}

/** The root CA and, by a real handshake, whether this machine believes it. */
export async function checkTrust(now: number): Promise<Check[]> {
  const options = userRootOptions(currentEnvironment(), now);
  const root = await loadRoot(options);
  if (!root.ok) {
    const file = rootCertificatePath(options.dataDir);
    try {
      readFileSync(file);
    } catch {
      return [
        skipped('root', 'there is no root CA yet; the first `mesh up` makes it'),
        skipped('trust', 'nothing to trust yet'),
      ];
    }
    const [{ message, hint }] = root.problems;
    return [failed('root', message, hint ?? `see ${file}`), skipped('trust', 'the root cannot be used')];
  }
  const { validTo } = root.value.certificate;
  const present = passed('root', `${root.value.certificatePath}, valid until ${validTo}`);
  const trust = await isTrustedBySystem(root.value, { now });
  const who = trust.client === undefined ? '' : `${trust.client}: `;
  if (trust.state === 'trusted') return [present, passed('trust', `${who}a handshake succeeds`)];
  if (trust.state === 'unknown') {
    return [
      present,
      warning('trust', `no program could tell: ${trust.detail}`, 'install curl or openssl and try again'),
    ];
  }
  return [
    present,
    warning(
      'trust',
      `${who}${trust.detail}`,
      '`mesh trust` makes https://NAME.localhost green; services do not need it',
    ),
  ];
}

/** Open files that a process may have, and the daemon inherits. */
export function checkOpenFiles(limits: string | null = readText('/proc/self/limits')): Check {
  const soft = /^Max open files\s+(\S+)/m.exec(limits ?? '')?.[1];
  if (soft === undefined) return skipped('open files', 'the limit cannot be read here');
  if (soft !== 'unlimited' && Number(soft) < FEW_FILES) {
    return warning('open files', `${soft} for each process`, `\`ulimit -n ${FEW_FILES * 8}\` before \`mesh up\``);
  }
  return passed('open files', `${soft} for each process`);
}

/** What `watch` and live reload take on Linux. */
export function checkWatches(text: string | null = readText('/proc/sys/fs/inotify/max_user_watches')): Check {
  if (text === null) return skipped('file watches', 'no such limit here');
  const watches = Number(text.trim());
  return watches < FEW_WATCHES
    ? warning(
        'file watches',
        `${watches} for each user`,
        '`sudo sysctl fs.inotify.max_user_watches=524288`, and the same line in /etc/sysctl.d/ to keep it',
      )
    : passed('file watches', `${watches} for each user`);
}

export async function checkDisk(directory: string): Promise<Check> {
  try {
    const { bavail, bsize, ffree, files } = await statfs(directory);
    const free = bavail * bsize;
    const text = `${Math.round(free / 1024 / 1024)} MiB free at ${directory}`;
    if (files > 0 && ffree === 0) return failed('disk', `no inodes free at ${directory}`, 'delete some files');
    if (free < NO_SPACE_BYTES) return failed('disk', text, 'free some space: mesh writes logs and its ledger there');
    if (free < LITTLE_SPACE_BYTES) return warning('disk', text, 'free some space: logs of services grow');
    return passed('disk', text);
  } catch (error) {
    return skipped('disk', `cannot be told: ${(error as Error).message}`);
  }
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}
