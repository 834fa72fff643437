import type { Client, ClientConfig } from 'pg';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';

/** How to reach a server. */
export interface PostgresAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly ssl?: boolean;
}

export interface DatabaseAddress extends PostgresAddress {
  readonly database: string;
}

/** A connection that is closed after `use`. Errors that come on it later, when the server goes, are nobody's. */
export async function withClient<T>(
  address: DatabaseAddress | string,
  timeoutMs: number,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  // Only where a database is in use: most meshes have none.
  const { default: pg } = await import('pg');
  const config: ClientConfig = typeof address === 'string' ? { connectionString: address } : { ...address };
  const client = new pg.Client({ ...config, application_name: 'mesh', connectionTimeoutMillis: timeoutMs });
  client.on('error', () => {});
  try {
    await client.connect();
    return await use(client);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Null: it answers a query. Otherwise what is in the way. */
export async function probePostgres(address: DatabaseAddress | string, timeoutMs: number): Promise<string | null> {
  try {
    return await withClient(address, timeoutMs, async (client) => {
      await client.query({ text: 'SELECT 1', query_timeout: timeoutMs } as { text: string });
      return null;
    });
  } catch (error) {
    return (error as Error).message || (error as { code?: string }).code || 'no reason given';
  }
}

/** Makes a database where it is missing. MESH-D108, D109, D118. */
export async function ensureDatabase(
  address: PostgresAddress,
  database: string,
  timeoutMs = 10_000,
): Promise<Result<void>> {
  try {
    await withClient({ ...address, database: 'postgres' }, timeoutMs, async (client) => {
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
    });
    return ok(undefined);
  } catch (error) {
    // Somebody else made it at the same moment.
    if (['42P04', '23505'].includes((error as { code?: string }).code ?? '')) return ok(undefined);
    return fail(databaseProblem(database, error));
  }
}

/** An error of the driver or of the server, by what can be done about it. */
export function databaseProblem(name: string, error: unknown): Problem {
  const { code = '', message } = error as { code?: string; message: string };
  if (/^28|^3D000$/.test(code))
    return problem('MESH-D109', {
      message: `${name}: ${message}`,
      hint: 'correct user, password and database in `url`',
    });
  if (/^(E[A-Z]+|08\d+|57P0\d)$/.test(code) || /timeout|terminated/i.test(message))
    return problem('MESH-D108', {
      message: `${name} does not answer: ${message || code}`,
      hint: 'see `mesh ps`',
    });
  if (/^(53100|58030)$/.test(code))
    return problem('MESH-D106', { message: `${name}: ${message}`, hint: 'free some space' });
  return problem('MESH-D118', { message: `${name}: ${message}` });
}
