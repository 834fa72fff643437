import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { displayWidth, pad, truncate, truncateStart, visible, withoutEscapes, wrap } from '../../src/model/text.ts';

describe('width on a terminal', () => {
  it.each([
    ['plain', 5],
    ['', 0],
    ['日本語', 6],
    ['한글', 4],
    ['ｆｕｌｌ', 8],
    ['e\u0301', 1],
    ['👍', 2],
    ['👨‍👩‍👧', 2],
    ['🇩🇪', 2],
    ['❤️', 2],
    ['→─█…', 4],
    ['a\u200bb', 2],
  ])('%s takes %i columns', (text, columns) => {
    expect(displayWidth(text)).toBe(columns);
  });
});

describe('cutting', () => {
  it('marks what it cut, and never splits a wide character', () => {
    expect(truncate('orders', 6)).toBe('orders');
    expect(truncate('orders-1', 6)).toBe('order…');
    expect(truncate('日本語', 5)).toBe('日本…');
    expect(truncate('日本語', 4)).toBe('日…');
    expect(truncate('日本語', 6)).toBe('日本語');
    expect(truncateStart('/a/long/file.ts', 8)).toBe('…file.ts');
    expect(truncate('abc', 0)).toBe('');
  });

  const texts = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), fc.string());

  it('fits whatever the text and the room', () => {
    fc.assert(
      fc.property(texts, fc.integer({ min: 0, max: 30 }), (text, columns) => {
        expect(displayWidth(truncate(text, columns))).toBeLessThanOrEqual(columns);
        expect(displayWidth(truncateStart(text, columns))).toBeLessThanOrEqual(columns);
      }),
    );
  });

  it('fills to the column', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-composite' }), fc.integer({ min: 1, max: 30 }), (text, columns) => {
        expect(displayWidth(pad(text, columns))).toBe(columns);
      }),
    );
    expect(pad('7', 3, 'right')).toBe('  7');
  });

  it('wraps without losing a word', () => {
    expect(wrap('one two three', 8)).toEqual(['one two', 'three']);
    expect(wrap('abcdefgh', 3)).toEqual(['abc', 'def', 'gh']);
    expect(wrap('日本語', 3)).toEqual(['日', '本', '語']);
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 2, max: 20 }), (text, columns) => {
        const lines = wrap(text, columns);
        for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(columns);
        expect(lines.join('').replaceAll(/\s/g, '')).toBe(text.replaceAll(/\s/g, ''));
      }),
    );
  });
});

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

describe('text from outside', () => {
  it('shows control characters instead of obeying them', () => {
    expect(visible('/a\u001b[2Jb')).toBe('/a␛[2Jb');
    expect(visible('x\r\ny\u007f')).toBe('x␍␊y␡');
    expect(visible('\u202egnp.exe')).toBe('�gnp.exe');
    expect(visible('\ud800')).toBe('�');
    expect(visible('é日👍')).toBe('é日👍');
    expect(visible('a'.repeat(5_000))).toHaveLength(2_049);
  });

  it('keeps the words of coloured output', () => {
    expect(withoutEscapes('a\u001b[2J\u001b[31mb\u001b]0;title\u0007c\u0000d\re')).toBe('abcde');
    expect(withoutEscapes('listening\ton 1\nnext')).toBe('listening  on 1');
  });

  it('never lets anything through that moves the cursor', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(visible(text)).not.toMatch(UNSAFE);
        expect(withoutEscapes(text)).not.toMatch(UNSAFE);
        expect(visible(`\u001b${text}`)).not.toMatch(UNSAFE);
        expect(withoutEscapes(`\u001b]${text}`)).not.toMatch(UNSAFE);
      }),
      { numRuns: 500 },
    );
  });
});
