import path from 'node:path';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../../model/result.ts';
import { readProcess } from '../../state/process-table.ts';
import { dissolveGroup } from './cgroups.ts';
import { findNft, runNft } from './nft.ts';
import { type GroupRecord, readRecord, removeRecord } from './record.ts';
import { removalText } from './rules.ts';

const AS_ROOT = 'what was made as root is removed as root: `sudo mesh down`';

/**
 * Undoes what a daemon that died left in the system, as its record says; more than once does no harm. The value says
 * whether there was anything. Problems (MESH-J309): a part could not be undone, and the record stays for the next try.
 */
export async function undoRecorded(stateDir: string): Promise<Result<boolean>> {
  const record = readRecord(stateDir);
  if (record === null) return ok(false);
  const problems: Problem[] = [];
  // The table first: while it is there, what leaves its group could not reach the application any more.
  const removed = await removeTable(record.table);
  if (!removed.ok) problems.push(...removed.problems);
  for (const group of record.groups) {
    const dissolved = await restoreGroup(group);
    if (!dissolved.ok) problems.push(...dissolved.problems);
  }
  if (problems.length > 0) return fail(...problems);
  removeRecord(stateDir);
  return ok(true);
}

export async function removeTable(table: string): Promise<Result<void>> {
  const nft = findNft();
  // Uninstalled meanwhile: the rules are still in the kernel.
  const complaint =
    nft === null ? 'nft is not installed any more' : await runNft(nft, removalText(table), { check: false });
  if (complaint === null) return ok(undefined);
  return fail(
    problem('MESH-J309', { message: `the table inet ${table} cannot be removed: ${complaint}`, hint: AS_ROOT }),
  );
}

/** Members go back to where they came from. */
export async function restoreGroup(group: GroupRecord): Promise<Result<void>> {
  const above = path.dirname(group.directory);
  const gone = await dissolveGroup(group.directory, (pid) => {
    const entry = group.moved.find((moved) => moved.pid === pid);
    // The pid may be a later process's, born in the group.
    return entry !== undefined && readProcess(pid)?.startTime === entry.startTime ? entry.from : above;
  });
  if (gone) return ok(undefined);
  return fail(
    problem('MESH-J309', { message: `the control group ${group.directory} cannot be removed`, hint: AS_ROOT }),
  );
}
