import dgram from 'node:dgram';
import net from 'node:net';
import * as dns from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { zoneOf } from '../../../../src/runtime/injection/transparent/dns-answers.ts';
import { DnsServer } from '../../../../src/runtime/injection/transparent/dns-server.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const query = (name: string, id = 7): Buffer =>
  dns.encode({ type: 'query', id, flags: dns.RECURSION_DESIRED, questions: [{ type: 'A', name, class: 'IN' }] });

const answerTo = (packet: Buffer, flags = 0): Buffer => {
  const { id, questions = [] } = dns.decode(packet);
  const answers: dns.Answer[] = [{ type: 'A', name: questions[0].name, ttl: 1, data: '192.0.2.1' }];
  return dns.encode({ type: 'response', id, flags: flags | dns.RECURSION_AVAILABLE, questions, answers });
};

interface Upstream {
  port: number;
  asked: { transport: 'udp' | 'tcp'; packet: Buffer }[];
}

/** A resolver on UDP and TCP of 127.0.0.1 at the same port. */
async function startUpstream(
  udpAnswer: (packet: Buffer) => Buffer[] = (packet) => [answerTo(packet)],
): Promise<Upstream> {
  const asked: Upstream['asked'] = [];
  const server = net.createServer((connection) => {
    connection.on('error', () => {});
    connection.on('data', (chunk) => {
      const packet = chunk.subarray(2);
      asked.push({ transport: 'tcp', packet });
      const answer = answerTo(packet);
      const framed = Buffer.alloc(2 + answer.length);
      framed.writeUInt16BE(answer.length);
      answer.copy(framed, 2);
      // In two parts: the length may come alone.
      connection.write(framed.subarray(0, 1));
      connection.end(framed.subarray(1));
    });
  });
  for (;;) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    const socket = dgram.createSocket('udp4');
    const bound = await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(false));
      socket.bind(port, '127.0.0.1', () => resolve(true));
    });
    if (!bound) {
      await new Promise((resolve) => server.close(resolve));
      continue;
    }
    socket.on('message', (packet, from) => {
      asked.push({ transport: 'udp', packet });
      for (const answer of udpAnswer(packet)) socket.send(answer, from.port, from.address);
    });
    closers.push(() => {
      socket.close();
      server.close();
    });
    return { port, asked };
  }
}

async function startServer(resolverPort = 1, resolvers = ['127.0.0.1']): Promise<DnsServer> {
  const started = await DnsServer.start({ resolvers: () => resolvers, resolverPort });
  if (!started.ok) throw new Error(started.problems[0].message);
  closers.push(() => started.value.close());
  started.value.setZone(zoneOf(new Map([['orders', '127.150.138.219']])));
  return started.value;
}

function askUdp(port: number, packet: Buffer, address = '127.0.0.1'): Promise<Buffer> {
  const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
  return new Promise<Buffer>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('message', resolve);
    socket.send(packet, port, address);
  }).finally(() => socket.close());
}

/** All answers that come on one connection, which is ended after the packets. */
function askTcp(port: number, chunks: readonly Buffer[], count: number): Promise<Buffer[]> {
  return new Promise((resolve, reject) => {
    const answers: Buffer[] = [];
    let rest = Buffer.alloc(0);
    const connection = net.connect(port, '127.0.0.1', () => {
      for (const chunk of chunks) connection.write(chunk);
    });
    connection.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        answers.push(rest.subarray(2, 2 + rest.readUInt16BE(0)));
        rest = rest.subarray(2 + rest.readUInt16BE(0));
      }
      if (answers.length >= count) connection.destroy();
    });
    connection.on('error', reject);
    connection.on('close', () => resolve(answers));
  });
}

const framed = (packet: Buffer): Buffer => {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  return Buffer.concat([length, packet]);
};

describe('DNS server', () => {
  it('answers for the mesh over UDP, also on ::1 where there is one', async () => {
    const server = await startServer();
    for (const address of server.ipv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
      const answer = dns.decode(await askUdp(server.port, query('orders.mesh'), address));
      expect(answer.answers).toMatchObject([{ data: '127.150.138.219' }]);
    }
  });

  it('answers several queries of one TCP connection, however they are cut', async () => {
    const server = await startServer();
    const stream = Buffer.concat([framed(query('orders.mesh', 1)), framed(query('nobody.mesh', 2))]);
    const answers = await askTcp(server.port, [stream.subarray(0, 1), stream.subarray(1, 20), stream.subarray(20)], 2);
    expect(answers.map((answer) => dns.decode(answer).id)).toEqual([1, 2]);
  });

  it('hands other queries on octet for octet, over the transport that they came by', async () => {
    const upstream = await startUpstream();
    const server = await startServer(upstream.port);
    const asked = query('example.com');
    expect(dns.decode(await askUdp(server.port, asked)).answers).toMatchObject([{ data: '192.0.2.1' }]);
    const [overTcp] = await askTcp(server.port, [framed(asked)], 1);
    expect(dns.decode(overTcp).answers).toMatchObject([{ data: '192.0.2.1' }]);
    expect(upstream.asked.map(({ transport }) => transport)).toEqual(['udp', 'tcp']);
    for (const { packet } of upstream.asked) expect(packet.equals(asked)).toBe(true);
  });

  it('passes truncation on, so that clients come again over TCP', async () => {
    const upstream = await startUpstream((packet) => [answerTo(packet, dns.TRUNCATED_RESPONSE)]);
    const server = await startServer(upstream.port);
    expect(dns.decode(await askUdp(server.port, query('example.com'))).flag_tc).toBe(true);
  });

  it('takes no answer to another question', async () => {
    const upstream = await startUpstream((packet) => {
      const other = answerTo(packet);
      other.writeUInt16BE((other.readUInt16BE(0) + 1) & 0xffff);
      return [other, Buffer.from('x'), answerTo(packet)];
    });
    const server = await startServer(upstream.port);
    expect(dns.decode(await askUdp(server.port, query('example.com', 99))).id).toBe(99);
  });

  it('asks the next resolver when one refuses', async () => {
    const upstream = await startUpstream();
    const server = await startServer(upstream.port, ['127.0.0.2', '127.0.0.1']);
    expect(dns.decode(await askUdp(server.port, query('example.com'))).answers).toHaveLength(1);
    const [overTcp] = await askTcp(server.port, [framed(query('example.com'))], 1);
    expect(dns.decode(overTcp).answers).toHaveLength(1);
  });

  it('says SERVFAIL when no resolver is there', async () => {
    const upstream = await startUpstream();
    const server = await startServer(upstream.port, ['127.0.0.2']);
    const answer = dns.decode(await askUdp(server.port, query('example.com'))) as { rcode?: string };
    expect(answer.rcode).toBe('SERVFAIL');
  });

  it('goes on after what is no query', async () => {
    const server = await startServer();
    const socket = dgram.createSocket('udp4');
    for (const junk of ['', 'x', '\0'.repeat(11)]) socket.send(Buffer.from(junk), server.port, '127.0.0.1');
    expect(await askTcp(server.port, [framed(Buffer.from('junk'))], 1)).toEqual([]);
    expect(dns.decode(await askUdp(server.port, query('orders.mesh'))).answers).toHaveLength(1);
    socket.close();
  });

  it('leaves its port when it is closed, with queries under way', async () => {
    const upstream = await startUpstream(() => []);
    const server = await startServer(upstream.port);
    const { port } = server;
    const socket = dgram.createSocket('udp4');
    socket.send(query('example.com'), port, '127.0.0.1');
    while (upstream.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    server.close();
    socket.close();
    const again = dgram.createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      again.once('error', reject);
      again.bind(port, '127.0.0.1', resolve);
    });
    again.close();
  });
});
