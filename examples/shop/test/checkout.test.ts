import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadOrderService } from '../src/common/orders-proto.ts';
import { startOrders } from '../src/orders/service.ts';
import { available, callerWith, openShop, postJson, type Shop, start } from './shop.ts';

const order = (sku: string, key: string = crypto.randomUUID(), amount = '1000') => ({
  idempotencyKey: key,
  paymentToken: 'tok_visa',
  items: [{ sku, quantity: 2, unitPrice: { amount, currency: 'EUR' } }],
});

describe('a checkout', () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openShop();
  });
  afterAll(() => shop.stop());

  test('reserves, charges and shows the path with the callers that proxies vouched for', async () => {
    const before = await available(shop.inventory, 'KETTLE');
    const { status, body } = await postJson(
      `${shop.web}/api/checkout`,
      { items: [{ sku: 'KETTLE', quantity: 3 }] },
      {
        'x-forwarded-client-cert':
          'By=spiffe://shop.local/ns/default/sa/web;URI=spiffe://shop.local/ns/default/sa/gateway',
      },
    );
    expect(status).toBe(201);
    expect(body.order).toMatchObject({ status: 'paid', total: { amount: '19350', currency: 'EUR' } });
    expect(body.path.map((hop: { service: string; action: string }) => `${hop.service} ${hop.action}`)).toEqual([
      'web checkout',
      'orders CreateOrder',
      'inventory reserve',
      'payments charge',
    ]);
    expect(body.path[0].caller).toBe('spiffe://shop.local/ns/default/sa/gateway');
    expect(body.path[2]).toMatchObject({ version: 'v1', instance: 'inventory-1', caller: '' });
    expect(await available(shop.inventory, 'KETTLE')).toBe(before - 3);
  });

  test('buys once for one idempotency key, also when both ask at the same time', async () => {
    const before = await available(shop.inventory, 'GRINDER');
    const request = order('GRINDER');
    const [first, second] = await Promise.all([
      shop.orders.create(request, callerWith()),
      shop.orders.create(request, callerWith()),
    ]);
    const third = await shop.orders.create(request, callerWith());
    if (!first.ok || !second.ok || !third.ok) throw new Error('not created');
    expect(new Set([first, second, third].map((result) => result.value.order!.id)).size).toBe(1);
    expect([first, second, third].filter((result) => result.value.replayed)).toHaveLength(2);
    expect(third.value.path.map((hop) => hop.service)).toEqual(['orders']);
    expect(await available(shop.inventory, 'GRINDER')).toBe(before - 2);

    const other = await shop.orders.create(order('KETTLE', request.idempotencyKey), callerWith());
    expect(other).toMatchObject({ ok: false, error: { code: status.ALREADY_EXISTS } });
  });

  test('releases the stock when the payment is declined', async () => {
    const before = await available(shop.inventory, 'LUCKY-13');
    const { status, body } = await postJson(`${shop.web}/api/checkout`, { items: [{ sku: 'LUCKY-13', quantity: 1 }] });
    expect(status).toBe(402);
    expect(body.order.status).toBe('payment_declined');
    expect(body.path.at(-1)).toMatchObject({ service: 'inventory', action: 'release' });
    expect(await available(shop.inventory, 'LUCKY-13')).toBe(before);
  });

  test('says what is wrong with the input', async () => {
    const cases: [object, number, RegExp][] = [
      [{ items: [] }, 400, /items: must not be empty/],
      [{ items: [{ sku: 'NOPE', quantity: 1 }] }, 400, /items\.0\.sku: is not in the catalogue/],
      [{ items: [{ sku: 'KETTLE', quantity: 0 }] }, 400, /items\.0\.quantity/],
      [{ items: [{ sku: 'MOON-ROAST', quantity: 1 }] }, 409, /not enough left/],
    ];
    for (const [basket, expected, detail] of cases) {
      const { status, body } = await postJson(`${shop.web}/api/checkout`, basket);
      expect({ basket, status }).toEqual({ basket, status: expected });
      expect(body.detail).toMatch(detail);
    }
    const invalid = await shop.orders.create({ ...order('KETTLE'), paymentToken: '' }, callerWith());
    expect(invalid).toMatchObject({ ok: false, error: { code: status.INVALID_ARGUMENT } });
    const unknown = await shop.orders.create(order('NOPE'), callerWith());
    expect(unknown).toMatchObject({
      ok: false,
      error: { code: status.INVALID_ARGUMENT, details: 'There is no NOPE.' },
    });
  });

  test('hands the trace and the canary header on to what it calls', async () => {
    const seen: Record<string, unknown>[] = [];
    const servedBy = { service: 'inventory', instance: 'fake', version: 'v2', action: 'reserve', caller: '' };
    const fake = createServer((request, response) => {
      seen.push({ path: request.url, ...request.headers });
      response.writeHead(request.url === '/charge' ? 402 : 201, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ servedBy, detail: '' }));
    });
    const url = await listen(fake);
    const faked = await openShop({ INVENTORY_URL: url, PAYMENTS_URL: url });
    try {
      const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
      const headers = { traceparent, tracestate: 'shop=1', 'x-canary': 'true' };
      const created = await postJson(`${faked.web}/api/checkout`, { items: [{ sku: 'KETTLE', quantity: 1 }] }, headers);
      expect(created.status).toBe(402);
      expect(seen.map((request) => request.path)).toEqual(['/reserve', '/charge', '/release']);
      for (const request of seen) expect(request).toMatchObject(headers);
      expect(seen[2]['x-inventory-version']).toBe('v2');
    } finally {
      await faked.stop();
      fake.close();
    }
  });
});

describe('a checkout whose payment does not answer', () => {
  test('ends at the deadline, hangs up on payments, undoes both steps and can be tried again', async () => {
    const calls: string[] = [];
    let hungUp = false;
    let broken = true;
    const servedBy = { service: 'fake', instance: 'fake', version: '', action: '', caller: '' };
    const fake = createServer((request, response) => {
      calls.push(request.url!);
      if (request.url === '/charge' && broken) {
        response.on('close', () => (hungUp = true));
        return;
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ servedBy }));
    });
    const url = await listen(fake);
    const shop = await openShop({ INVENTORY_URL: url, PAYMENTS_URL: url });
    try {
      const request = order('KETTLE');
      const customer = new AbortController();
      const attempt = shop.orders.create(request, callerWith({}, customer.signal));
      await expect.poll(() => calls).toEqual(['/reserve', '/charge']);
      customer.abort();
      expect(await attempt).toMatchObject({ ok: false, error: { code: status.CANCELLED } });
      await expect.poll(() => calls).toEqual(['/reserve', '/charge', '/refund', '/release']);
      await expect.poll(() => hungUp).toBe(true);

      broken = false;
      await expect
        .poll(async () => {
          const again = await shop.orders.create(request, callerWith());
          return again.ok && again.value.order?.status;
        })
        .toBe('ORDER_STATUS_PAID');
    } finally {
      await shop.stop();
      fake.closeAllConnections();
      fake.close();
    }
  });

  test('passes the deadline of its caller on', async () => {
    const calls: string[] = [];
    const servedBy = { service: 'fake', instance: 'fake', version: '', action: '', caller: '' };
    const fake = createServer((request, response) => {
      if (request.url === '/charge') return response.on('close', () => calls.push('hung up on /charge'));
      calls.push(request.url!);
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ servedBy }));
    });
    const url = await listen(fake);
    const orders = await start(startOrders, { INVENTORY_URL: url, PAYMENTS_URL: url });
    const OrderService = loadOrderService();
    const client = new OrderService(new URL(orders.url).host, credentials.createInsecure());
    try {
      const error = await new Promise<ServiceError | null>((resolve) => {
        client.createOrder(order('KETTLE'), { deadline: Date.now() + 500 }, resolve);
      });
      expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
      await expect.poll(() => calls.toSorted()).toEqual(['/refund', '/release', '/reserve', 'hung up on /charge']);
    } finally {
      client.close();
      await orders.stop();
      fake.close();
    }
  });

  test('goes on undoing until it succeeds', async () => {
    let refunds = 0;
    const servedBy = { service: 'fake', instance: 'fake', version: '', action: '', caller: '' };
    const fake = createServer((request, response) => {
      const fails = request.url === '/charge' || (request.url === '/refund' && ++refunds < 3);
      response.writeHead(fails ? 503 : 200, { 'content-type': 'application/json' }).end(JSON.stringify({ servedBy }));
    });
    const url = await listen(fake);
    const shop = await openShop({ INVENTORY_URL: url, PAYMENTS_URL: url });
    try {
      const created = await shop.orders.create(order('KETTLE'), callerWith());
      expect(created).toMatchObject({ ok: false, error: { code: status.UNAVAILABLE } });
      await expect.poll(() => refunds, { timeout: 5_000 }).toBe(3);
    } finally {
      await shop.stop();
      fake.close();
    }
  });
});

async function listen(server: ReturnType<typeof createServer>): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
