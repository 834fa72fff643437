import { describe, expect, it } from 'vitest';
import { balancerKey, cookieValue } from '../../../src/proxy/load-balancers/balancer-key.ts';
import { NO_KEY } from '../../../src/proxy/load-balancers/load-balancer.ts';
import { murmur3 } from '../../../src/proxy/load-balancers/murmur3.ts';

describe('murmur3', () => {
  // Published vectors of MurmurHash3_x86_32.
  it.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['\xff\xff\xff\xff', 0, 0x76293b50],
    ['!Ce\x87', 0, 0xf55b516b],
    ['!Ce', 0, 0x7e4a8634],
    ['!C', 0, 0xa0f7b07a],
    ['!', 0, 0x72661cf4],
    ['\0\0\0\0', 0, 0x2362f9de],
    ['hello', 0, 0x248bfa47],
    ['hello, world', 0, 0x149bbb7f],
    ['The quick brown fox jumps over the lazy dog', 0, 0x2e4ff723],
  ])('%j with seed %d', (text, seed, expected) => {
    expect(murmur3(text, seed)).toBe(expected);
  });
});

describe('cookies', () => {
  it.each([
    [['cookie', 'a=1; session=x y; b=2'], 'session', 'x y'],
    [['cookie', 'session="quoted"'], 'session', 'quoted'],
    [['cookie', 'xsession=1;session=2'], 'session', '2'],
    [['cookie', 'a=1', 'cookie', 'session=3'], 'session', '3'],
    [['cookie', 'session='], 'session', ''],
    [['cookie', 'session'], 'session', undefined],
    [['cookie', 'a=session=1'], 'session', undefined],
    [['cookie', 'sessio; n=1'], 'sessio; n', undefined],
    [[], 'session', undefined],
  ])('%j, %s: %s', (headers, name, expected) => {
    expect(cookieValue(headers, name)).toBe(expected);
  });
});

describe('balancerKey', () => {
  it('hashes what the balancer asks for', () => {
    const headers = ['x-user', 'ann', 'cookie', 'session=s1'];
    const key = (spec: { kind: 'header' | 'cookie'; name: string } | { kind: 'source' }) =>
      balancerKey({ kind: 'ring-hash', key: spec }, headers, '127.0.0.1');
    expect(key({ kind: 'header', name: 'x-user' })).toBe(murmur3('ann'));
    expect(key({ kind: 'cookie', name: 'session' })).toBe(murmur3('s1'));
    expect(key({ kind: 'source' })).toBe(murmur3('127.0.0.1'));
    expect(key({ kind: 'header', name: 'x-none' })).toBe(NO_KEY);
    expect(key({ kind: 'cookie', name: 'none' })).toBe(NO_KEY);
    expect(balancerKey({ kind: 'round-robin' }, headers, '127.0.0.1')).toBe(NO_KEY);
  });
});
