import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { MeshStatus } from '../../../src/model/status.ts';
import { listSagaServices, listSagas, type SagaDetails, showSaga } from '../../../src/runtime/client/saga.ts';
import { renderSaga, renderSagaServices, renderSagas } from '../../../src/runtime/client/saga-view.ts';
import { createStyle } from '../../../src/runtime/client/style.ts';
import { shopStatus } from '../control/fake-mesh.ts';

const style = createStyle(false);
const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A mesh whose service `inventory` is reached through its own outbound port and answers so. */
async function meshAnswering(status: number, body: unknown): Promise<{ mesh: MeshStatus; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const mesh = shopStatus();
  mesh.services[0].instances[0].outboundPort = (server.address() as AddressInfo).port;
  return { mesh, seen };
}

const SUMMARY = {
  id: 'order-7',
  kind: 'order',
  state: 'parked',
  step: 'pay',
  failure: 'confirm: the shop is closed',
  obstacle: 'pay: the account is closed',
  createdAt: '2026-11-20T10:00:00.000Z',
  updatedAt: '2026-11-20T10:00:02.000Z',
};
const DETAILS: SagaDetails = {
  ...SUMMARY,
  steps: [
    { name: 'reserve', state: 'done', attempts: 1 },
    { name: 'pay', state: 'stuck', attempts: 2 },
  ],
  history: [
    {
      step: 'pay',
      direction: 'action',
      attempt: 1,
      replica: 'orders-1a2b',
      startedAt: '2026-11-20T10:00:00.100Z',
      endedAt: null,
      outcome: null,
      error: null,
    },
    {
      step: 'pay',
      direction: 'compensation',
      attempt: 1,
      replica: 'orders-3c4d',
      startedAt: '2026-11-20T10:00:01.500Z',
      endedAt: '2026-11-20T10:00:01.520Z',
      outcome: 'refused',
      error: 'the account is closed',
    },
  ],
};

describe('asking a service for its sagas', () => {
  it('is a request of the service to itself', async () => {
    const { mesh, seen } = await meshAnswering(200, { sagas: [SUMMARY], counts: { parked: 1, odd: 'x' }, next: 'abc' });
    const page = await listSagas(mesh, 'inventory', { state: 'parked', count: 20 });
    expect(page).toEqual({ ok: true, value: { sagas: [SUMMARY], counts: { parked: 1 }, next: 'abc' } });
    expect(seen[0].url).toBe('/sagas?limit=20&state=parked');
    expect(seen[0].headers.host).toBe('inventory');
  });

  it('keeps an ID in one segment of the path', async () => {
    const { mesh, seen } = await meshAnswering(200, DETAILS);
    expect(await showSaga(mesh, 'inventory', 'a/../b?c')).toEqual({ ok: true, value: DETAILS });
    expect(seen[0].url).toBe('/sagas/a%2F..%2Fb%3Fc');
  });

  it.each([
    ['a page of something else', 200, '<html>', 'MESH-S150'],
    ['JSON of another form', 200, { sagas: [{ id: 7 }] }, 'MESH-S150'],
    ['no such address', 404, 'not found', 'MESH-S150'],
    ['a database that is away', 503, { title: 'The database cannot be reached.' }, 'MESH-S152'],
  ])('is told apart from %s', async (_, status, body, code) => {
    const { mesh } = await meshAnswering(status, body);
    const page = await listSagas(mesh, 'inventory', { count: 1 });
    expect(page).toMatchObject({ ok: false, problems: [{ code }] });
    expect(await listSagaServices(mesh)).toEqual([]);
  });

  it('knows a saga that is not there from a service without sagas', async () => {
    const missing = await meshAnswering(404, { title: 'There is no such saga.' });
    expect(await showSaga(missing.mesh, 'inventory', 'x\u001b')).toMatchObject({
      problems: [{ code: 'MESH-S151', message: 'inventory has no saga x\\x1b' }],
    });
    const other = await meshAnswering(404, { title: 'Not found' });
    expect(await showSaga(other.mesh, 'inventory', 'x')).toMatchObject({ problems: [{ code: 'MESH-S150' }] });
  });

  it('finds the services that have some', async () => {
    const { mesh } = await meshAnswering(200, { sagas: [], counts: { completed: 3 } });
    const services = await listSagaServices(mesh);
    expect(services).toEqual([{ service: 'inventory', counts: { completed: 3 } }]);
    expect(renderSagaServices(services, style, null)).toEqual([
      'SERVICE    RUNNING  COMPENSATING  PARKED  COMPLETED  COMPENSATED',
      'inventory        0             0       0          3            0',
    ]);
  });
});

describe('the view of sagas', () => {
  const now = Date.parse('2026-11-20T10:03:00.000Z');

  it('lists them with why they are as they are', () => {
    const page = { sagas: [SUMMARY], counts: { parked: 1 }, next: 'abc' };
    expect(renderSagas(page, style, { columns: null, now })).toEqual([
      'ID       KIND   STATE   STEP    AGE  WHY',
      'order-7  order  parked  pay   3 min  pay: the account is closed',
      '',
      '1 parked; the older ones are not shown, see -n',
    ]);
    expect(renderSagas({ sagas: [], counts: {} }, style, { columns: null, now })).toEqual(['no sagas yet']);
    expect(renderSagas({ sagas: [], counts: { completed: 2 } }, style, { columns: null, now })).toEqual([
      'none in this state: 2 completed',
    ]);
  });

  it('shows what stands in the way of a parked one, its calls and what to do', () => {
    expect(renderSaga(DETAILS, 'orders', style, null)).toEqual([
      'order order-7  parked  2026-11-20T10:00:00.000Z  2.0 s',
      'failed: confirm: the shop is closed',
      'cannot be compensated: pay: the account is closed',
      '',
      'STEP     STATE  CALLS',
      'reserve  done       1',
      'pay      stuck      2',
      '',
      '    AT  CALL      TRY  OUTCOME   TOOK  REPLICA      ERROR',
      '100 ms  pay         1  no end       -  orders-1a2b  -',
      ' 1.5 s  undo pay    1  refused  20 ms  orders-3c4d  the account is closed',
      '',
      'once the cause is gone: mesh request --as orders orders /sagas/order-7/resume -X POST',
      'with ?skip=true where the compensation has been done by hand',
    ]);
  });

  it('lets nothing through that a terminal would obey', () => {
    const bad = '\u001b[31m\r\n';
    const saga = {
      ...DETAILS,
      ...Object.fromEntries(['id', 'kind', 'step', 'failure', 'obstacle'].map((field) => [field, bad])),
      steps: [{ name: bad, state: bad, attempts: 1 }],
      history: [{ ...DETAILS.history[1], step: bad, replica: bad, outcome: bad, error: bad }],
    } as SagaDetails;
    const lines = [
      ...renderSaga(saga, 'orders', style, 80),
      ...renderSagas({ sagas: [saga], counts: { [bad]: 1 } }, style, { columns: 80, now }),
    ];
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(lines.join('')).not.toMatch(/[\u0000-\u001f]/);
  });
});
