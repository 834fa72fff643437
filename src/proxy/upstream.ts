import type { Exchange } from './exchange.ts';

/**
 * Connections to one address. `acquire` puts the exchange's request on one of them and calls `x.onUpstreamOpen`, at
 * once or when a connection is there, or ends in `x.onUpstreamReset`.
 */
export interface UpstreamPool {
  acquire(x: Exchange): void;
  /** Takes back an `acquire` that has not been answered yet. */
  cancel(x: Exchange): void;
  /** No new exchanges will come: closes idle connections now and the others when their exchanges end. */
  drain(): void;
  /** Closes everything at once. */
  destroy(): void;
}
