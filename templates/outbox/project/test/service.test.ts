// The service and the consumer, in a real PostgreSQL.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Database, openDatabase } from '../../../shared/database.ts';
import { createLog } from '../../../shared/log.ts';
import { createTestDatabase, hasDatabase, type TestDatabase, testWithDatabase } from '../../../shared/test-database.ts';
import type { SalesOrder } from '../src/sales-orders.ts';
import { type Service, startService } from '../src/service.ts';
import { consume, readTotals } from '../src/totals-service.ts';

const silent = createLog('test', { LOG_LEVEL: 'none' });

describe('sales orders', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  let service: Service;

  before(async () => {
    if (!hasDatabase) return;
    testDatabase = await createTestDatabase();
    database = openDatabase(testDatabase.url, silent);
    service = await startService({ port: 0, host: '127.0.0.1', databaseUrl: testDatabase.url, log: silent });
    while ((await fetch(`${service.url}/health/ready`)).status !== 200) await delay(20);
  });

  after(async () => {
    await service?.stop();
    await database?.close();
    await testDatabase?.drop();
  });

  const post = (path: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${service.url}${path}`, { method: 'POST', body: JSON.stringify(body), headers });
  const place = async (): Promise<SalesOrder> =>
    (
      await post('/sales-orders', { customer: 'Ada', total: { amount: 1250, currency: 'EUR' } })
    ).json() as Promise<SalesOrder>;
  const events = async (id: string): Promise<string[]> =>
    (await database.query('SELECT type FROM outbox WHERE aggregateid = $1 ORDER BY position', [id])).rows.map(
      ({ type }) => type,
    );

  testWithDatabase('a change and its event are there together', async () => {
    const { id, status } = await place();
    assert.equal(status, 'pending');
    assert.equal((await post(`/sales-orders/${id}/confirm`)).status, 200);
    assert.deepEqual(await events(id), ['SalesOrderPlaced', 'SalesOrderConfirmed']);
    const found = (await (await fetch(`${service.url}/sales-orders/${id}`)).json()) as SalesOrder;
    assert.equal(found.status, 'confirmed');
  });

  testWithDatabase('what is not done is not told', async () => {
    const { id } = await place();
    const outcomes = await Promise.all(
      ['confirm', 'cancel', 'confirm'].map((how) => post(`/sales-orders/${id}/${how}`)),
    );
    assert.deepEqual(outcomes.map((each) => each.status).sort(), [200, 409, 409]);
    assert.equal((await events(id)).length, 2);
    assert.equal((await post(`/sales-orders/${randomUUID()}/confirm`)).status, 404);
    assert.equal((await post('/sales-orders', { customer: '' })).status, 400);
  });

  testWithDatabase('an event goes on with the trace of its request', async () => {
    const traceId = 'a'.repeat(32);
    const headers = { traceparent: `00-${traceId}-${'b'.repeat(16)}-01` };
    const body = { customer: 'Ada', total: { amount: 1, currency: 'EUR' } };
    const { id } = (await (await post('/sales-orders', body, headers)).json()) as SalesOrder;
    const { rows } = await database.query('SELECT traceparent FROM outbox WHERE aggregateid = $1', [id]);
    assert.ok(rows[0].traceparent.startsWith(`00-${traceId}-`));
  });

  testWithDatabase('an event that is delivered again has its effect once', async () => {
    const message = {
      topic: 'outbox.event.sales-order',
      key: randomUUID(),
      payload: { total: { amount: 1250, currency: 'EUR' } },
      headers: { id: randomUUID(), type: 'SalesOrderConfirmed' },
      position: 1,
      publishedAt: new Date(),
      attempt: 1,
    };
    const outcomes = await Promise.all([1, 2, 3, 4].map(() => consume(database, message)));
    assert.deepEqual(outcomes.sort(), ['applied', 'duplicate', 'duplicate', 'duplicate']);
    assert.deepEqual(await readTotals(database), [{ currency: 'EUR', count: 1, amount: 1250 }]);
    await assert.rejects(
      consume(database, { ...message, payload: {}, headers: { id: 'x', type: 'SalesOrderConfirmed' } }),
    );
  });
});
