import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import type { Fields } from '../src/common/log.ts';
import { trickle } from '../src/load/trickle.ts';

test('load mixes requests, reports every 20, backs off while nobody answers, and stops', async () => {
  const paths = new Map<string, number>();
  const fake = createServer((request, response) => {
    paths.set(request.url!, (paths.get(request.url!) ?? 0) + 1);
    request.resume().on('end', () => response.end('ok'));
  });
  await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
  const gatewayUrl = `http://127.0.0.1:${(fake.address() as AddressInfo).port}`;

  let seed = 1;
  const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  const lines: { message: string; fields?: Fields }[] = [];
  const log = (message: string, fields?: Fields) => lines.push({ message, fields });
  const stopping = new AbortController();
  const done = trickle({ gatewayUrl, requestsPerSecond: 500, random, log, signal: stopping.signal });

  await expect.poll(() => lines.length).toBeGreaterThanOrEqual(2);
  expect(lines[0]).toMatchObject({ message: '20 requests', fields: { '2xx': 20, none: 0 } });
  expect([...paths.keys()]).toEqual(expect.arrayContaining(['/', '/api/products', '/api/checkout']));

  fake.closeAllConnections();
  await new Promise((resolve) => fake.close(resolve));
  const pauses = () => lines.flatMap(({ fields }) => fields?.nextInMs ?? []);
  await expect.poll(pauses, { timeout: 5_000 }).toEqual(expect.arrayContaining([250, 500]));

  stopping.abort();
  await done;
});
