import type { GatewayRouteConfig, MeshConfig, RetriesConfig, TimeoutsConfig } from './config.ts';
import { formatPath, parsePath } from './config-path.ts';
import type { Origin } from './explanation.ts';
import type { PolicyLevel } from './precedence.ts';

/** Where a value was said, but for the line of the file. */
export type OriginPlace = Pick<Origin, 'level' | 'path'>;

interface Level {
  readonly name: Origin['level'];
  readonly path: string;
  readonly policies: PolicyLevel;
}

/** The levels whose timeouts and retries concern one route, weakest first. */
export type PolicyLevels = readonly Level[];

const BUILT_IN: OriginPlace = { level: 'built-in', path: '' };

/**
 * The levels that `resolveConfig` put together for a route, found again. Kept in step with it by a property test: a value
 * in force is always the one that its origin says.
 * @param routePath place of the route: `services.orders.routes[0]`, `gateway.routes[1]`, or that of a service without routes
 */
export function policyLevels(config: MeshConfig, routePath: string): PolicyLevels {
  const [section, second, third, fourth] = parsePath(routePath);
  const defaults: Level = { name: 'defaults', path: 'defaults', policies: config.defaults ?? {} };
  if (section === 'gateway') return gatewayLevels(config, Number(third), routePath, defaults);
  const service = config.services[String(second)];
  const levels: Level[] = [defaults];
  if (service === undefined) return levels;
  levels.push(serviceLevel(config, String(second)));
  const route = third === 'routes' ? service.routes?.[Number(fourth)] : undefined;
  if (route !== undefined) levels.push({ name: 'route', path: routePath, policies: route });
  return levels;
}

function serviceLevel(config: MeshConfig, name: string): Level {
  return { name: 'service', path: formatPath(['services', name]), policies: config.services[name] };
}

/** A gateway's route whose backends follow their services' own routes takes nothing from the other levels. */
function gatewayLevels(config: MeshConfig, index: number, path: string, defaults: Level): Level[] {
  const route: GatewayRouteConfig | undefined = config.gateway?.routes[index];
  if (route === undefined) return [];
  const own: Level = { name: 'gateway route', path, policies: { timeouts: route.timeouts, retries: route.retries } };
  const backends = route.backends ?? [];
  if (backends.every(({ subset }) => subset === undefined)) return [own];
  const services = [...new Set(backends.map(({ service }) => service))];
  return services.length === 1 ? [defaults, serviceLevel(config, services[0]), own] : [defaults, own];
}

/** Of a timeout: the strongest level that has it. */
export function timeoutOrigin(levels: PolicyLevels, field: keyof TimeoutsConfig): OriginPlace {
  const level = levels.findLast(({ policies }) => policies.timeouts?.[field] !== undefined);
  return level === undefined ? BUILT_IN : { level: level.name, path: `${level.path}.timeouts.${field}` };
}

/** Of retries, or of one field of them: `retries: false` forgets what is below it. */
export function retriesOrigin(levels: PolicyLevels, field?: keyof RetriesConfig): OriginPlace {
  for (const { name, path, policies } of [...levels].reverse()) {
    const { retries } = policies;
    if (retries === undefined) continue;
    if (retries === false) return field === undefined ? { level: name, path: `${path}.retries` } : BUILT_IN;
    if (field === undefined) return { level: name, path: `${path}.retries` };
    if (retries[field] !== undefined) return { level: name, path: `${path}.retries.${field}` };
  }
  return BUILT_IN;
}

/** Of a service's `parking.timeout`. */
export function parkingOrigin(levels: PolicyLevels): OriginPlace {
  const level = levels.findLast(({ policies }) => policies.parking?.timeout !== undefined);
  return level === undefined ? BUILT_IN : { level: level.name, path: `${level.path}.parking.timeout` };
}
