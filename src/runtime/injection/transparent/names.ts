import { createHash } from 'node:crypto';
import net from 'node:net';
import path from 'node:path';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../../model/result.ts';
import type { InterceptedWorkload } from '../interception.ts';

/**
 * Virtual addresses of services: the upper half of the loopback block. Linux answers for all of 127.0.0.0/8 without any
 * setting; what else lives there (127.0.0.53, 127.0.1.1) is in the lower half.
 */
export const VIRTUAL_NETWORK = '127.128.0.0/9';
const VIRTUAL_SIZE = 1 << 23;

/** Domain of services in the DNS: `orders.mesh`. */
export const DNS_DOMAIN = 'mesh';

const LABEL = /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/i;
const TABLE = /^mesh_[0-9a-f]{12}$/;
const GROUP = /^mesh-[0-9a-f]{12}\.[a-z0-9_-]{1,128}$/i;

/** The one table of a mesh. @param key the mesh directory's, 12 hex digits */
export const tableName = (key: string): string => `mesh_${key}`;

export const isTableName = (name: string): boolean => TABLE.test(name);

/** Last part of the path of a control group that mesh made. */
export const groupName = (key: string, member: string): string => `mesh-${key}.${member}`;

export const isGroupPath = (directory: string): boolean =>
  path.isAbsolute(directory) && path.normalize(directory) === directory && GROUP.test(path.basename(directory));

/** net_cls class of a control group: not 0, which is the class of everybody else. */
export function classIdOf(group: string): number {
  return (createHash('sha256').update(group).digest().readUInt32BE(0) | 0x8000_0001) >>> 0;
}

/**
 * An address for each service, the same in every run: it is drawn from the name. Where two names draw the same one, the
 * later in the alphabet moves on by one.
 */
export function virtualAddresses(services: Iterable<string>): Map<string, string> {
  const taken = new Set<number>();
  const addresses = new Map<string, string>();
  for (const service of [...new Set(services)].sort()) {
    let offset = createHash('sha256').update(service).digest().readUInt32BE(0) % VIRTUAL_SIZE;
    // Some programs take a last part of 0 or 255 for a network's or a broadcast address.
    while (taken.has(offset) || (offset & 0xff) === 0 || (offset & 0xff) === 0xff) offset = (offset + 1) % VIRTUAL_SIZE;
    taken.add(offset);
    addresses.set(service, `127.${128 + (offset >>> 16)}.${(offset >>> 8) & 0xff}.${offset & 0xff}`);
  }
  return addresses;
}

/** Names under which a service is found in the DNS, in lower case. */
export function dnsNamesOf(service: string): string[] {
  const name = service.toLowerCase();
  return [`${name}.${DNS_DOMAIN}`, name, `${name}.localhost`];
}

/** How clients write an application's host: `loopback` 127.0.0.1 or ::1, `any` every address of this machine. */
export type HostKind = 'loopback' | 'any' | 'v4' | 'v6';

/** Null: not an address, and no word for one. */
export function hostKind(host: string): HostKind | null {
  if (host === 'localhost' || host === '127.0.0.1' || host === '::1') return 'loopback';
  if (host === '0.0.0.0' || host === '::' || host === '*') return 'any';
  // A scope (fe80::1%eth0) says more than a rule can.
  if (net.isIPv6(host) && !host.includes('%')) return 'v6';
  return net.isIPv4(host) ? 'v4' : null;
}

/** Everything of a workload that will stand in a rule is a name, an address or a port. */
export function checkWorkload(workload: InterceptedWorkload): Result<void> {
  const problems: Problem[] = [];
  const refuse = (what: string): void => {
    problems.push(
      problem('MESH-J308', {
        message: `${what} cannot be written in a packet rule`,
        hint: 'names have letters, digits, `-` and `_`; addresses are IP addresses; ports go from 1 to 65535',
      }),
    );
  };
  const check = (kind: string, value: string, good: boolean): void => {
    if (!good) refuse(`${kind} ${JSON.stringify(value)}`);
  };
  const checkAddress = ({ host, port }: { host: string; port: number }): void => {
    check('the host', host, hostKind(host) !== null);
    check('the port', String(port), isPort(port));
  };
  check('the instance name', workload.instance, isMemberName(workload.instance));
  checkAddress(workload.app);
  for (const [service, port] of Object.entries(workload.destinations)) {
    check('the service name', service, LABEL.test(service));
    check('the port', String(port), isPort(port));
  }
  for (const addresses of Object.values(workload.applicationPorts))
    for (const address of addresses) {
      // A remote service may be known by a name, which is resolved elsewhere: no rule is made of it.
      if (hostKind(address.host) !== null) checkAddress(address);
    }
  return problems.length > 0 ? fail(...problems) : ok(undefined);
}

const isMemberName = (name: string): boolean => /^[a-z0-9][a-z0-9_-]{0,127}$/i.test(name);

export const isPort = (port: number): boolean => Number.isInteger(port) && port > 0 && port < 65_536;
