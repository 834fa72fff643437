import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { follow, type RunningCommand } from './e2e.ts';
import { findTool } from './tools.ts';

/** What is wanted of the control group hierarchies that are mounted in a namespace. */
export type Hierarchies = 'as they are' | 'net_cls' | 'none';

/** A network and mount namespace of a test's own: what is done to rules and mounts in it touches nobody else. */
export interface NetworkNamespace {
  /** Of a process inside. */
  readonly pid: number;
  /** Output of a command inside that has to succeed. */
  exec(command: string, ...args: string[]): string;
  spawn(
    command: string,
    args: readonly string[],
    options?: { cwd?: string; env?: NodeJS.ProcessEnv; uid?: number },
  ): RunningCommand;
  /** What a plain process inside, none of the mesh's, gets of a URL. */
  fetch(url: string): Promise<FetchOutcome>;
  /** TCP ports that somebody inside listens on. */
  listening(): number[];
  /** Names of the tables of nftables. */
  tables(): string[];
  close(): void;
}

export interface FetchOutcome {
  status: number;
  body: string;
  /** Code of the system's error; empty: there was an answer. */
  error: string;
}

/** Why there can be no namespace here; null: there can. */
export function namespaceObstacle(): string | null {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid?.() !== 0) return 'needs root';
  for (const tool of ['unshare', 'nsenter', 'ip', 'mount']) if (findTool(tool) === null) return `no ${tool}`;
  if (findTool('nft') === null) return 'no nft';
  try {
    execFileSync('unshare', ['-n', '-m', 'sh', '-c', 'ip link set lo up && nft list ruleset'], { stdio: 'ignore' });
    return null;
  } catch {
    return 'no network namespaces with nftables here';
  }
}

const MOUNTS: Record<Hierarchies, string> = {
  'as they are': 'true',
  net_cls: `umount -R /sys/fs/cgroup 2>/dev/null
mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/net_cls && mount -t cgroup -o net_cls none /sys/fs/cgroup/net_cls`,
  none: 'umount -R /sys/fs/cgroup 2>/dev/null; mount -t tmpfs none /sys/fs/cgroup',
};

/** Name servers of a namespace: the first address of systemd-resolved, where `resolver` answers. */
const RESOLVER = '127.0.0.53';

/** Programs in it find `resolvConf` as /etc/resolv.conf. Null: the hierarchies cannot be mounted so. */
export async function openNamespace(hierarchies: Hierarchies, resolvConf: string): Promise<NetworkNamespace | null> {
  const setup = `set -e
ip link set lo up
mount --bind "$0" /etc/resolv.conf
set +e
${MOUNTS[hierarchies]} || exit 1
echo ready
exec cat`;
  const holder = spawn('unshare', ['-n', '-m', 'sh', '-c', setup, resolvConf], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ready = await new Promise<boolean>((resolve) => {
    holder.stdout.once('data', () => resolve(true));
    holder.once('exit', () => resolve(false));
  });
  if (!ready || holder.pid === undefined) return null;
  const inside = ['-t', String(holder.pid), '-n', '-m'];
  const children: ChildProcess[] = [];

  const start: NetworkNamespace['spawn'] = (command, args, options = {}) => {
    const user = options.uid === undefined ? [] : ['-S', String(options.uid), '-G', String(options.uid)];
    const wd = options.cwd === undefined ? [] : [`--wd=${options.cwd}`];
    const child = spawn('nsenter', [...inside, ...user, ...wd, '--', command, ...args], {
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    children.push(child);
    return follow(child, performance.now());
  };
  const visitor = start(process.execPath, ['-e', VISITOR]);
  const waiting: ((outcome: FetchOutcome) => void)[] = [];
  createInterface({ input: visitor.child.stdout! }).on('line', (line) =>
    waiting.shift()?.(JSON.parse(line) as FetchOutcome),
  );
  start(process.execPath, ['-e', UPSTREAM_RESOLVER, RESOLVER]);

  return {
    pid: holder.pid,
    exec: (command, ...args) => execFileSync('nsenter', [...inside, '--', command, ...args], { encoding: 'utf8' }),
    spawn: start,
    fetch: (url) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        visitor.child.stdin?.write(`${url}\n`);
      }),
    listening: () => {
      const rows = ['tcp', 'tcp6'].flatMap((file) =>
        readFileSync(`/proc/${holder.pid}/net/${file}`, 'latin1').split('\n').slice(1),
      );
      const fields = rows.map((row) => row.trim().split(/\s+/)).filter((row) => row[3] === '0A');
      return fields.map((row) => Number.parseInt(row[1].split(':')[1], 16));
    },
    tables: () =>
      execFileSync('nsenter', [...inside, '--', 'nft', 'list', 'tables'], { encoding: 'utf8' })
        .split('\n')
        .flatMap((line) => line.split(' ')[2] ?? []),
    close() {
      for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
      holder.stdin.end();
      if (holder.exitCode === null) holder.kill('SIGKILL');
    },
  };
}

/** Fetches each line of its input over a connection of its own. */
const VISITOR = `
const http = require('node:http');
let turn = Promise.resolve();
require('node:readline').createInterface({ input: process.stdin }).on('line', (url) => {
  turn = turn.then(() => new Promise((resolve) => {
    const done = (outcome) => { console.log(JSON.stringify({ status: 0, body: '', error: '', ...outcome })); resolve(); };
    const request = http.get(url, { agent: false, timeout: 5000 }, async (response) => {
      let body = '';
      try { for await (const chunk of response) body += chunk; } catch (error) { return done({ error: error.code }); }
      done({ status: response.statusCode, body });
    });
    request.on('timeout', () => request.destroy(Object.assign(new Error('late'), { code: 'ETIMEDOUT' })));
    request.on('error', (error) => done({ error: error.code ?? String(error) }));
  }));
});
`;

/** Says 127.0.0.9 for every A question, and nothing for others: enough of a resolver for getaddrinfo. */
const UPSTREAM_RESOLVER = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (query, from) => {
  let end = 12;
  while (query[end] !== 0) end += query[end] + 1;
  const question = query.subarray(12, end + 5);
  const isA = query.readUInt16BE(end + 1) === 1;
  const header = Buffer.from([query[0], query[1], 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
  const record = isA ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 9]) : Buffer.alloc(0);
  socket.send(Buffer.concat([header, question, record]), from.port, from.address);
});
socket.bind(53, process.argv[1]);
`;

/** Control groups of meshes that are mounted anywhere, by path. */
export function meshGroups(namespace: NetworkNamespace, key: string): string[] {
  if (!existsSync('/sys/fs/cgroup')) return [];
  return namespace
    .exec('find', '/sys/fs/cgroup', '-xdev', '-maxdepth', '1', '-type', 'd')
    .split('\n')
    .filter((mount) => mount !== '')
    .flatMap((mount) => namespace.exec('find', mount, '-type', 'd', '-name', `mesh-${key}.*`).split('\n'))
    .filter((line, i, all) => line !== '' && all.indexOf(line) === i);
}
