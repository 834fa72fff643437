/** How one try of a request ended, as far as retries, health and statistics care. */
export type Outcome =
  | {
      readonly kind: 'response';
      readonly status: number;
      /** Null or negative: not gRPC, or not known yet. */
      readonly grpcStatus: number | null;
    }
  | { readonly kind: NoResponse };

/**
 * Why there was no response: `connect-failure`, no connection (nothing was sent); `refused-stream`, the peer says it
 * did not look at the request (RFC 9113 section 8.7); `reset`, the connection or stream broke; `protocol-error`, what
 * came back was no HTTP; `per-try-timeout`, no response in the time for one try.
 */
export type NoResponse = 'connect-failure' | 'refused-stream' | 'reset' | 'protocol-error' | 'per-try-timeout';

export type Classification = 'success' | 'failure';

/**
 * gRPC statuses that are the server's fault, the counterparts of 5xx: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED,
 * INTERNAL, UNAVAILABLE, DATA_LOSS (OpenTelemetry's semantic conventions for gRPC servers). One bit each.
 */
const GRPC_FAILURES = (1 << 2) | (1 << 4) | (1 << 12) | (1 << 13) | (1 << 14) | (1 << 15);

/** A response as Linkerd counts it: 5xx are failures, and for gRPC the status of the call decides. */
export function classifyResponse(status: number, grpcStatus: number | null): Classification {
  if (status >= 500) return 'failure';
  if (grpcStatus === null || grpcStatus < 0) return 'success';
  // Codes that gRPC does not know count as UNKNOWN.
  return grpcStatus > 16 || (GRPC_FAILURES >>> grpcStatus) & 1 ? 'failure' : 'success';
}

export function classify(outcome: Outcome): Classification {
  return outcome.kind === 'response' ? classifyResponse(outcome.status, outcome.grpcStatus) : 'failure';
}
