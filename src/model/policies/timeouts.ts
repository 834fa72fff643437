import type { RouteTimeoutsConfig, TimeoutsConfig } from '../config.ts';
import { closed, duration, optional } from '../schema-parts.ts';

export const timeouts = closed<TimeoutsConfig>('timeouts', {
  request: optional(duration()),
  idle: optional(duration()),
  connect: optional(duration()),
});

export const routeTimeouts = closed<RouteTimeoutsConfig>('timeouts of a route', {
  request: optional(duration()),
  idle: optional(duration()),
});
