import type { Protocol } from '../model/config.ts';
import { localTlsConnector, plainConnector } from './connector.ts';
import type { Deadlines } from './deadlines.ts';
import type { InFlightCounter } from './exchange.ts';
import type { H2Options } from './http2/options.ts';
import type { RequestHead } from './message.ts';
import type { UpstreamPool } from './upstream.ts';
import { Http1Pool } from './upstream-http1.ts';
import { Http2Pool } from './upstream-http2.ts';
import { TcpPool } from './upstream-tcp.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * The application behind an inbound listener, on one port. A restart that moves it to another port makes a new one;
 * the old one lives on until the last request that it serves has ended.
 */
export class AppUpstream implements InFlightCounter {
  private inFlight = 0;
  private draining = false;
  private readonly http: Http1Pool | Http2Pool;
  private readonly tcp: TcpPool;

  constructor(
    readonly host: string,
    readonly port: number,
    readonly protocol: Protocol,
    /** Spoken with TLS. */
    readonly tls: boolean,
    deadlines: Deadlines,
    h2: Partial<H2Options>,
    private readonly onDrained: (app: AppUpstream) => void,
  ) {
    const isHttp2 = protocol === 'grpc' || protocol === 'http2';
    const connector = tls
      ? localTlsConnector(host, port, CONNECT_TIMEOUT_MS, isHttp2 ? 'h2' : 'http/1.1')
      : plainConnector(host, port, CONNECT_TIMEOUT_MS);
    this.http = isHttp2 ? new Http2Pool(connector, h2) : new Http1Pool(connector, deadlines);
    this.tcp = new TcpPool(connector);
  }

  poolFor(request: RequestHead): UpstreamPool {
    return request.method === 'CONNECT' && request.protocol === null ? this.tcp : this.http;
  }

  /** Requests under way. */
  get active(): number {
    return this.inFlight;
  }

  enter(): InFlightCounter {
    this.inFlight++;
    return this;
  }

  leave(): void {
    this.inFlight--;
    if (this.draining && this.inFlight === 0) this.finish();
  }

  /** No new requests will come. `onDrained` is called when the last one has ended, at once if there is none. */
  drain(): void {
    if (this.draining) return;
    this.draining = true;
    this.http.drain();
    if (this.inFlight === 0) this.finish();
  }

  destroy(): void {
    this.http.destroy();
    this.tcp.destroy();
  }

  private finish(): void {
    this.destroy();
    this.onDrained(this);
  }
}
