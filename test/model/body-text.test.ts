import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventBody } from '../../src/model/bodies.ts';
import { bodyLines, bodySummary, indentJson } from '../../src/model/body-text.ts';

const body = (fields: Partial<EventBody>): EventBody => ({
  contentType: '',
  encoding: '',
  bytes: 10,
  truncated: false,
  note: '',
  ...fields,
});

describe('a body for people', () => {
  it('is JSON with its members on lines, and the same JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(indentJson(text)).toBe(JSON.stringify(JSON.parse(text), null, 2));
      }),
    );
    expect(indentJson('{"a":1.10,"a":12345678901234567890}')).toBe('{\n  "a": 1.10,\n  "a": 12345678901234567890\n}');
    expect(indentJson('{"a":[1,"cut of')).toBe('{\n  "a": [\n    1,\n    "cut of');
    expect(indentJson('{"a":1}\n{"b":2}')).toBe('{\n  "a": 1\n}\n{\n  "b": 2\n}');
  });

  it('loses nothing of text that is no JSON', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(indentJson(text).replaceAll(/\s/g, '')).toBe(text.replaceAll(/\s/g, ''));
      }),
    );
    expect(bodyLines(body({ contentType: 'text/plain', text: 'one\r\n two\n' }))).toEqual(['one', ' two']);
  });

  it('is hex where it is no text, and messages in order', () => {
    const lines = bodyLines(body({ base64: Buffer.alloc(300, 'Az').toString('base64'), note: 'why' }));
    expect(lines[0]).toBe('0000  41 7a 41 7a 41 7a 41 7a 41 7a 41 7a 41 7a 41 7a  AzAzAzAzAzAzAzAz');
    expect(lines.slice(-2)).toEqual(['... 44 more bytes were captured', '(why)']);
    const messages = [
      { type: 'a.B', bytes: 3, truncated: false, json: { x: 1 } },
      { type: '', bytes: 9, truncated: true },
    ];
    expect(bodyLines(body({ messages }))).toEqual([
      '#1 a.B, 3 bytes',
      '{',
      '  "x": 1',
      '}',
      '#2 message, 9 bytes, truncated',
    ]);
    expect(bodySummary(body({ encoding: 'gzip', truncated: true }))).toBe('no content-type, 10 bytes, gzip, truncated');
  });
});
