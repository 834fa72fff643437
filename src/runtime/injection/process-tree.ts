import { listProcesses, type ProcessEntry } from '../state/process-table.ts';

/**
 * A process and what descends from it, oldest first, but for `excluded` and what descends from those: the mesh itself may
 * have been started from a terminal of the workload.
 */
export function processTree(
  root: number,
  excluded: ReadonlySet<number>,
  processes: readonly ProcessEntry[] = listProcesses(),
): ProcessEntry[] {
  const children = new Map<number, ProcessEntry[]>();
  const tree: ProcessEntry[] = [];
  for (const entry of processes) {
    if (entry.pid === root && !excluded.has(root)) tree.push(entry);
    const siblings = children.get(entry.ppid);
    if (siblings === undefined) children.set(entry.ppid, [entry]);
    else siblings.push(entry);
  }
  const seen = new Set(tree.map(({ pid }) => pid));
  for (let i = 0; i < tree.length; i++) {
    for (const child of children.get(tree[i].pid) ?? []) {
      if (excluded.has(child.pid) || seen.has(child.pid)) continue;
      seen.add(child.pid);
      tree.push(child);
    }
  }
  return tree;
}
