import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * Who runs on this machine: /proc on Linux, `ps` elsewhere. A pid alone names nobody, since the kernel hands it out
 * again; a pid with its start time does.
 */
export interface ProcessEntry {
  pid: number;
  ppid: number;
  /** Process group. */
  pgid: number;
  /** Start time in a form that no later process with this pid can have, reboots included. Compare for equality only. */
  startTime: string;
  /** Start time on a scale of its own, to tell who is older. */
  startOrder: number;
}

/** Environment variable that marks every process mesh starts, and what they start in turn. */
export const PROCESS_MARKER = 'MESH_PROCESS_ID';

const linux = process.platform === 'linux';

/** Null: there is no such process, or only its zombie, which holds neither ports nor files. */
export function readProcess(pid: number): ProcessEntry | null {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  if (!linux) return listWithPs(['-p', String(pid)])[0] ?? null;
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return null;
  }
}

/** Every process that can be seen, without zombies. */
export function listProcesses(): ProcessEntry[] {
  if (!linux) return listWithPs(['-ax']);
  const entries: ProcessEntry[] = [];
  for (const pid of linuxPids()) {
    const entry = readProcess(pid);
    if (entry !== null) entries.push(entry);
  }
  return entries;
}

/** Whether this very process, not a later one with its pid, still runs. */
export function isRunning(process: { pid: number; startTime: string }): boolean {
  return readProcess(process.pid)?.startTime === process.startTime;
}

/** Command line for people, shortened; empty when it cannot be read. */
export function commandOf(pid: number): string {
  try {
    const text = linux
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() || `[${commOf(pid)}]`
      : execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8', stdio: PS_STDIO }).trim();
    const line = text.replaceAll(/\s+/g, ' ');
    return line.length > 120 ? `${line.slice(0, 119)}…` : line;
  } catch {
    return '';
  }
}

/**
 * Value of the marker in a process's environment; null when it has none or is not ours to look at. A program that
 * writes its title over its environment (setproctitle) loses it, so the marker adds to groups, it does not replace them.
 */
export function markerOf(pid: number): string | null {
  try {
    if (linux) return findMarker(readFileSync(`/proc/${pid}/environ`, 'latin1'), '\0');
    const line = execFileSync('ps', ['-E', '-ww', '-o', 'command=', '-p', String(pid)], {
      encoding: 'latin1',
      stdio: PS_STDIO,
    });
    return findMarker(line.trimEnd(), ' ');
  } catch {
    return null;
  }
}

/** All marked processes of one mesh by pid; `prefix` is the mesh's part of the marker. */
export function markedProcesses(prefix: string): Map<number, string> {
  const found = new Map<number, string>();
  if (linux) {
    for (const pid of linuxPids()) {
      const marker = markerOf(pid);
      if (marker?.startsWith(prefix)) found.set(pid, marker);
    }
    return found;
  }
  for (const line of runPs(['-axE', '-ww', '-o', 'pid=,command='])) {
    const marker = findMarker(line, ' ');
    if (marker?.startsWith(prefix)) found.set(Number.parseInt(line, 10), marker);
  }
  return found;
}

/**
 * Everything that belongs to a process mesh started: its group, what descends from it, and (on Linux also when it left
 * group and parent, as daemons do) what carries its marker. `leader` is the group's id and the first process's pid.
 */
export function familyOf(
  leader: { pid: number; startOrder: number },
  marker: string,
  processes: readonly ProcessEntry[],
): ProcessEntry[] {
  const members = new Map<number, ProcessEntry>();
  for (const entry of processes) {
    if (entry.pgid === leader.pid || entry.pid === leader.pid) members.set(entry.pid, entry);
    // Only what is younger can descend from it: that spares reading the environment of nearly everyone.
    else if (entry.startOrder >= leader.startOrder && entry.pid !== process.pid && markerOf(entry.pid) === marker)
      members.set(entry.pid, entry);
  }
  for (let grown = true; grown; ) {
    grown = false;
    for (const entry of processes) {
      if (members.has(entry.pid) || !members.has(entry.ppid) || entry.pid === process.pid) continue;
      members.set(entry.pid, entry);
      grown = true;
    }
  }
  return [...members.values()];
}

/** Signals a whole group; false when nobody is left in it. */
export function signalGroup(pgid: number, signal: NodeJS.Signals | 0): boolean {
  // 0 and 1 would address the caller's own group or everybody.
  if (!Number.isSafeInteger(pgid) || pgid <= 1) return false;
  return deliver(-pgid, signal);
}

/** Signals one process if it still is the one that was meant. */
export function signalProcess(target: { pid: number; startTime: string }, signal: NodeJS.Signals): boolean {
  return target.pid > 1 && isRunning(target) && deliver(target.pid, signal);
}

function deliver(target: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch (error) {
    // EPERM: somebody is there, but not ours to signal (macOS also says so of zombies).
    return (error as NodeJS.ErrnoException).code === 'EPERM' && linux;
  }
}

const PS_STDIO: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];

let bootId: string | undefined;

function linuxPids(): number[] {
  const pids: number[] = [];
  for (const name of readdirSync('/proc')) {
    const first = name.charCodeAt(0);
    if (first >= 49 && first <= 57) pids.push(Number(name));
  }
  return pids;
}

/** Fields of proc(5) `stat`; the command may contain blanks and parentheses, so fields count from the last one. */
function parseStat(stat: string): ProcessEntry | null {
  const close = stat.lastIndexOf(')');
  const fields = stat.slice(close + 2).split(' ');
  const state = fields[0];
  if (state === 'Z' || state === 'X') return null;
  bootId ??= readBootId();
  const startTicks = fields[19];
  return {
    pid: Number.parseInt(stat, 10),
    ppid: Number(fields[1]),
    pgid: Number(fields[2]),
    startTime: `${startTicks}@${bootId}`,
    startOrder: Number(startTicks),
  };
}

/** Ticks count from boot, so after a reboot equal ones would be a coincidence that can happen. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
  } catch {
    return readlinkSync('/proc/self/ns/pid');
  }
}

function commOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

function findMarker(environment: string, separator: string): string | null {
  const start = environment.startsWith(`${PROCESS_MARKER}=`)
    ? 0
    : environment.indexOf(`${separator}${PROCESS_MARKER}=`) + 1;
  if (start === 0 && !environment.startsWith(PROCESS_MARKER)) return null;
  const valueStart = start + PROCESS_MARKER.length + 1;
  const end = environment.indexOf(separator, valueStart);
  return environment.slice(valueStart, end < 0 ? undefined : end);
}

function runPs(args: string[]): string[] {
  try {
    const env = { ...process.env, LC_ALL: 'C' };
    const output = execFileSync('ps', args, { encoding: 'latin1', stdio: PS_STDIO, env, maxBuffer: 1 << 26 });
    return output.split('\n').filter((line) => line.trim() !== '');
  } catch {
    return [];
  }
}

function listWithPs(selection: string[]): ProcessEntry[] {
  const entries: ProcessEntry[] = [];
  for (const line of runPs([...selection, '-o', 'pid=,ppid=,pgid=,stat=,lstart='])) {
    const [pid, ppid, pgid, state, ...started] = line.trim().split(/\s+/);
    if (state.startsWith('Z')) continue;
    const startTime = started.join(' ');
    entries.push({
      pid: Number(pid),
      ppid: Number(ppid),
      pgid: Number(pgid),
      startTime,
      startOrder: Date.parse(startTime),
    });
  }
  return entries;
}
