import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const shopDir = fileURLToPath(new URL('..', import.meta.url));
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

function run(service: string, env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', `src/${service}.ts`], {
    cwd: shopDir,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  return child;
}

/** What the pattern's group matched in the first line of output that it matches. */
async function lineOf(child: ChildProcess, pattern: RegExp): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const found = pattern.exec(line)?.[1];
    if (found) return found;
  }
  throw new Error(`ended without a line like ${pattern}`);
}

const urlOf = (child: ChildProcess) => lineOf(child, /listening on (\S+)/);

test('the services run as processes with addresses from their environment, and end on SIGTERM', async () => {
  const inventory = run('inventory', { VERSION: 'v2', PORT: '0' });
  const payments = run('payments');
  const [INVENTORY_URL, PAYMENTS_URL] = await Promise.all([urlOf(inventory), urlOf(payments)]);
  const orders = run('orders', { INVENTORY_URL, PAYMENTS_URL });
  const ORDERS_URL = await urlOf(orders);
  const web = run('web', { INVENTORY_URL, ORDERS_URL });
  const url = await urlOf(web);
  const load = run('load', { GATEWAY_URL: url, RATE: '50' });
  await lineOf(load, /^(20 requests) 2xx=/);

  const response = await fetch(`${url}/api/checkout`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"items":[{"sku":"KETTLE","quantity":1}]}',
  });
  expect(response.status).toBe(201);

  const all = [load, web, orders, payments, inventory];
  for (const child of all) {
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    child.kill('SIGTERM'); // once to the group, once passed on by a parent
    expect(await exit).toEqual([0, null]);
  }
});

test('a service that misses an address says so and fails', async () => {
  const orders = run('orders');
  let said = '';
  orders.stderr!.on('data', (chunk) => (said += chunk));
  expect(await once(orders, 'close')).toEqual([1, null]);
  expect(said).toBe('INVENTORY_URL must be the address of inventory, like http://127.0.0.1:4000; it is not set\n');
});
