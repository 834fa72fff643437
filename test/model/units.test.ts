import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatDuration,
  formatSize,
  guessDuration,
  MAX_DURATION_MS,
  parseDuration,
  parseSize,
} from '../../src/model/units.ts';

/** The form as GEP-2257 writes it. */
const GEP_2257 = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;

describe('durations', () => {
  it.each([
    ['0s', 0],
    ['500ms', 500],
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1h', 3_600_000],
    ['1h1m1s1ms', 3_661_001],
    ['00010s', 10_000],
    ['5m10s5m', 610_000],
    ['99999h', 99_999 * 3_600_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    '',
    '10',
    's',
    '1.5s',
    '-1s',
    '+1s',
    '1 s',
    ' 1s',
    '1s ',
    '100000s',
    '1d',
    '1S',
    '1us',
    '1ms1',
    'ms',
    '1s1s1s1s1s',
    '1e3s',
    '٣s',
    '10s\n',
  ])('%j is none', (text) => {
    expect(parseDuration(text)).toBeNull();
  });

  it('agrees with the expression of GEP-2257 on any text', () => {
    const letters = fc.array(fc.constantFrom('0', '1', '9', '12345', 'h', 'm', 's', 'ms', ' ', '.', '-', 'd'), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        fc.oneof(
          letters.map((parts) => parts.join('')),
          fc.string(),
        ),
        (text) => {
          expect(parseDuration(text) !== null).toBe(GEP_2257.test(text) && !text.endsWith('\n'));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('survive formatting and parsing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: MAX_DURATION_MS }), (ms) => {
        const text = formatDuration(ms);
        expect(text).toMatch(GEP_2257);
        expect(parseDuration(text)).toBe(ms);
      }),
    );
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, MAX_DURATION_MS + 1])('cannot be formatted from %d', (ms) => {
    expect(() => formatDuration(ms)).toThrow(RangeError);
  });

  it.each([
    ['10 sec', '10s'],
    ['1.5s', '1s500ms'],
    ['2 Minutes', '2m'],
    ['1h.', '1h'],
    ['10', null],
    ['soon', null],
    ['1d', null],
    ['999999999h', null],
  ])('%j was probably meant to be %j', (text, meant) => {
    expect(guessDuration(text)).toBe(meant);
  });
});

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['512', 512],
    ['64Ki', 65_536],
    ['10Mi', 10_485_760],
    ['1Gi', 1_073_741_824],
    ['2Ti', 2_199_023_255_552],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', 'Ki', '1KB', '1k', '1.5Mi', '-1', '1 Ki', '999999999999Ti', '1ki'])('%j is none', (text) => {
    expect(parseSize(text)).toBeNull();
  });

  it('survive formatting and parsing', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: 0, max: 40 }), (bytes, shift) => {
        const size = Math.floor(bytes / 2 ** shift) * 2 ** Math.min(shift, 10);
        fc.pre(Number.isSafeInteger(size) && size < 1e15);
        expect(parseSize(formatSize(size))).toBe(size);
      }),
    );
  });

  it.each([-1, 0.5, Number.NaN])('cannot be formatted from %d', (bytes) => {
    expect(() => formatSize(bytes)).toThrow(RangeError);
  });
});
