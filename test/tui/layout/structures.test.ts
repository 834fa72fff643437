import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StatRow } from '../../../src/model/events.ts';
import { quantileOf, sumOf } from '../../../src/model/traffic-sums.ts';
import { type Column, layOut, rowLine, titleLine } from '../../../src/tui/layout/columns.ts';
import { callGraph } from '../../../src/tui/layout/graph.ts';
import { between, clip, line, marked, textOf, widthOf } from '../../../src/tui/layout/lines.ts';
import { createRing } from '../../../src/tui/ring.ts';
import { windowStart } from '../../../src/tui/ui-state.ts';
import { statRow } from '../data.ts';

describe('columns', () => {
  interface Row {
    name: string;
    note: string;
  }
  const layout: Column<Row>[] = [
    { title: 'NAME', min: 6, cell: ({ name }) => name },
    { title: 'N', align: 'right', cell: () => '12' },
    { title: 'NOTE', min: 8, rank: 1, cell: ({ note }) => note },
    { title: 'MORE', min: 8, rank: 2, cell: () => 'more' },
  ];
  const rows = [{ name: 'a-rather-long-name', note: '日本語のログ' }];
  const drawn = (columns: number) => textOf(rowLine(layOut(layout, rows, columns), rows[0]));

  it('are as wide as their cells where there is room', () => {
    expect(drawn(80)).toBe('a-rather-long-name  12  日本語のログ  more');
  });

  it('give way, then leave by rank', () => {
    expect(drawn(40)).toBe('a-rather-long-n…  12  日本語のログ  more');
    expect(drawn(26)).toBe('a-rat…  12  日本語…   more');
    expect(drawn(24)).toBe('a-rathe…  12  日本語の… ');
    expect(drawn(12)).toBe('a-rathe…  12');
    expect(drawn(7)).toBe('a-…  12');
    expect(
      titleLine(layOut(layout, rows, 12), null)
        .map(({ text }) => text)
        .join(''),
    ).toBe('NAME       N');
  });

  it('never take more than there is, unless nothing may leave', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 120 }), fc.string({ unit: 'grapheme' }), (columns, name) => {
        const each = [{ name, note: name }];
        expect(widthOf(rowLine(layOut(layout, each, columns), each[0]))).toBeLessThanOrEqual(columns);
      }),
    );
  });
});

describe('lines', () => {
  it('are cut at the edge and merged where they look alike', () => {
    expect(clip(line('ab', 'cd', { text: 'ef', bold: true }), 5)).toEqual([
      { text: 'abcd' },
      { text: '…', bold: true },
    ]);
    expect(textOf(between(line('left side'), line('right'), 12))).toBe('left…  right');
    expect(textOf(marked(line('row'), true, 8))).toBe('> row   ');
  });
});

describe('the call graph', () => {
  const draw = (nodes: string[], ...edges: [string, string][]) =>
    callGraph(
      nodes,
      edges.map(([from, to]) => ({ from, to })),
    ).map(({ branch, node, repeated }) => branch + node + (repeated ? ' ^' : ''));

  it('has a row for each call, below who calls', () => {
    expect(
      draw(
        ['gateway', 'web', 'orders', 'inventory', 'idle'],
        ['gateway', 'web'],
        ['web', 'orders'],
        ['web', 'inventory'],
        ['orders', 'inventory'],
      ),
    ).toEqual(['gateway', '└─▸ web', '    ├─▸ orders', '    │   └─▸ inventory', '    └─▸ inventory', 'idle']);
  });

  it('ends where it goes round in a circle', () => {
    expect(draw([], ['a', 'b'], ['b', 'a'], ['c', 'c'])).toEqual(['c', '└─▸ c ^', 'a', '└─▸ b', '    └─▸ a ^']);
  });

  it('draws every call once and every service at least once', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(name, name), { selector: (edge) => edge.join(' '), maxLength: 20 }),
        (pairs) => {
          const edges = pairs.map(([from, to]) => ({ from, to }));
          const rows = callGraph(['a', 'b', 'c', 'd', 'e', 'f'], edges);
          expect(new Set(rows.flatMap(({ edge }) => edge ?? []))).toEqual(new Set(edges));
          expect(rows.filter(({ edge }) => edge !== null)).toHaveLength(edges.length);
          expect(new Set(rows.map(({ node }) => node)).size).toBe(6);
        },
      ),
    );
  });
});

describe('sums of traffic', () => {
  it('of one row are its own figures', () => {
    const row = statRow({ requests: 10, requestsPerSecond: 1, successRate: 0.5, p50Ms: 3, p95Ms: 20, p99Ms: 50 });
    expect(sumOf([row])).toMatchObject({ requests: 10, perSecond: 1, success: 0.5, p50Ms: 3, p95Ms: 20, p99Ms: 50 });
    expect(sumOf([])).toMatchObject({ requests: 0, success: 1 });
  });

  it('weigh rows by their requests', () => {
    const quick = statRow({ requests: 990, p50Ms: 1, p95Ms: 2, p99Ms: 3 });
    const slow = statRow({ requests: 10, successRate: 0, p50Ms: 100, p95Ms: 200, p99Ms: 300 });
    const sum = sumOf([quick, slow]);
    expect(sum.success).toBeCloseTo(0.99);
    expect(sum.p50Ms).toBeLessThan(1.1);
    expect(sum.p99Ms).toBeGreaterThan(3);
    expect(sum.p99Ms).toBeLessThan(100);
  });

  it('have quantiles within those of their parts', () => {
    const row = fc.record({ requests: fc.nat(1_000), a: fc.nat(100), b: fc.nat(100), c: fc.nat(100) });
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(0.5, 0.95, 0.99),
        (parts, quantile) => {
          const rows: StatRow[] = parts.map(({ requests, a, b, c }) =>
            statRow({ requests, p50Ms: a, p95Ms: a + b, p99Ms: a + b + c }),
          );
          const own = rows.filter(({ requests }) => requests > 0).map((each) => quantileOf([each], quantile));
          const value = quantileOf(rows, quantile);
          if (own.length === 0) return expect(value).toBe(0);
          expect(value).toBeGreaterThanOrEqual(Math.min(...own) - 0.01);
          expect(value).toBeLessThanOrEqual(Math.max(...own) + 0.01);
        },
      ),
    );
  });
});

describe('the ring', () => {
  it('keeps the last values in order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.integer({ min: 1, max: 10 }), (values, capacity) => {
        const ring = createRing<number>(capacity);
        for (const value of values) ring.push(value);
        expect(ring.values()).toEqual(values.slice(-capacity));
        expect(ring.values()).toBe(ring.values());
      }),
    );
  });
});

it('a list scrolls so that the selected row is on the screen', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), fc.nat(499), fc.integer({ min: 1, max: 50 }), (count, at, height) => {
      const selected = Math.min(at, count - 1);
      const start = windowStart(count, selected, height);
      expect(start).toBeGreaterThanOrEqual(0);
      expect(selected).toBeGreaterThanOrEqual(start);
      expect(selected).toBeLessThan(start + height);
      if (count >= height) expect(start + height).toBeLessThanOrEqual(count);
    }),
  );
});
