import type { DependencyCondition, ServiceConfig } from '../config.ts';
import { formatPath } from '../config-path.ts';
import { problem } from '../errors.ts';
import { suggest } from '../nearest.ts';
import { type CheckContext, isTask } from './context.ts';

interface Dependency {
  readonly on: string;
  /** Null in a list, where the kind of the other service decides. */
  readonly condition: DependencyCondition | null;
  readonly path: string;
}

/** Who waits for whom: known services, fitting conditions, no circles. */
export function checkDependencies(context: CheckContext): void {
  const edges = new Map<string, string[]>();
  for (const [name, service] of Object.entries(context.config.services)) {
    const dependencies = dependenciesOf(name, service);
    for (const dependency of dependencies) checkDependency(context, name, dependency);
    edges.set(
      name,
      dependencies.map(({ on }) => on).filter((on) => on !== name),
    );
  }
  for (const circle of circles(edges)) {
    context.report(
      problem('MESH-C207', {
        path: `services.${circle[0]}.dependsOn`,
        message: `services wait for each other in a circle: ${[...circle, circle[0]].join(' -> ')}`,
        hint: `remove one of these dependencies, where a service can start without the other`,
      }),
    );
  }
}

function dependenciesOf(name: string, { dependsOn }: ServiceConfig): Dependency[] {
  const base = ['services', name, 'dependsOn'];
  if (dependsOn === undefined) return [];
  if (Array.isArray(dependsOn)) {
    return dependsOn.map((on, i) => ({ on, condition: null, path: formatPath([...base, i]) }));
  }
  return Object.entries(dependsOn).map(([on, condition]) => ({ on, condition, path: formatPath([...base, on]) }));
}

function checkDependency(context: CheckContext, name: string, { on, condition, path }: Dependency): void {
  const { config, serviceNames, report } = context;
  if (on === name) {
    report(problem('MESH-C206', { path, message: `${name} depends on itself`, hint: 'remove it' }));
    return;
  }
  if (on === 'gateway') {
    const hasPort = config.gateway?.http !== undefined || config.gateway?.https !== undefined;
    if (!hasPort && !context.isBroken('gateway')) {
      report(
        problem('MESH-C221', {
          path,
          message: 'there is no gateway to depend on',
          hint: 'add gateway: { http: 8080, routes: [...] }',
        }),
      );
    }
  } else if (!serviceNames.has(on)) {
    const hint = suggest(on, [...serviceNames], 'there are no services');
    report(problem('MESH-C203', { path, message: `there is no service ${JSON.stringify(on)}`, hint }));
    return;
  }
  const other = Object.hasOwn(config.services, on) ? config.services[on] : undefined;
  if (other === undefined && on !== 'gateway') return;
  const task = other !== undefined && isTask(other);
  if (condition === 'completed' && !task && !context.isBroken(`services.${on}.task`)) {
    report(
      problem('MESH-C208', {
        path,
        message: `${on} is not a task, so it never completes`,
        hint: on === 'gateway' ? "use 'ready'" : `use 'ready', or give ${on} task: true`,
      }),
    );
  }
  if (condition === 'ready' && task) {
    report(
      problem('MESH-C216', { path, message: `${on} is a task, so it never becomes ready`, hint: "use 'completed'" }),
    );
  }
}

/**
 * One circle for each group of services that wait for each other, beginning with the one declared first. Iterative:
 * chains can be longer than the stack is deep.
 */
function circles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const inCircle = new Set<string>();
  for (const start of edges.keys()) {
    if (done.has(start)) continue;
    const trail: { name: string; next: number }[] = [{ name: start, next: 0 }];
    const place = new Map([[start, 0]]);
    while (trail.length > 0) {
      const at = trail[trail.length - 1];
      const on = edges.get(at.name)![at.next++];
      if (on === undefined) {
        trail.pop();
        place.delete(at.name);
        done.add(at.name);
      } else if (place.has(on)) {
        const circle = trail.slice(place.get(on)).map(({ name }) => name);
        if (!circle.some((name) => inCircle.has(name))) found.push(circle);
        for (const name of circle) inCircle.add(name);
      } else if (!done.has(on) && edges.has(on)) {
        place.set(on, trail.length);
        trail.push({ name: on, next: 0 });
      }
    }
  }
  return found;
}
