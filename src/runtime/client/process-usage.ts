import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import type { InstanceStatus } from '../../model/status.ts';

/** What the processes of one instance take. */
export interface ProcessUsage {
  /** Share of one core since the last sample: 1.5 is one and a half. */
  cpu: number;
  /** Resident; memory that its processes share is counted for each. */
  memoryBytes: number;
}

export type UsageSampler = (instances: readonly InstanceStatus[]) => Promise<ReadonlyMap<string, ProcessUsage>>;

interface ProcessRow {
  group: number;
  /** Of user and system time since it started. */
  cpuMs: number;
  memoryBytes: number;
}

/** USER_HZ, by which the kernel reports times whatever its own tick: 100 on every Linux that Node runs on. */
const MS_PER_TICK = 10;
const KIB = 1_024;

/** Null: this system has no /proc. */
export function sampleUsage(options: { root?: string; clock?: () => number } = {}): UsageSampler | null {
  const { root = '/proc', clock = () => performance.now() } = options;
  if (!existsSync(`${root}/self/stat`)) return null;
  let before = new Map<string, { pid: number; cpuMs: number; atMs: number }>();
  return async (instances) => {
    const groups = await readGroups(root, new Set(instances.flatMap(({ pid }) => (pid === null ? [] : [pid]))));
    const atMs = clock();
    const next: typeof before = new Map();
    const usage = new Map<string, ProcessUsage>();
    for (const { id, pid } of instances) {
      const sum = pid === null ? undefined : groups.get(pid);
      if (pid === null || sum === undefined) continue;
      const last = before.get(id);
      const elapsedMs = last === undefined || last.pid !== pid ? 0 : atMs - last.atMs;
      // A child that ended takes its time with it.
      const cpu = elapsedMs <= 0 ? 0 : Math.max(0, sum.cpuMs - last!.cpuMs) / elapsedMs;
      usage.set(id, { cpu, memoryBytes: sum.memoryBytes });
      next.set(id, { pid, cpuMs: sum.cpuMs, atMs });
    }
    before = next;
    return usage;
  };
}

/** Each instance leads a process group of its own: a shell and what it runs count together. */
async function readGroups(root: string, leaders: ReadonlySet<number>): Promise<Map<number, ProcessRow>> {
  const groups = new Map<number, ProcessRow>();
  if (leaders.size === 0) return groups;
  for (const name of await readdir(root)) {
    if (!/^\d+$/.test(name)) continue;
    const row = await readProcess(root, name, leaders).catch(() => null);
    if (row === null) continue;
    const sum = groups.get(row.group);
    groups.set(row.group, {
      group: row.group,
      cpuMs: row.cpuMs + (sum?.cpuMs ?? 0),
      memoryBytes: row.memoryBytes + (sum?.memoryBytes ?? 0),
    });
  }
  return groups;
}

/** proc(5): fields after the name, which is in brackets and may hold anything. Null: of no interest. */
async function readProcess(root: string, pid: string, leaders: ReadonlySet<number>): Promise<ProcessRow | null> {
  const stat = await readFile(`${root}/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const group = Number(fields[2]);
  if (!leaders.has(group)) return null;
  const status = await readFile(`${root}/${pid}/status`, 'latin1');
  const resident = /^VmRSS:\s+(\d+) kB$/m.exec(status);
  return {
    group,
    cpuMs: (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK,
    memoryBytes: resident === null ? 0 : Number(resident[1]) * KIB,
  };
}
