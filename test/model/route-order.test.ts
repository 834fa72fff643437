import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MatchConfig } from '../../src/model/config.ts';
import type { Match, ValueMatch } from '../../src/model/resolved.ts';
import { coveredAlternatives } from '../../src/model/route-coverage.ts';
import { alternatives, type RouteConditions, resolveMatch } from '../../src/model/route-order.ts';

const order = (...routes: RouteConditions[]): string[] =>
  alternatives(routes).map(({ route, match }) => `${route}.${match}`);
const one = (...matches: MatchConfig[]): RouteConditions => ({ matches });

describe('the order of trying', () => {
  it('is exact path, longest prefix, expression, no path', () => {
    expect(
      order(
        {},
        one({ path: { regex: '/a.*' } }),
        one({ path: { prefix: '/a' } }),
        one({ path: { prefix: '/a/b' } }),
        one({ path: { exact: '/a' } }),
      ),
    ).toEqual(['4.0', '3.0', '2.0', '1.0', '0.0']);
  });

  it('puts the path before all else', () => {
    expect(
      order(one({ method: 'GET', headers: { a: '1', b: '2' }, query: { q: '1' } }), one({ path: { prefix: '/a' } })),
    ).toEqual(['1.0', '0.0']);
  });

  it('then prefers a method, more headers, more query parameters, and what stands first', () => {
    expect(
      order(
        {},
        one({ query: { q: '1' } }),
        one({ headers: { a: '1' } }),
        one({ headers: { a: '1' }, query: { q: '1' } }),
        one({ headers: { a: '1', b: '1' } }),
        one({ method: 'GET' }),
        one({ method: ['GET', 'POST'] }),
      ),
    ).toEqual(['5.0', '6.0', '4.0', '3.0', '2.0', '1.0', '0.0']);
  });

  it('puts the host before the path', () => {
    const routes: RouteConditions[] = [
      { matches: [{ path: { exact: '/a' } }] },
      { hosts: ['*.localhost'], matches: [{ path: { exact: '/a' } }] },
      { hosts: ['*.shop.localhost'] },
      { hosts: ['a.localhost', '*.localhost', '*'] },
    ];
    expect(alternatives(routes).map(({ route, hosts }) => [route, ...hosts])).toEqual([
      [3, 'a.localhost'],
      [2, '*.shop.localhost'],
      [1, '*.localhost'],
      [3, '*.localhost'],
      [0],
      [3],
    ]);
  });
});

describe('a match', () => {
  it.each<[string, MatchConfig, Match['path']]>([
    ['a prefix with slash', { path: { prefix: '/api/' } }, { kind: 'prefix', value: '/api' }],
    ['the root prefix', { path: { prefix: '/' } }, null],
    ['a call', { grpc: { service: 'a.B', method: 'C' } }, { kind: 'exact', value: '/a.B/C' }],
    ['a service', { grpc: { service: 'a.B' } }, { kind: 'prefix', value: '/a.B' }],
    ['a method', { grpc: { method: 'C' } }, { kind: 'regex', value: '/[^/]+/C' }],
  ])('of %s', (_, config, path) => {
    expect(resolveMatch(config).path).toEqual(path);
  });

  it('has methods in upper case and headers in lower case', () => {
    expect(resolveMatch({ method: ['get', 'GET', 'post'], headers: { 'X-A': { present: false } } })).toEqual({
      path: null,
      methods: ['GET', 'POST'],
      headers: [{ name: 'x-a', match: { kind: 'present', value: false } }],
      query: [],
    });
  });
});

const covered = (...routes: RouteConditions[]): string[] =>
  coveredAlternatives(alternatives(routes)).map(({ alternative, by }) => `${alternative.route}<${by.route}`);

describe('coverage', () => {
  it.each<[string, RouteConditions[], string[]]>([
    ['equal paths', [one({ path: { exact: '/a' } }), one({ path: { exact: '/a' } })], ['1<0']],
    ['equal expressions', [one({ path: { regex: '/a' } }), one({ path: { regex: '/a' } })], ['1<0']],
    ['different expressions', [one({ path: { regex: '/a' } }), one({ path: { regex: '/(a)' } })], []],
    [
      'a present header over a value',
      [one({ headers: { a: { present: true } } }), one({ headers: { A: 'x' } })],
      ['1<0'],
    ],
    ['a value over a present header', [one({ headers: { a: 'x' } }), one({ headers: { a: { present: true } } })], []],
    ['a prefix of a value', [one({ headers: { a: { prefix: 'ab' } } }), one({ headers: { a: 'abc' } })], ['1<0']],
    ['another prefix', [one({ headers: { a: { prefix: 'ab' } } }), one({ headers: { a: { prefix: 'a' } } })], []],
    ['absence', [one({ query: { a: { present: false } } }), one({ query: { a: 'x' } })], []],
    ['more methods', [one({ method: ['GET', 'POST'] }), one({ method: 'GET' })], ['1<0']],
    ['fewer methods', [one({ method: 'GET' }), one({ method: ['GET', 'POST'] })], []],
    ['methods of two', [one({ method: 'GET' }), one({ method: 'POST' }), one({ method: ['GET', 'POST'] })], ['2<1']],
    ['hosts of two', [{ hosts: ['a.b'] }, { hosts: ['c.b'] }, { hosts: ['a.b', 'c.b'] }], ['2<1']],
    ['another host', [{ hosts: ['a.b'] }, { hosts: ['c.b'] }], []],
    ['the same host in capitals', [{ hosts: ['a.b'] }, { hosts: ['A.B'] }], ['1<0']],
    ['a general one first', [{}, one({ path: { prefix: '/a' } }), { hosts: ['a.b'] }], []],
    ['a later general one', [one({ path: { prefix: '/a' } }), {}], []],
  ])('of %s', (_, routes, expected) => {
    expect(covered(...routes)).toEqual(expected);
  });

  it('never says so of what can win', () => {
    const value = fc.constantFrom<NonNullable<MatchConfig['headers']>[string]>(
      'ab',
      { prefix: 'a' },
      { present: true },
      { present: false },
      { regex: 'a.' },
    );
    const path = fc.constantFrom<MatchConfig['path']>(
      undefined,
      { exact: '/a' },
      { prefix: '/a' },
      { prefix: '/' },
      { exact: '/a/b' },
      { prefix: '/a/b/' },
      { regex: '/a' },
      { regex: '/.*' },
    );
    const match: fc.Arbitrary<MatchConfig> = fc.record(
      {
        path,
        method: fc.subarray(['GET', 'POST'], { minLength: 1 }),
        headers: fc.record({ h: value }),
        query: fc.record({ q: value }),
      },
      { requiredKeys: [] },
    );
    const hosts = fc.subarray(['a.b', 'c.a.b', '*.b', '*.a.b', '*'], { minLength: 1 });
    const route = fc.record({ hosts, matches: fc.array(match, { minLength: 1, maxLength: 2 }) }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.array(route, { maxLength: 5 }), (routes) => {
        const ordered = alternatives(routes);
        const dead = new Set(coveredAlternatives(ordered).map(({ alternative }) => alternative));
        for (const request of REQUESTS) {
          const winner = ordered.find(({ hosts, spec }) => matchesHost(hosts, request.host) && matches(spec, request));
          expect(winner === undefined || !dead.has(winner)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('does not grow with routes for other hosts and paths', () => {
    const many = Array.from(
      { length: 20_000 },
      (_, i): RouteConditions => ({ hosts: [`h${i}.localhost`], matches: [{ path: { prefix: `/p${i}` } }] }),
    );
    expect(covered(...many)).toEqual([]);
  });
});

interface Request {
  host: string;
  path: string;
  method: string;
  h?: string;
  q?: string;
}

const REQUESTS: Request[] = ['a.b', 'c.a.b', 'x.b', 'z'].flatMap((host) =>
  ['/', '/a', '/a/', '/a/b', '/a/b/c', '/ab'].flatMap((path) =>
    ['GET', 'POST', 'PUT'].flatMap((method) =>
      ['ab', 'ac', 'b', undefined].flatMap((h) => ['ab', 'abc', undefined].map((q) => ({ host, path, method, h, q }))),
    ),
  ),
);

/** Written from the definitions, not from the code under test. */
function matchesHost(hosts: readonly string[], host: string): boolean {
  return hosts.length === 0 || hosts.some((h) => (h.startsWith('*.') ? host.endsWith(h.slice(1)) : h === host));
}

function matches({ path, methods, headers, query }: Match, request: Request): boolean {
  if (path?.kind === 'exact' && request.path !== path.value) return false;
  if (path?.kind === 'prefix' && request.path !== path.value && !request.path.startsWith(`${path.value}/`))
    return false;
  if (path?.kind === 'regex' && !new RegExp(`^(?:${path.value})$`).test(request.path)) return false;
  if (methods.length > 0 && !methods.includes(request.method)) return false;
  return headers.every(({ match }) => agrees(match, request.h)) && query.every(({ match }) => agrees(match, request.q));
}

function agrees(match: ValueMatch, value: string | undefined): boolean {
  if (match.kind === 'present') return (value !== undefined) === match.value;
  if (value === undefined) return false;
  if (match.kind === 'exact') return value === match.value;
  return match.kind === 'prefix' ? value.startsWith(match.value) : new RegExp(`^(?:${match.value})$`).test(value);
}
