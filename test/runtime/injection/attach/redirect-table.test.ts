import { expect, it } from 'vitest';
import { inspectorPort } from '../../../../src/runtime/injection/attach/node-process.ts';
import {
  PROBE_HOST,
  redirectTable,
  withFormer,
  withProbe,
} from '../../../../src/runtime/injection/attach/redirect-table.ts';
import type { InterceptedWorkload } from '../../../../src/runtime/injection/interception.ts';

const workload = (changes: Partial<InterceptedWorkload> = {}): InterceptedWorkload => ({
  instance: 'web-injected-1',
  service: 'web',
  pid: 1,
  app: { host: '127.0.0.1', port: 9000 },
  inboundPort: 24101,
  outboundPort: 24102,
  destinations: { Orders: 24103, stock: 24104 },
  applicationPorts: { Orders: [{ host: '127.0.0.1', port: 9001 }], stock: [{ host: '10.0.0.5', port: 8080 }] },
  ...changes,
});

it('knows services by name, by stand-in and by the addresses of their applications', () => {
  const { hosts, addresses, lookups } = redirectTable(workload(), '/m/.mesh');
  for (const name of ['orders', 'orders.localhost', 'orders.mesh'])
    expect(hosts[name]).toEqual({ service: 'Orders', port: 24103 });
  expect(hosts[lookups['stock.mesh']]).toEqual({ service: 'stock', port: 24104 });
  expect(lookups.orders).not.toBe(lookups.stock);
  expect(Object.keys(addresses).sort()).toEqual(['10.0.0.5:8080', '127.0.0.1:9001', '::1:9001', 'localhost:9001']);
});

it('leaves the process its own address', () => {
  const { addresses } = redirectTable(workload({ app: { host: '0.0.0.0', port: 9001 } }), '/m/.mesh');
  expect(Object.keys(addresses)).toEqual(['10.0.0.5:8080']);
});

it('keeps the addresses that a service had before it was started anew', () => {
  const before = redirectTable(workload(), '/m/.mesh');
  const after = redirectTable(
    workload({ destinations: { Orders: 25000 }, applicationPorts: { Orders: [{ host: '127.0.0.1', port: 9005 }] } }),
    '/m/.mesh',
  );
  const { addresses } = withFormer(after, before);
  expect(addresses['127.0.0.1:9001']).toEqual({ service: 'Orders', port: 25000 });
  expect(addresses['127.0.0.1:9005']).toEqual({ service: 'Orders', port: 25000 });
  // No service of this name any more.
  expect(addresses['10.0.0.5:8080']).toBeUndefined();
});

it('leads the probe host to the probe listener, and nowhere else once it is gone', () => {
  const table = redirectTable(workload(), '/m/.mesh');
  const probed = withProbe(table, 5555);
  expect(probed.hosts[PROBE_HOST]).toEqual({ service: '', port: 5555 });
  expect(Object.values(table.lookups)).not.toContain(probed.lookups[PROBE_HOST]);
  expect(table.hosts[PROBE_HOST]).toBeUndefined();
});

it('finds the port that an inspector will have', () => {
  expect(inspectorPort(['node', 'app.js'])).toBe(9229);
  expect(inspectorPort(['node', '--inspect-port=9333', 'app.js'])).toBe(9333);
  expect(inspectorPort(['--inspect=127.0.0.1:0', 'node'])).toBe(0);
  expect(inspectorPort(['node', '--inspect', '--debug-port=[::1]:77'])).toBe(77);
});
