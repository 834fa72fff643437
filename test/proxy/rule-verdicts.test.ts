import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Match, ResolvedRoute, ValueMatch } from '../../src/model/resolved.ts';
import { compileConditions, meetsConditions } from '../../src/proxy/matcher.ts';
import type { RequestHead } from '../../src/proxy/message.ts';
import { compileRouteTable, entryOf } from '../../src/proxy/route-table.ts';
import { walkRoutes } from '../../src/proxy/route-walk.ts';
import { agrees, judgeRules } from '../../src/proxy/rule-verdicts.ts';

const ANY: Match = { path: null, methods: [], headers: [], query: [] };

const route = (name: string, matches: Partial<Match>[], part: Partial<ResolvedRoute> = {}): ResolvedRoute => ({
  name,
  path: 'services.orders.routes[0]',
  hosts: [],
  matches: matches.map((match) => ({ ...ANY, ...match })),
  filters: { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null },
  backends: [{ service: 'orders', subset: null, weight: 1 }],
  timeouts: { requestMs: 0, idleMs: 0 },
  retries: null,
  ...part,
});

const request = (path: string, over: Partial<RequestHead> = {}): RequestHead => ({
  method: 'GET',
  scheme: '',
  authority: 'orders',
  path,
  protocol: null,
  headers: [],
  contentLength: 0,
  expectContinue: false,
  ...over,
});

const table = (...routes: ResolvedRoute[]) => compileRouteTable({ service: 'orders', routes });

describe('mismatches', () => {
  const rule: Partial<Match> = {
    path: { kind: 'prefix', value: '/api' },
    methods: ['POST'],
    headers: [
      { name: 'x-canary', match: { kind: 'exact', value: '1' } },
      { name: 'x-old', match: { kind: 'present', value: false } },
    ],
    query: [{ name: 'v', match: { kind: 'regex', value: '[0-9]+' } }],
  };

  it('are all that a request lacks, not only the first', () => {
    const [verdict] = judgeRules(table(route('r', [rule])), request('/apix?v=two', { headers: ['x-old', 'yes'] }));
    expect(agrees(verdict)).toBe(false);
    expect(verdict.mismatches).toEqual([
      { part: 'path', index: 0, found: '/apix' },
      { part: 'method', index: 0, found: 'GET' },
      { part: 'header', index: 0, found: null },
      { part: 'header', index: 1, found: 'yes' },
      { part: 'query', index: 0, found: 'two' },
    ]);
  });

  it('are none for what the rule takes', () => {
    const taken = request('/api/x?v=2', { method: 'POST', headers: ['x-canary', '1'] });
    const [verdict] = judgeRules(table(route('r', [rule])), taken);
    expect(verdict.mismatches).toEqual([]);
    expect(agrees(verdict)).toBe(true);
  });

  it('counts rules for other hosts apart, and the more specific host first', () => {
    const routes = table(
      route('all', [{}]),
      route('suffix', [{}], { hosts: ['*.shop.test'] }),
      route('other', [{}], { hosts: ['b.shop.test'] }),
      route('exact', [{}], { hosts: ['a.shop.test'] }),
    );
    const verdicts = judgeRules(routes, request('/', { authority: 'A.shop.test:80' }));
    expect(verdicts.map((verdict) => [verdict.route.name, agrees(verdict)])).toEqual([
      ['other', false],
      ['exact', true],
      ['suffix', true],
      ['all', true],
    ]);
  });
});

// -- against the matcher and the table ------------------------------------------------------------------------------

const element = fc.constantFrom('a', 'b', 'ab', '', 'long-path-element');
const path = fc.array(element, { maxLength: 4 }).map((elements) => `/${elements.join('/')}`);
const value: fc.Arbitrary<ValueMatch> = fc.oneof(
  fc.record({ kind: fc.constant('exact' as const), value: fc.constantFrom('0', '1', '2', '') }),
  fc.record({ kind: fc.constant('prefix' as const), value: fc.constantFrom('', '1') }),
  fc.record({ kind: fc.constant('regex' as const), value: fc.constantFrom('[01]', '') }),
  fc.record({ kind: fc.constant('present' as const), value: fc.boolean() }),
);
const named = fc.array(fc.record({ name: fc.constantFrom('x', 'y'), match: value }), { maxLength: 2 });
const match: fc.Arbitrary<Match> = fc.record({
  path: fc.oneof(
    fc.constant(null),
    fc.record({ kind: fc.constantFrom('exact' as const, 'prefix' as const), value: path }),
    fc.record({ kind: fc.constant('regex' as const), value: fc.constantFrom('/a.*', '/[ab]+/?', '.*b', '/') }),
  ),
  methods: fc.subarray(['GET', 'POST']),
  headers: named,
  query: named,
});
const routes = fc
  .array(
    fc.record({
      matches: fc.array(match, { minLength: 1, maxLength: 3 }),
      hosts: fc.subarray(['a.x', 'b.x', '*.x', '*.a.x', '*', 'A.X.']),
    }),
    { maxLength: 30 },
  )
  .map((specs) => specs.map(({ matches, hosts }, i) => route(String(i), matches, { hosts })));
const pair = fc.constantFrom('x', 'y').chain((name) => fc.constantFrom('0', '1', '2', '').map((text) => [name, text]));
const someRequest = fc
  .record({
    path: fc.oneof(path, fc.constantFrom('*', '')),
    authority: fc.constantFrom('a.x', 'b.x:80', 'c.x', 'z.a.x', 'other', '', '.x', 'x'),
    method: fc.constantFrom('GET', 'POST', 'PUT'),
    headers: fc.array(pair, { maxLength: 3 }),
    query: fc.array(pair, { maxLength: 3 }),
  })
  .map(({ path, authority, method, headers, query }) =>
    request(query.length === 0 ? path : `${path}?${query.map(([k, v]) => `${k}=${v}`).join('&')}`, {
      authority,
      method,
      headers: headers.flat(),
    }),
  );

describe('verdicts', () => {
  it('find the rule that the table finds, and no other', () => {
    fc.assert(
      fc.property(routes, someRequest, (specs, asked) => {
        const compiled = table(...specs);
        const first = judgeRules(compiled, asked).find(agrees);
        const found = compiled.match(asked);
        expect([first?.route.name, first?.matchIndex]).toEqual([found?.route.name, found?.matchIndex]);
      }),
      { numRuns: 3_000 },
    );
  });

  it('agree with the matcher about every condition of every rule', () => {
    fc.assert(
      fc.property(match, someRequest, (spec, asked) => {
        const compiled = table(route('r', [spec]));
        const [{ mismatches }] = judgeRules(compiled, asked);
        const conditions = entryOf(compiled.routes[0], 0, 0).conditions;
        expect(conditions).toEqual(compileConditions(spec));
        expect(mismatches.every(({ part }) => part === 'path')).toBe(meetsConditions(conditions, asked));
        expect(mismatches.length === 0).toBe(compiled.match(asked) !== null);
      }),
      { numRuns: 5_000 },
    );
  });

  it('list every rule once', () => {
    fc.assert(
      fc.property(routes, someRequest, (specs, asked) => {
        const verdicts = judgeRules(table(...specs), asked);
        const keys = verdicts.map((verdict) => `${verdict.route.name}/${verdict.matchIndex}`);
        expect(new Set(keys).size).toBe(specs.reduce((sum, { matches }) => sum + matches.length, 0));
        expect(keys).toHaveLength(new Set(keys).size);
      }),
    );
  });
});

describe('a walk', () => {
  const start = { kind: 'gateway', service: '', scheme: 'http', remoteAddress: '127.0.0.1' } as const;
  const none = { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null };
  const tablesOf = (gateway: ResolvedRoute[], orders: ResolvedRoute[]) =>
    new Map([
      ['gateway', compileRouteTable({ service: 'gateway', routes: gateway })],
      ['orders', compileRouteTable({ service: 'orders', routes: orders })],
    ]);

  it('takes what the filters of the gateway make of the request to the routes of the service', async () => {
    const rewrite = { path: { kind: 'prefix' as const, value: '/' }, host: 'inner' };
    const headers = { set: [['x-from', 'gateway']] as [string, string][], add: [], remove: [] };
    const tables = tablesOf(
      [
        route('api', [{ path: { kind: 'prefix', value: '/api' } }], {
          filters: { ...none, rewrite, requestHeaders: headers },
        }),
      ],
      [
        route('gated', [
          {
            path: { kind: 'exact', value: '/x' },
            headers: [{ name: 'x-from', match: { kind: 'exact', value: 'gateway' } }],
          },
        ]),
        route('rest', [{}]),
      ],
    );
    const walk = await walkRoutes(tables, start, request('/api/x', { authority: 'shop.test' }));
    expect(walk.visits.map(({ table, taken }) => [table.service, taken?.route.name])).toEqual([
      ['gateway', 'api'],
      ['orders', 'gated'],
    ]);
    expect(walk.request).toMatchObject({ path: '/x', authority: 'inner' });
    expect(walk.request.headers).toEqual(expect.arrayContaining(['x-forwarded-host', 'shop.test']));
    expect(walk.visits[0].filters.map(({ filter }) => filter)).toEqual(['rewrite', 'requestHeaders']);
    expect(walk.backend).toEqual({ service: 'orders', subset: null, weight: 1 });
  });

  it('ends with a filter that answers, a table without a route, or a backend with a subset', async () => {
    const redirect = { scheme: 'https' as const, host: null, port: null, path: null, status: 301 as const };
    const redirected = tablesOf([route('r', [{}], { filters: { ...none, redirect }, backends: [] })], []);
    const answer = await walkRoutes(redirected, start, request('/x', { authority: 'shop.test' }));
    expect(answer).toMatchObject({ backend: null, reply: { status: 301 } });

    const lost = await walkRoutes(tablesOf([route('r', [{}])], []), start, request('/x'));
    expect(lost.visits.map(({ taken }) => taken?.route.name)).toEqual(['r', undefined]);
    expect(lost.backend).toBeNull();

    const canary = { service: 'orders', subset: 'canary', weight: 3 };
    const direct = tablesOf(
      [route('r', [{}], { backends: [{ ...canary, subset: 'v1', weight: 1 }, canary] })],
      [route('own', [{}])],
    );
    const walk = await walkRoutes(direct, start, request('/x'));
    expect(walk.visits).toHaveLength(1);
    expect(walk.backend).toEqual(canary);
  });
});
