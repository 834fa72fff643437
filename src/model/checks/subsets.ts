import { problem } from '../errors.ts';
import type { CheckContext } from './context.ts';

/** Subsets that are run but get no requests because all routes name others. */
export function checkSubsets(context: CheckContext): void {
  const { config, report } = context;
  if (context.isBroken('gateway')) return;
  /** By service; null once all subsets are reached. */
  const used = new Map<string, Set<string> | null>();
  const use = (service: string, subset: string | undefined): void => {
    if (subset === undefined) used.set(service, null);
    else if (used.get(service) !== null) used.set(service, (used.get(service) ?? new Set()).add(subset));
  };
  for (const [name, { routes }] of Object.entries(config.services)) {
    if (context.isBroken(`services.${name}.routes`)) return;
    for (const { backends, filters } of routes ?? []) {
      if (filters?.redirect !== undefined) continue;
      for (const backend of backends ?? [{}]) use(backend.service ?? name, backend.subset);
    }
  }
  for (const { backends } of config.gateway?.routes ?? []) {
    // Without a subset the service's own routes decide, which are counted already.
    for (const { service, subset } of backends ?? []) if (subset !== undefined) use(service, subset);
  }
  for (const [name, { subsets, routes }] of Object.entries(config.services)) {
    const reached = used.get(name);
    if (subsets === undefined || (routes ?? []).length === 0 || reached === null) continue;
    for (const subset of Object.keys(subsets)) {
      if (reached?.has(subset)) continue;
      report(
        problem('MESH-C307', {
          path: `services.${name}.subsets.${subset}`,
          message: `no route sends requests to subset '${subset}'`,
          hint: 'add it as a backend, or remove it',
          severity: 'warning',
        }),
      );
    }
  }
}
