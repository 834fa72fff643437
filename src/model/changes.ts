import { deepEqual } from './deep-equal.ts';
import type { ResolvedConfig, ResolvedService, ResolvedSubset } from './resolved.ts';

/** What a new configuration means for the processes of the mesh, by service name in order of declaration. */
export interface ServiceChanges {
  /** Also services that were external, or are so now: see `removed`. */
  readonly added: string[];
  readonly removed: string[];
  /** Processes have to be started anew, with another command, environment, port or set of dependencies. */
  readonly restart: string[];
  /** For each service in `restart`, the subsets whose instances are concerned. */
  readonly restartSubsets: Readonly<Record<string, readonly string[]>>;
  /** Another number of instances, or other subsets. A service may stand here and in `restart`. */
  readonly rescale: string[];
  /** Changed in a way that concerns no process: probes, policies, routes, watched files. */
  readonly updated: string[];
}

export function changedServices(previous: ResolvedConfig, next: ResolvedConfig): ServiceChanges {
  const added: string[] = [];
  const restart: string[] = [];
  const restartSubsets: Record<string, string[]> = {};
  const rescale: string[] = [];
  const updated: string[] = [];
  const removed = Object.keys(previous.services).filter((name) => {
    const successor = next.services[name];
    return successor === undefined || isExternal(successor) !== isExternal(previous.services[name]);
  });

  for (const [name, service] of Object.entries(next.services)) {
    const before = previous.services[name];
    if (before === undefined || isExternal(before) !== isExternal(service)) {
      added.push(name);
      continue;
    }
    const subsets = isExternal(service) ? [] : subsetsToRestart(previous, before, next, service);
    if (subsets.length > 0) {
      restart.push(name);
      restartSubsets[name] = subsets;
    }
    const scaled = !deepEqual(instanceCounts(before), instanceCounts(service));
    if (scaled) rescale.push(name);
    if (subsets.length === 0 && !scaled && !deepEqual(before, service)) updated.push(name);
  }
  return { added, removed, restart, restartSubsets, rescale, updated };
}

const isExternal = (service: ResolvedService): boolean => service.external !== null;

const instanceCounts = (service: ResolvedService): Record<string, number> =>
  Object.fromEntries(service.subsets.map(({ name, replicas }) => [name, replicas]));

/** Subsets of both configurations whose processes would be started differently now. */
function subsetsToRestart(
  previous: ResolvedConfig,
  before: ResolvedService,
  next: ResolvedConfig,
  service: ResolvedService,
): string[] {
  const common = service.subsets.flatMap((subset) => {
    const old = before.subsets.find(({ name }) => name === subset.name);
    return old === undefined ? [] : [{ old, subset }];
  });
  if (!deepEqual(processOf(previous, before), processOf(next, service))) return common.map(({ subset }) => subset.name);
  return common
    .filter(({ old, subset }) => !deepEqual(ownProcess(before, old), ownProcess(service, subset)))
    .map(({ subset }) => subset.name);
}

/** What all processes of a service are started with. Adding a member restarts services when it changes. */
function processOf(config: ResolvedConfig, service: ResolvedService): object {
  return {
    cwd: service.cwd,
    env: service.env,
    envFiles: service.envFiles,
    port: service.port,
    build: service.build,
    task: service.task,
    dependencies: Object.fromEntries(service.dependsOn.map(({ service: name }) => [name, addressForm(config, name)])),
  };
}

const ownProcess = (service: ResolvedService, subset: ResolvedSubset): object => ({
  env: subset.env,
  command: subset.command ?? service.command,
});

/** What of a dependency shows in the environment beside a port that stays: see environment.ts. */
function addressForm(config: ResolvedConfig, name: string): unknown {
  if (name === 'gateway') return { http: config.gateway?.http, https: config.gateway?.https };
  const service = config.services[name];
  if (service?.resource?.kind === 'migrations') return service.resource.bus ? service.resource.database : null;
  if (service === undefined || service.task) return null;
  // Resources bring user, password and database besides.
  if (service.resource !== undefined)
    return service.resource.kind === 'url' ? service.resource.url : service.resource.database;
  return service.protocol === 'tcp' ? 'tcp' : 'http';
}
