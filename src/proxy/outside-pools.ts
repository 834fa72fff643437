import { hostOf, portOf } from './authority.ts';
import { plainConnector } from './connector.ts';
import type { Deadlines } from './deadlines.ts';
import type { UpstreamPool } from './upstream.ts';
import { Http1Pool } from './upstream-http1.ts';
import { TcpPool } from './upstream-tcp.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** Pools kept; a service that talks to more hosts through us pays a new connection. */
const MOST_POOLS = 64;

/**
 * Connections to hosts outside the mesh, for services whose HTTP client uses `http_proxy` for everything: what is not a
 * service of the mesh passes through as it would without us.
 */
export class OutsidePools {
  private readonly http = new Map<string, Http1Pool>();

  constructor(private readonly deadlines: Deadlines) {}

  /** Null: the authority names no address, or a scheme that cannot be passed on in plain text. */
  pool(authority: string, tunnel: boolean, scheme: string): UpstreamPool | null {
    const host = hostOf(authority).replace(/^\[|\]$/g, '');
    const port = portOf(authority) || (tunnel ? 443 : 80);
    if (host === '') return null;
    if (tunnel) return new TcpPool(plainConnector(host, port, CONNECT_TIMEOUT_MS));
    if (scheme !== 'http') return null;
    const key = `${host}:${port}`;
    let pool = this.http.get(key);
    if (pool === undefined) {
      pool = new Http1Pool(plainConnector(host, port, CONNECT_TIMEOUT_MS), this.deadlines);
      if (this.http.size >= MOST_POOLS) {
        const [oldest, evicted] = this.http.entries().next().value!;
        this.http.delete(oldest);
        evicted.drain();
      }
    } else this.http.delete(key);
    this.http.set(key, pool);
    return pool;
  }

  destroy(): void {
    for (const pool of this.http.values()) pool.destroy();
  }
}
