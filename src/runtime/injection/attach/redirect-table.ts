import type { InterceptedWorkload } from '../interception.ts';

export interface Redirect {
  service: string;
  /** On 127.0.0.1. */
  port: number;
}

/** Where connections of an attached process go, in the form in which it is sent there. */
export interface RedirectTable {
  /** Real path of the state directory of the mesh that attached. */
  owner: string;
  instance: string;
  /** By host in lower case, whatever the port: names of services, and the addresses that stand for them in `lookups`. */
  hosts: Record<string, Redirect>;
  /** By `host:port`: what clients may have been configured with. */
  addresses: Record<string, Redirect>;
  /** Answers of dns.lookup for clients that resolve before they connect (gRPC). */
  lookups: Record<string, string>;
}

/** Stands for the probe listener as long as the patch is being checked. No service can be called so: it has two dots. */
export const PROBE_HOST = 'attach.probe.mesh';

/**
 * Addresses that stand for services within the process; nothing is ever sent to them. Out of 127/8, so that one which
 * outlived the patch in some cache is refused at once.
 */
const STAND_IN_NETWORK = '127.77';
const LOOPBACK = ['127.0.0.1', 'localhost', '::1'];

export function redirectTable(workload: InterceptedWorkload, owner: string): RedirectTable {
  const table: RedirectTable = { owner, instance: workload.instance, hosts: {}, addresses: {}, lookups: {} };
  for (const [index, service] of Object.keys(workload.destinations).sort().entries()) {
    const redirect = { service, port: workload.destinations[service] };
    addNames(table, index, redirect, namesOf(service));
    for (const { host, port } of workload.applicationPorts[service] ?? []) {
      for (const alias of aliasesOf(host)) {
        // Its own address: what it says to itself is no business of the mesh.
        if (port === workload.app.port && aliasesOf(workload.app.host).includes(alias)) continue;
        table.addresses[`${alias}:${port}`] = redirect;
      }
    }
  }
  return table;
}

/** With addresses that services had before they were started anew: the process was configured with those. */
export function withFormer(table: RedirectTable, former: RedirectTable | null): RedirectTable {
  const current = new Map(Object.values(table.hosts).map((redirect) => [redirect.service, redirect]));
  const kept = Object.entries(former?.addresses ?? {}).flatMap(([address, { service }]) => {
    const redirect = current.get(service);
    return redirect === undefined ? [] : [[address, redirect] as const];
  });
  return { ...table, addresses: { ...Object.fromEntries(kept), ...table.addresses } };
}

/** With the probe host, which leads to this port. */
export function withProbe(table: RedirectTable, port: number): RedirectTable {
  const probed = { ...table, hosts: { ...table.hosts }, lookups: { ...table.lookups } };
  addNames(probed, Object.keys(table.hosts).length, { service: '', port }, [PROBE_HOST]);
  return probed;
}

/** @param index of the address that stands for the names, from 0 */
function addNames(table: RedirectTable, index: number, redirect: Redirect, names: readonly string[]): void {
  const address = `${STAND_IN_NETWORK}.${Math.floor(index / 254)}.${(index % 254) + 1}`;
  table.hosts[address] = redirect;
  for (const name of names) {
    table.hosts[name] = redirect;
    table.lookups[name] = address;
  }
}

export function namesOf(service: string): string[] {
  return [service, `${service}.localhost`, `${service}.mesh`].map((name) => name.toLowerCase());
}

/** What a client may call a listener on this address. */
function aliasesOf(host: string): string[] {
  const local = LOOPBACK.includes(host) || host === '0.0.0.0' || host === '::' || /^127\./.test(host);
  return local ? [...new Set([host, ...LOOPBACK])] : [host.toLowerCase()];
}
