// kill -9 after every step, in the middle of every compensation and after it, while other replicas work on the same sagas.
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hasDatabase, testWithDatabase } from '../../../shared/test-database.ts';
import { countSagas, describeSaga, insertSaga } from '../src/saga/store.ts';
import { BACKWARD, FORWARD, sagaIds } from './kill-points.ts';
import { createSagaDatabase, eventually, type SagaDatabase } from './saga-database.ts';

const REPLICAS = 2;
const LEASE_MS = 800;
/** A quarter of a minute where nothing else runs. */
const WITHIN_MS = 150_000;
const STEPS = ['create', 'reserve', 'pay', 'confirm'];

describe('replicas that are killed', () => {
  let sagas: SagaDatabase;
  let ending = false;
  const replicas = new Set<ChildProcess>();
  let deaths = 0;

  /** One, and another one when it dies. */
  function keepReplica(): void {
    const child = fork(fileURLToPath(new URL('replica-process.ts', import.meta.url)), {
      env: { ...process.env, DATABASE_URL: sagas.url, DBOS_SCHEMA: sagas.systemSchema, LEASE_MS: String(LEASE_MS) },
    });
    replicas.add(child);
    child.on('exit', (_, signal) => {
      replicas.delete(child);
      if (ending) return;
      assert.equal(signal, 'SIGKILL');
      deaths++;
      keepReplica();
    });
  }

  before(async () => {
    if (!hasDatabase) return;
    sagas = await createSagaDatabase();
    await sagas.database.query('CREATE TABLE kills (saga text PRIMARY KEY)');
  });

  after(async () => {
    ending = true;
    const gone = [...replicas].map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of replicas) child.kill('SIGKILL');
    await Promise.all(gone);
    await sagas?.drop();
  });

  testWithDatabase('leave money and stock right, and every saga completed or undone', async () => {
    const { database } = sagas;
    const forward = sagaIds('do', FORWARD);
    const backward = sagaIds('undo', BACKWARD);
    const ids = [...forward, ...backward];
    // Amounts that are all different, so that no two mistakes cancel each other out.
    const inputs = ids.map((id, at) => ({
      id,
      customer: 'ada',
      items: [{ sku: 'cup', quantity: at + 1, unitPrice: 101 }],
    }));
    for (const input of inputs) {
      await insertSaga(database, { id: input.id, kind: 'sales-order', version: 1, input, steps: STEPS });
    }
    for (let each = 0; each < REPLICAS; each++) keepReplica();

    const settled = await eventually(
      () => countSagas(database),
      ({ completed = 0, compensated = 0 }) => completed + compensated === ids.length,
      WITHIN_MS,
    );
    assert.deepEqual(settled, { compensated: backward.length, completed: forward.length });
    const { rows: kills } = await database.query('SELECT saga FROM kills');
    assert.deepEqual(kills.map(({ saga }) => saga).sort(), [...ids].sort(), 'a moment that was not reached');
    assert.ok(deaths >= ids.length / REPLICAS, `${deaths} deaths`);

    const sold = inputs.slice(0, forward.length).reduce((sum, { items }) => sum + items[0].quantity, 0);
    const number = async (sql: string): Promise<number> => Number((await database.query(sql)).rows[0].n);
    assert.equal(await number("SELECT available AS n FROM stock WHERE sku = 'cup'"), 1000 - sold);
    assert.equal(await number("SELECT balance AS n FROM accounts WHERE customer = 'ada'"), 1_000_000 - sold * 101);
    assert.equal(await number("SELECT count(*) AS n FROM reservations WHERE status = 'held'"), forward.length);
    assert.equal(await number("SELECT count(*) AS n FROM payments WHERE status = 'taken'"), forward.length);
    assert.equal(await number("SELECT sum(amount) AS n FROM payments WHERE status = 'taken'"), sold * 101);
    assert.equal(await number("SELECT count(*) AS n FROM sales_orders WHERE status = 'confirmed'"), forward.length);
    assert.equal(await number("SELECT count(*) AS n FROM sales_orders WHERE status = 'cancelled'"), backward.length);

    for (const id of backward) {
      const { history } = (await describeSaga(database, id))!;
      const undone = history.filter(({ direction, outcome }) => direction === 'compensation' && outcome === 'done');
      // A call may be made twice where its process died before it was noted, but never before those that come before it.
      const sequence = undone.map(({ step }) => step).filter((step, at, all) => all.indexOf(step) === at);
      assert.deepEqual(sequence, ['pay', 'reserve', 'create'], id);
    }
  });

  testWithDatabase('one that only seemed to be dead has no effect when it goes on', async () => {
    const { database } = sagas;
    const figures = async () => {
      const { rows } = await database.query(
        "SELECT (SELECT available FROM stock WHERE sku = 'cup') AS stock, (SELECT balance FROM accounts WHERE customer = 'ada')::int AS balance",
      );
      return rows[0] as { stock: number; balance: number };
    };
    const earlier = await figures();
    const [id] = sagaIds('stop', { take: ['after'] });
    const input = { id, customer: 'ada', items: [{ sku: 'cup', quantity: 7, unitPrice: 101 }] };
    await insertSaga(database, { id, kind: 'sales-order', version: 1, input, steps: STEPS });
    const { history } = await eventually(
      async () => (await describeSaga(database, id))!,
      ({ state }) => state === 'completed',
      WITHIN_MS,
    );
    const payments = history.filter(({ step }) => step === 'pay');
    assert.equal(payments[0].endedAt, null);
    assert.notEqual(payments[0].replica, payments[1].replica);

    const [{ now }] = (await database.query<{ now: Date }>('SELECT now()')).rows;
    for (const child of replicas) child.kill('SIGCONT');
    const seen = async (): Promise<boolean> => {
      const { rows } = await database.query('SELECT FROM saga_replicas WHERE id = $1 AND seen_at > $2', [
        payments[0].replica,
        now,
      ]);
      return rows.length === 1;
    };
    await eventually(seen, (lives) => lives, WITHIN_MS);
    // It notes the end of its call, late, and finds that the saga is not its own any more.
    await eventually(
      async () => (await describeSaga(database, id))!,
      (saga) => saga.history.every(({ endedAt }) => endedAt !== null),
    );
    assert.equal((await describeSaga(database, id))!.history.length, history.length);
    assert.equal((await describeSaga(database, id))!.state, 'completed');
    assert.deepEqual(await figures(), { stock: earlier.stock - 7, balance: earlier.balance - 707 });
  });
});
