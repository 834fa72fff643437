import type { Database, Queryable } from '../../../../shared/database.ts';
import type { Begun, CallPlan, Chronicle, Direction, State } from './run.ts';

export interface SagaRow {
  readonly id: string;
  readonly kind: string;
  readonly version: number;
  readonly input: unknown;
  readonly steps: readonly string[];
  readonly state: State;
  readonly traceparent: string | null;
}

/** What the list shows of a saga. */
export interface SagaSummary {
  readonly id: string;
  readonly kind: string;
  readonly state: State;
  /** The last one that was called; null before the first. */
  readonly step: string | null;
  readonly failure: string | null;
  /** Of a parked one: what is in the way. */
  readonly obstacle: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface SagaCall {
  readonly step: string;
  readonly direction: Direction;
  readonly attempt: number;
  readonly replica: string;
  readonly startedAt: string;
  /** Null: it is being made, or its process did not survive it. */
  readonly endedAt: string | null;
  readonly outcome: 'done' | 'refused' | 'failed' | 'skipped' | null;
  readonly error: string | null;
}

export type StepState =
  | 'pending'
  | 'running'
  | 'done'
  | 'refused'
  | 'failed'
  | 'compensating'
  | 'compensated'
  | 'stuck';

export interface SagaDetails extends SagaSummary {
  readonly version: number;
  readonly input: unknown;
  readonly steps: readonly { readonly name: string; readonly state: StepState; readonly attempts: number }[];
  /** Every call, in the order they were begun. */
  readonly history: readonly SagaCall[];
}

export interface SagaFilter {
  readonly state?: State;
  readonly limit: number;
  /** `next` of the page before. */
  readonly after?: string;
}

interface Row {
  id: string;
  kind: string;
  version: number;
  input: unknown;
  steps: string[];
  state: State;
  step: string | null;
  failure: string | null;
  obstacle: string | null;
  created_at: Date;
  updated_at: Date;
  page_key: string;
}

const COLUMNS = `id, kind, version, input, steps, state, failure, obstacle, created_at, updated_at,
  created_at::text AS page_key,
  (SELECT step FROM saga_calls WHERE saga_id = sagas.id ORDER BY number DESC LIMIT 1) AS step`;

/** Writes down that a saga shall run. With `tx` it does if the caller's transaction is committed. @returns whether it is new */
export async function insertSaga(
  tx: Queryable,
  saga: { id: string; kind: string; version: number; input: unknown; steps: readonly string[]; traceparent?: string },
): Promise<boolean> {
  const { rowCount } = await tx.query(
    `INSERT INTO sagas (id, kind, version, input, steps, traceparent) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (id) DO NOTHING`,
    [saga.id, saga.kind, saga.version, JSON.stringify(saga.input), saga.steps, saga.traceparent ?? null],
  );
  return rowCount === 1;
}

export async function readSaga(database: Queryable, id: string): Promise<SagaRow | undefined> {
  const { rows } = await database.query<SagaRow>(
    'SELECT id, kind, version, input, steps, state, traceparent FROM sagas WHERE id = $1',
    [id],
  );
  return rows[0];
}

/** Shows why a saga does not go on. Its next change of state takes that back. */
export async function noteObstacle(database: Queryable, id: string, obstacle: string): Promise<void> {
  await database.query("UPDATE sagas SET obstacle = $2 WHERE id = $1 AND state NOT IN ('completed', 'compensated')", [
    id,
    obstacle,
  ]);
}

/** Whether the saga of this ID began with this input; undefined: there is none. */
export async function hasInput(database: Queryable, id: string, input: unknown): Promise<boolean | undefined> {
  const { rows } = await database.query<{ same: boolean }>(
    'SELECT input = $2::jsonb AS same FROM sagas WHERE id = $1',
    [id, JSON.stringify(input)],
  );
  return rows[0]?.same;
}

/** Those written down so long ago that whoever did it would have begun with them, and not begun. */
export async function notBegun(database: Queryable, ageMs: number): Promise<string[]> {
  const { rows } = await database.query<{ id: string }>(
    "SELECT id FROM sagas WHERE state = 'accepted' AND updated_at < now() - $1 * interval '1 millisecond' LIMIT 100",
    [ageMs],
  );
  return rows.map(({ id }) => id);
}

/** Some of those that ended so long ago. */
export async function endedBefore(database: Queryable, days: number): Promise<string[]> {
  const { rows } = await database.query<{ id: string }>(
    `SELECT id FROM sagas WHERE state IN ('completed', 'compensated') AND updated_at < now() - $1 * interval '1 day'
     ORDER BY updated_at LIMIT 500`,
    [days],
  );
  return rows.map(({ id }) => id);
}

/** With their history. */
export async function deleteSagas(database: Queryable, ids: readonly string[]): Promise<void> {
  await database.query('DELETE FROM sagas WHERE id = ANY($1)', [ids]);
}

/** Latest first. @returns null for an `after` that did not come from here */
export async function listSagas(
  database: Queryable,
  { state, limit, after }: SagaFilter,
): Promise<{ sagas: SagaSummary[]; next?: string } | null> {
  const from = after === undefined ? [null, null] : decodeCursor(after);
  if (from === null) return null;
  const { rows } = await database.query<Row>(
    `SELECT ${COLUMNS} FROM sagas
     WHERE ($1::text IS NULL OR state = $1)
       AND ($2::timestamptz IS NULL OR (created_at, id) < ($2::timestamptz, $3::text))
     ORDER BY created_at DESC, id DESC LIMIT $4`,
    [state ?? null, ...from, limit + 1],
  );
  const page = rows.slice(0, limit);
  const sagas = page.map(summaryOf);
  return rows.length > limit ? { sagas, next: encodeCursor(page[page.length - 1]) } : { sagas };
}

/** How many there are in each state. */
export async function countSagas(database: Queryable): Promise<Partial<Record<State, number>>> {
  const { rows } = await database.query<{ state: State; count: string }>(
    'SELECT state, count(*) FROM sagas GROUP BY state ORDER BY state',
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]));
}

export async function describeSaga(database: Queryable, id: string): Promise<SagaDetails | undefined> {
  const { rows } = await database.query<Row>(`SELECT ${COLUMNS} FROM sagas WHERE id = $1`, [id]);
  if (rows.length === 0) return undefined;
  const calls = await database.query<
    Omit<SagaCall, 'startedAt' | 'endedAt'> & { started_at: Date; ended_at: Date | null }
  >(
    `SELECT step, direction, attempt, replica, started_at, ended_at, outcome, error
     FROM saga_calls WHERE saga_id = $1 ORDER BY number`,
    [id],
  );
  const history = calls.rows.map(
    ({ started_at, ended_at, ...call }): SagaCall => ({
      ...call,
      startedAt: started_at.toISOString(),
      endedAt: ended_at?.toISOString() ?? null,
    }),
  );
  const [row] = rows;
  const steps = row.steps.map((name) => {
    const own = history.filter(({ step }) => step === name);
    return { name, state: stepState(own, row.state), attempts: own.length };
  });
  return { ...summaryOf(row), version: row.version, input: row.input, steps, history };
}

function stepState(calls: readonly SagaCall[], saga: State): StepState {
  const last = calls.at(-1);
  if (last === undefined) return 'pending';
  if (last.direction === 'compensation') {
    if (last.outcome === 'done' || last.outcome === 'skipped') return 'compensated';
    return saga === 'parked' ? 'stuck' : 'compensating';
  }
  if (last.outcome === 'done' || last.outcome === 'refused') return last.outcome;
  return saga === 'running' ? 'running' : 'failed';
}

/** Resolves to the saga's state as it is now; undefined: there is none. Only a parked one may be resumed. */
export async function markResumed(database: Database, id: string, skip: boolean): Promise<State | undefined> {
  return database.transaction(async (tx) => {
    const { rows } = await tx.query<{ state: State }>('SELECT state FROM sagas WHERE id = $1 FOR UPDATE', [id]);
    if (rows[0]?.state !== 'parked') return rows[0]?.state;
    await tx.query(
      `UPDATE sagas SET skip = CASE WHEN $2 THEN
         (SELECT step FROM saga_calls WHERE saga_id = $1 ORDER BY number DESC LIMIT 1) END
       WHERE id = $1`,
      [id, skip],
    );
    return 'parked';
  });
}

/** @param position of this run's present step: grows from step to step, and from run to run */
export function createChronicle(
  database: Database,
  { id, replica, position }: { id: string; replica: string; position: () => number },
): Chronicle {
  return {
    async move(state, { failure = null, obstacle = null }: { failure?: string | null; obstacle?: string | null } = {}) {
      await database.query(
        `UPDATE sagas SET state = $2, failure = $3, obstacle = $4, position = $5, updated_at = now()
         WHERE id = $1 AND position <= $5`,
        [id, state, failure, obstacle, position()],
      );
    },

    async begin({ step, direction, parked, attempt, deadlineMs }: CallPlan): Promise<Begun | null> {
      const { rows } = await database.query<{ number: string; remaining_ms: string; doubtful: boolean }>(
        `WITH earlier AS (
           SELECT coalesce(min(started_at) FILTER (WHERE parked = $4), now()) AS first_at,
                  coalesce(bool_or(outcome IS DISTINCT FROM 'refused'), false) AS doubtful
           FROM saga_calls WHERE saga_id = $1 AND step = $2 AND direction = $3
         ), due AS (
           SELECT doubtful, $7 - extract(epoch FROM now() - first_at) * 1000 AS remaining_ms FROM earlier
         ), made AS (
           INSERT INTO saga_calls (saga_id, step, direction, parked, attempt, replica)
           SELECT $1, $2, $3, $4, $5, $6 FROM due WHERE remaining_ms > 0 RETURNING number
         )
         SELECT number, remaining_ms, doubtful FROM due, made`,
        [id, step, direction, parked, attempt, replica, deadlineMs],
      );
      if (rows.length === 0) return null;
      const [{ number, remaining_ms, doubtful }] = rows;
      return { number, remainingMs: Number(remaining_ms), doubtful };
    },

    async end({ number }, outcome, error) {
      await database.query('UPDATE saga_calls SET ended_at = now(), outcome = $2, error = $3 WHERE number = $1', [
        number,
        outcome,
        error,
      ]);
    },

    skipped: (step) =>
      database.transaction(async (tx) => {
        const { rows } = await tx.query<{ wanted: boolean | null; noted: boolean }>(
          `SELECT skip = $2 AS wanted, EXISTS (
             SELECT FROM saga_calls WHERE saga_id = $1 AND step = $2 AND outcome = 'skipped') AS noted
           FROM sagas WHERE id = $1 FOR UPDATE`,
          [id, step],
        );
        if (rows[0]?.noted) return true;
        if (!rows[0]?.wanted) return false;
        await tx.query('UPDATE sagas SET skip = NULL WHERE id = $1', [id]);
        await tx.query(
          `INSERT INTO saga_calls (saga_id, step, direction, parked, attempt, replica, ended_at, outcome)
           VALUES ($1, $2, 'compensation', 0, 0, $3, now(), 'skipped')`,
          [id, step, replica],
        );
        return true;
      }),
  };
}

const summaryOf = (row: Row): SagaSummary => ({
  id: row.id,
  kind: row.kind,
  state: row.state,
  step: row.step,
  failure: row.failure,
  obstacle: row.obstacle,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
});

const encodeCursor = ({ page_key, id }: Row): string => Buffer.from(`${page_key}|${id}`).toString('base64url');

function decodeCursor(cursor: string): [string, string] | null {
  const [, time, id] =
    /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d(?::\d\d)?)\|([\w.:-]+)$/.exec(
      Buffer.from(cursor, 'base64url').toString(),
    ) ?? [];
  return time === undefined || id === undefined ? null : [time, id];
}
