import type {
  HealthCheckConfig,
  LoadBalancerConfig,
  ParkingConfig,
  RestartConfig,
  RetriesConfig,
  StopConfig,
  TimeoutsConfig,
} from './config.ts';
import type { HealthCheck, LoadBalancer, Parking, ResolvedService, RetryPolicy } from './resolved.ts';
import { parseDuration } from './units.ts';

/** The settings that exist on several levels, as one of them writes them. */
export interface PolicyLevel {
  readonly timeouts?: TimeoutsConfig;
  readonly retries?: RetriesConfig | false;
  readonly loadBalancer?: LoadBalancerConfig;
  readonly healthCheck?: HealthCheckConfig;
  readonly parking?: ParkingConfig;
  readonly restart?: RestartConfig;
  readonly stop?: StopConfig;
}

/** The same settings in force. */
export interface Policies {
  readonly timeouts: { readonly requestMs: number; readonly idleMs: number; readonly connectMs: number };
  readonly retries: RetryPolicy | null;
  readonly loadBalancer: LoadBalancer;
  readonly healthCheck: HealthCheck | null;
  readonly parking: Parking;
  readonly restart: ResolvedService['restart'];
  readonly stop: ResolvedService['stop'];
}

/** What holds where no level says anything. The doc comments of config.ts promise these values. */
const BUILT_IN = {
  timeouts: { request: '0s', idle: '1h', connect: '5s' },
  retries: {
    attempts: 2,
    perTryTimeout: '0s',
    on: ['connect-failure', 'refused-stream'],
    statusCodes: [],
    backoff: '25ms',
    maxBackoff: '250ms',
  },
  loadBalancer: 'round-robin',
  healthCheck: { interval: '5s', timeout: '1s', unhealthyThreshold: 3, healthyThreshold: 1 },
  parking: { timeout: '10s', maxRequests: 1024 },
  restart: { policy: 'on-failure', backoff: '200ms', maxBackoff: '10s' },
  stop: { signal: 'SIGTERM', grace: '5s' },
} as const satisfies { [K in keyof PolicyLevel]-?: unknown };

/** Those of them that a route can set. */
export type RoutePolicies = Pick<Policies, 'timeouts' | 'retries'>;

/**
 * The one place that decides which level wins: from the weakest (`defaults`) over the service to the strongest (a
 * route). Objects are merged field by field; `retries: false` forgets the levels below it; a load balancer, and the
 * action of a health check, replace those below as a whole.
 */
export function effectivePolicies(...levels: readonly PolicyLevel[]): Policies {
  let loadBalancer: LoadBalancerConfig = BUILT_IN.loadBalancer;
  let healthCheck: HealthCheckConfig = BUILT_IN.healthCheck;
  let parking: Required<ParkingConfig> = BUILT_IN.parking;
  let restart: RestartConfig = BUILT_IN.restart;
  let stop: Required<StopConfig> = BUILT_IN.stop;

  for (const level of levels) {
    loadBalancer = level.loadBalancer ?? loadBalancer;
    if (level.healthCheck !== undefined) {
      const { http, tcp, grpc } = level.healthCheck;
      const replaces = http !== undefined || tcp !== undefined || grpc !== undefined;
      const base = replaces ? { ...healthCheck, http: undefined, tcp: undefined, grpc: undefined } : healthCheck;
      healthCheck = merged(base, level.healthCheck);
    }
    parking = merged(parking, level.parking);
    restart = merged(restart, level.restart);
    stop = merged(stop, level.stop);
  }

  const { timeouts, retries } = effectiveRoutePolicies(...levels);
  return {
    timeouts,
    retries,
    loadBalancer: balancer(loadBalancer),
    healthCheck: check(healthCheck),
    parking: { timeoutMs: ms(parking.timeout), maxRequests: parking.maxRequests },
    restart: {
      policy: restart.policy!,
      backoffMs: ms(restart.backoff!),
      maxBackoffMs: ms(restart.maxBackoff!),
      attempts: restart.attempts ?? null,
    },
    stop: { signal: stop.signal, graceMs: ms(stop.grace) },
  };
}

/** The part of `effectivePolicies` that differs from route to route; ten thousand routes do without the rest. */
export function effectiveRoutePolicies(...levels: readonly PolicyLevel[]): RoutePolicies {
  let timeouts: Required<TimeoutsConfig> = BUILT_IN.timeouts;
  let retries = builtInRetries() as RetriesConfig | false;
  for (const level of levels) {
    timeouts = merged(timeouts, level.timeouts);
    if (level.retries === false) retries = false;
    else if (level.retries !== undefined) {
      retries = merged(retries === false ? builtInRetries() : retries, level.retries);
    }
  }
  return {
    timeouts: { requestMs: ms(timeouts.request), idleMs: ms(timeouts.idle), connectMs: ms(timeouts.connect) },
    retries: retries === false || retries.attempts === 0 ? null : retryPolicy(retries),
  };
}

const builtInRetries = (): RetriesConfig => ({
  ...BUILT_IN.retries,
  on: [...BUILT_IN.retries.on],
  statusCodes: [...BUILT_IN.retries.statusCodes],
});

/** `over` on top of `base`; fields set to undefined count as left out. */
function merged<T extends object>(base: T, over: Partial<T> | undefined): T {
  if (over === undefined) return base;
  const result = { ...base };
  for (const key in over) if (over[key] !== undefined) result[key] = over[key] as T[typeof key];
  return result;
}

/** Milliseconds of a duration that the schema has accepted. */
export function ms(duration: string): number {
  const parsed = parseDuration(duration);
  if (parsed === null) throw new Error(`a duration that was not validated: ${duration}`);
  return parsed;
}

function retryPolicy(retries: RetriesConfig): RetryPolicy {
  return {
    attempts: retries.attempts,
    perTryTimeoutMs: ms(retries.perTryTimeout!),
    on: [...retries.on!],
    statusCodes: [...retries.statusCodes!],
    backoffMs: ms(retries.backoff!),
    maxBackoffMs: ms(retries.maxBackoff!),
  };
}

function balancer(config: LoadBalancerConfig): LoadBalancer {
  if (config === 'weighted') return { kind: 'weighted', weights: {} };
  if (typeof config === 'string') return { kind: config };
  if ('weighted' in config && config.weighted !== undefined)
    return { kind: 'weighted', weights: { ...config.weighted } };
  const { header, cookie } = (config as Extract<LoadBalancerConfig, { ringHash: unknown }>).ringHash;
  if (header !== undefined) return { kind: 'ring-hash', key: { kind: 'header', name: header.toLowerCase() } };
  if (cookie !== undefined) return { kind: 'ring-hash', key: { kind: 'cookie', name: cookie } };
  return { kind: 'ring-hash', key: { kind: 'source' } };
}

/** Null where no level says what to do: its other fields are then for those who do. */
function check(config: HealthCheckConfig): HealthCheck | null {
  let action: HealthCheck['action'];
  if (config.http !== undefined) action = { kind: 'http', path: config.http };
  else if (config.tcp !== undefined) action = { kind: 'tcp' };
  else if (config.grpc !== undefined) action = { kind: 'grpc', service: config.grpc.service ?? '' };
  else return null;
  return {
    action,
    intervalMs: ms(config.interval!),
    timeoutMs: ms(config.timeout!),
    unhealthyThreshold: config.unhealthyThreshold!,
    healthyThreshold: config.healthyThreshold!,
  };
}
