import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../common/log.ts';
import { reasonOf } from '../common/post-json.ts';
import { within } from '../common/within.ts';

export interface Trickle {
  gatewayUrl: string;
  requestsPerSecond: number;
  /** 0 to 1, like Math.random. */
  random: () => number;
  log: Log;
  signal: AbortSignal;
}

interface Visit {
  path: string;
  /** A checkout, if there is one. */
  basket?: object;
  canary?: boolean;
}

const reportEvery = 20;
const patienceMs = 10_000;
const firstPauseMs = 250;
const longestPauseMs = 5_000;

/** Sends requests one after the other until `signal` aborts, slower and slower while there is nobody to answer. */
export async function trickle({ gatewayUrl, requestsPerSecond, random, log, signal }: Trickle): Promise<void> {
  let statuses: number[] = [];
  let pauseMs = 0;
  while (!signal.aborted) {
    const startedAt = performance.now();
    const status = await within(patienceMs, signal, (ends) => send(gatewayUrl, pickVisit(random), ends)).catch(
      (error) => reasonOf(error),
    );
    if (signal.aborted) return;

    const away = typeof status === 'string' || (status >= 502 && status <= 504);
    if (away) {
      pauseMs = Math.min(pauseMs * 2 || firstPauseMs, longestPauseMs);
      log('no answer from the shop', { reason: status, nextInMs: pauseMs });
    } else {
      pauseMs = 0;
    }
    statuses.push(typeof status === 'string' ? 0 : status);
    if (statuses.length === reportEvery) {
      log(`${reportEvery} requests`, summary(statuses));
      statuses = [];
    }
    const untilNextMs = (1000 / requestsPerSecond) * (0.5 + random()) - (performance.now() - startedAt);
    await sleep(Math.max(pauseMs, untilNextMs, 0), undefined, { signal }).catch(() => {});
  }
}

/** Mostly people who look, some who buy, now and then one whose card is declined or who asks for the impossible. */
function pickVisit(random: () => number): Visit {
  const share = random();
  if (share < 0.35) return { path: '/' };
  if (share < 0.65) return { path: '/api/products', canary: random() < 0.1 };
  if (share < 0.7) return { path: '/api/orders' };
  if (share < 0.9) return { path: '/api/checkout', basket: basket(anyOf(['FILTER-COFFEE', 'ESPRESSO-CUP'], random)) };
  if (share < 0.93) return { path: '/api/checkout', basket: basket('KETTLE'), canary: true };
  if (share < 0.96) return { path: '/api/checkout', basket: basket('LUCKY-13') };
  if (share < 0.98) return { path: '/api/checkout', basket: basket('MOON-ROAST') };
  return { path: '/api/checkout', basket: { items: [] } };
}

function basket(sku: string): object {
  return { items: [{ sku, quantity: 1 }] };
}

function anyOf<T>(choices: T[], random: () => number): T {
  return choices[Math.floor(random() * choices.length)];
}

async function send(gatewayUrl: string, { path, basket, canary }: Visit, signal: AbortSignal): Promise<number> {
  const response = await fetch(gatewayUrl + path, {
    method: basket ? 'POST' : 'GET',
    headers: {
      ...(basket && { 'content-type': 'application/json', 'idempotency-key': randomUUID() }),
      ...(canary && { 'x-canary': 'true' }),
    },
    body: basket && JSON.stringify(basket),
    signal,
  });
  await response.arrayBuffer(); // frees the connection for the next request
  return response.status;
}

/** `{ '2xx': 17, '4xx': 3, none: 0 }`; 4xx are the impossible wishes, and wanted. */
function summary(statuses: number[]): Record<string, number> {
  const count = (from: number, to: number) => statuses.filter((status) => status >= from && status < to).length;
  return { '2xx': count(200, 300), '4xx': count(400, 500), '5xx': count(500, 600), none: count(0, 1) };
}
