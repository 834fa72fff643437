import { describe, expect, it } from 'vitest';
import type { FilterPolicies } from '../../../src/model/resolved.ts';
import {
  CONTINUE,
  type FilterContext,
  RESPOND,
  type RequestFilter,
  runRequestFilters,
  runResponseFilters,
} from '../../../src/proxy/filter-chain.ts';
import { compileFilters } from '../../../src/proxy/filters/registry.ts';

const NONE: FilterPolicies = { requestHeaders: null, responseHeaders: null, rewrite: null, redirect: null };

const context = (
  path: string,
  over: { matched?: string | null; authority?: string; scheme?: 'http' | 'https'; headers?: string[] } = {},
) => {
  const x: FilterContext = {
    request: {
      method: 'GET',
      scheme: '',
      authority: over.authority ?? 'shop.localhost:8080',
      path,
      protocol: null,
      headers: over.headers ?? [],
      contentLength: 0,
      expectContinue: false,
    },
    route: { matchedPrefixes: [over.matched === undefined ? '' : over.matched] },
    matchIndex: 0,
    scheme: over.scheme ?? 'http',
    reply: null,
  };
  return x;
};

const run = (policies: Partial<FilterPolicies>, x: FilterContext) =>
  runRequestFilters(compileFilters({ ...NONE, ...policies }).requestFilters, x);

describe('rewrite', () => {
  // The table of the Gateway API's HTTPPathModifier, then its edges.
  it.each([
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    ['/foo?q=1', '/foo', '/', '/?q=1'],
    ['/foo?q=/foo', '/foo', '/xyz', '/xyz?q=/foo'],
    ['/foo/bar?q', '/foo', 'xyz', '/xyz/bar?q'],
    ['/bar', '', '/v2', '/v2/bar'],
    ['/bar', '', '/', '/bar'],
    ['/', '', '/v2', '/v2/'],
    ['/exact/', '/exact/', '/other', '/other'],
    ['/by/regex', null, '/other', '/by/regex'],
    ['*', '', '/v2', '*'],
    ['', '', '/v2', ''],
  ])('%s matched by %s, prefix replaced by %j: %s', (path, matched, value, expected) => {
    const x = context(path, { matched });
    expect(run({ rewrite: { path: { kind: 'prefix', value }, host: null } }, x)).toBe(CONTINUE);
    expect(x.request.path).toBe(expected);
  });

  it.each([
    ['/a/b?c=d', '/x', '/x?c=d'],
    ['/a/b', 'x/', '/x/'],
    ['/a', '', '/'],
    ['*', '/x', '*'],
  ])('%s replaced in full by %j: %s', (path, value, expected) => {
    const x = context(path, { matched: null });
    run({ rewrite: { path: { kind: 'full', value }, host: 'legacy:9000' } }, x);
    expect(x.request.path).toBe(expected);
    expect(x.request.authority).toBe('legacy:9000');
  });
});

describe('redirect', () => {
  type Redirect = NonNullable<FilterPolicies['redirect']>;
  const location = (policy: Partial<Redirect>, x: FilterContext): string => {
    const full: Redirect = { scheme: null, host: null, port: null, path: null, status: 302, ...policy };
    expect(run({ redirect: full }, x)).toBe(RESPOND);
    expect(x.reply?.status).toBe(full.status);
    expect(x.reply?.headers[0]).toBe('location');
    return x.reply!.headers[1];
  };

  it.each<[Partial<Redirect>, string, 'http' | 'https', string]>([
    [{ scheme: 'https' }, 'a.b:8080', 'http', 'https://a.b/p?q'],
    [{ scheme: 'https', port: 8443 }, 'a.b:8080', 'http', 'https://a.b:8443/p?q'],
    [{ scheme: 'https', port: 443 }, 'a.b:8080', 'http', 'https://a.b/p?q'],
    [{ port: 443 }, 'a.b', 'http', 'http://a.b:443/p?q'],
    [{ host: 'c.d' }, 'a.b:8080', 'http', 'http://c.d:8080/p?q'],
    [{ host: 'c.d', port: 80 }, 'a.b:8080', 'http', 'http://c.d/p?q'],
    [{ status: 308 }, 'a.b:443', 'https', 'https://a.b/p?q'],
    [{}, '[::1]:8080', 'http', 'http://[::1]:8080/p?q'],
    [{}, '[::1]', 'https', 'https://[::1]/p?q'],
    [{ path: { kind: 'full', value: '/new' } }, 'a.b', 'http', 'http://a.b/new?q'],
    [{ path: { kind: 'prefix', value: '/new' } }, 'a.b', 'http', 'http://a.b/new/p?q'],
    [{}, '', 'http', '/p?q'],
  ])('%j from %s over %s: %s', (policy, authority, scheme, expected) => {
    expect(location(policy, context('/p?q', { authority, scheme }))).toBe(expected);
  });

  it('never makes a host of the path', () => {
    expect(location({}, context('//evil.example/', { authority: '' }))).toBe('/evil.example/');
  });

  it('keeps targets that are no path out of the URL', () => {
    expect(location({}, context('*', { authority: 'a' }))).toBe('http://a/');
  });

  it('comes before everything else', () => {
    const x = context('/old/1', { matched: '/old', authority: 'a' });
    const policies = {
      redirect: { scheme: null, host: null, port: null, path: null, status: 301 as const },
      rewrite: { path: { kind: 'full' as const, value: '/internal' }, host: 'internal' },
    };
    expect(run(policies, x)).toBe(RESPOND);
    expect(x.reply?.headers[1]).toBe('http://a/old/1');
  });
});

describe('header changes', () => {
  it('removes, sets, adds', () => {
    const x = context('/', { headers: ['a', '1', 'b', '2', 'a', '3', 'c', '4'] });
    const changes = {
      remove: ['B', 'd'],
      set: [
        ['A', ' x '],
        ['D', 'new'],
      ],
      add: [['c', '5']],
    } as {
      remove: string[];
      set: [string, string][];
      add: [string, string][];
    };
    run({ requestHeaders: changes }, x);
    expect(x.request.headers).toEqual(['a', 'x', 'c', '4', 'd', 'new', 'c', '5']);
  });

  it('writes text beyond ASCII as its bytes', () => {
    const x = context('/');
    run({ requestHeaders: { set: [['x-city', '東京']], add: [], remove: [] } }, x);
    expect(Buffer.from(x.request.headers[1], 'latin1').toString('utf8')).toBe('東京');
  });

  it('leaves framing and pseudo-headers alone', () => {
    const names = [
      'Content-Length',
      'transfer-encoding',
      'Host',
      'connection',
      ':path',
      ':authority',
      'te',
      'upgrade',
      'bad name',
      '',
    ];
    const fields = names.map((name): [string, string] => [name, '0']);
    const { requestFilters, responseFilters } = compileFilters({
      ...NONE,
      requestHeaders: { set: fields, add: fields, remove: names },
      responseHeaders: { set: fields, add: fields, remove: names },
    });
    expect(requestFilters).toEqual([]);
    expect(responseFilters).toEqual([]);
  });

  it('refuses values that would split a message', () => {
    const policy = { set: [['x', 'a\r\nset-cookie: b']] as [string, string][], add: [], remove: [] };
    expect(() => compileFilters({ ...NONE, responseHeaders: policy })).toThrow(/line break/);
  });

  it('changes responses', () => {
    const { responseFilters } = compileFilters({
      ...NONE,
      responseHeaders: { set: [['server', 'mesh']], add: [], remove: ['x-powered-by'] },
    });
    const response = { status: 200, headers: ['x-powered-by', 'y', 'server', 'z'], contentLength: 0 };
    runResponseFilters(responseFilters, context('/'), response);
    expect(response.headers).toEqual(['server', 'mesh']);
  });
});

describe('the chain', () => {
  const filter = (name: string, log: string[], verdict: 0 | 1 | Promise<0 | 1>): RequestFilter => ({
    name,
    onRequest: () => {
      log.push(name);
      return verdict;
    },
  });

  it('stays synchronous while filters are, and stops at a response', () => {
    const log: string[] = [];
    const chain = [filter('a', log, CONTINUE), filter('b', log, RESPOND), filter('c', log, CONTINUE)];
    expect(runRequestFilters(chain, context('/'))).toBe(RESPOND);
    expect(log).toEqual(['a', 'b']);
  });

  it('goes on where a promise left off', async () => {
    const log: string[] = [];
    const chain = [
      filter('a', log, Promise.resolve(CONTINUE)),
      filter('b', log, CONTINUE),
      filter('c', log, Promise.resolve(RESPOND)),
      filter('d', log, CONTINUE),
    ];
    const verdict = runRequestFilters(chain, context('/'));
    expect(log).toEqual(['a']);
    expect(await verdict).toBe(RESPOND);
    expect(log).toEqual(['a', 'b', 'c']);
  });
});
