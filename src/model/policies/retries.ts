import type { RetriesConfig, RetryCondition } from '../config.ts';
import { closed, duration, either, list, no, number, oneOf, optional } from '../schema-parts.ts';

const condition = oneOf<RetryCondition>({
  '5xx': true,
  'gateway-error': true,
  reset: true,
  'connect-failure': true,
  'refused-stream': true,
  'retriable-4xx': true,
  cancelled: true,
  'deadline-exceeded': true,
  internal: true,
  'resource-exhausted': true,
  unavailable: true,
});

const settings = closed<RetriesConfig>('retries', {
  attempts: number('attempts', 0, 100),
  perTryTimeout: optional(duration()),
  on: optional(list('conditions', condition)),
  statusCodes: optional(list('status codes', number('a status code', 100, 599))),
  backoff: optional(duration()),
  maxBackoff: optional(duration()),
});

/** `true` is judged as settings, so that what is asked for is said. */
export const retries = either<RetriesConfig | false>((input) => (input === false ? no : settings));
