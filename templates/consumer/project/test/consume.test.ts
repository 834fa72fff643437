// The effects, in a real PostgreSQL.
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Database, openDatabase } from '../../../shared/database.ts';
import { createLog } from '../../../shared/log.ts';
import { applyMigrations } from '../../../shared/migrations.ts';
import { createTestDatabase, hasDatabase, type TestDatabase, testWithDatabase } from '../../../shared/test-database.ts';
import { createConsumer, forgetOldEvents } from '../src/consume.ts';
import { readTotals } from '../src/effects.ts';
import { message } from './message.ts';

const silent = createLog('test', { LOG_LEVEL: 'none' });
const MIGRATIONS = fileURLToPath(new URL('../migrations', import.meta.url));

describe('consuming', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  let consume: ReturnType<typeof createConsumer>;
  const amount = async (): Promise<number> => (await readTotals(database)).reduce((sum, each) => sum + each.amount, 0);

  before(async () => {
    if (!hasDatabase) return;
    testDatabase = await createTestDatabase();
    database = openDatabase(testDatabase.url, silent);
    await applyMigrations(database, MIGRATIONS);
    consume = createConsumer(database, silent);
  });

  after(async () => {
    await database?.close();
    await testDatabase?.drop();
  });

  testWithDatabase('an event that is delivered again and again, also at once, has its effect once', async () => {
    const earlier = await amount();
    const same = message();
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => consume(same)));
    assert.deepEqual(
      outcomes.filter((outcome) => outcome === 'applied'),
      ['applied'],
    );
    assert.equal(await consume({ ...same, attempt: 2 }), 'duplicate');
    assert.equal(await amount(), earlier + 1250);
  });

  testWithDatabase('an effect that fails leaves no trace, and works the next time', async () => {
    const earlier = await amount();
    const doubtful = message();
    await database.query('ALTER TABLE sales_order_totals ADD CONSTRAINT broken CHECK (amount < 0) NOT VALID');
    await assert.rejects(consume(doubtful));
    await database.query('ALTER TABLE sales_order_totals DROP CONSTRAINT broken');
    assert.equal(await amount(), earlier);
    assert.equal(await consume({ ...doubtful, attempt: 2 }), 'applied');
    assert.equal(await amount(), earlier + 1250);
  });

  testWithDatabase('many events at once add up', async () => {
    const earlier = await amount();
    const many = Array.from({ length: 200 }, () => message());
    await Promise.all([...many, ...many].map((each) => consume(each)));
    assert.equal(await amount(), earlier + 200 * 1250);
  });

  testWithDatabase('events of other types change nothing', async () => {
    const earlier = await amount();
    assert.equal(await consume(message({ headers: { type: 'SalesOrderShipped' } })), 'ignored');
    assert.equal(await amount(), earlier);
  });

  testWithDatabase('ids are kept for as long as the bus may repeat them', async () => {
    await consume(message());
    assert.equal(await forgetOldEvents(database), 0);
    await database.query("UPDATE processed_events SET processed_at = now() - interval '31 days'");
    assert.ok((await forgetOldEvents(database)) > 0);
  });
});
