import type { Clock } from '../clock.ts';
import type { Ledger, LedgerEntry } from './ledger.ts';
import { type PortOwner, portOwners } from './port-owner.ts';
import {
  commandOf,
  familyOf,
  isRunning,
  listProcesses,
  markedProcesses,
  markerOf,
  type ProcessEntry,
  readProcess,
  signalProcess,
} from './process-table.ts';

export interface RecoveryReport {
  /** Processes that a mesh which died had left and that are gone now. */
  ended: { pid: number; instance: string; command: string }[];
  /** Processes that even SIGKILL did not end in time. */
  remaining: { pid: number; instance: string; command: string }[];
  /** Recorded ports that somebody still listens on, and who. */
  boundPorts: { port: number; instance: string; owner: PortOwner }[];
}

export interface RecoveryOptions {
  clock: Clock;
  /** Between SIGTERM and SIGKILL. */
  graceMs: number;
  /** After SIGKILL, until what is left is reported. */
  killMs: number;
  /** Entries that shall go on: a data plane, say, that the next daemon takes over. Default: none. */
  keep?: (entry: LedgerEntry) => boolean;
  progress?: (line: string) => void;
}

/**
 * Ends what a daemon that was killed left running: recorded processes whose start time is still the recorded one,
 * their groups and descendants, and whatever carries the mesh's marker. A pid that the kernel gave to somebody else
 * meanwhile is not touched.
 */
export async function recover(ledger: Ledger, options: RecoveryOptions): Promise<RecoveryReport> {
  const { clock, progress = () => {} } = options;
  const entries = ledger.live();
  const kept = entries.filter((entry) => options.keep?.(entry) ?? false);
  const lost = entries.filter((entry) => !kept.includes(entry));
  const found = new Map<number, ProcessEntry & { instance: string; command: string }>();
  const look = (): (ProcessEntry & { instance: string; command: string })[] => {
    const survivors = survivorsOf(lost, kept, ledger.markerPrefix);
    for (const survivor of survivors) found.set(survivor.pid, found.get(survivor.pid) ?? survivor);
    return survivors;
  };

  let survivors = look();
  if (survivors.length > 0) progress(`ending ${survivors.length} processes that an earlier run left`);
  for (const [signal, limitMs] of [
    ['SIGTERM', options.graceMs],
    ['SIGKILL', options.killMs],
  ] as const) {
    let expired = false;
    const timer = clock.setTimeout(() => {
      expired = true;
    }, limitMs);
    const signalled = new Set<number>();
    for (let pauseMs = 5; survivors.length > 0 && !expired; pauseMs = Math.min(pauseMs * 2, 100)) {
      // Those that were forked meanwhile get their signal too.
      for (const survivor of survivors) {
        if (signalled.has(survivor.pid)) continue;
        signalled.add(survivor.pid);
        signalProcess(survivor, signal);
      }
      await new Promise<void>((resolve) => clock.setTimeout(resolve, pauseMs));
      survivors = survivors.filter(isRunning);
      if (survivors.length === 0) survivors = look();
    }
    clock.clearTimeout(timer);
  }

  const left = new Set(survivors.map(({ pid }) => pid));
  const plain = ({ pid, instance, command }: { pid: number; instance: string; command: string }) => ({
    pid,
    instance,
    command,
  });
  if (left.size === 0) for (const entry of lost) ledger.ended(entry.marker);
  const instances = new Map(lost.flatMap((entry) => entry.ports.map((port) => [port, entry.instance] as const)));
  const owners = await portOwners([...instances.keys()]);
  return {
    ended: [...found.values()].filter(({ pid }) => !left.has(pid)).map(plain),
    remaining: survivors.map(plain),
    boundPorts: [...owners].map(([port, owner]) => ({ port, instance: instances.get(port) ?? '', owner })),
  };
}

function survivorsOf(
  lost: readonly LedgerEntry[],
  kept: readonly LedgerEntry[],
  markerPrefix: string,
): (ProcessEntry & { instance: string; command: string })[] {
  const processes = listProcesses();
  const marked = markedProcesses(markerPrefix);
  const keptMarkers = new Set(kept.map(({ marker }) => marker));
  const spared = ownAncestry();
  const survivors = new Map<number, ProcessEntry & { instance: string; command: string }>();
  const add = (entry: ProcessEntry, instance: string): void => {
    if (spared.has(entry.pid) || survivors.has(entry.pid)) return;
    survivors.set(entry.pid, { ...entry, instance, command: commandOf(entry.pid) });
  };
  for (const { marker, instance, process: leader } of lost) {
    if (leader === null || !ownsGroup(leader, marker, processes)) continue;
    for (const member of familyOf(leader, marker, processes)) add(member, instance);
  }
  for (const entry of processes) {
    const marker = marked.get(entry.pid);
    if (marker === undefined || keptMarkers.has(marker)) continue;
    add(entry, lost.find((candidate) => candidate.marker === marker)?.instance ?? 'an earlier run');
  }
  return [...survivors.values()];
}

/**
 * Whether the group with the recorded id still is the recorded one. It is if its leader lives. Without a leader the id
 * may have been given out again, and its new leader ended as well: then a member with the marker has to vouch for it.
 */
function ownsGroup(
  leader: { pid: number; startTime: string },
  marker: string,
  processes: readonly ProcessEntry[],
): boolean {
  const current = processes.find(({ pid }) => pid === leader.pid);
  if (current !== undefined) return current.startTime === leader.startTime;
  return processes.some(({ pgid, pid }) => pgid === leader.pid && markerOf(pid) === marker);
}

/** `mesh down` may be typed in a terminal that a service of the mesh opened. */
function ownAncestry(): Set<number> {
  const pids = new Set<number>();
  for (let pid = process.pid; pid > 1 && !pids.has(pid); pid = readProcess(pid)?.ppid ?? 0) pids.add(pid);
  return pids;
}
