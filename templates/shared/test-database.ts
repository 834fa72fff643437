import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import pg from 'pg';

export interface TestDatabase {
  /** Of the server in DATABASE_URL, with a schema of its own as the only one. */
  readonly url: string;
  drop(): Promise<void>;
}

/** Whether there is a server to test with; `testWithDatabase` skips its tests, visibly, where there is none. */
export const hasDatabase = Boolean(process.env.DATABASE_URL);

export function testWithDatabase(name: string, work: () => Promise<void>): void {
  void test(name, { skip: hasDatabase ? false : 'no DATABASE_URL: no PostgreSQL to test with' }, work);
}

export async function createTestDatabase(server = process.env.DATABASE_URL!): Promise<TestDatabase> {
  const schema = `test_${randomBytes(6).toString('hex')}`;
  const admin = async (sql: string): Promise<void> => {
    const client = new pg.Client({ connectionString: server });
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  await admin(`CREATE SCHEMA ${schema}`);
  const url = new URL(server);
  url.searchParams.set('options', `-c search_path=${schema}`);
  return { url: url.href, drop: () => admin(`DROP SCHEMA ${schema} CASCADE`) };
}
