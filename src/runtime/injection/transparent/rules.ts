import type { InterceptedWorkload } from '../interception.ts';
import { hostKind, VIRTUAL_NETWORK } from './names.ts';

/** How packets of certain processes are recognised. */
export type PacketMatch =
  /** Unified hierarchy. `path` below nft's root /sys/fs/cgroup; `level` counts from the hierarchy's own root. */
  | { kind: 'cgroup2'; path: string; level: number }
  | { kind: 'net_cls'; classId: number }
  | { kind: 'uid'; uid: number };

export interface WorkloadRules {
  workload: Pick<InterceptedWorkload, 'instance' | 'app' | 'destinations' | 'applicationPorts'>;
  match: PacketMatch;
}

export interface RuleInputs {
  table: string;
  workloads: readonly WorkloadRules[];
  /** The data planes, the only ones that may connect to the applications. */
  proxies: readonly PacketMatch[];
  /** Virtual address by service. */
  addresses: ReadonlyMap<string, string>;
  dns: { port: number /** It listens on ::1 too. */; ipv6: boolean };
  /** By port of a dependency listener, which is on 127.0.0.1: the port on ::1 that leads to it. */
  relays: ReadonlyMap<number, number>;
}

/** Before the destination NAT of others at -100: container runtimes take connections to local addresses there. */
const NAT_PRIORITY = -110;
/** Ports of DNS queries, as long as somebody says now and then that its server lives. */
const DNS_SET = 'dns';
/** A daemon that was killed leaves the rules behind, and this long after the processes have their own resolver back. */
const DNS_LEASE_S = 10;
/** The lease is to be renewed this often. */
export const DNS_RENEWAL_MS = 3_000;
/** The first packet of a connection. Connections from before the rules have none any more, and go on. */
const FIRST = 'tcp flags & (fin | syn | rst | ack) == syn';

/**
 * The whole table, to be loaded in one transaction: it replaces what was there under its name, and nothing else.
 * Inputs are checked before (names.ts); what comes from elsewhere, the path of a control group, is checked here.
 */
export function ruleText(inputs: RuleInputs): string {
  const { table, workloads } = inputs;
  return [
    ...removal(table),
    `table inet ${table} {`,
    `  set ${DNS_SET} {`,
    '    type inet_service; flags timeout;',
    `    elements = { 53 timeout ${DNS_LEASE_S}s }`,
    '  }',
    '  chain outbound {',
    `    type nat hook output priority ${NAT_PRIORITY}; policy accept;`,
    ...workloads.map(({ workload, match }) => `    ${matchText(match)} jump ${chainOf(workload.instance)}`),
    '  }',
    ...workloads.flatMap((rules) => redirections(rules, inputs)),
    '  chain inbound {',
    '    type filter hook output priority 0; policy accept;',
    `    ${FIRST} jump connecting`,
    '  }',
    '  chain connecting {',
    ...inputs.proxies.map((match) => `    ${matchText(match)} accept`),
    ...workloads.flatMap(protection),
    // A virtual address that no dependency listener stands for would lead to whatever listens on 0.0.0.0 at that port.
    ...workloads.map(({ match }) => `    ${matchText(match)} ip daddr ${VIRTUAL_NETWORK} reject with tcp reset`),
    '  }',
    '  chain inbound_remote {',
    '    type filter hook input priority 0; policy accept;',
    ...workloads.flatMap(({ workload: { app } }) => {
      if (hostKind(app.host) === 'loopback') return [];
      return [`    iifname != "lo" fib daddr type local tcp dport ${app.port} ${FIRST} reject with tcp reset`];
    }),
    '  }',
    '}',
    '',
  ].join('\n');
}

/** Begins the lease of the DNS redirection anew, also one that ran out: adding what is there would not prolong it. */
export function renewalText(table: string): string {
  const set = `inet ${table} ${DNS_SET}`;
  return `add element ${set} { 53 }\ndelete element ${set} { 53 }\nadd element ${set} { 53 timeout ${DNS_LEASE_S}s }\n`;
}

/** Removes the table, whether it is there or not. */
export function removalText(table: string): string {
  return `${removal(table).join('\n')}\n`;
}

const removal = (table: string): string[] => [`table inet ${table}`, `delete table inet ${table}`];

/** A prefix keeps names of instances apart from the words of the rule language. */
const chainOf = (instance: string): string => `to_${instance}`;

function redirections({ workload }: WorkloadRules, { addresses, dns, relays }: RuleInputs): string[] {
  const lines: string[] = [];
  const services = Object.entries(workload.destinations).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [service, listener] of services) {
    const address = addresses.get(service);
    if (address !== undefined) lines.push(`ip daddr ${address} meta l4proto tcp redirect to :${listener}`);
  }
  for (const protocol of ['udp', 'tcp'])
    lines.push(`${dns.ipv6 ? '' : 'meta nfproto ipv4 '}${protocol} dport @${DNS_SET} redirect to :${dns.port}`);
  for (const [service, listener] of services) {
    const relay = relays.get(listener);
    for (const { host, port } of workload.applicationPorts[service] ?? []) {
      const kind = hostKind(host);
      if (kind === null || leadsTo(workload.app, host, port)) continue;
      const daddr = { loopback: '127.0.0.1', any: null, v4: host, v6: null }[kind];
      if (daddr !== null) lines.push(`ip daddr ${daddr} tcp dport ${port} redirect to :${listener}`);
      if (kind === 'any')
        lines.push(`meta nfproto ipv4 fib daddr type local tcp dport ${port} redirect to :${listener}`);
      if (relay === undefined) continue;
      const daddr6 = { loopback: '::1', any: null, v4: null, v6: host }[kind];
      if (daddr6 !== null) lines.push(`ip6 daddr ${daddr6} tcp dport ${port} redirect to :${relay}`);
      if (kind === 'any') lines.push(`meta nfproto ipv6 fib daddr type local tcp dport ${port} redirect to :${relay}`);
    }
  }
  return [`  chain ${chainOf(workload.instance)} {`, ...[...new Set(lines)].map((line) => `    ${line}`), '  }'];
}

/** Its own address: what a process says to itself stays with it. */
function leadsTo(app: { host: string; port: number }, host: string, port: number): boolean {
  if (app.port !== port) return false;
  const kinds = [hostKind(app.host), hostKind(host)];
  return app.host === host || kinds.includes('any') || kinds.every((kind) => kind === 'loopback');
}

/** Who else connects to the application is told that nobody listens, as if it were not there. */
function protection({ workload: { app }, match }: WorkloadRules): string[] {
  const destinations = {
    loopback: ['ip daddr 127.0.0.1', 'ip6 daddr ::1'],
    any: ['fib daddr type local'],
    v4: [`ip daddr ${app.host}`],
    v6: [`ip6 daddr ${app.host}`],
  }[hostKind(app.host) ?? 'loopback'];
  return destinations.flatMap((destination) => {
    const rule = `    ${destination} tcp dport ${app.port}`;
    // A user's processes are not the workload: then it is the proxy alone.
    const itself = match.kind === 'uid' ? [] : [`${rule} ${matchText(match)} accept`];
    return [...itself, `${rule} reject with tcp reset`];
  });
}

function matchText(match: PacketMatch): string {
  switch (match.kind) {
    case 'cgroup2':
      // Strings of the rule language have no escapes. Callers have asked `isQuotable`.
      if (!isQuotable(match.path)) throw new Error(`not a path for a rule: ${JSON.stringify(match.path)}`);
      return `socket cgroupv2 level ${match.level} "${match.path}"`;
    case 'net_cls':
      return `meta cgroup 0x${match.classId.toString(16)}`;
    case 'uid':
      return `meta skuid ${match.uid}`;
  }
}

/** Whether a control group's path can stand between quotes in a rule. */
export function isQuotable(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a path
  return /^[^"\u0000-\u001f\u007f]+$/.test(path);
}
