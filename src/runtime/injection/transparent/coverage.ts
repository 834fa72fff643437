import { readdirSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import type { Coverage } from '../../../model/injection.ts';
import type { InterceptedWorkload } from '../interception.ts';
import { DNS_DOMAIN, hostKind } from './names.ts';
import { runProbe, tcpSockets, tryConnection } from './probe.ts';
import type { ProbeFindings, ProbeTask } from './probe-program.ts';
import type { PacketMatch } from './rules.ts';

/** Whom nobody has anything in common with: `nobody`. */
const NOBODY = 65_534;

export interface CoverageInputs {
  workload: InterceptedWorkload;
  match: PacketMatch;
  /** Directory of the workload's control group; null: matched by user. */
  group: string | null;
  addresses: ReadonlyMap<string, string>;
  dnsPort: number;
  relays: ReadonlyMap<number, number>;
  /** Connections of before, which no rule redirects: inode by application port. */
  unredirected: readonly OpenConnection[];
}

export interface OpenConnection {
  service: string;
  port: number;
  inode: string;
}

/** What a process in the workload's place finds when it tries, in both directions. */
export async function probeCoverage(inputs: CoverageInputs): Promise<Coverage[]> {
  const task = taskOf(inputs);
  const [findings, inbound] = await Promise.all([
    runProbe(task, inputs.group === null ? { uid: uidOf(inputs.match) } : { group: inputs.group }),
    probeInbound(inputs),
  ]);
  return [...inbound, ...outboundRows(inputs, findings), ...extent(inputs.match), ...stillOpen(inputs)];
}

function taskOf({ workload, addresses, relays }: CoverageInputs): ProbeTask {
  const services = Object.entries(workload.destinations);
  return {
    names: services.flatMap(([service]) => {
      const address = addresses.get(service);
      return address === undefined ? [] : [{ name: `${service}.${DNS_DOMAIN}`, address }];
    }),
    connections: services.flatMap(([service, listener]) => {
      const virtual = addresses.get(service);
      const known = (workload.applicationPorts[service] ?? []).flatMap(({ host, port }) => {
        const kind = hostKind(host);
        const own = port === workload.app.port && kind === hostKind(workload.app.host);
        if (kind === null || own) return [];
        if (kind === 'v4' || kind === 'v6') return [{ host, port, listener: listenerFor(host, listener, relays) }];
        const relay = relays.get(listener);
        return [
          { host: '127.0.0.1', port, listener },
          ...(relay === undefined ? [] : [{ host: '::1', port, listener: relay }]),
        ];
      });
      return [...(virtual === undefined ? [] : [{ host: virtual, port: 80, listener }]), ...known];
    }),
  };
}

const listenerFor = (host: string, listener: number, relays: ReadonlyMap<number, number>): number =>
  hostKind(host) === 'v6' ? (relays.get(listener) ?? listener) : listener;

const uidOf = (match: PacketMatch): number => (match.kind === 'uid' ? match.uid : 0);

/** Rows of the outbound side, from what the probe found. */
export function outboundRows(inputs: CoverageInputs, findings: ProbeFindings | null): Coverage[] {
  const { workload, addresses, dnsPort, relays } = inputs;
  if (findings === null) {
    return [
      row(
        'outbound',
        '',
        false,
        'the rules are loaded, but the probe that checks them could not be run',
        'see .mesh/daemon.log',
      ),
    ];
  }
  const wanted = new Map(taskOf(inputs).names.map(({ name, address }) => [name, address]));
  const unresolved = findings.names.filter(({ name, found }) => wanted.get(name) !== found);
  const rows: Coverage[] = [];
  if (wanted.size > 0) {
    rows.push(
      unresolved.length === 0
        ? row('outbound', 'dns', true, `*.${DNS_DOMAIN} by the DNS server on 127.0.0.1:${dnsPort}`)
        : row(
            'outbound',
            'dns',
            false,
            `${unresolved.map(({ name }) => name).join(', ')} did not resolve: ${causeOf(unresolved[0].found)}`,
            `use the addresses: ${unresolved.map(({ name }) => `${name} is ${wanted.get(name)}`).join(', ')}`,
          ),
    );
  }
  for (const [service, listener] of Object.entries(workload.destinations)) {
    const virtual = addresses.get(service);
    const of = findings.connections.filter(
      (found) => found.listener === listener || found.listener === relays.get(listener),
    );
    for (const { host, port, outcome } of of) {
      const byName = host === virtual;
      const shown = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      const subject = byName ? `${service} (${service}.${DNS_DOMAIN})` : `${service} (${shown})`;
      if (outcome === 'arrived') {
        const what = byName ? `${host}, any port,` : shown;
        rows.push(row('outbound', subject, true, `${what} via :${listener}`));
      } else {
        const found =
          outcome === 'elsewhere' ? 'is taken somewhere else, by rules of another program' : `fails with ${outcome}`;
        const fix = `point the process at http://127.0.0.1:${listener}`;
        rows.push(row('outbound', subject, false, `a connection to ${shown} ${found}`, fix));
      }
    }
  }
  return rows;
}

/** Why a name of the mesh came to something else than its address. */
function causeOf(found: string): string {
  if (net.isIP(found) !== 0) return `${found} is what /etc/hosts or a cache says`;
  // getaddrinfo(3) asked, and nobody answered: the packet was not even sent.
  if (found === 'EAI_AGAIN') return 'this machine has no route to the name servers of /etc/resolv.conf';
  return `the system's resolver does not ask over port 53 (nss-resolve, nscd), and says ${found}`;
}

async function probeInbound({ workload, match }: CoverageInputs): Promise<Coverage[]> {
  const { host, port } = workload.app;
  const kind = hostKind(host);
  const target = kind === 'loopback' || kind === 'any' ? (host === '::1' ? '::1' : '127.0.0.1') : host;
  const shown = target.includes(':') ? `[${target}]:${port}` : `${target}:${port}`;
  if (!tcpSockets().some((socket) => socket.listening && socket.localPort === port)) {
    const detail = 'nothing listens there yet; when it does, others than the proxy will be refused';
    return [row('inbound', shown, true, detail)];
  }
  const outcome = match.kind === 'uid' ? await connectAsNobody(target, port) : await tryConnection(target, port);
  if (outcome === 'ECONNREFUSED') {
    return [row('inbound', shown, true, `only the proxy on :${workload.inboundPort} can connect; others are refused`)];
  }
  return [
    row(
      'inbound',
      shown,
      false,
      `others than the proxy can still connect (a try ended with ${outcome})`,
      'another table accepts these packets first: see `nft list ruleset`',
    ),
  ];
}

/** By another user than the mesh's and the workload's. */
async function connectAsNobody(host: string, port: number): Promise<string> {
  const task = { names: [], connections: [{ host, port, listener: 0 }] };
  const findings = await runProbe(task, { uid: NOBODY });
  return findings?.connections[0]?.outcome ?? 'no probe';
}

/** What the match takes in beyond the workload. */
function extent(match: PacketMatch): Coverage[] {
  if (match.kind !== 'uid') return [];
  const detail = `no control groups here: connections of every process of uid ${match.uid} are redirected, not only this one's`;
  return [row('outbound', `uid ${match.uid}`, true, detail)];
}

function stillOpen({ unredirected }: CoverageInputs): Coverage[] {
  if (unredirected.length === 0) return [];
  const inodes = new Set(tcpSockets().flatMap(({ established, inode }) => (established ? [inode] : [])));
  const open = unredirected.filter(({ inode }) => inodes.has(inode));
  return [...new Set(open.map(({ service }) => service))].map((service) => {
    const n = open.filter((connection) => connection.service === service).length;
    const detail = `${n === 1 ? 'a connection' : `${n} connections`} to ${service} from before go on past the proxy`;
    return row(
      'outbound',
      `${service} (open connections)`,
      false,
      detail,
      'they are redirected when the process opens them anew',
    );
  });
}

/** Connections of these processes to application addresses of services, as they are now. */
export function openConnections(workload: InterceptedWorkload, pids: readonly number[]): OpenConnection[] {
  const services = new Map<number, string>();
  for (const service of Object.keys(workload.destinations))
    for (const { port } of workload.applicationPorts[service] ?? []) services.set(port, service);
  const candidates = tcpSockets().filter(({ established, remotePort }) => established && services.has(remotePort));
  if (candidates.length === 0) return [];
  const held = new Set(pids.flatMap(socketsOf));
  return candidates.flatMap(({ inode, remotePort }) => {
    const service = services.get(remotePort);
    return held.has(inode) && service !== undefined ? [{ service, port: remotePort, inode }] : [];
  });
}

function socketsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

function row(direction: Coverage['direction'], subject: string, covered: boolean, detail: string, fix = ''): Coverage {
  return { direction, subject, covered, detail, fix };
}
