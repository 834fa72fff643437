import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Base64Decoder } from '../../src/proxy/base64-decoder.ts';

/** Decodes the pieces one after the other; null: refused, or the last group is not whole. */
function decode(...pieces: string[]): string | null {
  const decoder = new Base64Decoder();
  let text = '';
  for (const piece of pieces) {
    // Not at the start of its buffer, as bytes from a socket seldom are.
    const buf = Buffer.from(`??${piece}?`);
    const bytes = decoder.decode(buf, 2, buf.length - 1);
    if (bytes === null) return null;
    text += bytes.toString('latin1');
  }
  return decoder.complete ? text : null;
}

describe('Base64Decoder', () => {
  it.each([
    ['', ''],
    ['TQ==', 'M'],
    ['TWE=', 'Ma'],
    ['TWFu', 'Man'],
    ['TQ==TWE=TWFuTQ==', 'MMaManM'],
    ['+/+/', '\xfb\xff\xbf'],
    ['TQ=', null],
    ['TQ', null],
    ['T', null],
    ['T===', null],
    ['TQ=a', null],
    ['TWE==', null],
    ['TW-u', null],
    ['TW_u', null],
    ['TW u', null],
    ['TWFu\n', null],
    ['=', null],
  ])('%j is %j', (encoded, text) => {
    expect(decode(encoded)).toBe(text);
    expect(decode(...encoded)).toBe(text);
  });

  it('restores what was encoded in any pieces and split anywhere', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), fc.array(fc.nat({ max: 200 })), (messages, cuts) => {
        const encoded = messages.map((message) => Buffer.from(message).toString('base64')).join('');
        const at = [0, ...cuts.map((cut) => Math.min(cut, encoded.length)).sort((a, b) => a - b), encoded.length];
        const pieces = at.slice(1).map((end, i) => encoded.slice(at[i], end));
        expect(decode(...pieces)).toBe(Buffer.concat(messages).toString('latin1'));
      }),
    );
  });
});
