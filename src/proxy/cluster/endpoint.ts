import type { Endpoint } from '../../model/snapshot.ts';
import { classify, type Outcome } from './outcome.ts';

/**
 * What a proxy knows of one endpoint beside its specification. It outlives snapshots: a reload replaces `spec` and
 * leaves the rest. Fixed shape, because balancers read it for every request.
 */
export class EndpointState {
  /** Verdict of the active health checks; true where there are none. */
  healthy = true;
  /** Tries sent and not yet over. */
  inFlight = 0;
  /** Tries since the process at this address came up, and how many of them failed. */
  requests = 0;
  failures = 0;
  connectFailures = 0;
  /** Failed tries since the last one that succeeded. */
  consecutiveFailures = 0;

  constructor(public spec: Endpoint) {}

  /** Puts a new specification in force. At another address there is another process, with a clean record. */
  update(spec: Endpoint): void {
    const moved = spec.host !== this.spec.host || spec.port !== this.spec.port;
    this.spec = spec;
    if (!moved) return;
    this.healthy = true;
    this.requests = 0;
    this.failures = 0;
    this.connectFailures = 0;
    this.consecutiveFailures = 0;
  }

  /** A try begins. */
  started(): void {
    this.inFlight++;
    this.requests++;
  }

  /** The try that `started` announced is over. Null: the caller gave it up, which says nothing about the endpoint. */
  ended(outcome: Outcome | null): void {
    this.inFlight--;
    if (outcome === null) return;
    if (classify(outcome) === 'success') {
      this.consecutiveFailures = 0;
      return;
    }
    this.failures++;
    this.consecutiveFailures++;
    if (outcome.kind === 'connect-failure') this.connectFailures++;
  }
}
