import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Database, openDatabase } from '../../shared/database.ts';
import { createLog } from '../../shared/log.ts';
import { applyMigrations } from '../../shared/migrations.ts';
import { createTestDatabase, hasDatabase, type TestDatabase, testWithDatabase } from '../../shared/test-database.ts';
import { continueTrace, runInTrace } from '../../shared/trace-context.ts';
import { addToOutbox } from './outbox.ts';
import type { Broker, OutboxRow } from './outbox-delivery.ts';
import { clean, type Relay, startRelay } from './outbox-relay.ts';
import type { RelayMode } from './outbox-session.ts';

const silent = createLog('test', { LOG_LEVEL: 'none' });

/** What the relays of one test publish to. */
interface TestBroker extends Broker {
  readonly published: OutboxRow[];
  away: boolean;
  /** Aggregate of which it takes nothing. */
  refuses: string | null;
}

/** Tests of a relay in a real PostgreSQL. @param migrations the folder with those of the outbox */
export function describeRelay(mode: RelayMode, migrations: string): void {
  describe(`a relay by ${mode}`, () => {
    let testDatabase: TestDatabase;
    let database: Database;
    let name: string;
    let broker: TestBroker;
    const relays: Relay[] = [];

    const relay = (): Relay => {
      const started = startRelay({
        mode,
        url: testDatabase.url,
        name,
        broker,
        log: silent,
        maxAttempts: 3,
      });
      relays.push(started);
      return started;
    };
    const add = (aggregateId: string, n: number): Promise<string> =>
      database.transaction((tx) =>
        addToOutbox(tx, { aggregateType: 'sales-order', aggregateId, type: 'Counted', payload: { n } }),
      );
    const numbers = (aggregateId: string): number[] =>
      broker.published.filter((row) => row.aggregateid === aggregateId).map(({ payload }) => JSON.parse(payload).n);
    const inTest = (title: string, work: () => Promise<void>): void =>
      testWithDatabase(title, async () => {
        broker = createTestBroker();
        name = `test_${randomBytes(6).toString('hex')}`;
        try {
          await work();
        } finally {
          await Promise.all(relays.splice(0).map((each) => each.stop()));
          await dropSlot(database, name);
          await database.query('TRUNCATE outbox, outbox_dead_letters');
        }
      });

    before(async () => {
      if (!hasDatabase) return;
      testDatabase = await createTestDatabase();
      database = openDatabase(testDatabase.url, silent);
      await applyMigrations(database, migrations);
    });

    after(async () => {
      await database?.close();
      await testDatabase?.drop();
    });

    inTest('publishes what is committed, in order, from before it started and after, and nothing else', async () => {
      for (let n = 0; n < 5; n++) await add('a', n);
      relay();
      await until(() => numbers('a').length === 5);
      for (let n = 5; n < 20; n++) {
        await add('a', n);
        await assert.rejects(
          database.transaction(async (tx) => {
            await addToOutbox(tx, {
              aggregateType: 'sales-order',
              aggregateId: 'a',
              type: 'Counted',
              payload: { n: -1 },
            });
            throw new Error('changed my mind');
          }),
        );
      }
      await until(() => numbers('a').length === 20);
      assert.deepEqual(numbers('a'), [...Array(20).keys()]);
      const unpublished = 'SELECT 1 FROM outbox WHERE published_at IS NULL';
      await until(async () => (await database.query(unpublished)).rowCount === 0);
    });

    inTest('carries the trace of the request, and the payload to the last digit', async () => {
      relay();
      const trace = continueTrace(undefined, undefined);
      await runInTrace(trace, () => add('a', 1));
      await database.query(
        `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ($1, 'sales-order', 'b', 'Counted', $2)`,
        [randomUUID(), '{"n": 12345678901234567890.125}'],
      );
      await until(() => broker.published.length === 2);
      const [first, second] = broker.published;
      assert.match(first.traceparent ?? '', new RegExp(`^00-${trace.traceId}-`));
      assert.match(second.payload, /12345678901234567890\.125/);
    });

    inTest('leaves what waits and what is recent, and deletes the rest', async () => {
      relay();
      await add('a', 1);
      await add('a', 2);
      const published = 'SELECT 1 FROM outbox WHERE published_at IS NOT NULL';
      await until(async () => (await database.query(published)).rowCount === 2);
      broker.away = true;
      await add('a', 3);
      await database.query(
        "UPDATE outbox SET published_at = published_at - interval '1 hour' WHERE payload ->> 'n' = '1'",
      );
      await clean(database, 60_000);
      const { rows } = await database.query<{ n: string }>("SELECT payload ->> 'n' AS n FROM outbox ORDER BY position");
      assert.deepEqual(
        rows.map(({ n }) => n),
        ['2', '3'],
      );
    });

    inTest('waits for a broker that is away', async () => {
      broker.away = true;
      const { status } = relay();
      for (let n = 0; n < 3; n++) await add('a', n);
      await until(() => status.problem !== null);
      broker.away = false;
      await until(() => numbers('a').length === 3);
      assert.deepEqual(numbers('a'), [0, 1, 2]);
      const { rows } = await database.query('SELECT 1 FROM outbox_dead_letters');
      assert.equal(rows.length, 0);
    });

    inTest('puts what is refused again and again aside, without holding up others or changing the order', async () => {
      broker.refuses = 'poison';
      await add('fine', 0);
      const id = await add('poison', 0);
      await add('fine', 1);
      relay();
      await until(async () => (await database.query('SELECT 1 FROM outbox_dead_letters')).rowCount === 1);
      await until(() => numbers('fine').length === 2);
      assert.deepEqual(numbers('fine'), [0, 1]);
      const { rows } = await database.query<{ id: string; attempts: number; error: string }>(
        'SELECT id, attempts, error FROM outbox_dead_letters',
      );
      assert.deepEqual(rows, [{ id, attempts: 3, error: 'refused' }]);

      broker.refuses = null;
      await database.query('SELECT outbox_retry(id) FROM outbox_dead_letters');
      await until(() => numbers('poison').length === 1);
    });

    inTest('is one of several: no event twice, none lost, and the others take over', async () => {
      const [first] = [relay(), relay(), relay()];
      const write = async (aggregate: string): Promise<void> => {
        for (let n = 0; n < 30; n++) await add(aggregate, n);
      };
      const writing = Promise.all(['a', 'b', 'c', 'd'].map(write));
      await until(() => numbers('a').length > 5);
      await first.stop();
      await writing;
      await until(() => broker.published.length >= 120);
      for (const aggregate of ['a', 'b', 'c', 'd']) assert.deepEqual(numbers(aggregate), [...Array(30).keys()]);
    });
  });
}

function createTestBroker(): TestBroker {
  const published: OutboxRow[] = [];
  return {
    published,
    away: false,
    refuses: null,
    async publish(rows) {
      if (this.away) throw new Error('away');
      if (rows.some(({ aggregateid }) => aggregateid === this.refuses)) throw new Error('refused');
      published.push(...rows);
    },
    refused: (error) => (error as Error).message === 'refused',
    async close() {},
  };
}

async function dropSlot(database: Database, name: string): Promise<void> {
  const slots = 'SELECT active FROM pg_replication_slots WHERE slot_name = $1';
  await until(
    async () => !(await database.query<{ active: boolean }>(slots, [name])).rows.some(({ active }) => active),
  );
  await database.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1', [
    name,
  ]);
  await database.query(`DROP PUBLICATION IF EXISTS ${name}`);
}

async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `waited ${timeoutMs} ms for ${condition}`);
    await delay(10);
  }
}
