import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import type { Identity } from '../../src/model/snapshot.ts';

export interface SvidForwarder {
  /** Plain TCP. */
  port: number;
  close(): Promise<void>;
}

/**
 * Carries plain TCP connections to an inbound listener over mutual TLS, so that programs without client certificates
 * can talk to it.
 */
export async function startSvidForwarder(
  inboundPort: number,
  identity: Identity,
  trustAnchors: readonly string[],
  alpn: 'h2' | 'http/1.1' = 'h2',
): Promise<SvidForwarder> {
  const open = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (plain) => {
    const secure = tls.connect({
      host: '127.0.0.1',
      port: inboundPort,
      cert: identity.certificate,
      key: identity.privateKey,
      ca: [...trustAnchors],
      ALPNProtocols: [alpn],
      // SVIDs name a SPIFFE ID and no host.
      checkServerIdentity: () => undefined,
      allowHalfOpen: true,
    } as tls.ConnectionOptions);
    for (const [socket, other] of [
      [plain, secure],
      [secure, plain],
    ]) {
      open.add(socket);
      socket.setNoDelay(true);
      socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        open.delete(socket);
        other.destroySoon();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
