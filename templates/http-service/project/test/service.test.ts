// The contract, over real connections: HTTP to the service, and the service to PostgreSQL.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Health } from '../../../shared/health.ts';
import { createLog } from '../../../shared/log.ts';
import { createTestDatabase, hasDatabase, type TestDatabase, testWithDatabase } from '../../../shared/test-database.ts';
import { mismatches, type Schema } from '../src/json-schema.ts';
import { document, type Method } from '../src/openapi.ts';
import { type Service, startService } from '../src/service.ts';

const silent = createLog('test', { LOG_LEVEL: 'none' });
const item = { sku: 'KETTLE', quantity: 2, unitPrice: { amount: 1250, currency: 'EUR' } };

describe('the API', () => {
  let database: TestDatabase;
  let services: Service[] = [];

  before(async () => {
    if (!hasDatabase) return;
    database = await createTestDatabase();
    const start = () => startService({ port: 0, host: '127.0.0.1', databaseUrl: database.url, log: silent });
    // Two replicas, which migrate at the same time.
    services = await Promise.all([start(), start()]);
    await Promise.all(services.map(ready));
  });

  after(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await database?.drop();
  });

  /** Every answer is compared with what the document says about it. */
  async function call(method: Method, path: string, { body, headers = {}, replica = 0 }: CallOptions = {}) {
    const response = await fetch(services[replica].url + path, {
      method: method.toUpperCase(),
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const answer = (await response.json()) as Body;
    const template = path.split('?')[0].replace(/^(\/[\w-]+)\/.+/, '$1/{id}');
    const declared = document.paths[template]?.[method]?.responses[response.status];
    assert.ok(declared, `${method} ${template} does not declare ${response.status}: ${JSON.stringify(answer)}`);
    const [[type, { schema }]] = Object.entries(declared.content ?? {});
    assert.equal(response.headers.get('content-type'), type);
    assert.deepEqual(mismatches(answer, schema as Schema, document.components.schemas), []);
    return { status: response.status, headers: response.headers, body: answer };
  }
  const create = (options: CallOptions = {}) =>
    call('post', '/sales-orders', {
      body: { items: [item] },
      headers: { 'idempotency-key': randomUUID() },
      ...options,
    });

  testWithDatabase('creates once for a key, also when asked at the same time through two replicas', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const answers = await Promise.all([0, 1, 0, 1].map((replica) => create({ headers, replica })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 200, 201]);
    assert.equal(new Set(answers.map(({ body }) => body.id)).size, 1);
    assert.deepEqual(answers[0].body.total, { amount: 2500, currency: 'EUR' });
    const other = await create({ headers, body: { items: [{ ...item, quantity: 3 }] } });
    assert.equal(other.status, 422);
  });

  testWithDatabase('names everything that is wrong with a request', async () => {
    const { status, body } = await create({ headers: {}, body: { items: [{ ...item, sku: '' }], more: 1 } });
    assert.equal(status, 400);
    assert.deepEqual(body.errors, [
      { parameter: 'idempotency-key', detail: 'is missing' },
      { pointer: '/items/0/sku', detail: 'must not be empty' },
      { pointer: '/more', detail: 'is not known' },
    ]);
  });

  testWithDatabase('changes only what is still as the caller saw it', async () => {
    const created = await create();
    const path = created.headers.get('location')!;
    const seen = { 'if-match': created.headers.get('etag')! };
    const confirmed = await call('patch', path, { body: { status: 'confirmed' }, headers: seen });
    assert.equal(confirmed.body.status, 'confirmed');
    assert.equal((await call('patch', path, { body: { status: 'cancelled' }, headers: seen, replica: 1 })).status, 412);
    assert.equal((await call('patch', path, { body: { status: 'delivered' } })).status, 409);
    assert.equal((await call('get', path)).headers.get('etag'), confirmed.headers.get('etag'));
    assert.equal((await call('get', `/sales-orders/${randomUUID()}`)).status, 404);
  });

  testWithDatabase('lists newest first, each once, page by page', async () => {
    for (let count = 0; count < 5; count++) await create();
    const seen: string[] = [];
    let after = '';
    do {
      const { body } = await call('get', `/sales-orders?limit=2${after}`);
      seen.push(...body.salesOrders.map(({ id }) => id));
      after = body.next === undefined ? '' : `&after=${body.next}`;
    } while (after !== '');
    assert.ok(seen.length >= 5);
    assert.equal(new Set(seen).size, seen.length);
    assert.equal((await call('get', '/sales-orders?after=x&limit=0')).status, 400);
    assert.equal((await call('get', '/sales-orders?after=x')).status, 400);
  });

  testWithDatabase('answers what is outside of the document with problems too', async () => {
    const [{ url }] = services;
    const statusOf = async (path: string, init?: RequestInit): Promise<number> => {
      const response = await fetch(url + path, init);
      assert.equal(response.headers.get('content-type'), 'application/problem+json');
      return ((await response.json()) as { status: number }).status;
    };
    assert.equal(await statusOf('/nothing'), 404);
    assert.equal(await statusOf('/sales-orders', { method: 'DELETE' }), 405);
    assert.equal(await statusOf('/sales-orders', { method: 'POST', body: '{}' }), 415);
    const json = { 'content-type': 'application/json' };
    assert.equal(await statusOf('/sales-orders', { method: 'POST', headers: json, body: '{' }), 400);
    assert.equal(await statusOf('/sales-orders', { method: 'POST', headers: json, body: 'x'.repeat(2 << 20) }), 413);
    assert.deepEqual(await (await fetch(`${url}/openapi.json`)).json(), JSON.parse(JSON.stringify(document)));
  });

  testWithDatabase('shows its health as a tree, with that of what it depends on', async () => {
    const [{ url }] = services;
    const service = await startService({
      port: 0,
      host: '127.0.0.1',
      databaseUrl: database.url,
      log: silent,
      env: { HEALTH_DEPENDENCIES: 'first,second', FIRST_URL: url, SECOND_URL: 'http://127.0.0.1:1' },
    });
    await ready(service);
    const response = await fetch(`${service.url}/health/ready`);
    const tree = (await response.json()) as Health;
    assert.equal(response.status, 200);
    assert.equal(tree.status, 'degraded');
    assert.equal(tree.checks?.first.checks?.database.status, 'up');
    assert.equal(tree.checks?.second.status, 'down');
    await service.stop();
  });

  testWithDatabase('a stop lets requests end and refuses new ones', async () => {
    const service = await startService({ port: 0, host: '127.0.0.1', databaseUrl: database.url, log: silent });
    await ready(service);
    const inFlight = Array.from({ length: 20 }, () =>
      fetch(`${service.url}/sales-orders`).then(({ status }) => status),
    );
    const first = await Promise.race(inFlight);
    await service.stop();
    assert.equal(first, 200);
    for (const outcome of await Promise.allSettled(inFlight))
      assert.deepEqual(outcome, { status: 'fulfilled', value: 200 });
    await assert.rejects(fetch(service.url));
  });
});

test('without its database it is alive, not started, not ready, and answers 503', async () => {
  const service = await startService({
    port: 0,
    host: '127.0.0.1',
    databaseUrl: 'postgres://127.0.0.1:1/none',
    log: silent,
  });
  const statuses = ['/health/live', '/health/startup', '/health/ready', '/sales-orders'].map(
    async (path) => (await fetch(service.url + path)).status,
  );
  assert.deepEqual(await Promise.all(statuses), [200, 503, 503, 503]);
  await service.stop();
});

/** Of all the answers. */
interface Body {
  id: string;
  status: string;
  total: unknown;
  errors: unknown;
  salesOrders: { id: string }[];
  next?: string;
}

interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  replica?: number;
}

async function ready({ url }: Service): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await fetch(`${url}/health/ready`)).ok) {
    if (Date.now() > deadline) throw new Error('not ready in time');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
