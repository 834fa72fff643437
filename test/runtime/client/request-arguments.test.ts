import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Result } from '../../../src/model/result.ts';
import { parseExplainQuery } from '../../../src/runtime/client/explain.ts';
import {
  parseGrpcCall,
  parseMethod,
  parseRequestHeaders,
  parseRequestLine,
  parseRequestPath,
} from '../../../src/runtime/client/request-arguments.ts';

const refusal = (result: Result<unknown>): string =>
  result.ok
    ? JSON.stringify(result.value)
    : `${result.problems[0].code} ${result.problems[0].message}; ${result.problems[0].hint}`;

describe('a request line', () => {
  it.each([
    [['GET', '/x'], { method: 'GET', path: '/x' }],
    [['post', '/x?y=1'], { method: 'POST', path: '/x?y=1' }],
    [['/x'], { method: '', path: '/x' }],
    [['PURGE', '/x'], { method: 'PURGE', path: '/x' }],
    [['OPTIONS', '*'], { method: 'OPTIONS', path: '*' }],
    [['DELETE'], { method: 'DELETE', path: '' }],
    [[], { method: '', path: '' }],
  ])('%j', (words, line) => {
    expect(parseRequestLine(words)).toEqual({ ok: true, value: line });
  });

  it.each([
    [['GET', 'x'], /no path; a path begins with \/: did you mean `\/x`/],
    [['G T', '/x'], /no request method/],
    [['GET', 'http://orders/x?y'], /a URL, not a path.*did you mean `\/x\?y`/],
    [['GET', '/a b'], /characters that a path cannot have; escape them: `\/a%20b`/],
    [['GET', '/ü?q=%20'], /`\/%C3%BC\?q=%20`/],
    [['GET', '/x#y'], /fragment/],
    [['GET', '/x\u001b[2J'], /\\x1b/],
    [['GET', '/x', 'y'], /one word too many/],
  ])('is refused: %j', (words, why) => {
    const said = refusal(parseRequestLine(words));
    expect(said).toMatch(/^MESH-U102/);
    expect(said).toMatch(why);
    expect(said).not.toMatch(/\p{Cc}/u);
  });

  it('lets nothing through that could end a line or a header', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (first, second) => {
        for (const result of [
          parseRequestPath(first),
          parseMethod(first),
          parseRequestHeaders([`${first}:${second}`]),
        ]) {
          const text = refusal(result);
          expect(text).not.toMatch(/(?![\t\x7f-\x9f])\p{Cc}/u);
          if (result.ok && typeof result.value === 'string') expect(result.value).toMatch(/^[\u0021-\u007e]+$/);
        }
      }),
    );
  });
});

describe('headers', () => {
  it('are name and value', () => {
    const given = parseRequestHeaders(['x-user: ann', 'X-Empty:', 'x-url: http://a:1/b']);
    expect(given).toEqual({
      ok: true,
      value: [
        ['x-user', 'ann'],
        ['X-Empty', ''],
        ['x-url', 'http://a:1/b'],
      ],
    });
  });

  it.each([['x-user'], ['x user: 1'], [': 1'], ['x: a\r\nb: c'], ['x: \u001b[31m']])('are refused: %j', (text) => {
    expect(refusal(parseRequestHeaders([text]))).toMatch(/^MESH-U102/);
  });
});

describe('a gRPC call', () => {
  it('is a path', () => {
    expect(parseGrpcCall('shop.v1.Orders/Get')).toEqual({ ok: true, value: '/shop.v1.Orders/Get' });
    for (const wrong of ['Get', 'a/b/c', 'a b/c', '']) expect(refusal(parseGrpcCall(wrong))).toMatch(/^MESH-U102/);
  });
});

describe('what is to be explained', () => {
  it('is an ID alone, or a request with its ends', () => {
    expect(parseExplainQuery({ words: ['4bf92f35'] })).toMatchObject({
      ok: true,
      value: { id: '4bf92f35', headersKnown: false },
    });
    expect(parseExplainQuery({ words: ['GET', '/x'], from: 'web', to: 'orders', header: ['a: b'] })).toMatchObject({
      ok: true,
      value: {
        id: '',
        from: 'web',
        to: 'orders',
        method: 'GET',
        path: '/x',
        headers: [['a', 'b']],
        headersKnown: true,
      },
    });
    expect(parseExplainQuery({ words: [], from: 'web', to: 'orders', grpc: 'p.S/M' })).toMatchObject({
      ok: true,
      value: {
        method: 'POST',
        path: '/p.S/M',
        headers: [
          ['content-type', 'application/grpc'],
          ['te', 'trailers'],
        ],
      },
    });
    expect(parseExplainQuery({ words: ['/x'], from: 'gateway' })).toMatchObject({ ok: true, value: { to: '' } });
  });

  it.each([
    [{ words: [] }, /nothing to explain/],
    [{ words: [''] }, /nothing to explain/],
    [{ words: ['/x'] }, /who sends the request is not said/],
    [{ words: ['/x'], from: 'web' }, /who the request is for is not said/],
    [{ words: ['/x'], from: 'web', to: 'orders', grpc: 'a.B/C' }, /beside --grpc/],
  ])('is refused: %j', (given, why) => {
    expect(refusal(parseExplainQuery(given))).toMatch(why);
  });
});
