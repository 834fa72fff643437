import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bar, proportions, sparkline, timeBar } from '../../../src/tui/layout/charts.ts';
import { bytes, count, duration, percent, rate } from '../../../src/tui/layout/format.ts';

describe('charts', () => {
  it('draws the last values against their largest', () => {
    expect(sparkline([0, 1, 4, 8], 4)).toBe('▁▂▅█');
    expect(sparkline([9, 9, 0, 8], 2)).toBe('▁█');
    expect(sparkline([], 3)).toBe('   ');
    expect(sparkline([0, 0], 4)).toBe('  ▁▁');
  });

  it('draws shares to an eighth of a column', () => {
    expect(bar(0.5, 4)).toBe('██  ');
    expect(bar(1, 3)).toBe('███');
    expect(bar(0, 3)).toBe('   ');
    expect(bar(0.001, 3)).toBe('▏  ');
    expect(bar(0.3125, 2)).toBe('▋ ');
    expect(bar(Number.NaN, 2)).toBe('  ');
  });

  it('draws what is short as one column, and within the line', () => {
    expect(timeBar(0, 50, 100, 10)).toBe('━━━━━     ');
    expect(timeBar(99.9, 0.1, 100, 10)).toBe('         ━');
    expect(timeBar(0, 0, 0, 4)).toBe('━   ');
    expect(timeBar(100, 0, 100, 4)).toBe('   ━');
  });

  it('splits a width in proportion, and fills it', () => {
    expect(proportions([90, 10], 10)).toEqual([9, 1]);
    expect(proportions([999, 1], 10)).toEqual([9, 1]);
    expect(proportions([1, 1, 1], 10).reduce((sum, each) => sum + each)).toBe(10);
    expect(proportions([0, 0], 10)).toEqual([0, 0]);
    expect(proportions([1, 1, 1], 2)).toEqual([1, 1, 0]);
    fc.assert(
      fc.property(
        fc.array(fc.nat(1_000), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 60 }),
        (parts, columns) => {
          const widths = proportions(parts, columns);
          const total = parts.reduce((sum, part) => sum + part, 0);
          expect(widths.reduce((sum, width) => sum + width, 0)).toBe(total === 0 ? 0 : columns);
          expect(Math.min(...widths)).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });
});

describe('figures', () => {
  it('are short, and do not say more than is so', () => {
    expect([0, 0.03, 4, 123, 1_234, 45_678, 2_500_000].map(rate)).toEqual([
      '-',
      '<0.1',
      '4.0',
      '123',
      '1.2k',
      '46k',
      '2.5M',
    ]);
    expect([0, 0.0004, 0.5, 0.9, 0.955, 0.9999, 1].map(percent)).toEqual([
      '0 %',
      '<0.1 %',
      '50 %',
      '90 %',
      '95.5 %',
      '>99.9 %',
      '100 %',
    ]);
    expect([0.42, 12, 999.7, 1_340, 125_000, 11_400_000, 2 * 86_400_000 + 3_600_000].map(duration)).toEqual([
      '0.4ms',
      '12ms',
      '1.0s',
      '1.3s',
      '2m05s',
      '3h10m',
      '2d1h',
    ]);
    expect([0, 512, 1_500, 35_000_000].map(bytes)).toEqual(['0B', '512B', '1.5Ki', '33Mi']);
    expect(count(999.4)).toBe('999');
    // Between the units nothing becomes wider than the columns.
    fc.assert(fc.property(fc.double({ min: 0, max: 1e8, noNaN: true }), (ms) => duration(ms).length <= 7));
  });
});
