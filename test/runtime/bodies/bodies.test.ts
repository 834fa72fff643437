import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/model/resolve.ts';
import type { ServiceStatus } from '../../../src/model/status.ts';
import { readyInstances } from '../../../src/runtime/bodies/bodies.ts';
import { shopStatus } from '../control/fake-mesh.ts';

describe('who is asked for definitions', () => {
  const resolved = resolveConfig(
    {
      version: 1,
      name: 'shop',
      services: {
        orders: { command: 'true', protocol: 'grpc' },
        legacy: { external: 'https://grpc.example:8444', protocol: 'grpc' },
      },
    },
    { baseDir: '/' },
  );
  if (!resolved.ok) throw new Error(resolved.problems[0].message);
  const config = resolved.value;
  const [first] = shopStatus().services;
  const service = (name: string, change: Partial<ServiceStatus['instances'][number]>): ServiceStatus => ({
    ...first,
    name,
    instances: [{ ...first.instances[0], id: `${name}-1`, state: 'ready', appPort: 4000, startedAt: null, ...change }],
  });

  it('are instances that are ready, here, and services outside where they are', () => {
    expect(readyInstances(service('orders', { startedAt: 'then' }), config)).toEqual([
      { id: 'orders-1', server: { host: '127.0.0.1', port: 4000, tls: false }, startedAt: 'then' },
    ]);
    expect(readyInstances(service('legacy', { appPort: 8444 }), config)).toMatchObject([
      { server: { host: 'grpc.example', port: 8444, tls: true } },
    ]);
    expect(readyInstances(service('orders', { state: 'starting' }), config)).toEqual([]);
    expect(readyInstances(service('orders', { appPort: null }), config)).toEqual([]);
    // Injected, and so not of the configuration.
    expect(readyInstances(service('toString', {}), config)).toMatchObject([{ server: { host: '127.0.0.1' } }]);
  });
});
