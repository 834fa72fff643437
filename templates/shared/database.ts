import pg from 'pg';
import type { Log } from './log.ts';

export type Queryable = Pick<pg.ClientBase, 'query'>;

export interface Database extends Queryable {
  /**
   * Runs work in one transaction: committed if it resolves, rolled back if it rejects.
   * @param timeoutMs for each statement; what takes longer fails with SQLSTATE 57014
   */
  transaction<T>(work: (tx: Queryable) => Promise<T>, timeoutMs?: number): Promise<T>;
  /** A connection of its own, for LISTEN. The caller ends it. */
  connect(): Promise<pg.Client>;
  readonly pool: pg.Pool;
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;

export function openDatabase(url: string, log: Log, poolSize = 10): Database {
  const settings = { connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS };
  const pool = new pg.Pool({ ...settings, max: poolSize });
  // A connection that breaks, idle or between two statements of a transaction; nobody else would hear it, and an error
  // that nobody hears ends the process. The next statement fails, the next query gets another connection.
  pool.on('connect', (client) => {
    client.on('error', (error) => log.warn('database connection lost', { error: error.message }));
  });
  // The pool repeats those of idle connections.
  pool.on('error', () => {});
  return {
    pool,
    query: pool.query.bind(pool) as Queryable['query'],
    async transaction(work, timeoutMs = 0) {
      const client = await pool.connect();
      let broken: Error | undefined;
      try {
        await client.query('BEGIN');
        // 0 would turn the limit off.
        if (timeoutMs > 0) {
          await client.query("SELECT set_config('statement_timeout', $1, true)", [
            String(Math.max(1, Math.ceil(timeoutMs))),
          ]);
        }
        const result = await work(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((failure: Error) => (broken = failure));
        throw error;
      } finally {
        client.release(broken);
      }
    },
    async connect() {
      const client = new pg.Client(settings);
      await client.connect();
      return client;
    },
    close: () => pool.end(),
  };
}

/** Whether an error says that the server is away, not that the statement was wrong. */
export function isUnavailable(error: unknown): boolean {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return (
    /^(?:08...|57P0[123]|53300|ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|EPIPE)$/.test(code) ||
    /Connection terminated|timeout expired|timeout exceeded when trying to connect/.test(message)
  );
}

/** Whether a statement was ended because its time was up. */
export const isTimeout = (error: unknown): boolean => (error as { code?: string }).code === '57014';
