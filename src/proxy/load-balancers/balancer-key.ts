import type { LoadBalancer } from '../../model/resolved.ts';
import { headerValue } from '../matcher.ts';
import type { Headers } from '../message.ts';
import { type BalancerKey, NO_KEY } from './load-balancer.ts';
import { murmur3 } from './murmur3.ts';

/**
 * The key by which a request is hashed, NO_KEY for balancers that have none and requests that lack it.
 * @param source who sends the request: the client's address at the gateway, the calling workload in the mesh
 */
export function balancerKey(spec: LoadBalancer, headers: Headers, source: string): BalancerKey {
  if (spec.kind !== 'ring-hash') return NO_KEY;
  const key = spec.key;
  if (key.kind === 'source') return murmur3(source);
  const value = key.kind === 'header' ? headerValue(headers, key.name) : cookieValue(headers, key.name);
  return value === undefined ? NO_KEY : murmur3(value);
}

/** Value of the first cookie of that name (RFC 6265 section 5.4); HTTP/2 may spread cookies over several fields. */
export function cookieValue(headers: Headers, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'cookie') continue;
    const field = headers[i + 1];
    let at = 0;
    while (at < field.length) {
      while (field.charCodeAt(at) === 0x20) at++;
      const semicolon = field.indexOf(';', at);
      const end = semicolon < 0 ? field.length : semicolon;
      if (field.startsWith(name, at) && field.charCodeAt(at + name.length) === 0x3d && at + name.length < end) {
        return unquoted(field.slice(at + name.length + 1, end).trimEnd());
      }
      at = end + 1;
    }
  }
  return undefined;
}

function unquoted(value: string): string {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}
