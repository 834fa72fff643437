import * as dns from 'dns-packet';
import { DNS_DOMAIN, dnsNamesOf } from './names.ts';

/** What the mesh itself knows; everything else is the system resolver's. */
export interface DnsZone {
  /** Address by name, in lower case and without the final dot. */
  readonly addresses: ReadonlyMap<string, string>;
  /** Name by reverse name (`4.3.128.127.in-addr.arpa`). */
  readonly pointers: ReadonlyMap<string, string>;
}

export type DnsDecision =
  | { kind: 'answer'; packet: Buffer }
  /** To the system's resolver, octet for octet. */
  | { kind: 'forward' }
  /** Not a query: whoever answers it may be answering an answer. */
  | { kind: 'drop' };

const HEADER_BYTES = 12;
/** RFC 1035, 4.1.1. */
const NO_ERROR = 0;
const SERVFAIL = 2;
const NXDOMAIN = 3;
/** Seconds. Short: a program that keeps answers must not outlive the mesh with them. */
const TTL_S = 5;
/** Octets of a UDP answer that never has to be fragmented (DNS flag day 2020). */
const UDP_PAYLOAD = 1232;

export function zoneOf(addresses: ReadonlyMap<string, string>): DnsZone {
  const zone = { addresses: new Map<string, string>(), pointers: new Map<string, string>() };
  for (const [service, address] of addresses) {
    for (const name of dnsNamesOf(service)) zone.addresses.set(name, address);
    zone.pointers.set(`${address.split('.').reverse().join('.')}.in-addr.arpa`, `${service}.${DNS_DOMAIN}`);
  }
  return zone;
}

/** Answers what is about the mesh: A with the address, other types of its names with no data (RFC 2308), never NXDOMAIN. */
export function decide(query: Buffer, zone: DnsZone): DnsDecision {
  if (query.length < HEADER_BYTES || (query[2] & 0x80) !== 0) return { kind: 'drop' };
  const decoded = decodeQuery(query);
  const question = decoded?.questions?.[0];
  // Not one question of the Internet class, or not readable: the resolver says what it thinks of it.
  if (decoded === null || question === undefined || decoded.questions?.length !== 1 || question.class !== 'IN')
    return { kind: 'forward' };
  const name = question.name.toLowerCase().replace(/\.$/, '');
  const address = zone.addresses.get(name);
  if (address !== undefined) {
    const asked = question.type === 'A' || String(question.type) === 'ANY';
    const record: dns.Answer = { type: 'A', name: question.name, class: 'IN', ttl: TTL_S, data: address };
    return { kind: 'answer', packet: respond(decoded, NO_ERROR, asked ? [record] : []) };
  }
  const pointer = zone.pointers.get(name);
  if (pointer !== undefined) {
    const record: dns.Answer = { type: 'PTR', name: question.name, class: 'IN', ttl: TTL_S, data: pointer };
    return { kind: 'answer', packet: respond(decoded, NO_ERROR, question.type === 'PTR' ? [record] : []) };
  }
  if (name === DNS_DOMAIN) return { kind: 'answer', packet: respond(decoded, NO_ERROR, []) };
  if (name.endsWith(`.${DNS_DOMAIN}`)) return { kind: 'answer', packet: respond(decoded, NXDOMAIN, []) };
  return { kind: 'forward' };
}

/** That no resolver answered; the query need not be readable. */
export function serverFailure(query: Buffer): Buffer {
  const decoded = decodeQuery(query);
  if (decoded !== null) return encode(decoded, SERVFAIL, [], []);
  const packet = Buffer.alloc(HEADER_BYTES);
  query.copy(packet, 0, 0, 3);
  packet[2] |= 0x80;
  packet[3] = 0x80 | SERVFAIL;
  return packet;
}

function decodeQuery(query: Buffer): dns.DecodedPacket | null {
  try {
    // Other opcodes (NOTIFY, UPDATE) are no questions.
    return (query[2] & 0x78) === 0 ? dns.decode(query) : null;
  } catch {
    return null;
  }
}

function respond(query: dns.DecodedPacket, code: number, answers: dns.Answer[]): Buffer {
  return encode(query, code, answers, answers.length > 0 ? [] : [authority()]);
}

function encode(query: dns.DecodedPacket, code: number, answers: dns.Answer[], authorities: dns.Answer[]): Buffer {
  // One who did not say that he knows EDNS gets none (RFC 6891, 6.1.1).
  const edns = query.additionals?.some(({ type }) => type === 'OPT') ?? false;
  const opt = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: UDP_PAYLOAD,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  } satisfies dns.OptAnswer;
  const authoritative = code === SERVFAIL ? 0 : dns.AUTHORITATIVE_ANSWER;
  const flags = authoritative | dns.RECURSION_AVAILABLE | ((query.flags ?? 0) & dns.RECURSION_DESIRED) | code;
  return dns.encode({
    type: 'response',
    id: query.id,
    flags,
    questions: query.questions,
    answers,
    authorities,
    additionals: edns ? [opt] : [],
  });
}

/** Its presence lets resolvers keep the absence of a record (RFC 2308, 5). */
function authority(): dns.Answer {
  return {
    type: 'SOA',
    name: DNS_DOMAIN,
    class: 'IN',
    ttl: TTL_S,
    data: {
      mname: `ns.${DNS_DOMAIN}`,
      rname: `nobody.${DNS_DOMAIN}`,
      serial: 1,
      refresh: 3600,
      retry: 600,
      expire: 86_400,
      minimum: TTL_S,
    },
  };
}
