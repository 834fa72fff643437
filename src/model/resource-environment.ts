import type { ResolvedConfig } from './resolved.ts';
import type { BrokerKind } from './resource-config.ts';
import { urlAt } from './resource-url.ts';

/** What a resource is to programs: the values of MESH_BUS_KIND. */
type BusKind = BrokerKind | 'postgres';

/** How the databases that mesh runs are logged in to. */
export interface DatabaseLogin {
  readonly user: string;
  /** By data directory. */
  readonly passwordOf: (dataDir: string) => string;
}

/**
 * What a service is told about the databases and brokers it depends on: `<NAME>_URL` for each, `DATABASE_URL` for its
 * only database, `BUS_URL` and `MESH_BUS_KIND` for its only broker.
 * @param ports the local port of each dependency
 */
export function resourceVariables(
  config: ResolvedConfig,
  service: string,
  ports: Readonly<Record<string, number>>,
  login: DatabaseLogin,
): Record<string, string> {
  const env: Record<string, string> = {};
  const buses: { kind: BusKind; url: string }[] = [];
  const { dependsOn, database } = config.services[service];
  for (const { service: name } of dependsOn) {
    const resource = config.services[name]?.resource;
    if (resource?.kind === 'migrations' && resource.bus && name !== `${resource.database}-migrations`) {
      const url = resourceUrl(config, resource.database, ports[resource.database], login);
      if (url !== null) buses.push({ kind: 'postgres', url });
      if (url !== null) env[variableOf(name)] = url;
      continue;
    }
    const url = resourceUrl(config, name, ports[name], login);
    if (url === null || resource === undefined) continue;
    env[variableOf(name)] = url;
    if (name === database) env.DATABASE_URL = url;
    if (resource.kind === 'postgres' && resource.bus) buses.push({ kind: 'postgres', url });
    if (resource.kind === 'url' && resource.of !== 'postgres') buses.push({ kind: resource.of, url });
  }
  if (buses.length === 1) {
    env.BUS_URL = buses[0].url;
    env.MESH_BUS_KIND = buses[0].kind;
  }
  return env;
}

/** The URL of a resource for whoever reaches it at a port of this machine; null: there is none, or it is not a server. */
export function resourceUrl(
  config: ResolvedConfig,
  name: string,
  port: number | undefined,
  { user, passwordOf }: DatabaseLogin,
): string | null {
  const resource = config.services[name]?.resource;
  if (port === undefined || resource === undefined || resource.kind === 'migrations') return null;
  if (resource.kind === 'url') return urlAt(resource.url, '127.0.0.1', port);
  return `postgres://${user}:${passwordOf(resource.dataDir)}@127.0.0.1:${port}/${resource.database}`;
}

/** `orders-db` is `ORDERS_DB_URL`. */
export const variableOf = (name: string): string => `${name.toUpperCase().replaceAll('-', '_')}_URL`;
