import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Coverage } from '../../../../src/model/injection.ts';
import { processTree } from '../../../../src/runtime/injection/process-tree.ts';
import {
  dissolveGroup,
  membersOf,
  nftPathOf,
  parseHierarchies,
  parseMembership,
} from '../../../../src/runtime/injection/transparent/cgroups.ts';
import { type CoverageInputs, outboundRows } from '../../../../src/runtime/injection/transparent/coverage.ts';
import { parseTcpSockets } from '../../../../src/runtime/injection/transparent/probe.ts';
import {
  type InterceptionRecord,
  placeOf,
  readRecord,
  removeRecord,
  writeRecord,
} from '../../../../src/runtime/injection/transparent/record.ts';
import { parseResolvConf, systemResolvers } from '../../../../src/runtime/injection/transparent/resolvers.ts';
import { checkRights, mayChangeRules } from '../../../../src/runtime/injection/transparent/rights.ts';
import { undoRecorded } from '../../../../src/runtime/injection/transparent/undo.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'mesh-transparent-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('record', () => {
  const record = (fields: object = {}): InterceptionRecord => ({
    version: 1,
    place: placeOf(dir),
    table: 'mesh_0123456789ab',
    groups: [
      {
        directory: '/sys/fs/cgroup/a/mesh-0123456789ab.legacy-1',
        moved: [{ pid: 12, startTime: '5@x', from: '/sys/fs/cgroup/a' }],
      },
    ],
    ...fields,
  });

  it('is the owner’s alone, and comes back as it was', () => {
    expect(writeRecord(dir, record())).toEqual({ ok: true, value: undefined });
    expect(statSync(path.join(dir, 'interception.json')).mode & 0o777).toBe(0o600);
    expect(readRecord(dir)).toEqual(record());
    removeRecord(dir);
    expect(readRecord(dir)).toBeNull();
  });

  it('replaces a draft that was left, whoever may read that', () => {
    writeFileSync(path.join(dir, 'interception.json.new'), 'half a rec', { mode: 0o666 });
    expect(writeRecord(dir, record()).ok).toBe(true);
    expect(statSync(path.join(dir, 'interception.json')).mode & 0o777).toBe(0o600);
  });

  it('says so when it cannot be written', () => {
    const written = writeRecord(dir, record());
    expect(written.ok).toBe(true);
    expect(writeRecord(path.join(dir, 'nowhere'), record({ place: 0 })).ok).toBe(false);
  });

  it('of a copied project is about the original', () => {
    writeRecord(dir, record({ place: placeOf(dir) + 1 }));
    expect(readRecord(dir)).toBeNull();
  });

  it.each([
    { table: 'filter' },
    { table: 'mesh_0123456789ab; flush ruleset' },
    { table: 7 },
    { version: 2 },
    { groups: 'x' },
  ])('is not followed with %j', (fields) => {
    writeRecord(dir, record(fields));
    expect(readRecord(dir)).toBeNull();
  });

  it.each([
    { directory: '/sys/fs/cgroup/user.slice', moved: [] },
    { directory: '/sys/fs/cgroup/../../etc/mesh-0123456789ab.x', moved: [] },
    { directory: '/sys/fs/cgroup/mesh-0123456789ab.x', moved: [{ pid: 'x', startTime: '', from: '/' }] },
    { directory: '/sys/fs/cgroup/mesh-0123456789ab.x', moved: [{ pid: 1, startTime: '', from: '../x' }] },
    null,
  ])('is not followed to group %j', (group) => {
    writeRecord(dir, record({ groups: [group] }));
    expect(readRecord(dir)?.groups).toEqual([]);
  });

  it('survives every text', () => {
    for (const text of ['', '{', 'null', '[]', '{"version":1}', '\0']) {
      writeFileSync(path.join(dir, 'interception.json'), text);
      expect(readRecord(dir)).toBeNull();
    }
  });

  it('that is not there has nothing undone', async () => {
    expect(await undoRecorded(dir)).toEqual({ ok: true, value: false });
  });
});

describe('control groups', () => {
  const V1 = '33 24 0:29 / /sys/fs/cgroup/net_cls,net_prio rw - cgroup cgroup rw,net_cls,net_prio';
  const V2 = '42 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate';

  it('are found where they are mounted, the unified hierarchy first', () => {
    expect(
      parseHierarchies([V1, '44 24 0:31 / /sys/fs/cgroup/memory rw - cgroup none rw,memory', V2].join('\n')),
    ).toEqual([
      { kind: 'cgroup2', mount: '/sys/fs/cgroup/unified' },
      { kind: 'net_cls', mount: '/sys/fs/cgroup/net_cls,net_prio' },
    ]);
    expect(parseHierarchies('42 24 0:30 /part /mnt/x rw - cgroup2 none rw')).toEqual([]);
    expect(parseHierarchies('42 24 0:30 / /mnt/a\\040b rw shared:1 - cgroup2 none rw')).toEqual([
      { kind: 'cgroup2', mount: '/mnt/a b' },
    ]);
    expect(parseHierarchies('')).toEqual([]);
  });

  it('of a process are told by hierarchy', () => {
    const text = '10:net_cls,net_prio:/jobs\n1:name=systemd:/init.scope\n0::/user.slice/user@1000.service\n';
    expect(parseMembership(text, 'cgroup2')).toBe('/user.slice/user@1000.service');
    expect(parseMembership(text, 'net_cls')).toBe('/jobs');
    expect(parseMembership('0::/../../outside\n', 'cgroup2')).toBeNull();
    expect(parseMembership('0::/old (deleted)\n', 'cgroup2')).toBeNull();
    expect(parseMembership('', 'cgroup2')).toBeNull();
  });

  it('are named from where nft looks, with their depth in the hierarchy', () => {
    const hybrid = { kind: 'cgroup2', mount: '/sys/fs/cgroup/unified' } as const;
    expect(nftPathOf('/sys/fs/cgroup/unified/a/b', hybrid)).toEqual({ path: 'unified/a/b', level: 2 });
    const unified = { kind: 'cgroup2', mount: '/sys/fs/cgroup' } as const;
    expect(nftPathOf('/sys/fs/cgroup/a/b', unified)).toEqual({ path: 'a/b', level: 2 });
  });

  it('that are gone are dissolved', async () => {
    expect(await dissolveGroup(path.join(dir, 'gone'), () => dir)).toBe(true);
    mkdirSync(path.join(dir, 'group'));
    expect(membersOf(path.join(dir, 'group'))).toEqual([]);
    expect(await dissolveGroup(path.join(dir, 'group'), () => dir)).toBe(true);
  });
});

describe('process tree', () => {
  const entry = (pid: number, ppid: number) => ({ pid, ppid, pgid: pid, startTime: '', startOrder: pid });

  it('is the process and what descends from it, without the mesh', () => {
    const processes = [
      entry(1, 0),
      entry(10, 1),
      entry(11, 10),
      entry(12, 11),
      entry(13, 10),
      entry(14, 13),
      entry(20, 1),
    ];
    expect(processTree(10, new Set(), processes).map(({ pid }) => pid)).toEqual([10, 11, 13, 12, 14]);
    expect(processTree(10, new Set([13]), processes).map(({ pid }) => pid)).toEqual([10, 11, 12]);
    expect(processTree(99, new Set(), processes)).toEqual([]);
  });
});

describe('rights', () => {
  it('are read off the effective capabilities', () => {
    expect(mayChangeRules('CapPrm:\t0000000000001000\nCapEff:\t0000000000001000\n')).toBe(true);
    expect(mayChangeRules('CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n')).toBe(false);
    expect(mayChangeRules('')).toBe(false);
  });

  it.each(['darwin', 'win32'] as const)('are for Linux alone, not for %s', (platform) => {
    const checked = checkRights(platform);
    expect(checked.ok).toBe(false);
    if (checked.ok) return;
    expect(checked.problems[0].code).toBe('MESH-J301');
    expect(checked.problems[0].hint).toContain('mesh inject --as SERVICE -- COMMAND');
  });
});

describe('resolvers', () => {
  it('are those of resolv.conf', () => {
    const text =
      '# comment\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nsearch x\n nameserver  ::1 \nnameserver 10.0.0.4\n';
    expect(parseResolvConf(text)).toEqual(['10.0.0.1', 'fe80::1%eth0', '::1']);
    expect(parseResolvConf('nameserver nonsense\n')).toEqual(['127.0.0.1']);
  });

  it('change with the file', () => {
    const file = path.join(dir, 'resolv.conf');
    const resolvers = systemResolvers(file);
    expect(resolvers()).toEqual(['127.0.0.1']);
    writeFileSync(file, 'nameserver 10.0.0.1\n');
    expect(resolvers()).toEqual(['10.0.0.1']);
    writeFileSync(file, 'nameserver 10.0.0.22\n');
    expect(resolvers()).toEqual(['10.0.0.22']);
  });
});

describe('coverage of the outbound side', () => {
  const inputs: CoverageInputs = {
    workload: {
      instance: 'legacy-1',
      service: 'legacy',
      pid: 1,
      app: { host: '127.0.0.1', port: 9000 },
      inboundPort: 1,
      outboundPort: 2,
      destinations: { orders: 24105 },
      applicationPorts: { orders: [{ host: '127.0.0.1', port: 20001 }] },
    },
    match: { kind: 'uid', uid: 1000 },
    group: null,
    addresses: new Map([['orders', '127.150.138.219']]),
    dnsPort: 5353,
    relays: new Map(),
    unredirected: [],
  };
  const rows = (found: string, outcome: string): Coverage[] =>
    outboundRows(inputs, {
      names: [{ name: 'orders.mesh', found }],
      connections: [
        { host: '127.150.138.219', port: 80, listener: 24105, outcome },
        { host: '127.0.0.1', port: 20001, listener: 24105, outcome },
      ],
    });

  it('is what arrived', () => {
    expect(rows('127.150.138.219', 'arrived').map(({ subject, covered }) => [subject, covered])).toEqual([
      ['dns', true],
      ['orders (orders.mesh)', true],
      ['orders (127.0.0.1:20001)', true],
    ]);
  });

  it.each([
    ['ENOTFOUND', 'elsewhere', 'somewhere else'],
    ['EAI_AGAIN', 'ECONNREFUSED', 'fails with ECONNREFUSED'],
    ['192.0.2.1', 'ETIMEDOUT', 'fails with ETIMEDOUT'],
  ])('is not what did not: %s, %s', (found, outcome, words) => {
    const [names, byName, byAddress] = rows(found, outcome);
    expect(names).toMatchObject({ covered: false, fix: 'use the addresses: orders.mesh is 127.150.138.219' });
    for (const row of [byName, byAddress]) {
      expect(row).toMatchObject({ covered: false, fix: 'point the process at http://127.0.0.1:24105' });
      expect(row.detail).toContain(words);
    }
  });

  it('is not known without a probe', () => {
    expect(outboundRows(inputs, null)).toMatchObject([{ direction: 'outbound', covered: false }]);
  });
});

describe('sockets of the kernel', () => {
  it('are read off /proc/net/tcp', () => {
    const text = readFileSync(new URL('proc-net-tcp.txt', import.meta.url), 'latin1');
    expect(parseTcpSockets(text)).toEqual([
      { localPort: 9000, remotePort: 0, listening: true, established: false, inode: '4711' },
      { localPort: 40000, remotePort: 20001, listening: false, established: true, inode: '4712' },
    ]);
  });
});
