import { randomUUID } from 'node:crypto';
import { DBOS, type DLogger, type WorkflowStatus } from '@dbos-inc/dbos-sdk';
import { type Database, openDatabase, type Queryable } from '../../../../shared/database.ts';
import type { Log } from '../../../../shared/log.ts';
import { continueTrace, currentTrace, runInTrace, traceHeaders } from '../../../../shared/trace-context.ts';
import { checkSaga, type Saga } from './definition.ts';
import { beat, leave, takeOver } from './replicas.ts';
import { compensate, type Journal, type Rest, runSaga, type State } from './run.ts';
import {
  createChronicle,
  deleteSagas,
  endedBefore,
  insertSaga,
  markResumed,
  notBegun,
  noteObstacle,
  readSaga,
  type SagaRow,
} from './store.ts';

export interface EngineOptions {
  readonly name: string;
  readonly database: Database;
  readonly databaseUrl: string;
  /** Of PostgreSQL, where DBOS keeps how far each saga is. */
  readonly systemSchema: string;
  readonly sagas: readonly Saga<never>[];
  /** After so long without a sign of life what a replica was working on is taken over. */
  readonly leaseMs: number;
  readonly log: Log;
}

export interface SagaEngine {
  /** This process, as the history names it. */
  readonly replica: string;
  launch(): Promise<void>;
  /** Begins, or goes on with, the saga of this ID. With `tx`, the caller's transaction, it begins a moment after the commit. */
  start(id: string, kind: string, input: unknown, tx?: Queryable): Promise<{ isNew: boolean }>;
  /** Tries the compensation of a parked saga again, or with `skip` goes on after it. @returns its state before */
  resume(id: string, skip: boolean): Promise<State | undefined>;
  /** Deletes what ended so long ago, with what DBOS keeps of it. Its IDs are free then. @returns how many there were */
  forget(days: number): Promise<number>;
  /** Calls under way may be finished for so long; then the others take over. */
  stop(graceMs: number): Promise<void>;
}

/** How often each replica looks for new sagas. */
const POLL_MS = 100;
/** At once, on one replica. One that is parked does not count. */
const MOST_RUNNING = 200;
/** Between two looks whether a definition is known. */
const UNKNOWN_MS = 5_000;
/** Steps of one run; positions of a later run begin above. */
const RUN_SIZE = 1_000_000;
const POOL_SIZE = 8;

/**
 * Runs sagas on DBOS (https://docs.dbos.dev), which keeps the outcome of every step in PostgreSQL: whichever process goes on
 * with a saga finds there what is done. One per process, as DBOS is.
 */
export function createSagaEngine(options: EngineOptions): SagaEngine {
  const { name, database, databaseUrl, systemSchema, sagas, leaseMs, log } = options;
  for (const saga of sagas) checkSaga(saga);
  // The name of a queue is for all applications that share the schema of DBOS.
  const queueName = `${name}-sagas`;
  const replica = `${name}-${randomUUID().slice(0, 8)}`;
  // Its own, so that DBOS gets on while all other connections are in use.
  const system = openDatabase(databaseUrl, log, POOL_SIZE);
  let watching: NodeJS.Timeout | undefined;
  let watch: Promise<void> = Promise.resolve();
  let stopped = false;

  const latest = (kind: string): Saga<never> => {
    const [found] = sagas.filter((saga) => saga.kind === kind).sort((one, other) => other.version - one.version);
    if (found === undefined) throw new Error(`there is no saga ${kind}`);
    return found;
  };

  /**
   * What a saga began with. Where this process does not have it, as an older release beside a newer one, the saga waits
   * here, and shows that: it is for whoever takes over from this process.
   */
  async function definitionOf({ id, kind, version, steps }: SagaRow): Promise<Saga<never>> {
    for (;;) {
      const found = sagas.find((saga) => saga.kind === kind && saga.version === version);
      if (found !== undefined && namesOf(found).join() === steps.join()) return found;
      const what = found === undefined ? 'is not known' : `has the steps ${namesOf(found).join(', ')} instead`;
      const obstacle = `${kind} version ${version} ${what} in ${replica}`;
      log.error('saga of another release', { id, obstacle });
      await noteObstacle(database, id, obstacle).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, UNKNOWN_MS).unref());
    }
  }

  /** What DBOS runs, and runs again. Everything that could be different the next time is inside a step. */
  const workflow = DBOS.registerWorkflow(
    async (id: string, rest: Rest | null): Promise<State> => {
      const parked = rest?.parked ?? 0;
      const row = await DBOS.runStep(() => readSaga(database, id), { ...UNTIL_DONE, name: 'read' });
      if (row === undefined) throw new Error(`the saga ${id} has been deleted`);
      const saga = await definitionOf(row);
      const chronicle = createChronicle(database, {
        id,
        replica,
        position: () => parked * RUN_SIZE + DBOS.stepID!,
      });
      const around = { id, journal: journalOf(id), chronicle, random: Math.random };
      const trace = continueTrace(row.traceparent ?? undefined, undefined);
      const run = () =>
        rest === null ? runSaga(saga, row.input as never, around) : compensate(saga, row.input as never, rest, around);
      const state = await runInTrace(trace, run).catch(async (error: Error) => {
        // DBOS says so where another replica has taken it over. Anything else is a bug, and nobody goes on with it.
        if (!('dbosErrorCode' in error)) await noteObstacle(database, id, `bug: ${error.message}`);
        throw error;
      });
      runInTrace(trace, () => log[state === 'parked' ? 'error' : 'info']('saga', { id, kind: row.kind, state }));
      return state;
    },
    { name: 'saga', maxRecoveryAttempts: 1_000 },
  );

  const journalOf = (id: string): Journal => ({
    once: (title, work) => DBOS.runStep(work, { ...UNTIL_DONE, name: title }),
    pause: (ms) => DBOS.sleepms(ms),
    async later(rest, delayMs) {
      await enqueue(id, rest, delayMs);
    },
  });

  async function enqueue(id: string, rest: Rest | null, delayMs = 0): Promise<void> {
    const start = DBOS.startWorkflow(workflow, {
      workflowID: workflowId(id, rest?.parked ?? 0),
      queueName,
      ...(delayMs > 0 ? { enqueueOptions: { delaySeconds: delayMs / 1000 } } : {}),
    });
    await start(id, rest);
  }

  async function lookAround(): Promise<void> {
    await beat(database, replica);
    const taken = await takeOver(database, queueName, leaseMs);
    if (taken.length > 0) log.warn('sagas of a dead replica are taken over', { sagas: taken });
    for (const id of await notBegun(database, leaseMs)) await enqueue(id, null);
  }

  function keepLooking(): void {
    watching = setTimeout(() => {
      watch = lookAround()
        .catch((error) => log.warn('cannot look after other replicas', { error: (error as Error).message }))
        .finally(() => {
          if (!stopped) keepLooking();
        });
    }, leaseMs / 4);
  }

  return {
    replica,

    async launch() {
      // Before anything can be taken from the queue: what is unknown is dead.
      await beat(database, replica);
      // It may be here again because what comes below failed.
      if (!DBOS.isInitialized()) {
        DBOS.setConfig({
          name,
          systemDatabaseUrl: databaseUrl,
          systemDatabaseSchemaName: systemSchema,
          systemDatabasePool: system.pool,
          executorID: replica,
          // Not made from the code: sagas survive its changes. Their definitions have versions of their own.
          applicationVersion: '1',
          logger: dbosLog(log),
        });
        await DBOS.launch();
      }
      await DBOS.registerQueue(queueName, {
        workerConcurrency: MOST_RUNNING,
        minPollingIntervalMs: POLL_MS,
        onConflict: 'always_update',
      });
      await lookAround();
      keepLooking();
    },

    async start(id, kind, input, tx) {
      const definition = latest(kind);
      const { traceparent } = traceHeaders(currentTrace());
      const row = { id, kind, version: definition.version, input, steps: namesOf(definition), traceparent };
      const isNew = await insertSaga(tx ?? database, row);
      // The row is the promise; who dies between the two lines leaves the second to `lookAround`.
      if (tx === undefined && isNew) await enqueue(id, null);
      return { isNew };
    },

    async resume(id, skip) {
      const state = await markResumed(database, id, skip);
      if (state !== 'parked') return state;
      for (const { workflowID, status } of await runsAfterParking(id)) {
        if (status === 'DELAYED') await DBOS.setWorkflowDelay(workflowID, { delayUntilEpochMS: Date.now() });
      }
      return state;
    },

    async forget(days) {
      let forgotten = 0;
      for (let ids = await endedBefore(database, days); ids.length > 0; ids = await endedBefore(database, days)) {
        for (const id of ids) {
          const runs = (await runsAfterParking(id)).map(({ workflowID }) => workflowID);
          await DBOS.deleteWorkflows([id, ...runs]);
        }
        // Last: who dies before finds them again.
        await deleteSagas(database, ids);
        forgotten += ids.length;
      }
      return forgotten;
    },

    async stop(graceMs) {
      stopped = true;
      clearTimeout(watching);
      await watch;
      if (DBOS.isInitialized()) {
        await DBOS.shutdown({ workflowCompletionTimeoutMS: graceMs });
        await leave(database, replica);
      }
      await system.close();
    },
  };
}

const namesOf = ({ steps }: Saga<never>): string[] => steps.map(({ name }) => name);

async function runsAfterParking(id: string): Promise<WorkflowStatus[]> {
  const prefix = `${id}~`;
  const found = await DBOS.listWorkflows({ workflow_id_prefix: prefix, loadInput: false, loadOutput: false });
  // To the database some characters of the prefix are wildcards.
  return found.filter(({ workflowID }) => workflowID.startsWith(prefix));
}

/** The database may be away; a saga does not end because of that. */
const UNTIL_DONE = { retriesAllowed: true, maxAttempts: 1_000_000, intervalSeconds: 0.2, backoffRate: 1 };

/** Of the run after so many parkings. IDs of sagas have no `~`. */
const workflowId = (id: string, parked: number): string => (parked === 0 ? id : `${id}~${parked}`);

/** What DBOS has to say, without its successes. */
function dbosLog(log: Log): DLogger {
  const text = (entry: unknown): string => (entry instanceof Error ? entry.message : String(entry));
  return {
    debug: () => undefined,
    info: () => undefined,
    warn: (entry) => log.warn('dbos', { detail: text(entry) }),
    error: (entry) => log.error('dbos', { detail: text(entry) }),
  };
}
