import net from 'node:net';

/** Below the range from which systems choose ports for outgoing connections, so that none of those takes ours first. */
const FIRST_PORT = 20_000;
const PORTS = 10_000;
/** A port that was given out is not given out again for so long: its process may not have bound it yet. */
const RESERVED_MS = 60_000;

/** Chooses free ports for applications to listen on. */
export class AppPorts {
  private readonly reservedUntilMs = new Map<number, number>();

  constructor(
    private readonly random: () => number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  async next(): Promise<number> {
    const now = this.now();
    for (const [port, until] of this.reservedUntilMs) if (until <= now) this.reservedUntilMs.delete(port);
    for (let tries = 0; tries < PORTS; tries++) {
      const port = FIRST_PORT + Math.floor(this.random() * PORTS);
      if (this.reservedUntilMs.has(port)) continue;
      this.reservedUntilMs.set(port, now + RESERVED_MS);
      if ((await isFree(port, '127.0.0.1')) && (await isFree(port, '0.0.0.0'))) return port;
    }
    throw new Error(`no free port between ${FIRST_PORT} and ${FIRST_PORT + PORTS}`);
  }
}

/** Whether one can listen on the port now. */
export function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
