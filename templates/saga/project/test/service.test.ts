// The service over HTTP, on a real PostgreSQL. DBOS is one per process, so all tests share one service.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import type { Database } from '../../../shared/database.ts';
import { hasDatabase, testWithDatabase } from '../../../shared/test-database.ts';
import { createInventory } from '../src/inventory.ts';
import { createPayments } from '../src/payments.ts';
import { Refused } from '../src/saga/definition.ts';
import { insertSaga, type SagaDetails, type SagaSummary } from '../src/saga/store.ts';
import { createSalesOrders } from '../src/sales-orders.ts';
import { type Service, startService } from '../src/service.ts';
import { createSagaDatabase, eventually, type SagaDatabase, silent } from './saga-database.ts';

describe('the service', () => {
  let sagas: SagaDatabase;
  let service: Service;
  /** That of the service. */
  let own: Database;
  /** What calls meet on their way, by what their saga's ID begins with. */
  const meetings = new Map<string, (what: 'take' | 'refund' | 'confirm') => void>();
  const meet = (key: string, what: 'take' | 'refund' | 'confirm'): void => meetings.get(key.split('-')[0])?.(what);

  before(async () => {
    if (!hasDatabase) return;
    sagas = await createSagaDatabase();
    service = await startService({
      port: 0,
      host: '127.0.0.1',
      databaseUrl: sagas.url,
      systemSchema: sagas.systemSchema,
      leaseMs: 1_000,
      log: silent,
      participants(database) {
        own = database;
        const payments = createPayments(database);
        const salesOrders = createSalesOrders(database);
        return {
          salesOrders: {
            ...salesOrders,
            async confirm(id) {
              meet(id, 'confirm');
              await salesOrders.confirm(id);
            },
          },
          inventory: createInventory(database),
          payments: {
            async take(key, ...rest) {
              meet(key, 'take');
              await payments.take(key, ...rest);
            },
            async refund(key, ...rest) {
              meet(key, 'refund');
              await payments.refund(key, ...rest);
            },
          },
        };
      },
    });
    await eventually(
      () => call('GET', '/health/ready'),
      ({ status }) => status === 200,
    );
  });

  after(async () => {
    await service?.stop();
    await sagas?.drop();
  });

  async function call(method: string, path: string, body?: unknown, key?: string) {
    const response = await fetch(service.url + path, {
      method,
      headers: key === undefined ? {} : { 'idempotency-key': key },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
  const sale = (quantity: number, more: object = {}) => ({
    customer: 'ada',
    items: [{ sku: 'teapot', quantity, unitPrice: 1_000 }],
    ...more,
  });
  const saga = async (id: string) => (await call('GET', `/sagas/${id}`)).body as unknown as SagaDetails;
  const until = (id: string, state: string) =>
    eventually(
      () => saga(id),
      (found) => found.state === state,
    );
  const figures = async () => {
    const { rows } = await sagas.database.query(
      "SELECT (SELECT available FROM stock WHERE sku = 'teapot')::int AS stock, (SELECT balance FROM accounts WHERE customer = 'ada')::int AS balance",
    );
    return rows[0] as { stock: number; balance: number };
  };

  testWithDatabase('a saga is accepted, carried out, and shown with its steps and calls', async () => {
    const before = await figures();
    const accepted = await call('POST', '/sales-orders', sale(2), 'good-1');
    assert.deepEqual(accepted, { status: 202, body: { id: 'good-1', saga: '/sagas/good-1' } });
    const { steps, history, failure } = await until('good-1', 'completed');
    assert.equal(failure, null);
    assert.deepEqual(
      steps.map(({ name, state }) => `${name} ${state}`),
      ['create done', 'reserve done', 'pay done', 'confirm done'],
    );
    assert.equal(history.length, 4);
    assert.equal((await call('GET', '/sales-orders/good-1')).body.status, 'confirmed');
    assert.deepEqual(await figures(), { stock: before.stock - 2, balance: before.balance - 2_000 });
  });

  testWithDatabase('the same request again is the same saga, another one under its key is refused', async () => {
    const all = await Promise.all(Array.from({ length: 5 }, () => call('POST', '/sales-orders', sale(1), 'same-1')));
    assert.deepEqual(
      all.map(({ status }) => status),
      [202, 202, 202, 202, 202],
    );
    await until('same-1', 'completed');
    assert.equal((await call('POST', '/sales-orders', sale(1), 'same-1')).status, 202);
    assert.equal((await call('POST', '/sales-orders', sale(2), 'same-1')).status, 422);
    assert.equal((await saga('same-1')).history.length, 4);
  });

  testWithDatabase('what is out of stock, or cannot be paid, is undone', async () => {
    const before = await figures();
    await call('POST', '/sales-orders', sale(5_000), 'much-1');
    await call('POST', '/sales-orders', sale(1, { customer: 'grace' }), 'poor-1');
    assert.match((await until('much-1', 'compensated')).failure!, /^reserve: there are not 5000 of teapot$/);
    const { failure, history } = await until('poor-1', 'compensated');
    assert.equal(failure, 'pay: the account of grace does not have 1000');
    assert.deepEqual(
      history.map(({ direction, step, outcome }) => `${direction} ${step} ${outcome}`),
      [
        'action create done',
        'action reserve done',
        'action pay refused',
        'compensation reserve done',
        'compensation create done',
      ],
    );
    assert.equal((await call('GET', '/sales-orders/poor-1')).body.status, 'cancelled');
    assert.deepEqual(await figures(), before);
  });

  testWithDatabase('a failing call is made again, with pauses', async () => {
    let failures = 0;
    meetings.set('shaky', () => {
      if (failures++ < 2) throw new Error('connection reset');
    });
    await call('POST', '/sales-orders', sale(1), 'shaky-1');
    const { history } = await until('shaky-1', 'completed');
    const paid = history.filter(({ step }) => step === 'pay');
    assert.deepEqual(
      paid.map(({ attempt, outcome }) => `${attempt} ${outcome}`),
      ['1 failed', '2 failed', '3 done'],
    );
    const pause = (at: number): number => Date.parse(paid[at + 1].startedAt) - Date.parse(paid[at].endedAt!);
    assert.ok(pause(0) >= 95 && pause(1) >= 195, `pauses of ${pause(0)} and ${pause(1)} ms`);
  });

  testWithDatabase('what cannot be compensated is parked, shown, and goes on when it is told to', async () => {
    const before = await figures();
    let closed = true;
    meetings.set('stuck', (what) => {
      if (what === 'confirm') throw new Refused('the shop is closed');
      if (what === 'refund' && closed) throw new Refused('the account is closed');
    });
    for (const id of ['stuck-1', 'stuck-2']) await call('POST', '/sales-orders', sale(1), id);
    for (const id of ['stuck-1', 'stuck-2']) {
      const { failure, obstacle, steps } = await until(id, 'parked');
      assert.equal(failure, 'confirm: the shop is closed');
      assert.equal(obstacle, 'pay: the account is closed');
      assert.deepEqual(
        steps.map(({ name, state }) => `${name} ${state}`),
        ['create done', 'reserve done', 'pay stuck', 'confirm refused'],
      );
    }
    assert.deepEqual(await figures(), { stock: before.stock - 2, balance: before.balance - 2_000 });

    // Told to go on too early, it is parked again.
    assert.equal((await call('POST', '/sagas/stuck-1/resume')).status, 202);
    await eventually(
      () => saga('stuck-1'),
      ({ state, history }) => state === 'parked' && history.length === 6,
    );
    closed = false;
    assert.equal((await call('POST', '/sagas/stuck-1/resume')).status, 202);
    await until('stuck-1', 'compensated');
    assert.equal((await call('POST', '/sagas/stuck-1/resume')).status, 409);
    // Somebody has paid the other one back by hand.
    assert.equal((await call('POST', '/sagas/stuck-2/resume?skip=true')).status, 202);
    const { history } = await until('stuck-2', 'compensated');
    assert.deepEqual(
      history.slice(-3).map(({ step, outcome }) => `${step} ${outcome}`),
      ['pay skipped', 'reserve done', 'create done'],
    );
    assert.deepEqual(await figures(), { stock: before.stock, balance: before.balance - 1_000 });
  });

  testWithDatabase('a sales order that its customer cancels meanwhile is undone', async () => {
    const before = await figures();
    meetings.set('slow', (what) => {
      if (what === 'take') throw new Error('away');
    });
    await call('POST', '/sales-orders', sale(1), 'slow-1');
    await eventually(
      () => saga('slow-1'),
      ({ step }) => step === 'pay',
    );
    assert.equal((await call('POST', '/sales-orders/slow-1/cancel')).status, 202);
    meetings.delete('slow');
    assert.equal((await until('slow-1', 'compensated')).failure, 'confirm: it was cancelled');
    assert.deepEqual(await figures(), before);
    assert.equal((await call('POST', '/sales-orders/good-1/cancel')).status, 409);
  });

  testWithDatabase('a saga that somebody wrote down in a transaction of their own begins', async () => {
    const input = { id: 'written-1', ...sale(1) };
    const row = {
      id: input.id,
      kind: 'sales-order',
      version: 1,
      input,
      steps: ['create', 'reserve', 'pay', 'confirm'],
    };
    await assert.rejects(
      sagas.database.transaction(async (tx) => {
        await insertSaga(tx, { ...row, id: 'written-0' });
        throw new Error('rolled back');
      }),
    );
    await sagas.database.transaction(async (tx) => void (await insertSaga(tx, row)));
    await until('written-1', 'completed');
    assert.equal((await call('GET', '/sagas/written-0')).status, 404);
  });

  testWithDatabase('sagas are listed by state and in pages, latest first', async () => {
    const ids: string[] = [];
    let after: unknown = '';
    do {
      const { body } = await call('GET', `/sagas?state=completed&limit=2${after ? `&after=${after}` : ''}`);
      const page = body.sagas as SagaSummary[];
      assert.ok(page.every(({ state }) => state === 'completed'));
      ids.push(...page.map(({ id }) => id));
      after = body.next;
    } while (after !== undefined);
    assert.deepEqual(ids.length, new Set(ids).size);
    assert.equal(ids.at(-1), 'good-1');
    const { counts } = (await call('GET', '/sagas')).body as { counts: Record<string, number> };
    assert.equal(counts.completed, ids.length);
  });

  testWithDatabase(
    'a connection that breaks between two statements fails its transaction, and nothing else',
    async () => {
      const working = 'SELECT FROM pg_stat_activity WHERE pid = $1';
      await assert.rejects(
        own.transaction(async (tx) => {
          const { rows } = await tx.query('SELECT pg_backend_pid() AS pid');
          await sagas.database.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
          await eventually(
            async () => (await sagas.database.query(working, [rows[0].pid])).rowCount,
            (count) => count === 0,
          );
          await tx.query('SELECT 1');
        }),
      );
      assert.equal((await call('GET', '/health/ready')).status, 200);
    },
  );

  testWithDatabase('a saga of a release that is not here waits, and shows that', async () => {
    const input = { id: 'newer-1', ...sale(1) };
    await insertSaga(sagas.database, { id: input.id, kind: 'sales-order', version: 2, input, steps: ['create'] });
    await insertSaga(sagas.database, {
      ...input,
      kind: 'sales-order',
      version: 1,
      input,
      id: 'other-1',
      steps: ['pay'],
    });
    const newer = await eventually(
      () => saga('newer-1'),
      ({ obstacle }) => obstacle !== null,
    );
    assert.match(newer.obstacle!, /^sales-order version 2 is not known in order-desk-/);
    const other = await eventually(
      () => saga('other-1'),
      ({ obstacle }) => obstacle !== null,
    );
    assert.match(other.obstacle!, /^sales-order version 1 has the steps create, reserve, pay, confirm instead in /);
    assert.deepEqual([...newer.history, ...other.history], []);
  });

  testWithDatabase('sagas that ended long ago are deleted, with everything DBOS has of them', async () => {
    const old = ['good-1', 'stuck-1'];
    await sagas.database.query("UPDATE sagas SET updated_at = now() - interval '40 days' WHERE id = ANY($1)", [old]);
    assert.equal(await service.engine.forget(30), 2);
    assert.equal((await call('GET', '/sagas/good-1')).status, 404);
    assert.equal((await call('GET', '/sagas/same-1')).status, 200);
    const { rows } = await sagas.database.query(
      `SELECT workflow_uuid AS id FROM ${sagas.systemSchema}.workflow_status WHERE workflow_uuid ~ '^(good|stuck)-1'`,
    );
    assert.deepEqual(rows, []);
  });

  testWithDatabase('bad requests are told what is wrong', async () => {
    const bad: [string, string, unknown, string | undefined, number, RegExp][] = [
      ['POST', '/sales-orders', {}, undefined, 400, /customer must be/],
      ['POST', '/sales-orders', { customer: 'ada', items: [] }, undefined, 400, /items must be/],
      ['POST', '/sales-orders', sale(0), undefined, 400, /items\[0\]\.quantity must be/],
      ['POST', '/sales-orders', sale(1), 'a~1', 400, /letters, digits/],
      ['GET', '/sagas?state=odd', undefined, undefined, 400, /state is one of accepted/],
      ['GET', '/sagas?limit=0', undefined, undefined, 400, /limit/],
      ['GET', '/sagas?after=x', undefined, undefined, 400, /after/],
      ['GET', '/sagas/none', undefined, undefined, 404, /none/],
      ['POST', '/sagas/none/resume', undefined, undefined, 404, /none/],
      ['DELETE', '/sagas', undefined, undefined, 405, /GET/],
      ['GET', '/nothing', undefined, undefined, 404, /nothing/],
    ];
    for (const [method, path, body, key, status, detail] of bad) {
      const answer = await call(method, path, body, key);
      assert.equal(answer.status, status, `${method} ${path}`);
      assert.match(String(answer.body.detail), detail);
    }
  });
});
