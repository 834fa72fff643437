import * as fs from 'node:fs';
import path from 'node:path';
import { fail, ok, type Result } from '../../../model/result.ts';
import { storageProblem } from '../../state/mesh-directory.ts';
import { isGroupPath, isTableName } from './names.ts';

/** A control group that mesh made. Members that are not listed, children born in it, belong in the group above it. */
export interface GroupRecord {
  readonly directory: string;
  readonly moved: readonly { readonly pid: number; readonly startTime: string; readonly from: string }[];
}

/** What interception changed in the system, or is about to. */
export interface InterceptionRecord {
  readonly version: 1;
  /** Inode of `.mesh`: that of a copied project is another, and its record is about the original. */
  readonly place: number;
  readonly table: string;
  readonly groups: readonly GroupRecord[];
}

const fileOf = (stateDir: string): string => path.join(stateDir, 'interception.json');

export const placeOf = (stateDir: string): number => fs.statSync(stateDir).ino;

/** Replaces the record in one step, before what it says is done. Problems: those of a full or read-only disk. */
export function writeRecord(stateDir: string, record: InterceptionRecord): Result<void> {
  const file = fileOf(stateDir);
  const draft = `${file}.new`;
  try {
    fs.rmSync(draft, { force: true });
    const fd = fs.openSync(draft, 'wx', 0o600);
    try {
      // Not synced: what it records (rules, groups) does not outlive the machine either.
      fs.writeFileSync(fd, `${JSON.stringify(record)}\n`);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(draft, file);
    return ok(undefined);
  } catch (error) {
    return fail(storageProblem(file, error));
  }
}

export function removeRecord(stateDir: string): void {
  fs.rmSync(fileOf(stateDir), { force: true });
}

/**
 * Null: there is none, or it is not about this mesh. Only what mesh itself can have written is taken from it, since root
 * acts upon it: a table and groups with names of ours.
 */
export function readRecord(stateDir: string): InterceptionRecord | null {
  try {
    const record = JSON.parse(fs.readFileSync(fileOf(stateDir), 'utf8')) as Partial<InterceptionRecord>;
    if (record.version !== 1 || record.place !== placeOf(stateDir)) return null;
    if (typeof record.table !== 'string' || !isTableName(record.table) || !Array.isArray(record.groups)) return null;
    return { version: 1, place: record.place, table: record.table, groups: record.groups.filter(isGroupRecord) };
  } catch {
    return null;
  }
}

function isGroupRecord(value: unknown): value is GroupRecord {
  const { directory, moved } = (value ?? {}) as Partial<GroupRecord>;
  if (typeof directory !== 'string' || !isGroupPath(directory) || !Array.isArray(moved)) return false;
  return moved.every(
    (entry) =>
      Number.isSafeInteger(entry?.pid) && typeof entry.startTime === 'string' && isHierarchyPath(entry.from ?? ''),
  );
}

const isHierarchyPath = (directory: string): boolean =>
  path.isAbsolute(directory) && path.normalize(directory) === directory;
