import type { RetryCondition } from '../model/config.ts';
import type { RetryPolicy } from '../model/resolved.ts';
import type { NoResponse, Outcome } from './cluster/outcome.ts';

/**
 * Whether to try again. Conditions mean what they mean in Envoy; in particular `5xx` and `gateway-error` include that
 * no response came at all.
 * @param triesSoFar tries that were made, the first one included
 * @param canReplay whether the request can still be sent from its beginning
 */
export function shouldRetry(policy: RetryPolicy, outcome: Outcome, triesSoFar: number, canReplay: boolean): boolean {
  if (!canReplay || triesSoFar > policy.attempts) return false;
  if (outcome.kind !== 'response') return retriesNoResponse(policy.on, outcome.kind);
  const { status, grpcStatus } = outcome;
  if (policy.statusCodes.includes(status)) return true;
  if (status >= 400) return retriesStatus(policy.on, status);
  return grpcStatus !== null && grpcStatus > 0 && retriesGrpcStatus(policy.on, grpcStatus);
}

function retriesNoResponse(on: readonly RetryCondition[], kind: NoResponse): boolean {
  if (on.includes('reset') || on.includes('5xx') || on.includes('gateway-error')) return true;
  if (kind === 'connect-failure') return on.includes('connect-failure');
  return kind === 'refused-stream' && on.includes('refused-stream');
}

function retriesStatus(on: readonly RetryCondition[], status: number): boolean {
  if (status === 409) return on.includes('retriable-4xx');
  if (status < 500) return false;
  if (on.includes('5xx')) return true;
  return status >= 502 && status <= 504 && on.includes('gateway-error');
}

function retriesGrpcStatus(on: readonly RetryCondition[], grpcStatus: number): boolean {
  switch (grpcStatus) {
    case 1:
      return on.includes('cancelled');
    case 4:
      return on.includes('deadline-exceeded');
    case 8:
      return on.includes('resource-exhausted');
    case 13:
      return on.includes('internal');
    case 14:
      return on.includes('unavailable');
    default:
      return false;
  }
}

/**
 * Time to wait before a retry, in milliseconds: anything between none and a limit that doubles each time. Full jitter
 * spreads callers that failed together, which is what keeps them from coming back together.
 * @param retry 1 for the first retry
 */
export function backoffMs(policy: RetryPolicy, retry: number, random: () => number): number {
  // The exponent has an end so that the product stays finite.
  const limit = Math.min(policy.maxBackoffMs, policy.backoffMs * 2 ** Math.min(retry - 1, 30));
  return random() * limit;
}
