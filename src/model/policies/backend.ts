import type { GatewayBackendConfig, RouteBackendConfig } from '../config.ts';
import { closed, nonEmpty, number, optional } from '../schema-parts.ts';

// Whether they exist is judged later, so that a misspelt name is answered with the right one.
const service = nonEmpty('the name of a service');
const subset = optional(nonEmpty('the name of a subset'));
const weight = optional(number('a weight', 0, 1_000_000, false));

export const routeBackend = closed<RouteBackendConfig>('a backend', {
  subset,
  service: optional(service),
  weight,
});

export const gatewayBackend = closed<GatewayBackendConfig>('a backend', {
  subset,
  service,
  weight,
});
