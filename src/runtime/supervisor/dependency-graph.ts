import type { DependencyCondition } from '../../model/config.ts';

/** Pure functions over who depends on whom; the resolved configuration has no cycles and no unknown names. */
export type Dependencies = Readonly<Record<string, readonly { service: string; condition: DependencyCondition }[]>>;

/** How far a service is. `failed` is its reason if it will not get further by itself. */
export interface Progress {
  started: boolean;
  ready: boolean;
  completed: boolean;
  failed: string | null;
}

export interface UnmetDependency {
  service: string;
  condition: DependencyCondition;
  failed: string | null;
}

/** The services asked for and all they depend on, in the order of declaration; everything if none is named. */
export function withDependencies(dependencies: Dependencies, selection: readonly string[] | undefined): string[] {
  const names = Object.keys(dependencies);
  if (selection === undefined || selection.length === 0) return names;
  const reached = new Set<string>();
  const queue = [...selection];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (reached.has(name)) continue;
    reached.add(name);
    queue.push(...(dependencies[name] ?? []).map(({ service }) => service));
  }
  return names.filter((name) => reached.has(name));
}

/** What a service still waits for. The gateway stands before anything starts; names unknown to `progress` hold nobody up. */
export function unmetDependencies(
  service: string,
  dependencies: Dependencies,
  progress: (service: string) => Progress | null,
): UnmetDependency[] {
  const unmet: UnmetDependency[] = [];
  for (const { service: name, condition } of dependencies[service] ?? []) {
    const state = name === 'gateway' ? null : progress(name);
    if (state !== null && !state[condition]) unmet.push({ service: name, condition, failed: state.failed });
  }
  return unmet;
}

/** Running services that must be gone before this one may stop. */
export function runningDependents(
  service: string,
  dependencies: Dependencies,
  isRunning: (service: string) => boolean,
): string[] {
  return Object.keys(dependencies).filter(
    (name) => isRunning(name) && dependencies[name].some((dependency) => dependency.service === service),
  );
}

/** `inventory (ready)` */
export const describeUnmet = ({ service, condition }: UnmetDependency): string => `${service} (${condition})`;
