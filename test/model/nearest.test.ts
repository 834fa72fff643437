import { describe, expect, it } from 'vitest';
import { nearest, suggest } from '../../src/model/nearest.ts';

const keys = ['command', 'cwd', 'dependsOn', 'replicas', 'retries', 'readiness', 'env', 'on'];

describe('nearest', () => {
  it.each([
    ['comand', 'command'],
    ['depends_on', 'dependsOn'],
    ['DependsOn', 'dependsOn'],
    ['retires', 'retries'],
    ['readyness', 'readiness'],
    ['evn', 'env'],
    ['replica', 'replicas'],
    ['x', undefined],
    ['zzzzzz', undefined],
    ['', undefined],
  ])('%j is %j', (word, expected) => {
    expect(nearest(word, keys)).toBe(expected);
  });

  it('takes the first of equals', () => {
    expect(nearest('orderz', ['orders', 'order'])).toBe('orders');
  });

  it('lists what there is, shortened', () => {
    expect(suggest('order', ['web', 'orders'], 'none')).toBe("did you mean 'orders'? There is: web, orders");
    expect(suggest('zzz', ['web'], 'none')).toBe('there is: web');
    expect(suggest('zzz', [], 'none')).toBe('none');
    const many = Array.from({ length: 20 }, (_, i) => `service-${i}`);
    expect(suggest('zzz', many, '')).toMatch(/service-11, and 8 more$/);
  });
});
