import type {
  DefaultsConfig,
  DependencyCondition,
  GatewayConfig,
  GatewayRouteConfig,
  IdentityConfig,
  MeshConfig,
  Protocol,
  RouteConfig,
  ServiceConfig,
  SubsetConfig,
} from './config.ts';
import { gatewayBackend, routeBackend } from './policies/backend.ts';
import { filters } from './policies/filters.ts';
import { healthCheck } from './policies/health-check.ts';
import { loadBalancer } from './policies/load-balancer.ts';
import { match } from './policies/match.ts';
import { parking } from './policies/parking.ts';
import { probe } from './policies/probe.ts';
import { resource } from './policies/resource.ts';
import { restart } from './policies/restart.ts';
import { retries } from './policies/retries.ts';
import { stop } from './policies/stop.ts';
import { accessLog, telemetry } from './policies/telemetry.ts';
import { routeTimeouts, timeouts } from './policies/timeouts.ts';
import {
  closed,
  commandLine,
  dictionary,
  duration,
  either,
  flag,
  list,
  nonEmpty,
  number,
  oneOf,
  oneOfNumbers,
  oneOrMore,
  optional,
  port,
} from './schema-parts.ts';
import { environmentName, environmentValue, hostPattern, label, serviceName, trustDomain } from './schema-texts.ts';

/** Rotation at 80 % of less would be busier with certificates than with requests. */
const LEAST_TTL_MS = 5_000;
const MOST_TTL_MS = 365 * 24 * 3_600_000;

const command = commandLine();
const files = oneOrMore('paths', nonEmpty('a path'));
const environment = dictionary('environment variables', environmentName, environmentValue);
const replicas = number('a number of instances', 0, 1_000);

const routeParts = {
  name: optional(nonEmpty('a name')),
  matches: optional(list('matches', match, 1)),
  filters: optional(filters),
  timeouts: optional(routeTimeouts),
  retries: optional(retries),
};

const route = closed<RouteConfig>('a route', {
  ...routeParts,
  backends: optional(list('backends', routeBackend, 1)),
});

const gatewayRoute = closed<GatewayRouteConfig>('a gateway route', {
  ...routeParts,
  hosts: optional(list('host names', hostPattern, 1)),
  backends: optional(list('backends', gatewayBackend, 1)),
});

const gateway = closed<GatewayConfig>('the gateway', {
  http: optional(port),
  https: optional(port),
  routes: list('routes', gatewayRoute),
});

const subset = closed<SubsetConfig>('a subset', {
  env: optional(environment),
  command: optional(command),
  replicas: optional(replicas),
});

const condition = oneOf<DependencyCondition>({ started: true, ready: true, completed: true });
const dependencyNames = list('names of services', nonEmpty('the name of a service'));
const dependencyConditions = dictionary('services with their conditions', nonEmpty('the name of a service'), condition);

const service = closed<ServiceConfig>('a service', {
  command: optional(command),
  external: optional(nonEmpty('a URL')),
  cwd: optional(nonEmpty('a path')),
  env: optional(environment),
  envFile: optional(files),
  protocol: optional(oneOf<Protocol>({ http: true, http2: true, grpc: true, tcp: true })),
  proto: optional(files),
  port: optional(port),
  replicas: optional(replicas),
  subsets: optional(dictionary('subsets by name', label, subset)),
  dependsOn: optional(
    either<NonNullable<ServiceConfig['dependsOn']>>((input) =>
      typeof input === 'object' && input !== null && !Array.isArray(input) ? dependencyConditions : dependencyNames,
    ),
  ),
  readiness: optional(probe),
  liveness: optional(probe),
  startup: optional(probe),
  restart: optional(restart),
  watch: optional(files),
  build: optional(command),
  migrations: optional(files),
  stop: optional(stop),
  task: optional(flag),
  routes: optional(list('routes', route)),
  loadBalancer: optional(loadBalancer),
  healthCheck: optional(healthCheck),
  timeouts: optional(timeouts),
  retries: optional(retries),
  parking: optional(parking),
  accessLog: optional(accessLog),
});

const defaults = closed<DefaultsConfig>('defaults', {
  timeouts: optional(timeouts),
  retries: optional(retries),
  loadBalancer: optional(loadBalancer),
  healthCheck: optional(healthCheck),
  parking: optional(parking),
  restart: optional(restart),
  stop: optional(stop),
});

/**
 * What a configuration may look like. The entries of each `closed` are checked against the types of config.ts, so that
 * the two cannot drift apart. References between its parts are the business of `checks/`.
 */
export const meshConfig = closed<MeshConfig>('the configuration', {
  version: oneOfNumbers([1]),
  name: label,
  trustDomain: optional(trustDomain),
  namespace: optional(label),
  identity: optional(closed<IdentityConfig>('identity', { ttl: optional(duration(LEAST_TTL_MS, MOST_TTL_MS)) })),
  proxies: optional(number('a number of processes', 1, 64)),
  telemetry: optional(telemetry),
  gateway: optional(gateway),
  defaults: optional(defaults),
  resources: optional(dictionary('resources by name', serviceName, resource)),
  services: dictionary('services by name', serviceName, service),
});
