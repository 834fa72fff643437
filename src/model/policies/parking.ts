import type { ParkingConfig } from '../config.ts';
import { closed, duration, number, optional } from '../schema-parts.ts';

export const parking = closed<ParkingConfig>('parking', {
  timeout: optional(duration()),
  maxRequests: optional(number('a number of requests', 0, 1_000_000)),
});
