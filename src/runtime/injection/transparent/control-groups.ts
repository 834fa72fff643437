import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../../model/result.ts';
import { readProcess } from '../../state/process-table.ts';
import { processTree } from '../process-tree.ts';
import { groupOf, type Hierarchy, makeGroup, mountedHierarchies, moveInto, nftPathOf } from './cgroups.ts';
import { classIdOf, groupName } from './names.ts';
import { type GroupRecord, type InterceptionRecord, placeOf, removeRecord, writeRecord } from './record.ts';
import { isQuotable, type PacketMatch } from './rules.ts';
import { restoreGroup } from './undo.ts';

/** Rounds in which children that were born while their parents moved are looked for. */
const MAX_ROUNDS = 20;

/** The hierarchy in which all of these processes can be given groups of our own; null: none. */
export function usableHierarchy(pids: readonly number[], hierarchies = mountedHierarchies()): Hierarchy | null {
  return (
    hierarchies.find((hierarchy) =>
      pids.every((pid) => {
        const directory = groupOf(pid, hierarchy);
        if (directory === null || !isWritable(directory)) return false;
        return hierarchy.kind === 'net_cls' || isQuotable(nftPathOf(directory, hierarchy).path);
      }),
    ) ?? null
  );
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    accessSync(path.join(directory, 'cgroup.procs'), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The control groups of one mesh, each below the group that its first member came from, so that limits stay in force.
 * Everything is in the record before it is done.
 */
export class ControlGroups {
  private readonly groups = new Map<string, GroupRecord>();

  constructor(
    private readonly stateDir: string,
    private readonly key: string,
    private readonly table: string,
  ) {}

  directory(member: string): string | undefined {
    return this.groups.get(member)?.directory;
  }

  /** How packets of a group's processes are recognised. */
  match(member: string, hierarchy: Hierarchy): PacketMatch {
    const group = this.groups.get(member);
    if (group === undefined) throw new Error(`no control group for ${member}`);
    if (hierarchy.kind === 'net_cls') return { kind: 'net_cls', classId: classIdOf(path.basename(group.directory)) };
    return { kind: 'cgroup2', ...nftPathOf(group.directory, hierarchy) };
  }

  /** Makes the group, empty, below that of a process. Problems: MESH-J306, or the record cannot be written. */
  open(member: string, pid: number, hierarchy: Hierarchy): Result<void> {
    if (this.groups.has(member)) return ok(undefined);
    const origin = groupOf(pid, hierarchy);
    if (origin === null) return fail(cannotMove(member, 'its present group cannot be seen'));
    const directory = path.join(origin, groupName(this.key, member));
    this.groups.set(member, { directory, moved: [] });
    const recorded = this.write();
    if (!recorded.ok) {
      this.groups.delete(member);
      return recorded;
    }
    try {
      makeGroup(directory, hierarchy.kind === 'net_cls' ? classIdOf(path.basename(directory)) : null);
      return ok(undefined);
    } catch (error) {
      return fail(cannotMove(member, (error as Error).message));
    }
  }

  /** Moves a process with all that descends from it. Its later children are born in the group. */
  moveTree(member: string, root: number, excluded: ReadonlySet<number>, hierarchy: Hierarchy): Result<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const outside = processTree(root, excluded)
        .map(({ pid }) => pid)
        .filter((pid) => !this.isIn(member, pid, hierarchy));
      if (outside.length === 0) break;
      const moved = this.move(member, outside, hierarchy);
      if (!moved.ok) return moved;
    }
    return ok(undefined);
  }

  /** Synchronous: a process that was just spawned is in before it runs its first instruction that matters. */
  move(member: string, pids: readonly number[], hierarchy: Hierarchy): Result<void> {
    const group = this.groups.get(member);
    if (group === undefined) return ok(undefined);
    const arrivals = pids.flatMap((pid) => {
      const from = groupOf(pid, hierarchy);
      const startTime = readProcess(pid)?.startTime;
      return from === null || startTime === undefined || from === group.directory ? [] : [{ pid, startTime, from }];
    });
    if (arrivals.length === 0) return ok(undefined);
    const arrived = new Set(arrivals.map(({ pid }) => pid));
    const staying = group.moved.filter(({ pid, startTime }) => {
      return !arrived.has(pid) && readProcess(pid)?.startTime === startTime;
    });
    this.groups.set(member, { ...group, moved: [...staying, ...arrivals] });
    const recorded = this.write();
    if (!recorded.ok) return recorded;
    try {
      for (const { pid } of arrivals) moveInto(group.directory, pid);
      return ok(undefined);
    } catch (error) {
      return fail(cannotMove(member, (error as Error).message));
    }
  }

  /** Members go back, the group goes away. */
  async close(member: string): Promise<Result<void>> {
    const group = this.groups.get(member);
    if (group === undefined) return ok(undefined);
    const restored = await restoreGroup(group);
    if (!restored.ok) return restored;
    this.groups.delete(member);
    return this.write();
  }

  members(): string[] {
    return [...this.groups.keys()];
  }

  /** That the table exists, or is about to. */
  write(): Result<void> {
    const record: InterceptionRecord = {
      version: 1,
      place: placeOf(this.stateDir),
      table: this.table,
      groups: [...this.groups.values()],
    };
    return writeRecord(this.stateDir, record);
  }

  forget(): void {
    removeRecord(this.stateDir);
  }

  private isIn(member: string, pid: number, hierarchy: Hierarchy): boolean {
    const own = this.groups.get(member)?.directory;
    const present = groupOf(pid, hierarchy);
    // One that is gone needs no moving; one in a group that the workload made below ours is matched with it.
    return present === null || present === own || (own !== undefined && present.startsWith(`${own}/`));
  }
}

const cannotMove = (member: string, reason: string): Problem =>
  problem('MESH-J306', {
    message: `${member} cannot be put in a control group of its own: ${reason}`,
    hint: 'start the mesh with `sudo mesh up`; in a container, its control groups must be writable',
  });
