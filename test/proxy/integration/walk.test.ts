import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FilterPolicies, Match, ResolvedRoute } from '../../../src/model/resolved.ts';
import { header, type RequestHead } from '../../../src/proxy/message.ts';
import { compileRouteTable } from '../../../src/proxy/route-table.ts';
import { walkRoutes } from '../../../src/proxy/route-walk.ts';
import { route, startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { fetchH1, httpApp, type TestApp } from '../../support/traffic.ts';

const ANY: Match = { path: null, methods: [], headers: [], query: [] };
const NONE: FilterPolicies = { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null };
const prefix = (value: string): Partial<Match> => ({ path: { kind: 'prefix', value } });

/** A route that leaves its name in the request. */
const marked = (
  name: string,
  header: string,
  match: Partial<Match>,
  part: Partial<ResolvedRoute> = {},
  filters: Partial<FilterPolicies> = {},
): ResolvedRoute =>
  route({
    name,
    matches: [{ ...ANY, ...match }],
    ...part,
    filters: { ...NONE, requestHeaders: { set: [[header, name]], add: [], remove: ['x-drop'] }, ...filters },
  });

const redirect = { scheme: null, host: null, port: null, path: null, status: 307 as const };
const GATEWAY: ResolvedRoute[] = [
  marked(
    'one-host',
    'x-gateway',
    prefix('/api'),
    { hosts: ['one.test'] },
    { rewrite: { path: { kind: 'prefix', value: '/v1' }, host: 'inner' } },
  ),
  marked('direct', 'x-gateway', prefix('/canary'), { backends: [{ service: 'app', subset: 'canary', weight: 1 }] }),
  marked('away', 'x-gateway', prefix('/away'), { backends: [] }, { redirect }),
  marked('suffix', 'x-gateway', {}, { hosts: ['*.test'] }),
  marked('posts', 'x-gateway', { methods: ['POST'] }),
];
const OWN: ResolvedRoute[] = [
  marked(
    'forwarded',
    'x-route',
    { headers: [{ name: 'x-forwarded-host', match: { kind: 'exact', value: 'two.test' } }] },
    { backends: [{ service: 'app', subset: 'canary', weight: 1 }] },
  ),
  marked('v1', 'x-route', prefix('/v1'), { backends: [{ service: 'app', subset: 'stable', weight: 1 }] }),
  marked('tested', 'x-route', { query: [{ name: 't', match: { kind: 'present', value: true } }] }),
];

interface Seen {
  name: string;
  url: string;
  headers: Record<string, string>;
}

describe('a walk through the tables', () => {
  const apps: TestApp[] = [];
  let mesh: TestMesh;

  beforeAll(async () => {
    for (const name of ['app-1', 'app-2', 'app-3']) {
      apps.push(
        await httpApp(({ url, headers }, response) => {
          response.end(JSON.stringify({ name, url, headers }));
        }),
      );
    }
    const subsets = ['stable', 'stable', 'canary'];
    const instances = apps.map(({ port }, i) => ({ port, subset: subsets[i] }));
    mesh = await startTestMesh({ app: { apps: instances, routes: OWN } }, GATEWAY);
  });

  afterAll(async () => {
    await mesh?.close();
    for (const app of apps) await app.close();
  });

  it('decides as the proxies do, request by request', async () => {
    const tables = new Map([
      ['gateway', compileRouteTable({ service: 'gateway', routes: GATEWAY })],
      ['app', compileRouteTable({ service: 'app', routes: OWN })],
    ]);
    let answered = 0;
    for (const host of ['one.test', 'two.test', 'other']) {
      for (const path of ['/api/x', '/api?t=1', '/canary/x', '/away?x=1', '/v1', '/else', '/else?t']) {
        for (const method of ['GET', 'POST']) {
          const what = `${method} ${host}${path}`;
          const sent = { 'x-drop': '1', 'x-forwarded-for': '10.0.0.1' };
          const head: RequestHead = {
            method,
            scheme: '',
            authority: host,
            path,
            protocol: null,
            headers: Object.entries(sent).flat(),
            contentLength: 0,
            expectContinue: false,
          };
          const start = { kind: 'gateway', service: '', scheme: 'http', remoteAddress: '127.0.0.1' } as const;
          const walk = await walkRoutes(tables, start, head);
          const query = {
            service: 'app',
            subset: walk.backend?.subset ?? null,
            headers: head.headers,
            source: '127.0.0.1',
          };
          const next = mesh.proxy.view(query)!.endpoints.find(({ chance }) => chance === 1)!.id;

          const reply = await fetchH1(mesh.gateway, { method, path, headers: { host, ...sent } });
          if (walk.backend === null) {
            expect(reply.status, what).toBe(walk.reply?.status ?? 404);
            if (walk.reply === null) expect(walk.visits.at(-1)!.taken, what).toBeNull();
            continue;
          }
          answered++;
          const seen = JSON.parse(reply.body) as Seen;
          expect([seen.url, seen.headers.host], what).toEqual([walk.request.path, walk.request.authority]);
          for (const name of [
            'x-gateway',
            'x-route',
            'x-drop',
            'x-forwarded-for',
            'x-forwarded-host',
            'x-forwarded-proto',
          ])
            expect(seen.headers[name], `${what} ${name}`).toBe(header(walk.request.headers, name));
          expect(seen.name, what).toBe(next);
        }
      }
    }
    expect(answered).toBeGreaterThan(15);
  });
});
