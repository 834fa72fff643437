import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Match, ResolvedRoute, ValueMatch } from '../../src/model/resolved.ts';
import type { RequestHead } from '../../src/proxy/message.ts';
import { compileRouteTable } from '../../src/proxy/route-table.ts';

const ANY: Match = { path: null, methods: [], headers: [], query: [] };

const route = (name: string, matches: Partial<Match>[], hosts: string[] = []): ResolvedRoute => ({
  name,
  path: `services.orders.routes[${name}]`,
  hosts,
  matches: matches.map((match) => ({ ...ANY, ...match })),
  filters: { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null },
  backends: [{ service: 'orders', subset: null, weight: 1 }],
  timeouts: { requestMs: 0, idleMs: 0 },
  retries: null,
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
const exact = (value: string): Partial<Match> => ({ path: { kind: 'exact', value } });
const prefix = (value: string): Partial<Match> => ({ path: { kind: 'prefix', value } });
const regex = (value: string): Partial<Match> => ({ path: { kind: 'regex', value } });

describe('look-up by path', () => {
  const routes = table(
    route('exact', [exact('/a/b')]),
    route('long', [prefix('/a/b')]),
    route('regex', [regex('/a/[0-9]+')]),
    route('short', [prefix('/a/')]),
    route('rest', [{}]),
  );

  it.each([
    ['/a/b', 'exact'],
    ['/a/b?x=/a/c', 'exact'],
    ['/a/b/', 'long'],
    ['/a/b/c', 'long'],
    ['/a/7', 'regex'],
    ['/a/7/8', 'short'],
    ['/a', 'short'],
    ['/ab', 'rest'],
    ['/', 'rest'],
    ['*', 'rest'],
    ['', 'rest'],
  ])('%s takes %s', (path, name) => {
    expect(routes.match(request(path))?.route.name).toBe(name);
  });

  it('goes by order, not by kind of match', () => {
    const ordered = table(
      route('any', [{ methods: ['GET'] }]),
      route('exact', [exact('/a')]),
      route('prefix', [prefix('/a/b')]),
    );
    expect(ordered.match(request('/a'))?.route.name).toBe('any');
    expect(ordered.match(request('/a/b'))?.route.name).toBe('any');
    expect(ordered.match(request('/a', { method: 'PUT' }))?.route.name).toBe('exact');
  });

  it('says which of several matches agreed, and what it settled of the path', () => {
    const match = table(route('r', [exact('/x'), prefix('/y/'), regex('/z+'), {}])).match(request('/y/1'));
    expect(match?.matchIndex).toBe(1);
    expect(match?.route.matchedPrefixes).toEqual(['/x', '/y', null, '']);
  });

  it('finds nothing where nothing agrees', () => {
    expect(table(route('r', [exact('/x')])).match(request('/y'))).toBeNull();
    expect(table().match(request('/'))).toBeNull();
  });
});

describe('look-up by host', () => {
  const routes = table(
    route('all-api', [prefix('/api')]),
    route('all', [{}]),
    route('wild', [prefix('/api')], ['*.shop.localhost']),
    route('wilder', [{}], ['*.localhost']),
    route('one', [prefix('/api')], ['eu.shop.localhost', 'Shop.Example']),
  );

  it.each([
    ['eu.shop.localhost', '/api', 'one'],
    ['EU.Shop.Localhost:8080', '/api', 'one'],
    ['eu.shop.localhost.', '/api', 'one'],
    ['shop.example:443', '/api', 'one'],
    ['us.shop.localhost', '/api', 'wild'],
    ['a.b.shop.localhost', '/api', 'wild'],
    ['eu.shop.localhost', '/other', 'wilder'],
    ['shop.localhost', '/api', 'wilder'],
    ['localhost', '/api', 'all-api'],
    ['.localhost', '/x', 'all'],
    ['shop.example', '/x', 'all'],
    ['[::1]:8080', '/x', 'all'],
    ['', '/x', 'all'],
  ])('%s%s takes %s', (authority, path, name) => {
    expect(routes.match(request(path, { authority }))?.route.name).toBe(name);
  });
});

describe('reload', () => {
  it('keeps the table of a resource that did not change', () => {
    const before = table(route('r', [{}]));
    expect(compileRouteTable(before.resource, before)).toBe(before);
    expect(compileRouteTable({ ...before.resource }, before)).not.toBe(before);
  });
});

// -- the index against the definition -----------------------------------------------------------------------------

const element = fc.constantFrom('a', 'b', 'ab', '', 'long-path-element');
const path = fc.array(element, { maxLength: 4 }).map((elements) => `/${elements.join('/')}`);
const value: fc.Arbitrary<ValueMatch> = fc.oneof(
  fc.record({ kind: fc.constant('exact' as const), value: fc.constantFrom('0', '1', '2', '3') }),
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
const hosts = fc.subarray(['a.x', 'b.x', '*.x', '*.a.x', '*']);
const routeSpec = fc
  .record({ matches: fc.array(match, { minLength: 1, maxLength: 3 }), hosts })
  .map((r) => route('', r.matches, r.hosts));
const numbered = (routes: ResolvedRoute[]) => routes.map((r, i) => ({ ...r, name: String(i) }));
const someRequest = fc
  .record({
    path,
    authority: fc.constantFrom('a.x', 'b.x:80', 'c.x', 'z.a.x', 'other'),
    method: fc.constantFrom('GET', 'POST'),
    headers: fc.array(fc.tuple(fc.constantFrom('x', 'y'), fc.constantFrom('0', '1', '2', '10')), { maxLength: 3 }),
    query: fc.array(fc.tuple(fc.constantFrom('x', 'y'), fc.constantFrom('0', '1', '2', '10')), { maxLength: 2 }),
  })
  .map((r) => {
    const query = r.query.map(([k, v]) => `${k}=${v}`).join('&');
    return request(query === '' ? r.path : `${r.path}?${query}`, {
      authority: r.authority,
      method: r.method,
      headers: r.headers.flat(),
    });
  });

/** Straight from the definition, sharing no code with the index. */
function scan(routes: ResolvedRoute[], r: RequestHead): string | null {
  const host = r.authority.split(':')[0];
  const specificity = (pattern: string): number => {
    if (pattern === '*') return 0;
    if (pattern.startsWith('*.'))
      return host.length > pattern.length - 1 && host.endsWith(pattern.slice(1)) ? pattern.length : -1;
    return pattern === host ? 1000 : -1;
  };
  const levels = [...new Set(routes.flatMap((x) => (x.hosts.length === 0 ? ['*'] : x.hosts)).map(specificity))];
  for (const level of levels.filter((l) => l >= 0).sort((a, b) => b - a)) {
    for (const x of routes) {
      if (!(x.hosts.length === 0 ? ['*'] : x.hosts).some((h) => specificity(h) === level)) continue;
      const index = x.matches.findIndex((m) => agrees(m, r));
      if (index >= 0) return `${x.name}/${index}`;
    }
  }
  return null;
}

function agrees(m: Match, r: RequestHead): boolean {
  const [bare, query = ''] = r.path.split('?');
  const fits = (v: ValueMatch, found: string | null): boolean => {
    if (v.kind === 'present') return (found !== null) === v.value;
    if (found === null) return false;
    if (v.kind === 'exact') return found === v.value;
    if (v.kind === 'prefix') return found.startsWith(v.value);
    return new RegExp(`^(${v.value})$`).test(found);
  };
  const fields = (name: string): string | null => {
    const values = r.headers.filter((_, i) => i % 2 === 1 && r.headers[i - 1] === name);
    return values.length === 0 ? null : values.join(', ');
  };
  const p = m.path;
  const pathFits =
    p === null ||
    (p.kind === 'exact' && p.value === bare) ||
    (p.kind === 'regex' && new RegExp(`^(${p.value})$`).test(bare)) ||
    (p.kind === 'prefix' && `${bare}/`.startsWith(`${p.value.replace(/\/+$/, '')}/`));
  return (
    pathFits &&
    (m.methods.length === 0 || m.methods.includes(r.method)) &&
    m.headers.every((h) => fits(h.match, fields(h.name))) &&
    m.query.every((q) => fits(q.match, new URLSearchParams(query).get(q.name)))
  );
}

describe('the index', () => {
  it('finds what going through all routes in order finds', () => {
    fc.assert(
      fc.property(
        fc.array(routeSpec, { maxLength: 40 }).map(numbered),
        fc.array(someRequest, { minLength: 1, maxLength: 20 }),
        (routes, requests) => {
          const indexed = compileRouteTable({ service: 'gateway', routes });
          for (const r of requests) {
            const found = indexed.match(r);
            expect(found === null ? null : `${found.route.name}/${found.matchIndex}`).toBe(scan(routes, r));
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('agrees where one bucket is large enough to be split', () => {
    const crowded = fc.record({ headers: named, query: named, methods: fc.subarray(['GET', 'POST']) });
    const routesOf = fc
      .array(crowded, { minLength: 15, maxLength: 60 })
      .map((all) => numbered(all.map((m) => route('', [{ ...m, path: { kind: 'prefix', value: '/a' } }]))));
    fc.assert(
      fc.property(routesOf, fc.array(someRequest, { minLength: 1, maxLength: 20 }), (routes, requests) => {
        const indexed = compileRouteTable({ service: 'orders', routes });
        for (const r of requests) {
          const found = indexed.match(r);
          expect(found === null ? null : `${found.route.name}/${found.matchIndex}`).toBe(scan(routes, r));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('does not look at the other routes of a large table', () => {
    // Counted, not timed: a header list that records each read shows how many conditions were tested.
    const many = table(
      ...Array.from({ length: 5_000 }, (_, i) =>
        route(`t${i}`, [{ headers: [{ name: 'x-tenant', match: { kind: 'exact', value: `${i}` } }] }]),
      ),
      ...Array.from({ length: 5_000 }, (_, i) =>
        route(`p${i}`, [
          { ...prefix(`/p/${i}`), headers: [{ name: 'x-tenant', match: { kind: 'present', value: true } }] },
        ]),
      ),
    );
    let reads = 0;
    const headers = new Proxy(['x-tenant', '4321'], {
      get(target, key, receiver) {
        reads++;
        return Reflect.get(target, key, receiver);
      },
    });
    expect(many.match(request('/p/17/x', { headers }))?.route.name).toBe('t4321');
    expect(reads).toBeLessThan(100);
  });
});
