/** What a data plane knows of the endpoints of one cluster at one moment. */
export interface ClusterView {
  /** Those of all subsets. */
  readonly endpoints: readonly EndpointView[];
  /** The request has a key that its balancer hashes. */
  readonly hashed: boolean;
  /** Requests that wait for an instance now. */
  readonly waiting: number;
  /** An instance of the subset asked for is on its way, so that a request would wait for it. */
  readonly expects: boolean;
}

export interface EndpointView {
  /** Instance name. */
  readonly id: string;
  /** Verdict of the active health checks; true where there are none. */
  readonly healthy: boolean;
  /** Why the last health check failed; empty: it did not, or there are none. */
  readonly checkFailure: string;
  /** Tries under way. */
  readonly inFlight: number;
  /** Tries since its process came up, how many failed, and how many of the last ones in a row. */
  readonly requests: number;
  readonly failures: number;
  readonly consecutiveFailures: number;
  /** Chance to get the next request, 0 to 1; 1: it is settled. 0 for those that may not. */
  readonly chance: number;
}
