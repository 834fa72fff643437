import net from 'node:net';
import tls from 'node:tls';
import type { Identity, Listener as ListenerSpec } from '../model/snapshot.ts';
import type { ConnectionManager } from './connection-manager.ts';
import { Http1Downstream } from './downstream-http1.ts';
import { Http2Downstream } from './downstream-http2.ts';
import { TcpDownstream } from './downstream-tcp.ts';
import type { H2Options } from './http2/options.ts';
import type { DrainableConnection, ListenerContext, RecentSlot } from './listener-context.ts';
import { certificateHash, checkClientIdentity, formatXfcc, linkContextOptions } from './peer-identity.ts';
import type { PeerInfo } from './peer-info.ts';
import type { CounterSlot } from './telemetry/counters.ts';

/** Time for a TLS handshake, and for the first byte of a connection whose protocol has to be seen. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Connections of a listener that went away may finish for so long. */
const DRAIN_DEADLINE_MS = 30_000;

const SERVER_OPTIONS = { allowHalfOpen: true, noDelay: true, highWaterMark: 256 * 1024 } as const;
const PLAIN_PEER: PeerInfo = { spiffeId: '', forwardedClientCert: '', tls: false };
const TLS_PEER: PeerInfo = { spiffeId: '', forwardedClientCert: '', tls: true };
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * Both ends of links. The peer is another proxy of the mesh: what it sends is what its clients do, so that limits
 * against abuse would hit all of them for what one does; the listener that the client came in by has its own. And the
 * window of the connection must not be what streams wait for: then some slow readers would stall everyone.
 */
export const LINK_H2: Partial<H2Options> = {
  initialWindowBytes: 1024 * 1024,
  connectionWindowBytes: 1024 * 1024 * 1024,
  maxConcurrentStreams: 10_000,
  enableConnectProtocol: true,
  abuse: { resetBurst: 1e9, idleFrameBurst: 1e9, unsentBytes: 64 * 1024 * 1024 },
};
/** Towards applications that speak HTTP/2: we are the client, and gather what we have to send as long as they take it. */
export const APP_H2: Partial<H2Options> = {
  initialWindowBytes: 256 * 1024,
  connectionWindowBytes: 64 * 1024 * 1024,
  abuse: { unsentBytes: 64 * 1024 * 1024 },
};
/** Clients: the services' own and those of the gateway. */
export const CLIENT_H2: Partial<H2Options> = {
  initialWindowBytes: 256 * 1024,
  connectionWindowBytes: 16 * 1024 * 1024,
  maxConcurrentStreams: 1_000,
  enableConnectProtocol: true,
};

export interface ListenerOptions {
  manager: ConnectionManager;
  trustDomain: () => string;
  trustAnchors: () => readonly string[];
  onRefusedPeer: (listener: ListenerContext, reason: string, message: string) => void;
  onTlsError: (listener: ListenerContext, message: string) => void;
  /** The socket itself failed: it could not be bound, or no connection can be accepted. */
  onSocketError: (listener: ListenerContext, message: string) => void;
}

/** A listening socket and the connections it has accepted. */
export class Listener implements ListenerContext {
  readonly connections = new Set<DrainableConnection>();
  readonly slots = new Map<string, CounterSlot>();
  recentSlot: RecentSlot | null = null;
  private readonly server: net.Server;
  private readonly sniffing = new Set<net.Socket>();

  constructor(
    public spec: ListenerSpec,
    private readonly options: ListenerOptions,
    identity: Identity | undefined,
  ) {
    if (spec.kind === 'inbound' || spec.tls) {
      if (identity === undefined) throw new Error(`listener ${spec.name} has no identity`);
      const server = tls.createServer({
        ...SERVER_OPTIONS,
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        ALPNProtocols: ['h2', 'http/1.1'],
        requestCert: spec.kind === 'inbound',
        // Refused below, with the reason; `true` would only show the peer a reset.
        rejectUnauthorized: false,
      });
      server.setSecureContext(this.contextOptions(identity));
      server.on('secureConnection', (socket) => this.acceptTls(socket));
      server.on('tlsClientError', (error) => options.onTlsError(this, error.message));
      this.server = server;
    } else {
      this.server = net.createServer(SERVER_OPTIONS, (socket) => this.accept(socket, this));
    }
    this.server.on('error', (error) => options.onSocketError(this, error.message));
  }

  /** Begins to accept, on a socket that is bound already, or on the port of the specification. */
  listen(handle: unknown): void {
    if (handle === undefined) this.server.listen(this.spec.port, '127.0.0.1');
    else this.server.listen(handle as net.Server);
  }

  /** The next handshakes use this certificate; open connections go on. */
  presentIdentity(identity: Identity): void {
    if (this.server instanceof tls.Server) this.server.setSecureContext(this.contextOptions(identity));
  }

  /** Stops accepting; open connections finish what they carry. `onClosed`: none is left. */
  close(onClosed: () => void): void {
    this.server.close(() => {
      clearTimeout(deadline);
      onClosed();
    });
    for (const socket of this.sniffing) socket.destroy();
    for (const connection of [...this.connections]) connection.drain();
    const deadline = setTimeout(() => {
      for (const connection of [...this.connections]) connection.kill();
    }, DRAIN_DEADLINE_MS);
    deadline.unref();
  }

  /** Closes everything at once. */
  destroy(): void {
    this.server.close();
    for (const socket of this.sniffing) socket.destroy();
    for (const connection of [...this.connections]) connection.kill();
  }

  /**
   * A tunnel that a client opened by CONNECT to a service of the mesh: what comes through it is treated as a connection
   * to the port that stands for that service.
   */
  acceptTunnel(socket: net.Socket, first: Buffer, service: string): void {
    const protocol = this.options.manager.protocolOf(service);
    const spec: ListenerSpec = { ...this.spec, kind: 'dependency', destination: service, protocol: protocol ?? 'http' };
    const { connections, slots } = this;
    const context: ListenerContext = { spec, connections, slots, recentSlot: null, acceptTunnel: () => {} };
    if (first.length > 0) this.sniff(socket, context, first);
    else this.accept(socket, context);
  }

  acceptTls(socket: tls.TLSSocket): void {
    if (this.spec.kind !== 'inbound') {
      this.serve(socket, TLS_PEER, socket.alpnProtocol === 'h2');
      return;
    }
    const verdict = checkClientIdentity(socket, this.options.trustDomain());
    if (!verdict.ok) {
      this.options.onRefusedPeer(this, verdict.reason, verdict.message);
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const certificate = socket.getPeerX509Certificate()!;
    const forwardedClientCert = formatXfcc({
      by: this.spec.identity,
      hash: certificateHash(certificate),
      uri: verdict.spiffeId,
    });
    this.serve(socket, { spiffeId: verdict.spiffeId, forwardedClientCert, tls: true }, socket.alpnProtocol === 'h2');
  }

  private serve(socket: net.Socket, peer: PeerInfo, http2: boolean): void {
    const manager = this.options.manager;
    if (http2) new Http2Downstream(socket, manager, this, peer, this.spec.kind === 'inbound' ? LINK_H2 : CLIENT_H2);
    else new Http1Downstream(socket, manager, this, peer);
  }

  private accept(socket: net.Socket, context: ListenerContext): void {
    if (context.spec.kind === 'dependency' && context.spec.protocol === 'tcp') {
      this.tunnel(socket, context, null);
      return;
    }
    // The first bytes tell the protocol. Nothing is armed for a client that says nothing but this one timer.
    this.sniffing.add(socket);
    const forget = () => {
      this.sniffing.delete(socket);
      socket.removeListener('data', onData);
      socket.removeListener('error', onGone);
      socket.removeListener('close', onGone);
      socket.removeListener('end', onGone);
      socket.setTimeout(0);
    };
    const onGone = () => {
      forget();
      socket.on('error', () => {});
      socket.destroy();
    };
    let seen: Buffer | null = null;
    const onData = (chunk: Buffer) => {
      seen = seen === null ? chunk : Buffer.concat([seen, chunk]);
      // `PRI` may be the start of the preface or of a method: four bytes tell.
      if (seen.length < 4 && PREFACE.subarray(0, seen.length).equals(seen)) return;
      forget();
      this.sniff(socket, context, seen);
    };
    socket.on('data', onData);
    socket.on('error', onGone);
    socket.on('close', onGone);
    socket.on('end', onGone);
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS * 6, onGone);
  }

  /** Chooses the codec by the first bytes of a plain connection. */
  private sniff(socket: net.Socket, context: ListenerContext, first: Buffer): void {
    const manager = this.options.manager;
    const probe = Math.min(4, first.length);
    if (first.subarray(0, probe).equals(PREFACE.subarray(0, probe))) {
      new Http2Downstream(socket, manager, context, PLAIN_PEER, CLIENT_H2).receive(first);
      return;
    }
    if (context.spec.kind === 'dependency' && !isTokenCharacter(first[0])) {
      // No HTTP method begins like this (a TLS ClientHello does): the bytes are the application's business.
      this.tunnel(socket, context, first);
      return;
    }
    new Http1Downstream(socket, manager, context, PLAIN_PEER).receive(first);
  }

  private tunnel(socket: net.Socket, context: ListenerContext, first: Buffer | null): void {
    const downstream = new TcpDownstream(socket, context);
    const authority = context.spec.destination!;
    const head = {
      method: 'CONNECT',
      scheme: '',
      authority,
      path: '',
      protocol: null,
      headers: [],
      contentLength: -1,
      expectContinue: false,
    };
    const x = this.options.manager.begin(downstream, context, PLAIN_PEER, head, false);
    downstream.begin(x);
    this.options.manager.route(x);
    if (first !== null) downstream.receive(first);
  }

  private contextOptions(identity: Identity): tls.SecureContextOptions {
    const options: tls.SecureContextOptions =
      this.spec.kind === 'inbound'
        ? linkContextOptions(identity, this.options.trustAnchors())
        : { cert: identity.certificate, key: identity.privateKey, minVersion: 'TLSv1.2' };
    // Without a context for session IDs OpenSSL refuses to resume sessions of clients with certificates.
    return { ...options, sessionIdContext: 'mesh' };
  }
}

/** RFC 9110 section 5.6.2, letters only: every registered method begins with one. */
function isTokenCharacter(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}
