import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callerFrom } from '../src/common/hop.ts';
import { headersToPassOn, traceIdFrom } from '../src/common/pass-on.ts';
import type { RunningService } from '../src/common/service.ts';
import { startInventory } from '../src/inventory/service.ts';
import { createStock } from '../src/inventory/stock.ts';
import { startPayments } from '../src/payments/service.ts';
import { startWeb } from '../src/web/service.ts';
import { available, getJson, openShop, postJson, start } from './shop.ts';

describe('inventory', () => {
  let canary: RunningService;
  beforeAll(async () => {
    canary = await start(startInventory, { VERSION: 'v2', MESH_INSTANCE: 'inventory-canary-1' });
  });
  afterAll(() => canary.stop());

  test('v2 says when it delivers, and who answered', async () => {
    const { body } = await getJson(`${canary.url}/stock/KETTLE`);
    expect(body).toMatchObject({ deliveryDays: 2, servedBy: { version: 'v2', instance: 'inventory-canary-1' } });
    const stable = await start(startInventory);
    expect((await getJson(`${stable.url}/stock/KETTLE`)).body).not.toHaveProperty('deliveryDays');
    await stable.stop();
  });

  test('reserves once and releases once', async () => {
    const reservation = { id: 'r1', items: [{ sku: 'GRINDER', quantity: 5 }] };
    const before = await available(canary.url, 'GRINDER');
    for (let i = 0; i < 2; i++) expect((await postJson(`${canary.url}/reserve`, reservation)).status).toBe(201);
    expect(await available(canary.url, 'GRINDER')).toBe(before - 5);
    expect((await postJson(`${canary.url}/release`, { id: 'r1' })).body.released).toBe(true);
    expect((await postJson(`${canary.url}/release`, { id: 'r1' })).body.released).toBe(false);
    expect(await available(canary.url, 'GRINDER')).toBe(before);
  });

  test('counts a SKU that stands on several lines together', () => {
    const stock = createStock();
    const lines = [
      { sku: 'GRINDER', quantity: 30 },
      { sku: 'GRINDER', quantity: 30 },
    ];
    expect(stock.reserve('r', lines)).toMatchObject({ ok: false, error: { kind: 'out-of-stock' } });
    expect(stock.available('GRINDER')).toBe(40);
  });

  test('fills up what runs low', () => {
    const stock = createStock();
    stock.reserve('r', [{ sku: 'GRINDER', quantity: 35 }]);
    stock.restock();
    expect(stock.available('GRINDER')).toBe(40);
    expect(stock.available('MOON-ROAST')).toBe(0);
  });

  test.each([
    ['no such path', '/nope', {}, 404],
    ['wrong method', '/reserve', {}, 405],
    ['not JSON', '/reserve', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{' }, 400],
    ['wrong type', '/reserve', { method: 'POST', body: '{}' }, 415],
    ['empty', '/reserve', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }, 400],
    [
      'too large',
      '/reserve',
      { method: 'POST', headers: { 'content-type': 'application/json' }, body: 'x'.repeat(70_000) },
      413,
    ],
  ])('refuses input: %s', async (_, path, init, expected) => {
    const { status, body } = await getJson(canary.url + path, init);
    expect(status).toBe(expected);
    expect(body.detail).toBeTruthy();
  });
});

describe('payments', () => {
  let payments: RunningService;
  beforeAll(async () => {
    payments = await start(startPayments);
  });
  afterAll(() => payments.stop());
  const charge = (key: string, amount = '500', token = 'tok_visa') =>
    postJson(`${payments.url}/charge`, { key, amount: { amount, currency: 'EUR' }, token });

  test('charges once for one key', async () => {
    const first = await charge('a');
    expect(first.status).toBe(201);
    expect((await charge('a')).body.payment).toEqual(first.body.payment);
    expect((await charge('a', '600')).status).toBe(409);
    expect((await getJson(`${payments.url}/payments/${first.body.payment.id}`)).body.payment.status).toBe('captured');
    expect((await getJson(`${payments.url}/payments/pay_nope`)).status).toBe(404);
  });

  test.each([
    ['b', '500', 'tok_declined'],
    ['c', '1013', 'tok_visa'],
  ])('declines %s', async (key, amount, token) => {
    expect((await charge(key, amount, token)).status).toBe(402);
  });

  test('a refund that overtakes its charge wins', async () => {
    expect((await postJson(`${payments.url}/refund`, { key: 'd' })).status).toBe(200);
    expect((await charge('d')).status).toBe(402);
  });
});

describe('every HTTP service', () => {
  test('is live and ready, and web shows its page', async () => {
    const shop = await openShop();
    for (const url of [shop.web, shop.inventory, shop.payments]) {
      for (const path of ['/health/live', '/health/ready']) expect((await getJson(url + path)).status).toBe(200);
    }
    expect(await (await fetch(shop.web)).text()).toContain('<!doctype html>');
    await shop.stop();
  });

  test('shows products without stock when inventory is away', async () => {
    const web = await start(startWeb, { ORDERS_URL: 'http://127.0.0.1:9', INVENTORY_URL: 'http://127.0.0.1:9' });
    const { status, body } = await getJson(`${web.url}/api/products`);
    expect({ status, servedBy: body.servedBy }).toEqual({ status: 200, servedBy: null });
    expect(body.products.length).toBeGreaterThan(3);
    expect((await getJson(`${web.url}/api/orders`)).status).toBe(503);
    await web.stop();
  });

  test('answers what it has begun before it stops', async () => {
    const payments = await start(startPayments);
    const body = JSON.stringify({ key: 'k', amount: { amount: '1', currency: 'EUR' }, token: 't' });
    const call = request(`${payments.url}/charge`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': body.length },
    });
    const answered = new Promise<number>((resolve, reject) => {
      call.on('response', (response) => resolve(response.resume().statusCode!)).on('error', reject);
    });
    call.write(body.slice(0, 5));
    await expect.poll(async () => (await fetch(`${payments.url}/health/live`)).ok).toBe(true);
    const stopped = payments.stop();
    call.end(body.slice(5));
    expect(await answered).toBe(201);
    await stopped;
    await expect(fetch(payments.url)).rejects.toThrow();
  });
});

test('the caller is the last element of x-forwarded-client-cert', () => {
  const gateway = 'By=spiffe://s/ns/default/sa/web;Hash=ab;URI=spiffe://s/ns/default/sa/gateway';
  expect(callerFrom(gateway)).toBe('spiffe://s/ns/default/sa/gateway');
  expect(callerFrom(`${gateway},Hash=cd;Subject="CN=x";URI=spiffe://s/ns/default/sa/web`)).toBe(
    'spiffe://s/ns/default/sa/web',
  );
  expect(callerFrom('By=spiffe://s/ns/default/sa/web')).toBe('');
  expect(callerFrom(undefined)).toBe('');
});

test('only what belongs to the whole request is passed on', () => {
  const headers: Record<string, string> = { traceparent: 'x', cookie: 'secret', tracestate: 'caf\u00e9' };
  expect(headersToPassOn((name) => headers[name])).toEqual({ traceparent: 'x' });
  expect(traceIdFrom('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')).toBe(
    '4bf92f3577b34da6a3ce929d0e0e4736',
  );
});
