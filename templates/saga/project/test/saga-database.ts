import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '../../../shared/database.ts';
import { createLog } from '../../../shared/log.ts';
import { applyMigrations } from '../../../shared/migrations.ts';
import { createTestDatabase } from '../../../shared/test-database.ts';

export const silent = createLog('test', { LOG_LEVEL: 'none' });
const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));

export interface SagaDatabase {
  readonly url: string;
  /** For DBOS; beside the schema of the service. */
  readonly systemSchema: string;
  readonly database: Database;
  drop(): Promise<void>;
}

/** Migrated, with two schemas of its own. */
export async function createSagaDatabase(): Promise<SagaDatabase> {
  const { url, drop } = await createTestDatabase();
  const database = openDatabase(url, silent);
  await applyMigrations(database, MIGRATIONS);
  const { rows } = await database.query<{ schema: string }>('SELECT current_schema() AS schema');
  const systemSchema = `${rows[0].schema}_dbos`;
  return {
    url,
    systemSchema,
    database,
    async drop() {
      await database.query(`DROP SCHEMA IF EXISTS ${systemSchema} CASCADE`);
      await database.close();
      await drop();
    },
  };
}

/** Polls. @throws Error with what was last found when the time is up */
export async function eventually<T>(
  look: () => Promise<T>,
  wanted: (found: T) => boolean,
  withinMs = 30_000,
): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (wanted(found)) return found;
    if (Date.now() > end) throw new Error(`after ${withinMs} ms still: ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
