import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { promisify } from 'node:util';
import { commandOf } from './process-table.ts';

export interface PortOwner {
  /** Null: bound, but by a process that this user may not look at. */
  pid: number | null;
  command: string;
}

export interface ListeningPort {
  port: number;
  /** `127.0.0.1`, `0.0.0.0`, `::1`, `::`, or another address of this machine. */
  address: string;
}

/** Who listens on these TCP ports, on whatever address; ports that nobody listens on are absent. */
export async function portOwners(ports: readonly number[]): Promise<Map<number, PortOwner>> {
  const owners = new Map<number, PortOwner>();
  if (ports.length === 0) return owners;
  if (process.platform !== 'linux') {
    for (const socket of await listWithLsof(ports.map((port) => `-iTCP:${port}`)))
      owners.set(socket.port, { pid: socket.pid, command: commandOf(socket.pid) });
    return owners;
  }
  const sockets = linuxListeners().filter(({ port }) => ports.includes(port));
  const holders = holdersOf(new Set(sockets.map(({ inode }) => inode)));
  for (const { port, inode } of sockets)
    if (owners.get(port)?.pid == null) owners.set(port, ownerOf(holders.get(inode)));
  return owners;
}

export async function portOwner(port: number): Promise<PortOwner | null> {
  return (await portOwners([port])).get(port) ?? null;
}

/**
 * Who answers connections to a port of this machine, and on which addresses it listens.
 * @param host that they are made to; null: whoever listens, on whatever address
 */
export async function listenerOf(
  port: number,
  host: string | null,
): Promise<(PortOwner & { addresses: readonly string[] }) | null> {
  const all = process.platform === 'linux' ? linuxListeners() : await listWithLsof([`-iTCP:${port}`]);
  const sockets = reachedBy(
    host,
    (all as ListeningPort[]).filter((socket) => socket.port === port),
  );
  if (sockets.length === 0) return null;
  const addresses = sockets.map(({ address }) => address);
  if (process.platform !== 'linux') return { ...ownerOf((sockets[0] as LsofListener).pid), addresses };
  const inodes = (sockets as LinuxListener[]).map(({ inode }) => inode);
  return { ...ownerOf([...holdersOf(new Set(inodes)).values()][0]), addresses };
}

/** Those of the sockets of one port that get connections to this address: bound to it, or else to all of them. */
function reachedBy(host: string | null, sockets: readonly ListeningPort[]): readonly ListeningPort[] {
  if (host === null || host === 'localhost') return sockets;
  const plain = host.replace(/^::ffff:/, '');
  const exact = sockets.filter(({ address }) => address === plain);
  if (exact.length > 0) return exact;
  const every = plain.includes(':') ? ['::'] : ['0.0.0.0', '::'];
  return sockets.filter(({ address }) => every.includes(address));
}

const ownerOf = (pid: number | undefined): PortOwner =>
  pid === undefined ? { pid: null, command: '' } : { pid, command: commandOf(pid) };

/** Processes that hold these sockets, as far as this user may look. */
function holdersOf(inodes: ReadonlySet<string>): Map<string, number> {
  const holders = new Map<string, number>();
  if (inodes.size === 0) return holders;
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    // A socket inherited by a child has several owners: the first one, usually the one that opened it, is named.
    for (const inode of socketInodes(pid)) if (inodes.has(inode) && !holders.has(inode)) holders.set(inode, pid);
    if (holders.size === inodes.size) break;
  }
  return holders;
}

/** TCP ports these processes listen on: tells a service that ignores PORT where it went instead. */
export async function listeningPorts(pids: readonly number[]): Promise<ListeningPort[]> {
  if (pids.length === 0) return [];
  if (process.platform !== 'linux') return listWithLsof(['-a', '-p', pids.join(','), '-iTCP']);
  const inodes = new Set(pids.flatMap(socketInodes));
  return linuxListeners()
    .filter((socket) => inodes.has(socket.inode))
    .map(({ port, address }) => ({ port, address }));
}

/** Tells whether something gets connections to an address of this machine. Null: only `lsof` could say, which is slow. */
export function listeningLocally(): ((host: string, port: number) => boolean) | null {
  if (process.platform !== 'linux') return null;
  const byPort = new Map<number, ListeningPort[]>();
  for (const socket of linuxListeners()) {
    const known = byPort.get(socket.port);
    if (known === undefined) byPort.set(socket.port, [socket]);
    else known.push(socket);
  }
  return (host, port) => reachedBy(host, byPort.get(port) ?? []).length > 0;
}

/** `pid 4711 (node server.js)`, for messages. */
export function describeOwner(owner: PortOwner): string {
  if (owner.pid === null) return 'a process of another user';
  return owner.command === '' ? `pid ${owner.pid}` : `pid ${owner.pid} (${owner.command})`;
}

interface LinuxListener extends ListeningPort {
  inode: string;
}

interface LsofListener extends ListeningPort {
  pid: number;
}

/** Rows of /proc/net/tcp and tcp6 in state LISTEN (0A): `sl local_address rem_address st ... uid timeout inode`. */
function linuxListeners(): LinuxListener[] {
  const listeners: LinuxListener[] = [];
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    let text: string;
    try {
      text = readFileSync(table, 'latin1');
    } catch {
      continue;
    }
    for (const line of text.split('\n')) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] !== '0A') continue;
      const [address, port] = fields[1].split(':');
      listeners.push({ port: Number.parseInt(port, 16), address: parseAddress(address), inode: fields[9] });
    }
  }
  return listeners;
}

/** Addresses stand there as 32-bit words in the machine's byte order, which is little-endian wherever Node runs but s390x. */
function parseAddress(hex: string): string {
  if (hex.length === 8) return [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.');
  if (/^0+$/.test(hex)) return '::';
  if (hex === '00000000000000000000000001000000') return '::1';
  const mapped = /^0{16}FFFF0000(.{8})$/i.exec(hex);
  return mapped === null ? `[${hex}]` : parseAddress(mapped[1]);
}

function socketInodes(pid: number): string[] {
  const inodes: string[] = [];
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      try {
        const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
        if (target.startsWith('socket:[')) inodes.push(target.slice(8, -1));
      } catch {
        // Closed while we looked.
      }
    }
  } catch {
    // Gone, or of another user.
  }
  return inodes;
}

/** Output of `lsof -F pn`: a line `p<pid>`, then for each of its sockets `n<address>:<port>`. */
async function listWithLsof(selection: string[]): Promise<LsofListener[]> {
  let stdout: string;
  try {
    const args = ['-nP', '-sTCP:LISTEN', '-Fpn', ...selection];
    ({ stdout } = await promisify(execFile)('lsof', args, { timeout: 5_000 }));
  } catch (error) {
    // lsof exits with 1 when one of several ports is free, having printed the others.
    stdout = (error as { stdout?: string }).stdout ?? '';
  }
  const sockets: LsofListener[] = [];
  let pid = 0;
  for (const line of stdout.split('\n')) {
    if (line.startsWith('p')) pid = Number(line.slice(1));
    const address = /^n(.*):(\d+)$/.exec(line);
    if (address === null) continue;
    const host = address[1] === '*' ? '0.0.0.0' : address[1].replace(/^\[(.*)\]$/, '$1');
    sockets.push({ pid, address: host, port: Number(address[2]) });
  }
  return sockets;
}
