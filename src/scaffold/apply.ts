import * as nodeFs from 'node:fs';
import path from 'node:path';
import { problem } from '../model/errors.ts';
import { fail, ok, type Result } from '../model/result.ts';
import type { PlannedFile } from './plan.ts';

/** What writing needs of a file system. */
export type Disk = Pick<
  typeof nodeFs,
  | 'chmodSync'
  | 'existsSync'
  | 'linkSync'
  | 'mkdirSync'
  | 'renameSync'
  | 'rmSync'
  | 'rmdirSync'
  | 'statSync'
  | 'writeFileSync'
>;

export interface Applied {
  /** Puts the disk back as it was. */
  undo(): void;
  /** It stays: what undo would have needed goes. */
  keep(): void;
}

const MODE = 0o644;

/**
 * Writes files, each beside its place first and then by rename: an error, a full disk included, leaves nothing behind.
 * All of it is synchronous, so a signal that somebody listens to comes before or after, never between.
 * @returns MESH-N157
 */
export function applyFiles(files: readonly PlannedFile[], disk: Disk = nodeFs): Result<Applied> {
  const undoing: (() => void)[] = [];
  const backups: string[] = [];
  const undo = (): void => {
    for (const step of undoing.splice(0).reverse()) step();
  };
  const changed = files.filter(({ before, after }) => before === null || !before.equals(after));
  try {
    const staged = changed.map((file) => {
      makeDirectories(path.dirname(file.path), disk, undoing);
      const temporary = besides(file.path, 'new');
      undoing.push(() => disk.rmSync(temporary, { force: true }));
      disk.writeFileSync(temporary, file.after, { flush: true });
      const mode = file.before === null ? MODE | (file.executable ? 0o111 : 0) : disk.statSync(file.path).mode & 0o7777;
      disk.chmodSync(temporary, mode);
      return { file, temporary };
    });
    for (const { file, temporary } of staged) {
      if (file.before === null) undoing.push(() => disk.rmSync(file.path, { force: true }));
      else {
        // A second name of the old file: to put it back takes no space.
        const backup = besides(file.path, 'old');
        disk.rmSync(backup, { force: true });
        disk.linkSync(file.path, backup);
        backups.push(backup);
        undoing.push(() => {
          disk.renameSync(backup, file.path);
          // rename(2) leaves both where they still are names of one file.
          disk.rmSync(backup, { force: true });
        });
      }
      disk.renameSync(temporary, file.path);
    }
    return ok({
      undo,
      keep: () => {
        for (const backup of backups.splice(0)) disk.rmSync(backup, { force: true });
      },
    });
  } catch (error) {
    undo();
    const { code, message } = error as NodeJS.ErrnoException;
    return fail(
      problem('MESH-N157', {
        message: code === 'ENOSPC' ? 'the disk is full' : message,
        hint: `${code === 'ENOSPC' ? 'free some space' : 'check who may write there'}; nothing of it was left behind`,
      }),
    );
  }
}

const besides = (file: string, what: string): string =>
  path.join(path.dirname(file), `.${path.basename(file)}.mesh-${what}-${process.pid}`);

function makeDirectories(directory: string, disk: Disk, undoing: (() => void)[]): void {
  if (disk.existsSync(directory)) return;
  makeDirectories(path.dirname(directory), disk, undoing);
  disk.mkdirSync(directory);
  // What others put into it meanwhile stays, and so does the directory.
  undoing.push(() => {
    try {
      disk.rmdirSync(directory);
    } catch (error) {
      if (!['ENOTEMPTY', 'ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  });
}
