// The contract, over real connections: gRPC to the service, and the service to PostgreSQL.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import {
  type ClientDuplexStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { createLog } from '../../../shared/log.ts';
import { createTestDatabase, hasDatabase, type TestDatabase, testWithDatabase } from '../../../shared/test-database.ts';
import { createClient, type OrderDeskClient } from '../src/client.ts';
import { violationsOf } from '../src/errors.ts';
import type { SalesOrder__Output as SalesOrder } from '../src/gen/order_desk/v1/SalesOrder.ts';
import type { WatchSalesOrdersRequest } from '../src/gen/order_desk/v1/WatchSalesOrdersRequest.ts';
import { SERVICE_NAME } from '../src/proto.ts';
import { type Service, startService } from '../src/service.ts';

const silent = createLog('test', { LOG_LEVEL: 'none' });
const item = { sku: 'KETTLE', quantity: 2, unitPrice: { amount: '1250', currency: 'EUR' } };
const request = () => ({ idempotencyKey: randomUUID(), items: [item] });
const rejectsWith = (code: status) => (error: ServiceError) => error.code === code;

describe('SalesOrderService', () => {
  let database: TestDatabase;
  let services: Service[];
  let client: OrderDeskClient;
  let other: OrderDeskClient;

  before(async () => {
    if (!hasDatabase) return;
    database = await createTestDatabase();
    const start = () => startService({ port: 0, host: '127.0.0.1', databaseUrl: database.url, log: silent });
    // Two replicas, which migrate at the same time.
    services = await Promise.all([start(), start()]);
    await Promise.all(services.map(serving));
    [client, other] = services.map(({ port }) => createClient(`http://127.0.0.1:${port}`));
  });

  after(async () => {
    client?.close();
    other?.close();
    await Promise.all((services ?? []).map((service) => service.stop()));
    await database?.drop();
  });

  testWithDatabase('creates once for a key, also when asked at the same time through two replicas', async () => {
    const same = request();
    const answers = await Promise.all([client, other, client, other].map((each) => each.create(same)));
    assert.equal(new Set(answers.map(({ salesOrder }) => salesOrder!.id)).size, 1);
    assert.equal(answers.filter(({ replayed }) => !replayed).length, 1);
    assert.deepEqual(answers[0].salesOrder!.total, { amount: '2500', currency: 'EUR' });
  });

  testWithDatabase('refuses a key that was used for something else', async () => {
    const first = request();
    await client.create(first);
    await assert.rejects(
      client.create({ ...first, items: [{ ...item, quantity: 3 }] }),
      rejectsWith(status.ALREADY_EXISTS),
    );
  });

  testWithDatabase('names every invalid field in the details', async () => {
    const error = await client.create({ idempotencyKey: '', items: [{ ...item, quantity: -1 }] }).then(
      () => assert.fail('it must be refused'),
      (failure: ServiceError) => failure,
    );
    assert.equal(error.code, status.INVALID_ARGUMENT);
    assert.deepEqual(
      violationsOf(error).map(({ field }) => field),
      ['idempotency_key', 'items[0].quantity'],
    );
  });

  testWithDatabase('reads, moves, and refuses what may not follow', async () => {
    const { salesOrder } = await client.create(request());
    const { id } = salesOrder!;
    assert.equal((await other.get(id)).status, 'SALES_ORDER_STATUS_PENDING');
    assert.equal((await client.update(id, 'SALES_ORDER_STATUS_CONFIRMED')).status, 'SALES_ORDER_STATUS_CONFIRMED');
    await assert.rejects(client.update(id, 'SALES_ORDER_STATUS_DELIVERED'), rejectsWith(status.FAILED_PRECONDITION));
    await assert.rejects(client.get(randomUUID()), rejectsWith(status.NOT_FOUND));
    await assert.rejects(client.get('1'), rejectsWith(status.INVALID_ARGUMENT));
  });

  testWithDatabase('lists newest first, in pages, with a limit and a filter', async () => {
    const counts = await client.import(Array.from({ length: 450 }, request));
    assert.deepEqual(counts, { created: 450, replayed: 0, rejected: 0 });
    const all: SalesOrder[] = [];
    for await (const each of client.list()) all.push(each);
    assert.ok(all.length >= 450);
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
    const some: SalesOrder[] = [];
    for await (const each of client.list({ limit: 250, status: 'SALES_ORDER_STATUS_PENDING' })) some.push(each);
    assert.equal(some.length, 250);
    assert.ok(some.every(({ status: state }) => state === 'SALES_ORDER_STATUS_PENDING'));
  });

  testWithDatabase('imports a stream: the invalid is counted, the repeated not created again', async () => {
    const known = request();
    await client.create(known);
    const counts = await other.import([known, request(), { idempotencyKey: 'x', items: [] }]);
    assert.deepEqual(counts, { created: 1, replayed: 1, rejected: 1 });
  });

  testWithDatabase('shows changes made through another replica to those who watch', async () => {
    const { salesOrder } = await client.create(request());
    const { id } = salesOrder!;
    const stream = client.watch();
    const states = nextStates(stream);
    stream.write({ id });
    assert.equal(await states(), 'SALES_ORDER_STATUS_PENDING');
    await other.update(id, 'SALES_ORDER_STATUS_CONFIRMED');
    assert.equal(await states(), 'SALES_ORDER_STATUS_CONFIRMED');
    await other.update(id, 'SALES_ORDER_STATUS_CANCELLED');
    assert.equal(await states(), 'SALES_ORDER_STATUS_CANCELLED');
    stream.end();
    assert.equal(await states(), 'the end');
  });

  testWithDatabase('a deadline that passes ends the call', async () => {
    const hasty = createClient(`127.0.0.1:${services[0].port}`, { deadlineMs: 0 });
    await assert.rejects(hasty.create(request()), rejectsWith(status.DEADLINE_EXCEEDED));
    hasty.close();
  });

  testWithDatabase('a stop ends watching streams and finishes the rest', async () => {
    const service = await startService({ port: 0, host: '127.0.0.1', databaseUrl: database.url, log: silent });
    await serving(service);
    const leaving = createClient(`127.0.0.1:${service.port}`);
    const stream = leaving.watch();
    const { salesOrder } = await leaving.create(request());
    const states = nextStates(stream);
    stream.write({ id: salesOrder!.id });
    await states();
    const [last] = await Promise.all([states(), service.stop()]);
    assert.equal(last, 'the end');
    leaving.close();
  });
});

test('without its database it stays up, says that it is not healthy, and answers UNAVAILABLE', async () => {
  const service = await startService({
    port: 0,
    host: '127.0.0.1',
    databaseUrl: 'postgres://127.0.0.1:1/none',
    log: silent,
  });
  const client = createClient(`127.0.0.1:${service.port}`);
  assert.equal(await health(service), 'NOT_SERVING');
  await assert.rejects(client.get(randomUUID()), rejectsWith(status.UNAVAILABLE));
  client.close();
  await service.stop();
});

function nextStates(stream: ClientDuplexStream<WatchSalesOrdersRequest, SalesOrder>): () => Promise<string> {
  const iterator = stream[Symbol.asyncIterator]() as AsyncIterator<SalesOrder>;
  return async () => {
    const { done, value } = await iterator.next();
    return done ? 'the end' : value.status;
  };
}

async function serving(service: Service): Promise<void> {
  const deadline = Date.now() + 20_000;
  while ((await health(service)) !== 'SERVING') {
    if (Date.now() > deadline) throw new Error('not healthy in time');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function health({ port }: Service): Promise<string> {
  const HealthClient = makeGenericClientConstructor(healthService, 'Health');
  const client = new HealthClient(`127.0.0.1:${port}`, credentials.createInsecure());
  return new Promise<string>((resolve, reject) => {
    client.check(
      { service: SERVICE_NAME },
      new Metadata(),
      (error: ServiceError | null, answer: { status: string }) => {
        client.close();
        if (error === null) resolve(answer.status);
        else reject(error);
      },
    );
  });
}
