import { expect, it } from 'vitest';
import { hostKey, hostOf, portOf } from '../../src/proxy/authority.ts';

it.each([
  ['orders', 'orders', 0, 'orders'],
  ['Orders:8080', 'Orders', 8080, 'orders'],
  ['shop.example.:443', 'shop.example.', 443, 'shop.example'],
  ['[::1]:80', '[::1]', 80, '[::1]'],
  ['[::1]', '[::1]', 0, '[::1]'],
  ['::1', '::1', 0, '::1'],
  ['a:', 'a', 0, 'a'],
  ['a:99999', 'a', 0, 'a'],
  ['a:8x', 'a', 0, 'a'],
  ['', '', 0, ''],
])('%s', (authority, host, port, key) => {
  expect(hostOf(authority)).toBe(host);
  expect(portOf(authority)).toBe(port);
  expect(hostKey(authority)).toBe(key);
});
