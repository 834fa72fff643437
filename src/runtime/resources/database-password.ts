import { randomBytes, randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Role that owns everything in a database of mesh. */
export const DATABASE_USER = 'mesh';

/**
 * The password of a database that mesh runs, in `password` (0600) of its data directory; generated at the first call, so
 * that it can be told to services before the database is there. Throws what the file system throws.
 */
export function databasePassword(dataDir: string): string {
  const file = path.join(dataDir, 'password');
  for (;;) {
    try {
      return readFileSync(file, 'utf8').trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const draft = `${file}.${randomUUID()}`;
    writeFileSync(draft, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
    try {
      // Whole or not at all, and only one of several that try at once.
      linkSync(draft, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(draft, { force: true });
    }
  }
}
