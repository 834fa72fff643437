import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Match } from '../../src/model/resolved.ts';
import {
  anchoredRegex,
  compileConditions,
  headerValue,
  matchesPathPrefix,
  matchesRegex,
  meetsConditions,
  queryValue,
  REGEX_INPUT_LIMIT,
  trimPathPrefix,
  wireText,
} from '../../src/proxy/matcher.ts';
import type { RequestHead } from '../../src/proxy/message.ts';

const request = (over: Partial<RequestHead>): RequestHead => ({
  method: 'GET',
  scheme: '',
  authority: 'orders',
  path: '/',
  protocol: null,
  headers: [],
  contentLength: 0,
  expectContinue: false,
  ...over,
});

const asks = (over: Partial<Match>, of: Partial<RequestHead>): boolean =>
  meetsConditions(compileConditions({ path: null, methods: [], headers: [], query: [], ...over }), request(of));

describe('path prefixes', () => {
  const matches = (prefix: string, path: string) => matchesPathPrefix(trimPathPrefix(prefix), path);

  it.each([
    ['/api', '/api', true],
    ['/api', '/api/', true],
    ['/api', '/api/orders', true],
    ['/api', '/apis', false],
    ['/api', '/ap', false],
    ['/api/', '/api', true],
    ['/api/', '/api/x', true],
    ['/api/', '/apix', false],
    ['/', '/anything', true],
    ['/', '*', true],
    ['/', '', true],
    ['/a/b', '/a', false],
    ['/API', '/api', false],
  ])('%s against %s: %s', (prefix, path, expected) => {
    expect(matches(prefix, path)).toBe(expected);
  });
});

describe('headers', () => {
  const headers = ['accept', 'a', 'x-version', '1', 'accept', 'b'];

  it('joins fields of one name', () => {
    expect(headerValue(headers, 'accept')).toBe('a, b');
    expect(headerValue(headers, 'x-version')).toBe('1');
    expect(headerValue(headers, 'a')).toBeUndefined();
  });

  it.each([
    [{ kind: 'exact', value: 'a, b' }, true],
    [{ kind: 'exact', value: 'a' }, false],
    [{ kind: 'prefix', value: 'a,' }, true],
    [{ kind: 'prefix', value: 'b' }, false],
    [{ kind: 'regex', value: 'a|a, b' }, true],
    [{ kind: 'regex', value: 'a' }, false],
    [{ kind: 'present', value: true }, true],
    [{ kind: 'present', value: false }, false],
  ] as const)('%j: %s', (match, expected) => {
    expect(asks({ headers: [{ name: 'Accept', match }] }, { headers })).toBe(expected);
  });

  it('asks for absence', () => {
    expect(asks({ headers: [{ name: 'x-debug', match: { kind: 'present', value: false } }] }, { headers })).toBe(true);
    expect(asks({ headers: [{ name: 'x-debug', match: { kind: 'exact', value: '' } }] }, { headers })).toBe(false);
  });

  it('compares text beyond ASCII by its bytes', () => {
    const onWire = Buffer.from('Köln €').toString('latin1');
    expect(wireText('Köln €')).toBe(onWire);
    const match = { kind: 'exact', value: 'Köln €' } as const;
    expect(asks({ headers: [{ name: 'x-city', match }] }, { headers: ['x-city', onWire] })).toBe(true);
  });
});

describe('methods', () => {
  it('are compared as they are', () => {
    expect(asks({ methods: ['GET', 'POST'] }, { method: 'POST' })).toBe(true);
    expect(asks({ methods: ['GET', 'POST'] }, { method: 'post' })).toBe(false);
    expect(asks({ methods: [] }, { method: 'BREW' })).toBe(true);
  });
});

describe('query', () => {
  it('takes the first value, decoded', () => {
    expect(queryValue('/x?a=1&a=2', 'a')).toBe('1');
    expect(queryValue('/x?a=b%20c+d', 'a')).toBe('b c d');
    expect(queryValue('/x?a', 'a')).toBe('');
    expect(queryValue('/x?%61=1', 'a')).toBe('1');
    expect(queryValue('/x?aa=1', 'a')).toBeUndefined();
    expect(queryValue('/x', 'x')).toBeUndefined();
    expect(queryValue('/x?', '')).toBeUndefined();
  });

  it('reads what URLSearchParams reads', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      '%61',
      '%',
      '%zz',
      '%C3%A9',
      '%ff',
      '+',
      '=',
      '&',
      'é',
      '%2B',
      '?',
      '#',
      '%e2%82',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom('a', 'b', 'ab', '', 'é', ' '), (pieces, name) => {
        const query = pieces.join('');
        // As a URL parser would hand it over: Node's URLSearchParams alone mixes up raw text and broken escapes.
        const escaped = query.replaceAll('é', '%C3%A9');
        const wire = Buffer.from(query, 'utf8').toString('latin1');
        expect(queryValue(`/p?${wire}`, name)).toBe(new URLSearchParams(`&${escaped}`).get(name) ?? undefined);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('regular expressions', () => {
  it('match the whole text, alternatives included', () => {
    expect(matchesRegex(anchoredRegex('/a|/b'), '/b')).toBe(true);
    expect(matchesRegex(anchoredRegex('/a|/b'), '/bc')).toBe(false);
    expect(matchesRegex(anchoredRegex('/a.*'), '/a/b')).toBe(true);
  });

  it('are not tried on text beyond the limit', () => {
    const any = anchoredRegex('.*');
    expect(matchesRegex(any, 'a'.repeat(REGEX_INPUT_LIMIT))).toBe(true);
    expect(matchesRegex(any, 'a'.repeat(REGEX_INPUT_LIMIT + 1))).toBe(false);
  });
});
