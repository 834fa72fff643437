import { DATABASE_USER, databasePassword } from './database-password.ts';
import { ensureDatabase } from './postgres-client.ts';

const PROBE_MS = 4_000;

/** Whether a server that mesh runs answers a query and has its database, which is made where it is missing. */
export async function probeDatabase(
  { dataDir, database }: { dataDir: string; database: string },
  port: number,
  signal: AbortSignal,
): Promise<{ ok: true } | { ok: false; reason: string }> {
  const address = { host: '127.0.0.1', port, user: DATABASE_USER, password: databasePassword(dataDir) };
  const aborted = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  const outcome = await Promise.race([aborted, ensureDatabase(address, database, PROBE_MS)]);
  if (outcome?.ok) return { ok: true };
  return { ok: false, reason: outcome === null ? `port ${port}: no answer in time` : outcome.problems[0].message };
}
