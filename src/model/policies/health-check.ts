import type { HealthCheckConfig } from '../config.ts';
import { closed, duration, number, optional, yes } from '../schema-parts.ts';
import { healthService, probePath } from '../schema-texts.ts';

/** Least time between two probes of one instance. */
const LEAST_INTERVAL_MS = 10;

export const healthCheck = closed<HealthCheckConfig>('healthCheck', {
  http: optional(probePath),
  tcp: optional(yes),
  grpc: optional(closed<{ service?: string }>('grpc', { service: optional(healthService) })),
  interval: optional(duration(LEAST_INTERVAL_MS)),
  timeout: optional(duration(1)),
  unhealthyThreshold: optional(number('a threshold', 1, 1_000)),
  healthyThreshold: optional(number('a threshold', 1, 1_000)),
});
