import type { MeshConfig, ServiceConfig } from '../config.ts';
import type { Problem } from '../result.ts';

/** What a check works on. Checks look at what the parts of a configuration say about each other. */
export interface CheckContext {
  /** Without what is broken in itself; so what is absent here may be there and broken: see `isBroken`. */
  readonly config: MeshConfig;
  /** As written, broken ones included: naming one of them is no mistake. */
  readonly serviceNames: ReadonlySet<string>;
  /** Whether something at or below a path has a problem of its own, so that nothing can be said about it. */
  isBroken(path: string): boolean;
  report(problem: Problem): void;
}

/** What a service is, as far as routes and dependencies go. */
export const isTask = (service: ServiceConfig): boolean => service.task === true;

export const protocolOf = (service: ServiceConfig): NonNullable<ServiceConfig['protocol']> =>
  service.protocol ?? (service.external?.startsWith('tcp:') ? 'tcp' : 'http');

export const isTcp = (service: ServiceConfig): boolean => protocolOf(service) === 'tcp';

/** Subsets by name with the number of instances; one of no name where none are declared. */
export function instanceCounts(service: ServiceConfig): { subset: string | null; replicas: number }[] {
  const replicas = service.replicas ?? 1;
  const subsets = Object.entries(service.subsets ?? {});
  if (subsets.length === 0) return [{ subset: null, replicas }];
  return subsets.map(([subset, own]) => ({ subset, replicas: own.replicas ?? replicas }));
}

/** `a`, `a and b`, `a, b and c`. */
export function inWords(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
