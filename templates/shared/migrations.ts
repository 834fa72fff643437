import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Database } from './database.ts';

/** Any number, the same for everyone who migrates this database. */
const LOCK = 7_281_963;

/**
 * Applies the files of a folder, `0001_name.sql` and so on, that the database has not seen, in order of their names, each
 * in a transaction. Several processes may do so at once: one works, the others wait.
 * @returns the names of those that were applied now
 */
export async function applyMigrations(database: Database, directory: string): Promise<string[]> {
  const files = readdirSync(directory)
    .filter((file) => /^\d+_.+\.sql$/.test(file))
    .sort();
  const client = await database.pool.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK]);
    await client.query(
      'CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
    );
    const { rows } = await client.query<{ name: string; digest: string }>('SELECT name, digest FROM schema_migrations');
    const known = new Map(rows.map(({ name, digest }) => [name, digest]));
    const applied: string[] = [];
    for (const file of files) {
      const sql = readFileSync(path.join(directory, file), 'utf8');
      const digest = createHash('sha256').update(sql).digest('hex');
      const before = known.get(file);
      if (before === digest) continue;
      if (before !== undefined)
        throw new Error(`${file} was changed after it was applied; write a new migration instead`);
      await client.query('BEGIN');
      try {
        await client.query(sql);
        await client.query('INSERT INTO schema_migrations (name, digest) VALUES ($1, $2)', [file, digest]);
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK');
        throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
      }
      applied.push(file);
    }
    return applied;
  } finally {
    // Ends the session's lock with it, whatever state the connection is in.
    client.release(true);
  }
}
