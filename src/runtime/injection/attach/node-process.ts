import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Result } from '../../../model/result.ts';
import { readProcess } from '../../state/process-table.ts';
import { processTree } from '../process-tree.ts';

export interface NodeProcess {
  pid: number;
  /** As in the process table: with the pid, names this very process. */
  startTime: string;
  /** Where its inspector will listen; 0: on any free port. */
  inspectorPort: number;
  /** Whether SIGUSR1 opens it. Otherwise the signal would end the process. */
  takesSignal: boolean;
}

const DEFAULT_INSPECTOR_PORT = 9229;
/** SIGUSR1 in the bit masks of proc(5) `status`: signal 10, counted from bit 0. */
const SIGUSR1_BIT = 1n << 9n;
const linux = process.platform === 'linux';

/**
 * What there is to know about a Node.js process without touching it. Problems: MESH-J201 not Node.js, MESH-J202 another
 * user's, MESH-J205 suspended, MESH-J207 gone, MESH-J208 in another network.
 */
export function findNodeProcess(pid: number): Result<NodeProcess> {
  const entry = readProcess(pid);
  if (entry === null) return fail(problem('MESH-J207', { message: `no process ${pid} runs` }));
  const executable = executableOf(pid);
  if (executable === null) {
    return fail(
      problem('MESH-J202', {
        message: `process ${pid} belongs to another user`,
        hint: 'run the mesh as that user, or take its port in without --attach',
      }),
    );
  }
  if (!isNode(executable)) {
    return fail(
      problem('MESH-J201', {
        message: `process ${pid} is ${path.basename(executable)}, not Node.js`,
        hint: 'restart it with `mesh inject --as SERVICE -- COMMAND`, or use --transparent',
      }),
    );
  }
  if (inOtherNetwork(pid)) {
    return fail(
      problem('MESH-J208', {
        message: `process ${pid} runs in another network namespace`,
        hint: 'take it in by address: `mesh inject --address HOST:PORT --as SERVICE`',
      }),
    );
  }
  if (isStopped(pid)) {
    // The signal would wait for it, and the inspector stay open when nobody waits for that any more.
    return fail(
      problem('MESH-J205', { message: `process ${pid} is suspended`, hint: `let it go on: \`kill -CONT ${pid}\`` }),
    );
  }
  const takesSignal = catchesSigusr1(pid);
  return ok({ pid, startTime: entry.startTime, inspectorPort: inspectorPort(nodeOptions(pid)), takesSignal });
}

/** Pids of Node.js processes that descend from this one: they have clients of their own. */
export function nodeDescendants(pid: number): number[] {
  return processTree(pid, new Set())
    .map((entry) => entry.pid)
    .filter((member) => member !== pid && isNode(executableOf(member) ?? ''))
    .sort((a, b) => a - b);
}

/** `node`, `nodejs`, `node20`, `node-22.1`; a binary that was replaced meanwhile ends in ` (deleted)`. */
function isNode(executable: string): boolean {
  return /^node(js)?[-\d.]*$/.test(path.basename(executable.replace(/ \(deleted\)$/, '')));
}

/** Null: may not be looked at. */
function executableOf(pid: number): string | null {
  try {
    if (linux) return readlinkSync(`/proc/${pid}/exe`);
    const mayKnow = execFileSync('ps', ['-o', 'uid=,comm=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    const [, uid, command] = /^(\d+)\s+(.*)$/.exec(mayKnow) ?? [];
    const self = process.getuid?.();
    return command === undefined || (self !== 0 && Number(uid) !== self) ? null : command;
  } catch {
    return null;
  }
}

/** Where it can be known. Where the signal is not caught, its default is to end the process. */
function catchesSigusr1(pid: number): boolean {
  if (!linux) return true;
  try {
    const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return caught !== null && (BigInt(`0x${caught[1]}`) & SIGUSR1_BIT) !== 0n;
  } catch {
    return false;
  }
}

/** By a signal (Ctrl-Z) or a tracer, as field 3 of proc(5) `stat` has it. */
function isStopped(pid: number): boolean {
  if (!linux) return false;
  try {
    return /^\d+ \(.*\) [Tt] /s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

function inOtherNetwork(pid: number): boolean {
  if (!linux) return false;
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net');
  } catch {
    return false;
  }
}

/** Words of NODE_OPTIONS and of its command line. */
function nodeOptions(pid: number): string[] {
  if (!linux) return psArguments(pid);
  const inherited = readWords(`/proc/${pid}/environ`).find((word) => word.startsWith('NODE_OPTIONS='));
  return [...(inherited?.slice('NODE_OPTIONS='.length).split(' ') ?? []), ...readWords(`/proc/${pid}/cmdline`)];
}

/** A guess where to look first: the last option counts, as in Node.js. */
export function inspectorPort(words: readonly string[]): number {
  let port = DEFAULT_INSPECTOR_PORT;
  for (const word of words) {
    const match = /^--(?:inspect-port|debug-port|inspect|inspect-brk|inspect-wait)=(?:.*:)?(\d+)$/.exec(word);
    if (match !== null) port = Number(match[1]);
  }
  return port;
}

function psArguments(pid: number): string[] {
  try {
    return execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
      .trim()
      .split(/\s+/);
  } catch {
    return [];
  }
}

function readWords(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\0');
  } catch {
    return [];
  }
}
