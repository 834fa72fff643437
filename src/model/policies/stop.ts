import type { StopConfig } from '../config.ts';
import { closed, duration, oneOf, optional } from '../schema-parts.ts';

const signal = oneOf<NonNullable<StopConfig['signal']>>({
  SIGTERM: true,
  SIGINT: true,
  SIGQUIT: true,
  SIGHUP: true,
  SIGUSR1: true,
  SIGUSR2: true,
  SIGKILL: true,
});

export const stop = closed<StopConfig>('stop', { signal: optional(signal), grace: optional(duration()) });
