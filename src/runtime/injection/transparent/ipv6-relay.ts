import net from 'node:net';

/**
 * Leads connections from a port of ::1 to the same-host port of 127.0.0.1: a redirect cannot change the family of an
 * address, and dependency listeners are on 127.0.0.1.
 */
export class Ipv6Relay {
  private readonly connections = new Set<net.Socket>();

  private constructor(
    private readonly server: net.Server,
    readonly target: number,
  ) {
    server.on('connection', (from: net.Socket) => this.relay(from));
    // A connection that was reset before it was accepted.
    server.on('error', () => {});
  }

  /** Null: there is no IPv6 here, so nobody can connect over it. */
  static start(target: number): Promise<Ipv6Relay | null> {
    return new Promise((resolve) => {
      const server = net.createServer({ allowHalfOpen: true, noDelay: true });
      server.once('error', () => resolve(null));
      server.listen({ host: '::1', port: 0 }, () => {
        server.removeAllListeners('error');
        resolve(new Ipv6Relay(server, target));
      });
    });
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  close(): void {
    this.server.close();
    for (const connection of this.connections) connection.destroy();
  }

  private relay(from: net.Socket): void {
    const to = net.connect({ host: '127.0.0.1', port: this.target, allowHalfOpen: true, noDelay: true });
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ]) {
      this.connections.add(socket);
      // A reset on one side is a reset on the other, not an orderly end.
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', () => {
        this.connections.delete(socket);
        if (!other.writableEnded) other.destroy();
      });
      socket.pipe(other);
    }
  }
}
