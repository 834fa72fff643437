import type { RestartConfig } from '../config.ts';
import { closed, duration, number, oneOf, optional } from '../schema-parts.ts';

/** A process that fails at once must not keep the machine busy. */
const LEAST_BACKOFF_MS = 10;

export const restart = closed<RestartConfig>('restart', {
  policy: optional(oneOf({ always: true, 'on-failure': true, never: true })),
  backoff: optional(duration(LEAST_BACKOFF_MS)),
  maxBackoff: optional(duration(LEAST_BACKOFF_MS)),
  attempts: optional(number('attempts', 1, 1_000_000)),
});
