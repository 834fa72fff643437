import * as dns from 'dns-packet';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DnsDecision,
  decide,
  serverFailure,
  zoneOf,
} from '../../../../src/runtime/injection/transparent/dns-answers.ts';

const zone = zoneOf(new Map([['orders', '127.150.138.219']]));

const query = (name: string, type: string, extra: Partial<dns.Packet> = {}): Buffer =>
  dns.encode({
    type: 'query',
    id: 4711,
    flags: dns.RECURSION_DESIRED,
    questions: [{ type: type as dns.RecordType, name, class: 'IN' }],
    ...extra,
  });

function answerOf(decision: DnsDecision): dns.DecodedPacket & { rcode?: string } {
  if (decision.kind !== 'answer') throw new Error(`it is to ${decision.kind}`);
  return dns.decode(decision.packet);
}

describe('DNS answers', () => {
  it.each(['orders.mesh', 'orders', 'orders.localhost', 'ORDERS.Mesh'])('give the address of %s', (name) => {
    const answer = answerOf(decide(query(name, 'A'), zone));
    expect(answer).toMatchObject({ id: 4711, type: 'response', rcode: 'NOERROR', flag_aa: true, flag_rd: true });
    // As it was asked: some resolvers compare the case.
    expect(answer.questions).toMatchObject([{ name, type: 'A' }]);
    expect(answer.answers).toMatchObject([{ name, type: 'A', data: '127.150.138.219' }]);
  });

  it.each(['AAAA', 'MX', 'SRV', 'TXT', 'UNKNOWN_65'])(
    'have no %s for a service, and say so as RFC 2308 wants it',
    (type) => {
      const answer = answerOf(decide(query('orders.mesh', type), zone));
      expect(answer).toMatchObject({ rcode: 'NOERROR', answers: [] });
      expect(answer.authorities).toMatchObject([{ type: 'SOA', name: 'mesh' }]);
    },
  );

  it('know no other name of the domain', () => {
    expect(answerOf(decide(query('nobody.mesh', 'A'), zone))).toMatchObject({ rcode: 'NXDOMAIN', answers: [] });
    expect(answerOf(decide(query('mesh', 'A'), zone))).toMatchObject({ rcode: 'NOERROR', answers: [] });
  });

  it('name the service of an address', () => {
    const answer = answerOf(decide(query('219.138.150.127.in-addr.arpa', 'PTR'), zone));
    expect(answer.answers).toMatchObject([{ type: 'PTR', data: 'orders.mesh' }]);
  });

  it.each(['example.com', 'notmesh', 'orders.mesh.corp.example', 'localhost', '1.0.0.127.in-addr.arpa'])(
    'leave %s to the resolver',
    (name) => expect(decide(query(name, 'A'), zone)).toEqual({ kind: 'forward' }),
  );

  it('leave other classes, opcodes and several questions to the resolver', () => {
    const chaos = query('orders.mesh', 'TXT', { questions: [{ type: 'TXT', name: 'orders.mesh', class: 'CH' }] });
    const update = query('orders.mesh', 'A');
    update[2] |= 5 << 3;
    const two = query('orders.mesh', 'A', {
      questions: [
        { type: 'A', name: 'orders.mesh' },
        { type: 'A', name: 'orders' },
      ],
    });
    for (const packet of [chaos, update, two]) expect(decide(packet, zone)).toEqual({ kind: 'forward' });
  });

  it('speak EDNS to those who do, and to nobody else', () => {
    const opt = {
      type: 'OPT',
      name: '.',
      udpPayloadSize: 4096,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      options: [],
    };
    const spoken = answerOf(decide(query('orders.mesh', 'A', { additionals: [opt as unknown as dns.Answer] }), zone));
    expect(spoken.additionals).toMatchObject([{ type: 'OPT' }]);
    expect(answerOf(decide(query('orders.mesh', 'A'), zone)).additionals).toEqual([]);
  });

  it('never answer an answer', () => {
    const response = query('orders.mesh', 'A');
    response[2] |= 0x80;
    expect(decide(response, zone)).toEqual({ kind: 'drop' });
  });

  it('survive every packet', () => {
    const valid = query('orders.mesh', 'A');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 600 }),
          // A good one with some octets changed gets further into the decoder.
          fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
            const packet = Buffer.from(valid);
            for (const [at, octet] of changes) packet[at] = octet;
            return packet;
          }),
          fc.nat(valid.length).map((length) => valid.subarray(0, length)),
        ),
        (octets) => {
          const packet = Buffer.from(octets);
          const decision = decide(packet, zone);
          if (packet.length < 12) expect(decision.kind).toBe('drop');
          if (decision.kind === 'answer') {
            const answer = dns.decode(decision.packet);
            expect([answer.type, answer.id]).toEqual(['response', packet.readUInt16BE(0)]);
            expect(decision.packet.length).toBeLessThanOrEqual(512);
          }
          if (packet.length >= 12) {
            const failure = serverFailure(packet);
            expect(failure.readUInt16BE(0)).toBe(packet.readUInt16BE(0));
            expect([failure[2] & 0x80, failure[3] & 0x0f]).toEqual([0x80, 2]);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
