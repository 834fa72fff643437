import { randomBytes } from 'node:crypto';
import { chmod, chown, link, lstat, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Owner } from './data-directory.ts';

/** Creates a directory that only its owner enters, and its parents. What is created belongs to `owner`. */
export async function makePrivateDirectory(path: string, owner: Owner | undefined): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first !== undefined && owner !== undefined) {
    for (let made = resolve(path); made.length >= first.length; made = dirname(made)) {
      await chown(made, owner.uid, owner.gid);
    }
  }
  // The mode given to mkdir does not change a directory that was there.
  if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o700);
}

/**
 * Puts a directory with these files in place in one step: whoever sees it sees all of it, and of several processes that
 * try at once exactly one succeeds. Returns false where the directory was there already.
 */
export async function createDirectoryOnce(
  path: string,
  files: Readonly<Record<string, { text: string; mode: number }>>,
  owner: Owner | undefined,
): Promise<boolean> {
  const draft = `${path}.${process.pid}.${randomBytes(6).toString('hex')}.new`;
  try {
    await mkdir(draft, { mode: 0o700 });
    for (const [file, { text, mode }] of Object.entries(files)) {
      await writeSynced(join(draft, file), text, mode, owner);
    }
    if (owner !== undefined) await chown(draft, owner.uid, owner.gid);
    // rename(2) refuses to replace a directory that has entries: this is what makes one of several win.
    await rename(draft, path);
    await syncDirectory(dirname(path));
    return true;
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (await exists(path)) return false;
    throw error;
  }
}

/** Replaces a file in one step, so that a crash leaves the old text or the new one, never a part. */
export async function replacePrivateFile(path: string, text: string, owner: Owner | undefined): Promise<void> {
  const draft = draftOf(path);
  try {
    await writeSynced(draft, text, 0o600, owner);
    await rename(draft, path);
    await syncDirectory(dirname(path));
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Creates a file in one step. Returns false where there was one: then it is untouched. */
export async function createPrivateFile(path: string, text: string, owner: Owner | undefined): Promise<boolean> {
  const draft = draftOf(path);
  try {
    await writeSynced(draft, text, 0o600, owner);
    await link(draft, path);
    await syncDirectory(dirname(path));
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    // File systems without hard links (exFAT, some shared folders): exclusive, if not in one step.
    if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error;
    return writeSynced(path, text, 0o600, owner).then(
      () => true,
      (second) => {
        if (isErrno(second, 'EEXIST')) return false;
        throw second;
      },
    );
  } finally {
    await rm(draft, { force: true });
  }
}

export function isErrno(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException)?.code ?? '');
}

async function writeSynced(path: string, text: string, mode: number, owner: Owner | undefined): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(text);
    if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes a rename last through a power cut. Windows cannot open directories, and has no need to. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function draftOf(path: string): string {
  return `${path}.${process.pid}.${randomBytes(6).toString('hex')}.new`;
}
