import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Result } from '../../../model/result.ts';

/** A process that has, or may have, our patch in it. */
export interface AttachedProcess {
  instance: string;
  pid: number;
  /** As in the process table: with the pid, names this very process. */
  startTime: string;
}

/** `.mesh/attached.json`: what a later daemon has to undo. */
export interface AttachmentsFile {
  all(): AttachedProcess[];
  /** In the file when it returns. MESH-J209: it cannot be written. */
  add(attached: AttachedProcess): Result<void>;
  remove(instance: string): void;
}

export function openAttachments(stateDir: string): AttachmentsFile {
  const file = path.join(stateDir, 'attached.json');
  const entries = new Map(read(file).map((entry) => [entry.instance, entry]));

  const write = (): Result<void> => {
    try {
      if (entries.size === 0) rmSync(file, { force: true });
      else {
        mkdirSync(stateDir, { recursive: true, mode: 0o700 });
        const draft = `${file}.new`;
        writeFileSync(draft, `${JSON.stringify([...entries.values()])}\n`, { mode: 0o600 });
        renameSync(draft, file);
      }
      return ok(undefined);
    } catch (error) {
      return fail(
        problem('MESH-J209', {
          message: `cannot write ${file}: ${(error as Error).message}`,
          hint: 'free some space, or make .mesh writable',
        }),
      );
    }
  };

  return {
    all: () => [...entries.values()],
    add(attached) {
      const before = entries.get(attached.instance);
      entries.set(attached.instance, attached);
      const written = write();
      if (written.ok) return written;
      if (before === undefined) entries.delete(attached.instance);
      else entries.set(attached.instance, before);
      return written;
    },
    remove(instance) {
      // A record too many costs a look at a process that is as it was.
      if (entries.delete(instance)) write();
    },
  };
}

/** Nothing where it cannot be read: a file that is not ours, or half of one. */
function read(file: string): AttachedProcess[] {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return Array.isArray(value) ? value.filter(isAttached) : [];
  } catch {
    return [];
  }
}

function isAttached(value: unknown): value is AttachedProcess {
  if (typeof value !== 'object' || value === null) return false;
  const { instance, pid, startTime } = value as Record<string, unknown>;
  return typeof instance === 'string' && Number.isSafeInteger(pid) && typeof startTime === 'string';
}
