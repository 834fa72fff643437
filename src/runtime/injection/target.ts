import { accessSync, constants, readFileSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import { listenerOf, listeningPorts } from '../state/port-owner.ts';
import { commandOf, listProcesses, type ProcessEntry, readProcess } from '../state/process-table.ts';
import { isLocal } from './checks.ts';
import { processTree } from './process-tree.ts';

/** Something that listens, found by what the user called it. */
export interface InjectionTarget {
  readonly host: string;
  readonly port: number;
  /** Null: not known. */
  readonly pid: number | null;
  /** Command line; empty where it is not known. */
  readonly command: string;
}

/** Processes of the mesh by pid: what each is. Asked for only where it matters: a port the daemon judges by itself. */
export type OwnProcesses = () => Promise<ReadonlyMap<number, string>>;

/**
 * What `mesh inject` means by PORT, PID, NAME or HOST:PORT. A number that something listens on here is a port, otherwise
 * a pid; a name is that of a program or script.
 * @returns MESH-J101 to MESH-J105 and MESH-J107: nothing that fits, several that do, the mesh itself, or no permission
 */
export async function findTarget(text: string, ours: OwnProcesses): Promise<Result<InjectionTarget>> {
  if (/^\d+$/.test(text)) return byNumber(Number(text), ours);
  const address = parseAddress(text);
  if (address !== null) return byAddress(address);
  return byName(text, ours);
}

/** `10.0.0.5:8080`, `[::1]:8080`, `dev-box:8080`; null: it does not read so. */
export function parseAddress(text: string): { host: string; port: number } | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return null;
  return { host: match[1] ?? match[2], port };
}

/** An address as it was given: its process is looked for only on this machine. */
export async function byAddress({ host, port }: { host: string; port: number }): Promise<Result<InjectionTarget>> {
  if (!isLocal(host)) return ok({ host, port, pid: null, command: '' });
  const owner = await listenerOf(port, host === 'localhost' ? null : host);
  // A server on `localhost` may have taken ::1 for it, or both.
  const at = host === 'localhost' ? hostAmong(owner?.addresses ?? []) : host;
  return ok({ host: at, port, pid: owner?.pid ?? null, command: owner?.command ?? '' });
}

async function byNumber(number: number, ours: OwnProcesses): Promise<Result<InjectionTarget>> {
  const owner = number <= 65_535 ? await listenerOf(number, null) : null;
  if (owner !== null)
    return ok({ host: hostAmong(owner.addresses), port: number, pid: owner.pid, command: owner.command });
  const process = readProcess(number);
  if (process !== null) return byProcess(process, ours);
  if (number > 65_535) return fail(problem('MESH-J102', { message: `there is no process ${number}`, hint: LIST_HINT }));
  return fail(
    problem('MESH-J101', {
      message: `nothing listens on port ${number}, and there is no process ${number}`,
      hint: 'start it first, or let mesh do it: `mesh inject --as NAME -- COMMAND`',
    }),
  );
}

async function byProcess({ pid }: ProcessEntry, ours: OwnProcesses): Promise<Result<InjectionTarget>> {
  const part = (await ours()).get(pid);
  if (part !== undefined)
    return fail(problem('MESH-J105', { message: `pid ${pid} is ${part}`, hint: 'it is in the mesh already' }));
  if (!mayLookAt(pid))
    return fail(
      problem('MESH-J107', {
        message: `pid ${pid} (${commandOf(pid)}) belongs to another user: its ports cannot be seen`,
        hint: 'give its port: `mesh inject PORT --as NAME`',
      }),
    );
  const own = await listeningPorts([pid]);
  // `npm run dev` does not listen itself.
  const sockets = own.length > 0 ? own : await listeningPorts(processTree(pid, new Set()).map((each) => each.pid));
  const ports = distinctPorts(sockets);
  const command = commandOf(pid);
  if (ports.length === 0)
    return fail(
      problem('MESH-J103', {
        message: `pid ${pid} (${command}) listens on no port`,
        hint: 'wait until it does, or start it as part of the mesh: `mesh inject --as NAME -- COMMAND`',
      }),
    );
  if (ports.length > 1)
    return fail(
      problem('MESH-J104', {
        message: `pid ${pid} (${command}) listens on ${ports.length} ports: ${listed(ports)}`,
        hint: `choose one: \`mesh inject ${ports[0]}\``,
      }),
    );
  const host = hostAmong(sockets.map(({ address }) => address));
  return ok({ host, port: ports[0], pid, command });
}

/** Programs, scripts and Python modules of that name that listen; where there are none, command lines that contain it. */
async function byName(name: string, ours: OwnProcesses): Promise<Result<InjectionTarget>> {
  const own = new Set(ancestorsOf(process.pid));
  const others = listProcesses().filter(({ pid }) => !own.has(pid));
  const named = others.filter(({ pid }) => namesOf(argumentsOf(pid)).includes(name));
  const all = named.length > 0 ? named : others.filter(({ pid }) => commandOf(pid).includes(name));
  const known = all.length > 0 ? await ours() : new Map();
  const foreign = all.filter(({ pid }) => !known.has(pid));
  // What only the mesh has is refused by its name; otherwise the user means the other one.
  const fitting = foreign.length > 0 ? foreign : all;
  const found: { entry: ProcessEntry; ports: number[] }[] = [];
  for (const entry of fitting) {
    const ports = distinctPorts(await listeningPorts([entry.pid]));
    if (ports.length > 0) found.push({ entry, ports });
  }
  if (found.length === 1) return byProcess(found[0].entry, ours);
  if (found.length > 1) {
    const list = found.map(({ entry, ports }) => `  port ${listed(ports)}  pid ${entry.pid}  ${commandOf(entry.pid)}`);
    return fail(
      problem('MESH-J104', {
        message: `${found.length} processes called ${name} listen:\n${list.join('\n')}`,
        hint: `choose one by its port: \`mesh inject ${found[0].ports[0]}\``,
      }),
    );
  }
  if (fitting.length > 0) {
    const first = fitting[0].pid;
    if (!mayLookAt(first)) return byProcess(fitting[0], ours);
    return fail(
      problem('MESH-J103', {
        message: `${name} (pid ${fitting.map(({ pid }) => pid).join(', ')}) listens on no port`,
        hint: 'give the port, or start it as part of the mesh: `mesh inject --as NAME -- COMMAND`',
      }),
    );
  }
  return fail(problem('MESH-J102', { message: `there is no process called ${name}`, hint: LIST_HINT }));
}

const distinctPorts = (sockets: readonly { port: number }[]): number[] =>
  [...new Set(sockets.map(({ port }) => port))].sort((a, b) => a - b);

const listed = (ports: readonly number[]): string =>
  ports.length > 8 ? `${ports.slice(0, 8).join(', ')} and ${ports.length - 8} more` : ports.join(', ');

const LIST_HINT =
  process.platform === 'linux' ? '`ss -ltnp` shows what listens' : '`lsof -nP -iTCP -sTCP:LISTEN` shows what listens';

/** Where to connect to for something that listens on these addresses. */
function hostAmong(addresses: readonly string[]): string {
  const any = addresses.some((address) => ['127.0.0.1', '0.0.0.0', '::'].includes(address));
  if (any || addresses.length === 0) return '127.0.0.1';
  return addresses[0];
}

function mayLookAt(pid: number): boolean {
  if (process.platform !== 'linux') return true;
  try {
    accessSync(`/proc/${pid}/fd`, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function ancestorsOf(pid: number): number[] {
  const chain: number[] = [];
  for (let entry = readProcess(pid); entry !== null && !chain.includes(entry.pid); entry = readProcess(entry.ppid))
    chain.push(entry.pid);
  return chain;
}

function argumentsOf(pid: number): string[] {
  if (process.platform === 'linux') {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    } catch {
      return [];
    }
  }
  return commandOf(pid).split(' ');
}

/** Programs whose own name says nothing about what they run. */
const INTERPRETER =
  /^(node|nodejs|bun|deno|tsx|ts-node|python[\d.]*|ruby|php|perl|java|dotnet|sh|bash|zsh|npm|npx|pnpm|yarn)$/;
/** Names of scripts that say nothing either; the folder does. */
const GENERIC = new Set(['index', 'main', 'server', 'app', 'start', 'run', 'dev', 'cli', 'manage', '__main__']);

/** What a command line may be called: its program, its script with and without extension, its Python module. */
function namesOf(argv: readonly string[]): string[] {
  if (argv.length === 0) return [];
  const names = [path.basename(argv[0])];
  const script = scriptOf(argv);
  if (script !== null) names.push(path.basename(script), withoutExtension(script));
  return names;
}

function scriptOf(argv: readonly string[]): string | null {
  if (!INTERPRETER.test(path.basename(argv[0]))) return null;
  const module = argv.indexOf('-m');
  if (module > 0 && module + 1 < argv.length) return argv[module + 1];
  return argv.slice(1).find((word) => !word.startsWith('-')) ?? null;
}

const withoutExtension = (file: string): string => path.basename(file).replace(/\.[A-Za-z]{1,5}$/, '');

/** A name for the service that a process is to be, where the user gave none: of its script, its folder or its program. */
export function suggestedName({ pid, port }: InjectionTarget): string {
  const fallback = `port-${port}`;
  if (pid === null) return fallback;
  const argv = argumentsOf(pid);
  if (argv.length === 0) return fallback;
  const script = scriptOf(argv);
  const plain = script === null ? path.basename(argv[0]) : withoutExtension(script);
  const name = GENERIC.has(plain) || INTERPRETER.test(plain) ? folderOf(pid) : plain;
  return validName(name ?? '') ?? fallback;
}

function folderOf(pid: number): string | null {
  if (process.platform !== 'linux') return null;
  try {
    return path.basename(readlinkSync(`/proc/${pid}/cwd`));
  } catch {
    return null;
  }
}

/** Lowercase letters, digits and single hyphens between them; null: nothing of it is left. */
function validName(text: string): string | null {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '');
  return name === '' || name === 'gateway' || net.isIP(name) !== 0 ? null : name;
}
