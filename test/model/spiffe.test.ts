import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatSpiffeId, parseSpiffeId, validTrustDomain, workloadOf } from '../../src/model/spiffe.ts';

const valid: [id: string, trustDomain: string, path: string][] = [
  ['spiffe://shop.local/ns/default/sa/orders', 'shop.local', '/ns/default/sa/orders'],
  ['spiffe://shop.local', 'shop.local', ''],
  ['spiffe://a', 'a', ''],
  ['spiffe://a-b_c.9/X', 'a-b_c.9', '/X'],
  ['spiffe://td/9-_.A', 'td', '/9-_.A'],
  ['spiffe://td/...', 'td', '/...'],
  ['spiffe://td/.hidden/x.', 'td', '/.hidden/x.'],
  [`spiffe://${'a'.repeat(255)}/x`, 'a'.repeat(255), '/x'],
  [`spiffe://td/${'x'.repeat(2048 - 12)}`, 'td', `/${'x'.repeat(2048 - 12)}`],
];

const invalid: [id: string, why: RegExp][] = [
  ['', /does not begin/],
  ['spiffe:', /does not begin/],
  ['spiffe:/td/x', /does not begin/],
  ['SPIFFE://td/x', /does not begin/],
  ['https://td/x', /does not begin/],
  [' spiffe://td/x', /does not begin/],
  ['spiffe://', /no trust domain/],
  ['spiffe:///x', /no trust domain/],
  ['spiffe://Shop.local/x', /trust domain with characters/],
  ['spiffe://td:8443/x', /trust domain with characters/],
  ['spiffe://user@td/x', /trust domain with characters/],
  ['spiffe://t%64/x', /trust domain with characters/],
  ['spiffe://t d/x', /trust domain with characters/],
  ['spiffe://tdé/x', /trust domain with characters/],
  ['spiffe://td?q=1', /trust domain with characters/],
  ['spiffe://td#f', /trust domain with characters/],
  ['spiffe://td\n', /trust domain with characters/],
  [`spiffe://${'a'.repeat(256)}/x`, /more than 255 bytes/],
  ['spiffe://td/', /ends with a slash/],
  ['spiffe://td/x/', /ends with a slash/],
  ['spiffe://td//x', /empty path segment/],
  ['spiffe://td/x//y', /empty path segment/],
  ['spiffe://td/.', /relative path segment/],
  ['spiffe://td/../x', /relative path segment/],
  ['spiffe://td/x/./y', /relative path segment/],
  ['spiffe://td/x?q', /path with characters/],
  ['spiffe://td/x#f', /path with characters/],
  ['spiffe://td/%41', /path with characters/],
  ['spiffe://td/a b', /path with characters/],
  ['spiffe://td/a\n', /path with characters/],
  ['spiffe://td/ñ', /path with characters/],
  ['spiffe://td/a:b', /path with characters/],
  ['spiffe://td/a,URI:spiffe', /path with characters/],
  [`spiffe://td/${'x'.repeat(2048 - 11)}`, /longer than 2048/],
];

describe('parseSpiffeId', () => {
  it.each(valid)('accepts %s', (id, trustDomain, path) => {
    expect(parseSpiffeId(id)).toEqual({ ok: true, value: { trustDomain, path } });
  });

  it.each(invalid)('refuses %j', (id, why) => {
    const result = parseSpiffeId(id);
    expect(result.ok).toBe(false);
    if (!result.ok) {
      expect(result.problems[0]?.code).toBe('MESH-I120');
      expect(result.problems[0]?.message).toMatch(why);
      expect(result.problems[0]?.message.length).toBeLessThan(400);
    }
  });

  it('reads back what formatSpiffeId wrote', () => {
    const domain = fc.stringMatching(/^[a-z0-9._-]{1,255}$/);
    const segment = fc.stringMatching(/^[a-zA-Z0-9._-]{1,63}$/).filter((s) => s !== '.' && s !== '..');
    fc.assert(
      fc.property(domain, segment, segment, (trustDomain, namespace, service) => {
        const id = formatSpiffeId({ trustDomain, namespace, service });
        expect(parseSpiffeId(id)).toEqual({ ok: true, value: { trustDomain, path: `/ns/${namespace}/sa/${service}` } });
        expect(workloadOf(id)).toEqual({ trustDomain, namespace, service });
      }),
    );
  });

  it('accepts nothing outside the grammar', () => {
    const grammar = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/(?!\.{1,2}(\/|$))[a-zA-Z0-9._-]+)*$/;
    const piece = fc.constantFrom(
      'spiffe',
      '://',
      '/',
      '.',
      '..',
      'a',
      'A',
      '-',
      '_',
      '%',
      '?',
      '#',
      ':',
      '@',
      ' ',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, prefixed) => {
        const id = (prefixed ? 'spiffe://' : '') + pieces.join('');
        expect(parseSpiffeId(id).ok).toBe(grammar.test(id));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('workloadOf', () => {
  it.each([
    'spiffe://td',
    'spiffe://td/orders',
    'spiffe://td/ns/default',
    'spiffe://td/ns/default/sa',
    'spiffe://td/ns/default/sa/orders/extra',
    'spiffe://td/sa/orders/ns/default',
    'not an id',
  ])('finds no workload in %s', (id) => {
    expect(workloadOf(id)).toBeUndefined();
  });
});

describe('validTrustDomain', () => {
  it.each(['shop.local', 'a', '0', 'a_b-c.d', 'a'.repeat(255)])('accepts %s', (name) => {
    expect(validTrustDomain(name)).toBe(true);
  });
  it.each(['', 'Shop', 'a b', 'a:1', 'a@b', 'a/b', 'a%b', 'a\n', 'é', 'a'.repeat(256)])('refuses %j', (name) => {
    expect(validTrustDomain(name)).toBe(false);
  });
});
