import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldSet, REDACTED_FIELDS, redactQuery, redactText, redactValue } from '../../src/model/redact.ts';

const FIELDS = fieldSet([...REDACTED_FIELDS, 'pin']);
const json = (text: string) => redactText(text, 'application/json', FIELDS);
const form = (text: string) => redactText(text, 'application/x-www-form-urlencoded', FIELDS);

/** Nothing else in what is generated reads so: digits and letters that only secrets have. */
const secretText = fc
  .string({ unit: fc.constantFrom(...'XYZ"\\{}[],:\n '), minLength: 1, maxLength: 20 })
  .map((s) => `Q9${s}Q9`);
const secret = fc.oneof(
  secretText,
  fc.array(secretText, { maxLength: 3 }),
  fc.dictionary(fc.constantFrom('a', 'b"', 'c\\'), secretText),
  fc.constant(99_119_911),
);
const spelling = (name: string) => fc.constantFrom(name, name.toUpperCase(), name.replaceAll('_', '-'), `${name}`);
const secretKey = fc.constantFrom(...REDACTED_FIELDS, 'pin', 'accessToken', 'clientSecret').chain(spelling);
const harmless = fc.string({ unit: fc.constantFrom(...'abc"\\{}[],: \n\u00e9'), maxLength: 12 });

const tree = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    harmless,
    fc.integer({ min: 0, max: 999 }),
    fc.constantFrom(null, true),
    fc.array(tie('node'), { maxLength: 3 }),
    fc
      .tuple(
        fc.dictionary(
          harmless.map((key) => `k${key}`),
          tie('node'),
          { maxKeys: 3 },
        ),
        fc.option(fc.tuple(secretKey, secret)),
      )
      .map(([object, field]) => (field === null ? object : { ...object, [field[0]]: field[1] })),
    tie('node').map((inner) => JSON.stringify(inner)),
  ),
})).node;

const leaks = (text: string) => /Q9|99119911/.test(text);

describe('secret fields of bodies', () => {
  it('are redacted in JSON at any depth, in strings of JSON too, however it is indented', () => {
    fc.assert(
      fc.property(tree, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        expect(leaks(json(JSON.stringify({ value }, null, indent)))).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('do not leak from JSON that is cut off anywhere, whatever it says it is', () => {
    fc.assert(
      fc.property(
        tree,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.constantFrom('application/json', 'text/plain', '', 'multipart/form-data; boundary=x'),
        (value, share, type) => {
          const text = JSON.stringify({ value });
          expect(leaks(redactText(text.slice(0, Math.floor(text.length * share)), type, FIELDS))).toBe(false);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('leave JSON valid, and everything else in it as it was', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify({ value });
        expect(JSON.parse(json(text))).toEqual(redactValue(JSON.parse(text), FIELDS));
      }),
    );
    expect(json('{"user": "eve", "password" : "x\\"y" , "n": 1}')).toBe(
      '{"user": "eve", "password" : "[redacted]" , "n": 1}',
    );
    expect(json('{"tokens":3,"a":"token","token":{"a":[1,"}"]},"b":2}')).toBe(
      '{"tokens":3,"a":"token","token":"[redacted]","b":2}',
    );
    expect(JSON.parse(json(JSON.stringify({ inner: JSON.stringify({ cvv: 123, b: 1 }) })))).toEqual({
      inner: '{"cvv":"[redacted]","b":1}',
    });
  });

  it('are known by their name in any spelling, escapes included', () => {
    for (const name of ['Access_Token', 'access-token', 'accessToken', 'pass\\u0077ord', 'card number'])
      expect(json(`{"${name}":"Q9"}`)).toContain('[redacted]');
    expect(json('{"password":"Q9')).toBe('{"password":"[redacted]"');
    expect(json('{"password":')).toBe('{"password":');
    expect(redactText('event: x\ndata: {"token":"Q9"}\n\n', 'text/event-stream', FIELDS)).not.toContain('Q9');
    expect(redactText('it is 5" long {"password":"Q9"}', 'text/plain', FIELDS)).not.toContain('Q9');
  });

  it('are redacted in forms, whole or cut off', () => {
    fc.assert(
      fc.property(secretKey, secretText, harmless, fc.nat(200), (key, value, other, cut) => {
        const text = new URLSearchParams([
          ['a', other],
          [`user[${key}]`, value],
          [key, value],
          ['b', other],
        ]).toString();
        expect(form(text)).toContain('=[redacted]');
        expect(leaks(form(text.slice(0, cut)))).toBe(false);
        expect(leaks(redactText(text, 'text/plain', FIELDS))).toBe(false);
        expect(new URLSearchParams(form(text)).get('b')).toBe(other);
      }),
    );
    const part = (name: string, value: string) =>
      `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const multipart = `${part('user', 'eve')}${part('password', 'Q9\r\nQ9')}${part('b', 'c')}--x--\r\n`;
    const shown = redactText(multipart, 'multipart/form-data; boundary=x', FIELDS);
    expect(shown).toBe(multipart.replace('Q9\r\nQ9', '[redacted]'));
    expect(leaks(redactText(multipart.slice(0, 130), 'multipart/form-data; boundary=x', FIELDS))).toBe(false);
  });

  it('take no more than linear time in hostile text', () => {
    for (const text of [
      '"'.repeat(200_000),
      '\\'.repeat(200_000),
      '{"password":'.repeat(20_000),
      '"a":['.repeat(40_000),
    ]) {
      const began = performance.now();
      json(text);
      expect(performance.now() - began).toBeLessThan(2_000);
    }
  });
});

describe('secret parameters of a query', () => {
  const query = (path: string) => redactQuery(path, FIELDS);

  it('lose their values, and nothing else changes', () => {
    fc.assert(
      fc.property(secretKey, secretText, harmless, fc.constantFrom('&', ';'), (key, value, other, separator) => {
        const [name, secret, plain] = [key, value, other].map(encodeURIComponent);
        expect(query(`/a?b=${plain}${separator}${name}=${secret}${separator}user[${name}]=${secret}#x`)).toBe(
          `/a?b=${plain}${separator}${name}=REDACTED${separator}user[${name}]=REDACTED`,
        );
      }),
    );
    for (const path of ['/', '/a?', '/a?b', '/password=1', '/a?=1', '/a?&&', '/a?b=%zz&c=%'])
      expect(query(path)).toBe(path);
    expect(query('/a?X-Amz-Signature=1&sig=2&code=3&%70in=4')).toBe(
      '/a?X-Amz-Signature=REDACTED&sig=REDACTED&code=REDACTED&%70in=REDACTED',
    );
  });
});
