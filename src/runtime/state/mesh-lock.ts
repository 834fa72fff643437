import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import { storageProblem } from './mesh-directory.ts';
import { isRunning, readProcess } from './process-table.ts';

export interface LockOwner {
  pid: number;
  startTime: string;
}

export interface MeshLock {
  owner: LockOwner;
  release(): void;
}

/** A lock file that is still empty belongs to a process between creating and filling it, for so long. */
const WRITING_MS = 2_000;

/**
 * One daemon for each mesh. Lock files carry a generation, `lock.7`; the highest one counts, and it is held while the
 * process named in it lives. To take over means to create the next generation, which only one process can: no lock is
 * ever removed on the suspicion that it is stale, so nobody can remove a successor's. The highest file is never
 * removed, only replaced by an empty-handed one on release; that keeps generations from coming back.
 *
 * MESH-S110: another daemon holds it.
 */
export function acquireMeshLock(root: string, pid: number = process.pid): Result<MeshLock> {
  const self = readProcess(pid);
  if (self === null) throw new Error(`process ${pid} does not run`);
  const owner: LockOwner = { pid, startTime: self.startTime };
  try {
    for (;;) {
      const current = highest(root);
      const holder = current === 0 ? null : readHolder(root, current);
      if (holder !== null && (holder === 'unknown' || isRunning(holder))) {
        const who = holder === 'unknown' ? 'a process that is just starting' : `pid ${holder.pid}`;
        return fail(
          problem('MESH-S110', {
            message: `this mesh already runs (${who})`,
            hint: 'see it with `mesh ps`, stop it with `mesh down`',
          }),
        );
      }
      const generation = current + 1;
      if (!create(root, generation, owner)) continue;
      // Whoever read the directory long ago may have created a generation that came and went since.
      if (highest(root) > generation) {
        fs.rmSync(lockFile(root, generation), { force: true });
        continue;
      }
      for (const old of generations(root)) if (old < generation) fs.rmSync(lockFile(root, old), { force: true });
      return ok({ owner, release: () => release(root, generation) });
    }
  } catch (error) {
    return fail(storageProblem(path.join(root, 'lock'), error));
  }
}

/** The daemon that holds the lock; null: none runs. */
export function lockOwner(root: string): LockOwner | null {
  try {
    const current = highest(root);
    const holder = current === 0 ? null : readHolder(root, current);
    return holder !== null && holder !== 'unknown' && isRunning(holder) ? holder : null;
  } catch {
    return null;
  }
}

const lockFile = (root: string, generation: number): string => path.join(root, `lock.${generation}`);

function generations(root: string): number[] {
  return fs.readdirSync(root).flatMap((name) => {
    const match = /^lock\.(\d+)$/.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

const highest = (root: string): number => Math.max(0, ...generations(root));

/** Null: released or unreadable. */
function readHolder(root: string, generation: number): LockOwner | null | 'unknown' {
  const file = lockFile(root, generation);
  try {
    const text = fs.readFileSync(file, 'utf8');
    if (text === '') return Math.abs(Date.now() - fs.statSync(file).mtimeMs) < WRITING_MS ? 'unknown' : null;
    const holder: unknown = JSON.parse(text);
    if (typeof holder !== 'object' || holder === null) return null;
    const { pid, startTime } = holder as Partial<LockOwner>;
    return typeof pid === 'number' && typeof startTime === 'string' ? { pid, startTime } : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    // Replaced by a younger generation while we looked: the next round sees that one.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** False: somebody else was first. The file appears under its name with its content in it. */
function create(root: string, generation: number, owner: LockOwner): boolean {
  const file = lockFile(root, generation);
  const draft = path.join(root, `.lock.${randomUUID()}`);
  const content = JSON.stringify(owner);
  try {
    fs.writeFileSync(draft, content, { mode: 0o600, flag: 'wx' });
    fs.linkSync(draft, file);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'EEXIST') return false;
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
    return createWithoutLink(file, content);
  } finally {
    fs.rmSync(draft, { force: true });
  }
}

/** For file systems without hard links (exFAT, some network shares). */
function createWithoutLink(file: string, content: string): boolean {
  try {
    fs.writeFileSync(file, content, { mode: 0o600, flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function release(root: string, generation: number): void {
  const draft = path.join(root, `.lock.${randomUUID()}`);
  try {
    // Only if still ours: the folder may have been deleted and made anew meanwhile.
    if (!fs.existsSync(lockFile(root, generation))) return;
    fs.writeFileSync(draft, '{}', { mode: 0o600 });
    fs.renameSync(draft, lockFile(root, generation));
  } catch {
    // Then it becomes stale with the end of this process, which is as good.
    fs.rmSync(draft, { force: true });
  }
}
