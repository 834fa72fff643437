import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPath, isWithin, parsePath } from '../../src/model/config-path.ts';

describe('paths into a configuration', () => {
  it.each([
    [[], ''],
    [['services', 'orders', 'routes', 0, 'backends', 1, 'weight'], 'services.orders.routes[0].backends[1].weight'],
    [['services', 'a-b', 'headers', 'x-canary'], 'services.a-b.headers.x-canary'],
    [['env', 'a.b'], 'env["a.b"]'],
    [['env', '', 'x'], 'env[""].x'],
    [['1', 1], '1[1]'],
  ])('%j is %s', (segments, text) => {
    expect(formatPath(segments)).toBe(text);
    expect(parsePath(text)).toEqual(segments);
  });

  it('survive formatting and parsing', () => {
    const segment = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[a-z-]+$/), fc.nat(1_000));
    fc.assert(
      fc.property(fc.array(segment), (segments) => {
        expect(parsePath(formatPath(segments))).toEqual(segments);
      }),
    );
  });

  it('refuse what is none', () => {
    expect(() => parsePath('a[')).toThrow();
  });

  it('know what lies below them', () => {
    expect(isWithin('services.orders.port', 'services.orders')).toBe(true);
    expect(isWithin('services.orders[0]', 'services.orders')).toBe(true);
    expect(isWithin('services.orders', 'services.orders')).toBe(true);
    expect(isWithin('services.orders-2', 'services.orders')).toBe(false);
    expect(isWithin('services', 'services.orders')).toBe(false);
    expect(isWithin('anything', '')).toBe(true);
  });
});
