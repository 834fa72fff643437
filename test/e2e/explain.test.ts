import { describe, expect, it } from 'vitest';
import type { RequestEvent } from '../../src/model/events.ts';
import type { Explanation } from '../../src/model/explanation.ts';
import { parseExplainQuery } from '../../src/runtime/client/explain.ts';
import { connectControl } from '../../src/runtime/control/client.ts';
import { type Config, cleanUpMeshes, eventually, startMesh, type TestMesh } from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const TCP = `
import net from 'node:net';
net.createServer((socket) => socket.pipe(socket)).listen(Number(process.env.PORT), '127.0.0.1');
`;

const config = (canaryWeight = 1): Config => ({
  services: {
    web: echo({ dependsOn: ['orders', 'cache', 'pay'] }),
    orders: echo({
      timeouts: { request: '5s' },
      subsets: { v1: { replicas: 2 }, canary: {} },
      routes: [
        {
          name: 'canary-users',
          matches: [{ headers: { 'x-canary': '1' } }],
          backends: [{ subset: 'canary' }],
          retries: { attempts: 3, on: ['5xx'] },
        },
        {
          name: 'writes',
          matches: [{ path: { prefix: '/orders' }, method: 'POST' }],
          backends: [{ subset: 'v1' }],
          timeouts: { request: '1s' },
        },
        {
          name: 'split',
          backends: [
            { subset: 'v1', weight: 9 },
            { subset: 'canary', weight: canaryWeight },
          ],
        },
      ],
    }),
    cache: { command: ['node', 'tcp.mjs'], protocol: 'tcp' },
    pay: { external: 'http://127.0.0.1:9' },
  },
  gateway: {
    routes: [
      {
        name: 'api',
        matches: [{ path: { prefix: '/api' } }],
        filters: { rewrite: { path: { replacePrefix: '/' } } },
        backends: [{ service: 'orders' }],
      },
      ...routesTo('web', 'orders'),
    ],
  },
});

const FILES = { 'echo.mjs': ECHO, 'tcp.mjs': TCP };

/** As the command asks, without a process for each question. */
async function ask(mesh: TestMesh, ...argv: string[]): Promise<Explanation> {
  const words: string[] = [];
  const flags: { from?: string; to?: string; header: string[] } = { header: [] };
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '-H') flags.header.push(argv[++i]);
    else if (argv[i] === '--from' || argv[i] === '--to') flags[argv[i].slice(2) as 'from' | 'to'] = argv[++i];
    else words.push(argv[i]);
  }
  const query = parseExplainQuery({ words, ...flags });
  const connected = await connectControl(mesh.path('.mesh/control.sock'));
  if (!query.ok || !connected.ok) throw new Error(JSON.stringify([query, connected]));
  try {
    const found = await connected.value.explain(query.value);
    if (!found.ok) throw new Error(JSON.stringify(found.problems));
    return found.value;
  } finally {
    connected.value.close();
  }
}

/** The explanation of a request that is over, once both sides' parts are kept. */
async function explained(mesh: TestMesh, id: string): Promise<Explanation> {
  let found: Explanation | null = null;
  await eventually(
    async () => {
      found = await ask(mesh, id).catch(() => null);
      return found !== null && found.outcome!.timing.length > 3;
    },
    15_000,
    () => JSON.stringify(found),
  );
  return found!;
}

const picked = (explanation: Explanation): string[] =>
  explanation
    .endpoints!.endpoints.filter(({ choice }) => choice === 'picked' || choice === 'next')
    .map(({ instance }) => instance);

/** A command takes long on a machine that has much to do. */
const LONG_MS = 150_000;

describe('mesh explain', () => {
  it(
    'says what would happen, and it happens',
    async () => {
      const mesh = await startMesh(FILES, config());
      const viaGateway = (...words: string[]) => ask(mesh, '--from', 'gateway', '/api/orders/7', ...words);

      // The endpoint foreseen is the one that answers, each time anew.
      for (let i = 0; i < 2; i++) {
        const might = await viaGateway('-H', 'x-canary: 2', '-H', `host: localhost:${mesh.gatewayPort}`);
        expect(might.tables.map(({ table, taken }) => [table, taken?.route])).toEqual([
          ['gateway', 'api'],
          ['orders', 'split'],
        ]);
        const [writes, canary] = might.tables[1].earlier;
        expect(writes.differences.map(({ text }) => text)).toEqual(['method is GET, not POST']);
        expect(canary.differences.map(({ text }) => text)).toEqual(['header x-canary is "2", wanted "1"']);
        expect(might.policy.filters[0].changes).toEqual(['path /api/orders/7 becomes /orders/7']);
        expect(might.backend).toMatchObject({ subset: 'v1', candidates: [{ share: 0.9 }, { share: 0.1 }] });
        const [next] = picked(might);
        expect(next).toMatch(/^orders-v1-/);
        let answered = '';
        // One in ten goes to the canary, whose turn is its own.
        while (!answered.startsWith('orders-v1'))
          answered = (JSON.parse((await get(mesh.gatewayPort, '/api/orders/7')).body) as EchoAnswer).instance;
        expect(answered).toBe(next);
      }

      const text = (await mesh.mesh('explain', '--from', 'web', '--to', 'orders', 'post', '/orders')).stdout;
      expect(text).toMatch(/^POST \/orders {2}web → orders/);
      expect(text).toMatch(/route {6}writes {2}mesh\.config\.ts:\d+ {2}path prefix \/orders, method POST/);
      expect(text).toMatch(
        /request 1\.0 s +route: services\.orders\.routes\[1\]\.timeouts\.request {2}mesh\.config\.ts:\d+/,
      );
      const { dir } = mesh;
      const config1 = (await ask(mesh, '--from', 'web-1', '--to', 'orders')).tables[0].taken!;
      expect(config1.source.startsWith(`${dir}/mesh.config.ts:`)).toBe(true);

      const tcp = await ask(mesh, '--from', 'web', '--to', 'cache');
      expect(tcp).toMatchObject({ request: { protocol: 'tcp' }, listener: { name: 'web-1/to/cache' }, reply: null });
      const outside = await mesh.json<Explanation>('explain', '--from', 'web', '--to', 'pay', '/charge');
      expect(outside).toMatchObject({ version: 1, identity: { expected: null }, tls: { mode: 'none' } });

      // An instance that is not there is passed by, with the reason.
      await mesh.mesh('scale', 'orders/v1=0');
      const none = await ask(mesh, '--from', 'web', '--to', 'orders', 'POST', '/orders');
      expect(none.reply).toMatchObject({ status: 503, flag: 'UH' });
    },
    LONG_MS,
  );

  it(
    'says what happened, by the ID of the request or its trace, and why it cannot',
    async () => {
      const mesh = await startMesh(FILES, config(0));
      const tap = mesh.run('tap', '--json', '-n', '1', '--from', 'gateway', '--direction', 'outbound');
      await eventually(async () => {
        await get(mesh.gatewayPort, '/api/orders/slow?ms=20');
        return tap.output().includes('\n');
      });
      await tap.ended;
      const event = JSON.parse(tap.output().split('\n')[0]) as RequestEvent;
      for (const id of [event.id, event.traceId, event.traceId.slice(0, 12)]) {
        const found = await explained(mesh, id);
        expect(found).toMatchObject({
          kind: 'happened',
          request: { from: 'gateway', to: 'orders', path: '/api/orders/slow?ms=20' },
          outcome: { id: event.id, traceId: event.traceId, status: 200, flags: [], tls: true },
        });
        expect(picked(found)).toEqual([event.instance]);
        const application = found.outcome!.timing.find(({ part }) => part.startsWith('application'))!;
        expect(application.ms).toBeGreaterThan(15);
      }
      const text = (await mesh.mesh('explain', event.id)).stdout;
      expect(text).toContain('happened   200 after');
      expect(text).toContain('picked by round-robin');

      // A reload in between is said.
      mesh.config(config(5));
      await mesh.statusWhen(({ config: { version, problems } }) => problems.length === 0 && version > 1);
      await eventually(async () => (await explained(mesh, event.id)).config.reloadedSince);

      const refused = async (...words: string[]) => {
        const { code, stderr } = await mesh.mesh('explain', ...words);
        return `${code} ${stderr}`;
      };
      expect(await refused('0123456789abcdef')).toMatch(/^1 error\[MESH-X101\][\s\S]*at most 200 a second/);
      expect(await refused('\u001b[2Jx')).toMatch(/^1 error\[MESH-X101\] "\\u001b\[2Jx"/);
      expect(await refused('--from', 'wep', '--to', 'orders', '/x')).toMatch(
        /^2 error\[MESH-U103\][\s\S]*did you mean 'web'/,
      );
      expect(await refused('--from', 'web', '--to', 'orders', 'x/y')).toMatch(
        /^2 error\[MESH-U102\][\s\S]*did you mean `\/x\/y`/,
      );
      expect(await refused('--from', 'web', '--to', 'orders', '/x', '-H', 'a b: c')).toMatch(
        /^2 error\[MESH-U102\] `a b` is no header name/,
      );
    },
    LONG_MS,
  );
});
