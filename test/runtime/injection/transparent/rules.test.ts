import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InterceptedWorkload } from '../../../../src/runtime/injection/interception.ts';
import {
  checkWorkload,
  classIdOf,
  dnsNamesOf,
  groupName,
  isGroupPath,
  isTableName,
  tableName,
  virtualAddresses,
} from '../../../../src/runtime/injection/transparent/names.ts';
import {
  isQuotable,
  type PacketMatch,
  type RuleInputs,
  removalText,
  ruleText,
} from '../../../../src/runtime/injection/transparent/rules.ts';

const KEY = '0123456789ab';

const workload = (fields: Partial<InterceptedWorkload> = {}): InterceptedWorkload => ({
  instance: 'legacy-injected-1',
  service: 'legacy',
  pid: 4242,
  app: { host: '127.0.0.1', port: 9000 },
  inboundPort: 24101,
  outboundPort: 24102,
  destinations: { orders: 24105, pay: 24106 },
  applicationPorts: { orders: [{ host: '127.0.0.1', port: 20001 }], pay: [{ host: '10.0.0.5', port: 8080 }] },
  ...fields,
});

const group = (member: string): PacketMatch => ({
  kind: 'cgroup2',
  path: `user.slice/${groupName(KEY, member)}`,
  level: 2,
});

const inputs = (fields: Partial<RuleInputs> = {}): RuleInputs => ({
  table: tableName(KEY),
  workloads: [{ workload: workload(), match: group('legacy-injected-1') }],
  proxies: [group('proxies')],
  addresses: new Map([
    ['orders', '127.130.1.2'],
    ['pay', '127.140.3.4'],
  ]),
  dns: { port: 5353, ipv6: true },
  relays: new Map([[24105, 33333]]),
  ...fields,
});

describe('rules', () => {
  it('redirect what leads to services, and leave the application to the proxy', () => {
    expect(ruleText(inputs())).toBe(`table inet mesh_0123456789ab
delete table inet mesh_0123456789ab
table inet mesh_0123456789ab {
  set dns {
    type inet_service; flags timeout;
    elements = { 53 timeout 10s }
  }
  chain outbound {
    type nat hook output priority -110; policy accept;
    socket cgroupv2 level 2 "user.slice/mesh-0123456789ab.legacy-injected-1" jump to_legacy-injected-1
  }
  chain to_legacy-injected-1 {
    ip daddr 127.130.1.2 meta l4proto tcp redirect to :24105
    ip daddr 127.140.3.4 meta l4proto tcp redirect to :24106
    udp dport @dns redirect to :5353
    tcp dport @dns redirect to :5353
    ip daddr 127.0.0.1 tcp dport 20001 redirect to :24105
    ip6 daddr ::1 tcp dport 20001 redirect to :33333
    ip daddr 10.0.0.5 tcp dport 8080 redirect to :24106
  }
  chain inbound {
    type filter hook output priority 0; policy accept;
    tcp flags & (fin | syn | rst | ack) == syn jump connecting
  }
  chain connecting {
    socket cgroupv2 level 2 "user.slice/mesh-0123456789ab.proxies" accept
    ip daddr 127.0.0.1 tcp dport 9000 socket cgroupv2 level 2 "user.slice/mesh-0123456789ab.legacy-injected-1" accept
    ip daddr 127.0.0.1 tcp dport 9000 reject with tcp reset
    ip6 daddr ::1 tcp dport 9000 socket cgroupv2 level 2 "user.slice/mesh-0123456789ab.legacy-injected-1" accept
    ip6 daddr ::1 tcp dport 9000 reject with tcp reset
    socket cgroupv2 level 2 "user.slice/mesh-0123456789ab.legacy-injected-1" ip daddr 127.128.0.0/9 reject with tcp reset
  }
  chain inbound_remote {
    type filter hook input priority 0; policy accept;
  }
}
`);
  });

  it('match by class where only version 1 is mounted', () => {
    const classId = classIdOf(groupName(KEY, 'legacy-injected-1'));
    const text = ruleText(inputs({ workloads: [{ workload: workload(), match: { kind: 'net_cls', classId } }] }));
    expect(text).toContain(`    meta cgroup 0x${classId.toString(16)} jump to_legacy-injected-1`);
    expect(classId).toBeGreaterThan(0);
    expect(classIdOf(groupName(KEY, 'proxies'))).not.toBe(classId);
  });

  it('let a user’s other processes not in, when they match by user', () => {
    const text = ruleText(
      inputs({
        workloads: [{ workload: workload(), match: { kind: 'uid', uid: 1000 } }],
        proxies: [{ kind: 'uid', uid: 0 }],
      }),
    );
    expect(text).toContain('    meta skuid 1000 jump to_legacy-injected-1');
    expect(text).toContain('    meta skuid 0 accept');
    expect(text).not.toContain('dport 9000 meta skuid 1000 accept');
  });

  it('protect an application on all addresses from other machines too', () => {
    const app = { host: '0.0.0.0', port: 9000 };
    const text = ruleText(inputs({ workloads: [{ workload: workload({ app }), match: group('legacy-injected-1') }] }));
    expect(text).toContain('    fib daddr type local tcp dport 9000 reject with tcp reset');
    expect(text).toContain('    iifname != "lo" fib daddr type local tcp dport 9000');
  });

  it('leave what a workload says to itself alone', () => {
    const applicationPorts = { orders: [{ host: 'localhost', port: 9000 }], pay: [{ host: '127.0.0.1', port: 9001 }] };
    const text = ruleText(inputs({ workloads: [{ workload: workload({ applicationPorts }), match: group('x') }] }));
    expect(text).not.toMatch(/dport 9000 redirect/);
    expect(text).toMatch(/dport 9001 redirect to :24106/);
  });

  it('leave DNS over IPv6 alone where nobody listens for it', () => {
    const text = ruleText(inputs({ dns: { port: 5353, ipv6: false } }));
    expect(text).toContain('meta nfproto ipv4 udp dport @dns redirect to :5353');
    expect(text).not.toMatch(/^ *udp dport @dns/m);
  });

  it('name no table but that of the mesh, whatever the workload', () => {
    fc.assert(
      fc.property(
        fc.record({
          instance: fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9_-]{1,20}$/)),
          service: fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9_-]{1,20}$/)),
          host: fc.oneof(fc.string(), fc.constant('127.0.0.1'), fc.ipV4(), fc.ipV6()),
          port: fc.oneof(fc.integer(), fc.double(), fc.constantFrom(80, 443)),
        }),
        ({ instance, service, host, port }) => {
          const hostile = workload({
            instance,
            app: { host, port },
            destinations: { [service]: port },
            applicationPorts: { [service]: [{ host, port }] },
          });
          if (!checkWorkload(hostile).ok) return;
          const text = ruleText(inputs({ workloads: [{ workload: hostile, match: group('x') }] }));
          for (const line of text.split('\n')) {
            if (/\btable\b/.test(line) && !/^ {4}/.test(line)) {
              expect(line).toMatch(/^(delete )?table inet mesh_0123456789ab( \{)?$/);
            }
            expect(line).toMatch(/^[\w {}()[\]|&=!:;,."/@*-]*$/);
          }
          expect(text.match(/[{]/g)?.length).toBe(text.match(/[}]/g)?.length);
        },
      ),
    );
  });

  it('remove nothing but the table, whether it is there or not', () => {
    expect(removalText(tableName(KEY))).toBe('table inet mesh_0123456789ab\ndelete table inet mesh_0123456789ab\n');
  });
});

describe('what may stand in a rule', () => {
  it.each<Partial<InterceptedWorkload>>([
    { instance: 'a; flush ruleset' },
    { instance: 'a } table inet other {' },
    { instance: '' },
    { app: { host: '127.0.0.1 accept', port: 80 } },
    { app: { host: 'orders', port: 80 } },
    { app: { host: '127.0.0.1', port: 0 } },
    { app: { host: '127.0.0.1', port: 65_536 } },
    { app: { host: '127.0.0.1', port: 1.5 } },
    { app: { host: 'fe80::1%eth0', port: 80 } },
    { destinations: { 'a b': 80 } },
    { destinations: { 'a"': 80 } },
    { destinations: { orders: Number.NaN } },
  ])('not: %j', (fields) => {
    const checked = checkWorkload(workload(fields));
    expect(checked.ok).toBe(false);
    if (!checked.ok) expect(checked.problems[0].code).toBe('MESH-J308');
  });

  it('hosts by name lead nowhere and are no error', () => {
    const remote = workload({ applicationPorts: { orders: [{ host: 'db.example', port: 5432 }] } });
    expect(checkWorkload(remote).ok).toBe(true);
    expect(ruleText(inputs({ workloads: [{ workload: remote, match: group('x') }] }))).not.toContain('db.example');
  });

  it('paths of control groups without quotes and control characters', () => {
    expect(isQuotable('user.slice/app-code\\x2durl-1.scope')).toBe(true);
    expect(isQuotable('user.slice/user@1000.service')).toBe(true);
    expect(isQuotable('a"b')).toBe(false);
    expect(isQuotable('a\nb')).toBe(false);
    const match: PacketMatch = { kind: 'cgroup2', path: 'a" accept', level: 1 };
    expect(() => ruleText(inputs({ workloads: [{ workload: workload(), match }] }))).toThrow();
  });

  it('tables and groups of mesh are told from those of others', () => {
    expect(isTableName(tableName(KEY))).toBe(true);
    for (const other of ['filter', 'mesh_', 'mesh_0123456789AB', 'mesh_0123456789ab; flush ruleset'])
      expect(isTableName(other)).toBe(false);
    expect(isGroupPath(`/sys/fs/cgroup/${groupName(KEY, 'proxies')}`)).toBe(true);
    for (const other of ['/sys/fs/cgroup/user.slice', 'mesh-0123456789ab.a', '/a/../mesh-0123456789ab.a'])
      expect(isGroupPath(other)).toBe(false);
  });
});

describe('virtual addresses', () => {
  it('stay the same, whatever other services there are', () => {
    const alone = virtualAddresses(['orders']).get('orders');
    expect(alone).toBe('127.150.138.219');
    expect(virtualAddresses(['a', 'orders', 'z']).get('orders')).toBe(alone);
  });

  it('are of the upper half of the loopback block, and each is one service’s', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 200 }), (services) => {
        const addresses = [...virtualAddresses(services).values()];
        expect(new Set(addresses).size).toBe(services.length);
        for (const address of addresses) {
          const [first, second, , last] = address.split('.').map(Number);
          expect([first, second >= 128, last > 0, last < 255]).toEqual([127, true, true, true]);
        }
      }),
    );
  });

  it('have names', () => {
    expect(dnsNamesOf('Orders')).toEqual(['orders.mesh', 'orders', 'orders.localhost']);
  });
});
