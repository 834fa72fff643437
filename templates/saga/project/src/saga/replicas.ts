import { DBOS } from '@dbos-inc/dbos-sdk';
import type { Database } from '../../../../shared/database.ts';

/** Any number, the same for all replicas: one of them looks for the dead at a time. */
const LOCK = 5_390_117;

/** Says that this replica lives. */
export async function beat(database: Database, replica: string): Promise<void> {
  await database.query('INSERT INTO saga_replicas (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET seen_at = now()', [
    replica,
  ]);
}

/** What this replica had to do is for the others, at once. */
export async function leave(database: Database, replica: string): Promise<void> {
  await database.query('DELETE FROM saga_replicas WHERE id = $1', [replica]);
}

/**
 * Gives what dead replicas were working on back to the queue. DBOS does so itself only for a process that starts again under
 * the same ID. One that is only thought dead does no harm: DBOS lets it write nothing more about a saga taken from it, and the
 * call that it is making is one that is repeated, which participants have to bear anyway.
 * @param leaseMs a replica that has not been seen for so long is dead
 * @returns the workflows that were taken over
 */
export function takeOver(database: Database, queueName: string, leaseMs: number): Promise<string[]> {
  return database.transaction(async (tx) => {
    const { rows: locked } = await tx.query<{ free: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS free', [LOCK]);
    if (!locked[0].free) return [];
    const { rows } = await tx.query<{ id: string }>(
      "SELECT id FROM saga_replicas WHERE seen_at > now() - $1 * interval '1 millisecond'",
      [leaseMs],
    );
    const alive = new Set(rows.map(({ id }) => id));
    const pending = await DBOS.listWorkflows({ status: 'PENDING', queueName, loadInput: false, loadOutput: false });
    const orphans = pending.filter(({ executorId = '' }) => !alive.has(executorId)).map(({ workflowID }) => workflowID);
    // Only afterwards are the dead forgotten: if this process is next, somebody finds the same again.
    if (orphans.length > 0) await DBOS.resumeWorkflows(orphans, { queueName });
    await tx.query(
      "DELETE FROM saga_replicas WHERE seen_at < now() - $1 * interval '1 millisecond' - interval '1 hour'",
      [leaseMs],
    );
    return orphans;
  });
}
