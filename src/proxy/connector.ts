import net from 'node:net';
import tls from 'node:tls';
import { checkServerIdentity } from './peer-identity.ts';

/** Opens connections to one address. `done` is called exactly once, with why it failed or null. */
export interface Connector {
  /** For people: `127.0.0.1:4021`. */
  readonly address: string;
  connect(done: (failure: string | null, socket: net.Socket) => void): net.Socket;
}

const SOCKET_OPTIONS = { allowHalfOpen: true, noDelay: true, writableHighWaterMark: 256 * 1024 } as const;

/** Plain TCP. */
export function plainConnector(host: string, port: number, timeoutMs: number): Connector {
  return {
    address: `${host}:${port}`,
    connect(done) {
      const socket = net.connect({ host, port, ...SOCKET_OPTIONS });
      settle(socket, 'connect', timeoutMs, done, () => null);
      return socket;
    },
  };
}

export interface LinkIdentity {
  /** The caller's certificate; asked for each connection, so that a rotated one is used from the next on. */
  secureContext(): tls.SecureContext;
  trustDomain: string;
  /** Who must answer. */
  expectedSpiffeId: string;
  serverName: string;
  /** The peer was not who it should be. */
  refused(reason: string, message: string): void;
}

/** Mutual TLS to another proxy of the mesh: HTTP/2 only, and the peer's SPIFFE ID is checked. */
export function linkConnector(host: string, port: number, timeoutMs: number, identity: LinkIdentity): Connector {
  return {
    address: `${host}:${port}`,
    connect(done) {
      const socket = tls.connect({
        host,
        port,
        ...SOCKET_OPTIONS,
        secureContext: identity.secureContext(),
        servername: identity.serverName,
        ALPNProtocols: ['h2'],
        // Checked below: `true` would hide why a peer was refused.
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      });
      settle(socket, 'secureConnect', timeoutMs, done, () => {
        const verdict = checkServerIdentity(socket, identity.trustDomain, identity.expectedSpiffeId);
        if (!verdict.ok) {
          identity.refused(verdict.reason, verdict.message);
          return verdict.message;
        }
        return socket.alpnProtocol === 'h2' ? null : 'the peer does not speak HTTP/2';
      });
      return socket;
    },
  };
}

/**
 * TLS to a service outside the mesh, verified against the roots that Node trusts: its own and NODE_EXTRA_CA_CERTS.
 * `alpn`: none where it carries no HTTP.
 */
export function externalTlsConnector(
  host: string,
  port: number,
  timeoutMs: number,
  serverName: string,
  alpn: string[],
): Connector {
  return {
    address: `${host}:${port}`,
    connect(done) {
      const socket = tls.connect({
        host,
        port,
        ...SOCKET_OPTIONS,
        ...(net.isIP(serverName) ? {} : { servername: serverName }),
        ...(alpn.length === 0 ? {} : { ALPNProtocols: alpn }),
        rejectUnauthorized: false,
      });
      settle(socket, 'secureConnect', timeoutMs, done, () =>
        socket.authorized
          ? null
          : `the certificate of ${serverName} is not trusted: ${String(socket.authorizationError)}`,
      );
      return socket;
    },
  };
}

/**
 * For connections to an injected application that insists on TLS. Whose certificate it shows is not asked: it is made
 * for another name, or by nobody, and who the application is was settled by whoever injected it.
 */
export const applicationTls = (host: string): tls.ConnectionOptions => ({
  servername: net.isIP(host) ? 'localhost' : host,
  rejectUnauthorized: false,
  checkServerIdentity: () => undefined,
});

/** TLS to an injected application. */
export function localTlsConnector(
  host: string,
  port: number,
  timeoutMs: number,
  protocol: 'h2' | 'http/1.1',
): Connector {
  return {
    address: `${host}:${port}`,
    connect(done) {
      const socket = tls.connect({
        host,
        port,
        ...SOCKET_OPTIONS,
        ...applicationTls(host),
        ALPNProtocols: [protocol],
      });
      settle(socket, 'secureConnect', timeoutMs, done, () =>
        protocol === 'http/1.1' || socket.alpnProtocol === 'h2'
          ? null
          : 'the application does not speak HTTP/2 over TLS',
      );
      return socket;
    },
  };
}

/** Turns the events of a connecting socket into one call. */
function settle(
  socket: net.Socket,
  event: 'connect' | 'secureConnect',
  timeoutMs: number,
  done: (failure: string | null, socket: net.Socket) => void,
  check: () => string | null,
): void {
  let settled = false;
  const finish = (failure: string | null) => {
    if (settled) return;
    settled = true;
    clearTimeout(timer);
    socket.removeListener('error', onError);
    socket.removeListener('close', onClose);
    if (failure !== null) {
      // A socket that is destroyed while connecting may still report an error.
      socket.on('error', () => {});
      socket.destroy();
    }
    done(failure, socket);
  };
  const onError = (error: Error) => finish(error.message);
  const onClose = () => finish('connection closed during the handshake');
  const timer = setTimeout(
    () => finish(`no connection within ${timeoutMs} ms`),
    timeoutMs > 0 ? timeoutMs : 0x7fffffff,
  );
  timer.unref();
  socket.once('error', onError);
  socket.once('close', onClose);
  socket.once(event, () => finish(check()));
}
