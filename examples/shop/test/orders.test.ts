import { credentials, makeGenericClientConstructor, status } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startOrders } from '../src/orders/service.ts';
import { callerWith, getJson, openShop, postJson, type Shop, start } from './shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await openShop({ FULFILMENT_STEP_MS: '100' });
});
afterAll(() => shop.stop());

async function buy(sku = 'FILTER-COFFEE'): Promise<string> {
  const { body } = await postJson(`${shop.web}/api/checkout`, { items: [{ sku, quantity: 1 }] });
  return body.order.id;
}

test('updates stream as server-sent events until the order is delivered', async () => {
  const response = await fetch(`${shop.web}/api/orders/${await buy()}/events`);
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  const statuses = [...(await response.text()).matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data).status);
  expect(statuses).toEqual(['paid', 'shipped', 'delivered']);
});

test('a browser that goes away ends the stream behind it', async () => {
  const own = await openShop({ FULFILMENT_STEP_MS: '600000' });
  const { body } = await postJson(`${own.web}/api/checkout`, { items: [{ sku: 'KETTLE', quantity: 1 }] });
  const browser = new AbortController();
  const response = await fetch(`${own.web}/api/orders/${body.order.id}/events`, { signal: browser.signal });
  await response.body!.getReader().read();
  browser.abort();
  const startedAt = performance.now();
  await own.stop();
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});

test('stopping ends open streams instead of waiting for them', async () => {
  const own = await openShop({ FULFILMENT_STEP_MS: '600000' });
  const { body } = await postJson(`${own.web}/api/checkout`, { items: [{ sku: 'KETTLE', quantity: 1 }] });
  const response = await fetch(`${own.web}/api/orders/${body.order.id}/events`);
  const startedAt = performance.now();
  await own.stop();
  expect(await response.text()).toContain('"status":"paid"');
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});

test('lists the newest first and finds one by id', async () => {
  const first = await buy();
  const second = await buy();
  const { body } = await getJson(`${shop.web}/api/orders`);
  const ids: string[] = body.orders.map((order: { id: string }) => order.id);
  expect(ids.indexOf(second)).toBeLessThan(ids.indexOf(first));
  expect((await getJson(`${shop.web}/api/orders/${first}`)).body.id).toBe(first);

  for (const path of ['/api/orders/nope', '/api/orders/nope/events']) {
    expect((await getJson(shop.web + path)).status).toBe(404);
  }
});

test('a paid order can be cancelled, a delivered one cannot', async () => {
  const cancelled = await postJson(`${shop.web}/api/orders/${await buy()}/cancel`, {});
  expect(cancelled).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  const payment = await getJson(`${shop.payments}/payments/pay_${cancelled.body.id}`);
  expect(payment.body.payment.status).toBe('refunded');

  const id = await buy();
  await (await fetch(`${shop.web}/api/orders/${id}/events`)).text(); // ends with its delivery
  const tooLate = await postJson(`${shop.web}/api/orders/${id}/cancel`, {});
  expect(tooLate).toMatchObject({ status: 409, body: { detail: /DELIVERED/ } });

  const odd = await shop.orders.update({ id, status: 'ORDER_STATUS_PENDING' }, callerWith());
  expect(odd).toMatchObject({ ok: false, error: { code: status.INVALID_ARGUMENT } });
});

test('orders answers the gRPC health protocol', async () => {
  const orders = await start(startOrders, { INVENTORY_URL: shop.inventory, PAYMENTS_URL: shop.payments });
  const Health = makeGenericClientConstructor(healthService, 'Health');
  const client = new Health(new URL(orders.url).host, credentials.createInsecure());
  const check = (service: string) =>
    new Promise((resolve) =>
      client.Check({ service }, (error: { code: status } | null, answer: object) => resolve(error?.code ?? answer)),
    );
  try {
    expect(await check('')).toMatchObject({ status: 'SERVING' });
    expect(await check('shop.v1.OrderService')).toMatchObject({ status: 'SERVING' });
    expect(await check('nope')).toBe(status.NOT_FOUND);
  } finally {
    client.close();
    await orders.stop();
  }
});

test('orders says which address it misses', async () => {
  await expect(start(startOrders, { INVENTORY_URL: shop.inventory })).rejects.toThrow(/PAYMENTS_URL/);
});
