import net from 'node:net';
import type { ProbeKind } from './patch.ts';

/** Sees which kinds of client of an attached process arrive. It answers nothing that a client could take for a service. */
export interface ProbeListener {
  readonly port: number;
  readonly arrived: ReadonlySet<ProbeKind>;
  close(): void;
}

const ANSWER = 'HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n';

/** On 127.0.0.1, any port. */
export async function openProbeListener(): Promise<ProbeListener> {
  const arrived = new Set<ProbeKind>();
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.once('data', (first: Buffer) => {
      const kind = kindOf(first);
      if (kind !== null) arrived.add(kind);
      if (kind === 'http' || kind === 'fetch') socket.end(ANSWER);
      else socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as net.AddressInfo).port,
    arrived,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** By the first bytes: a TLS record of type handshake (RFC 8446 section 5.1), the preface of HTTP/2, or plain words. */
function kindOf(first: Buffer): ProbeKind | null {
  if (first[0] === 0x16) return 'https';
  const text = first.toString('latin1', 0, 16);
  if (text.startsWith('PRI * HTTP/2.0')) return 'http2';
  if (text.startsWith('GET /http ')) return 'http';
  if (text.startsWith('GET /fetch ')) return 'fetch';
  if (text.startsWith('lookup')) return 'lookup';
  return text.startsWith('net') ? 'net' : null;
}
