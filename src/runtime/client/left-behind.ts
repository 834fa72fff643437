import type { Problem } from '../../model/result.ts';
import { readLedger } from '../state/ledger.ts';
import { findMeshDirectory } from '../state/mesh-directory.ts';
import { lockOwner } from '../state/mesh-lock.ts';
import { isRunning } from '../state/process-table.ts';
import type { MeshLocation } from './locate.ts';

/** Names shown of what was left. */
const SHOWN = 5;

/** Nobody answers at this place: is it that nothing runs, or that a daemon was killed and what it ran goes on? */
export function describeAbsence(location: MeshLocation, absence: Problem): Problem {
  const directory = findMeshDirectory(location.baseDir);
  if (directory === null || lockOwner(directory.path) !== null) return absence;
  const left = readLedger(directory.ledger).filter(({ process }) => process !== null && isRunning(process));
  if (left.length === 0) return absence;
  const names = left.slice(0, SHOWN).map(({ instance, process }) => `${instance} (pid ${process?.pid})`);
  if (left.length > SHOWN) names.push(`${left.length - SHOWN} more`);
  return {
    ...absence,
    message: `${absence.message}: its daemon was killed, and what it had started runs on: ${names.join(', ')}`,
    hint: '`mesh down` ends all of it, `mesh up` as well before it starts anew',
  };
}
