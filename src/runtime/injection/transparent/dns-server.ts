import dgram from 'node:dgram';
import net from 'node:net';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Result } from '../../../model/result.ts';
import { type DnsZone, decide, serverFailure } from './dns-answers.ts';

const BIND_ATTEMPTS = 16;
/** A resolver that does not answer in this time is passed over for the next. */
const UPSTREAM_TIMEOUT_MS = 2_000;
const IDLE_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 128;
/** Queries at the system's resolvers at a time; beyond that the answer is SERVFAIL, and clients ask again. */
const MAX_FORWARDED = 256;
/** RFC 1035, 4.2.2: messages over TCP have two octets of length before them. */
const LENGTH_BYTES = 2;

export interface DnsServerOptions {
  /** Addresses of the system's resolvers, in order of preference. Asked for each query. */
  resolvers: () => readonly string[];
  /** Default 53. */
  resolverPort?: number;
}

interface Listening {
  port: number;
  sockets: dgram.Socket[];
  servers: net.Server[];
}

/**
 * Name server of intercepted workloads, on UDP and TCP of 127.0.0.1 (and ::1 where there is one) at one port. Answers for
 * the mesh's names, hands everything else to the system's resolvers, over the transport that it came by.
 */
export class DnsServer {
  private zone: DnsZone = { addresses: new Map(), pointers: new Map() };
  private forwarded = 0;
  private readonly connections = new Set<net.Socket>();
  private readonly pending = new Set<() => void>();
  private listening: Listening = { port: 0, sockets: [], servers: [] };
  private closed = false;

  private constructor(private readonly options: DnsServerOptions) {}

  /** Problems: MESH-J310. */
  static async start(options: DnsServerOptions): Promise<Result<DnsServer>> {
    const server = new DnsServer(options);
    for (let attempt = 1; ; attempt++) {
      try {
        await server.listen();
        return ok(server);
      } catch (error) {
        server.release();
        // The port that was free for TCP is taken for UDP, or on ::1.
        if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE' && attempt < BIND_ATTEMPTS) continue;
        return fail(
          problem('MESH-J310', { message: `the DNS server for *.mesh cannot listen: ${(error as Error).message}` }),
        );
      }
    }
  }

  get port(): number {
    return this.listening.port;
  }

  /** It listens on ::1 too. */
  get ipv6(): boolean {
    return this.listening.sockets.length > 1;
  }

  setZone(zone: DnsZone): void {
    this.zone = zone;
  }

  close(): void {
    this.closed = true;
    for (const abandon of [...this.pending]) abandon();
    for (const connection of this.connections) connection.destroy();
    this.release();
  }

  private async listen(): Promise<void> {
    const server = await listenTcp(this.tcpServer(), '127.0.0.1', 0);
    this.listening.servers.push(server);
    const { port } = server.address() as net.AddressInfo;
    this.listening.port = port;
    this.listening.sockets.push(await bindUdp(this.udpSocket('udp4'), '127.0.0.1', port));
    try {
      this.listening.servers.push(await listenTcp(this.tcpServer(), '::1', port));
    } catch (error) {
      // A system without IPv6: nobody can ask over it.
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw error;
      return;
    }
    this.listening.sockets.push(await bindUdp(this.udpSocket('udp6'), '::1', port));
  }

  private release(): void {
    for (const server of this.listening.servers) server.close();
    for (const socket of this.listening.sockets) socket.close();
    this.listening = { port: 0, sockets: [], servers: [] };
  }

  // -- UDP --------------------------------------------------------------------------------------------------------

  private udpSocket(type: 'udp4' | 'udp6'): dgram.Socket {
    const socket = dgram.createSocket(type);
    socket.on('message', (query, from) => {
      const reply = (packet: Buffer): void => {
        if (!this.closed) socket.send(packet, from.port, from.address, () => {});
      };
      const decision = decide(query, this.zone);
      if (decision.kind === 'answer') reply(decision.packet);
      else if (decision.kind === 'forward') void this.forward(query, askUdp).then(reply);
    });
    // What a client that went away brings (ECONNREFUSED) concerns nobody.
    socket.on('error', () => {});
    return socket;
  }

  // -- TCP --------------------------------------------------------------------------------------------------------

  private tcpServer(): net.Server {
    const server = net.createServer({ noDelay: true }, (connection) => {
      this.connections.add(connection);
      connection.setTimeout(IDLE_TIMEOUT_MS, () => connection.destroy());
      connection.on('error', () => {});
      connection.on('close', () => this.connections.delete(connection));
      readMessages(connection, (query) => {
        const reply = (packet: Buffer): void => {
          if (connection.writable) connection.write(withLength(packet));
        };
        const decision = decide(query, this.zone);
        if (decision.kind === 'answer') reply(decision.packet);
        else if (decision.kind === 'forward') void this.forward(query, askTcp).then(reply);
        else connection.destroy();
      });
    });
    server.maxConnections = MAX_CONNECTIONS;
    return server;
  }

  // -- the system's resolvers -------------------------------------------------------------------------------------

  private async forward(query: Buffer, ask: typeof askUdp): Promise<Buffer> {
    if (this.closed || this.forwarded >= MAX_FORWARDED) return serverFailure(query);
    this.forwarded++;
    try {
      for (const resolver of this.options.resolvers()) {
        const answer = await ask(query, resolver, this.options.resolverPort ?? 53, this.pending);
        if (answer !== null) return answer;
        if (this.closed) break;
      }
      return serverFailure(query);
    } finally {
      this.forwarded--;
    }
  }
}

/** Null: no answer in time, or nobody there. `pending` gets a function that gives up. */
function askUdp(query: Buffer, resolver: string, port: number, pending: Set<() => void>): Promise<Buffer | null> {
  return new Promise((resolve) => {
    // A port of its own for each query, chosen by the system: the source port is half of what a forger has to guess.
    const socket = dgram.createSocket(net.isIPv4(resolver) ? 'udp4' : 'udp6');
    const settle = (answer: Buffer | null): void => {
      if (!pending.delete(giveUp)) return;
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const giveUp = (): void => settle(null);
    const timer = setTimeout(giveUp, UPSTREAM_TIMEOUT_MS);
    pending.add(giveUp);
    socket.on('error', giveUp);
    socket.on('message', (answer) => {
      if (isAnswerTo(answer, query)) settle(answer);
    });
    // Connected: answers of others do not get in, and a refusal is heard of at once.
    socket.connect(port, resolver, () => {
      if (pending.has(giveUp)) socket.send(query, (error) => error && giveUp());
    });
  });
}

function askTcp(query: Buffer, resolver: string, port: number, pending: Set<() => void>): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const connection = net.connect({ host: resolver, port, noDelay: true });
    const settle = (answer: Buffer | null): void => {
      if (!pending.delete(giveUp)) return;
      clearTimeout(timer);
      connection.destroy();
      resolve(answer);
    };
    const giveUp = (): void => settle(null);
    const timer = setTimeout(giveUp, UPSTREAM_TIMEOUT_MS);
    pending.add(giveUp);
    connection.on('error', giveUp);
    connection.on('close', giveUp);
    connection.on('connect', () => connection.write(withLength(query)));
    readMessages(connection, (answer) => {
      if (isAnswerTo(answer, query)) settle(answer);
    });
  });
}

const isAnswerTo = (answer: Buffer, query: Buffer): boolean =>
  answer.length >= 12 && (answer[2] & 0x80) !== 0 && answer.readUInt16BE(0) === query.readUInt16BE(0);

/** At most one message and the start of the next are held: a message has 65,535 octets at most. */
function readMessages(connection: net.Socket, onMessage: (message: Buffer) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  connection.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + rest.readUInt16BE(0);
      if (rest.length < end) break;
      const message = rest.subarray(LENGTH_BYTES, end);
      rest = rest.subarray(end);
      onMessage(message);
    }
  });
}

function withLength(message: Buffer): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

function listenTcp(server: net.Server, host: string, port: number): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      // A connection that was reset before it was accepted.
      server.on('error', () => {});
      resolve(server);
    });
  });
}

function bindUdp(socket: dgram.Socket, address: string, port: number): Promise<dgram.Socket> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => {
      socket.close();
      reject(error);
    };
    socket.once('error', failed);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', failed);
      resolve(socket);
    });
  });
}
