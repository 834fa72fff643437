import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Client } from 'pg';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';

/** One file of statements. */
export interface Migration {
  /** Its name without folders: what files are ordered and known by. */
  readonly name: string;
  readonly file: string;
  readonly sql: string;
  /** Of the text with `\n` line ends, so that a checkout on another system counts as the same. */
  readonly checksum: string;
}

/** Everyone who migrates a database of mesh takes this lock: the ASCII codes of `mesh`. */
const ADVISORY_LOCK = 0x6d657368;

const SCHEMA = `
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS mesh_migrations (
  scope text NOT NULL,
  name text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  duration_ms integer NOT NULL,
  PRIMARY KEY (scope, name)
);
RESET client_min_messages`;

/**
 * The .sql files of the folders, in order of name within each, and folders in the order given. MESH-D110: one cannot be
 * read, or two have the same name.
 */
export async function readMigrations(folders: readonly string[]): Promise<Result<Migration[]>> {
  const migrations: Migration[] = [];
  for (const folder of folders) {
    let names: string[];
    try {
      names = (await readdir(folder)).filter((name) => name.endsWith('.sql') && !name.startsWith('.'));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const reason = code === 'ENOENT' ? 'there is no such folder' : message;
      return fail(
        problem('MESH-D110', {
          message: `migrations in ${folder}: ${reason}`,
          hint: 'make it, or correct `migrations`',
        }),
      );
    }
    for (const name of names.sort(byName)) {
      const file = path.join(folder, name);
      const same = migrations.find((other) => other.name === name);
      if (same !== undefined)
        return fail(
          problem('MESH-D110', {
            message: `two migrations are called ${name}: ${same.file} and ${file}`,
            hint: 'rename the newer one',
          }),
        );
      const sql = await readFile(file, 'utf8');
      migrations.push({ name, file, sql, checksum: checksumOf(sql) });
    }
  }
  return ok(migrations);
}

/** By code unit, not by language: everyone's machine gives the same order. */
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export const checksumOf = (sql: string): string =>
  createHash('sha256').update(sql.replaceAll('\r\n', '\n')).digest('hex');

/**
 * Applies what is not applied yet, each file in a transaction of its own together with its record. Several at once wait
 * for each other. MESH-D110: a statement failed, what came before stays applied; MESH-D111: an applied file changed or is
 * gone, nothing was done.
 * @param scope whose migrations they are, so that several may use one database
 * @returns the names that were applied now
 */
export async function applyMigrations(
  client: Client,
  scope: string,
  migrations: readonly Migration[],
  onApplied: (name: string, durationMs: number) => void = () => {},
): Promise<Result<string[]>> {
  await client.query('SELECT pg_advisory_lock($1)', [ADVISORY_LOCK]);
  try {
    await client.query(SCHEMA);
    const { rows } = await client.query<{ name: string; checksum: string }>(
      'SELECT name, checksum FROM mesh_migrations WHERE scope = $1',
      [scope],
    );
    const changed = changes(scope, rows, migrations);
    if (changed !== null) return changed;
    const known = new Set(rows.map(({ name }) => name));
    const applied: string[] = [];
    for (const migration of migrations) {
      if (known.has(migration.name)) continue;
      const startedMs = performance.now();
      const failed = await applyOne(client, scope, migration, startedMs);
      if (failed !== null) return failed;
      applied.push(migration.name);
      onApplied(migration.name, Math.round(performance.now() - startedMs));
    }
    return ok(applied);
  } finally {
    // A lost connection has lost the lock as well.
    await client.query('SELECT pg_advisory_unlock($1)', [ADVISORY_LOCK]).catch(() => {});
  }
}

function changes(
  scope: string,
  applied: readonly { name: string; checksum: string }[],
  migrations: readonly Migration[],
): ReturnType<typeof fail> | null {
  for (const { name, checksum } of applied) {
    const now = migrations.find((migration) => migration.name === name);
    if (now?.checksum === checksum) continue;
    return fail(
      problem('MESH-D111', {
        message:
          now === undefined
            ? `migration ${name} of ${scope} was applied, and is gone now`
            : `migration ${now.file} was applied, and has another content now`,
        hint: 'take that back and write a further file; to begin anew: `mesh db reset`',
      }),
    );
  }
  return null;
}

async function applyOne(
  client: Client,
  scope: string,
  { name, file, sql, checksum }: Migration,
  startedMs: number,
): Promise<ReturnType<typeof fail> | null> {
  try {
    await client.query('BEGIN');
    await client.query(sql);
    // Its statements may have changed settings of the session, the search path above all.
    await client.query('RESET ALL');
    const durationMs = Math.round(performance.now() - startedMs);
    const values = [scope, name, checksum, durationMs];
    const insert = 'INSERT INTO mesh_migrations (scope, name, checksum, duration_ms) VALUES ($1, $2, $3, $4)';
    await client.query(insert, values);
    await client.query('COMMIT');
    return null;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    const { message, position, code, detail } = error as {
      message: string;
      position?: string;
      code?: string;
      detail?: string;
    };
    // The connection is gone: that is not the file's fault.
    if (code === undefined || /^(08|57P)/.test(code)) throw error;
    const line = position === undefined ? '' : `:${lineAt(sql, Number(position))}`;
    return fail(
      problem('MESH-D110', {
        message: `${file}${line}: ${message}${detail === undefined ? '' : ` (${detail})`}`,
        hint:
          code === '25001'
            ? 'it cannot run in a transaction, and every migration does'
            : 'it was rolled back; correct the file and save it',
      }),
    );
  }
}

/** 1-based. PostgreSQL counts characters, not bytes or UTF-16 units. */
export function lineAt(sql: string, position: number): number {
  let line = 1;
  let at = 1;
  for (const character of sql) {
    if (at++ >= position) break;
    if (character === '\n') line++;
  }
  return line;
}
