import type { InstanceStatus, MeshStatus, ServiceStatus } from '../../model/status.ts';

/** How far a mesh is from what was asked for. */
export type Readiness =
  | { kind: 'reached' }
  | { kind: 'pending'; instances: PendingInstance[] }
  /** It will not get there by waiting. */
  | { kind: 'failed'; instances: PendingInstance[] };

export interface PendingInstance {
  service: string;
  instance: string;
  /** `starting: waiting for inventory (ready)` */
  why: string;
}

export type Goal = 'ready' | 'completed' | 'stopped';

/**
 * Whether services are where `mesh up -d` or `mesh wait` wants them.
 * @param services empty: all that were not stopped on purpose.
 */
export function readinessOf(status: MeshStatus, goal: Goal, services: readonly string[]): Readiness {
  const chosen = status.services.filter(({ name }) => services.length === 0 || services.includes(name));
  const pending: PendingInstance[] = [];
  const failed: PendingInstance[] = [];
  for (const service of chosen) {
    for (const instance of service.instances) {
      if (reached(service, instance, goal)) continue;
      const why = instance.reason === '' ? instance.state : `${instance.state}: ${instance.reason}`;
      const entry = { service: service.name, instance: instance.id, why };
      if (hopeless(service, instance, goal)) failed.push(entry);
      else pending.push(entry);
    }
  }
  if (failed.length > 0) return { kind: 'failed', instances: failed };
  return pending.length > 0 ? { kind: 'pending', instances: pending } : { kind: 'reached' };
}

function reached(service: ServiceStatus, { state, pid, injected = false }: InstanceStatus, goal: Goal): boolean {
  if (goal === 'stopped') return state === 'stopped' || state === 'completed' || state === 'failed';
  if (goal === 'completed') return state === 'completed';
  if (state === 'ready' || state === 'completed' || service.external) return true;
  // Whether somebody else's process is there is not for the mesh to bring about; while it is, the mesh's own may rest.
  if (injected) return true;
  if (state === 'stopped' && service.instances.some((each) => each.injected === true && each.state === 'ready'))
    return true;
  // A task that nobody waits for may run for hours; that it runs is what `up` promised.
  return service.task && pid !== null && state === 'starting' && service.waitingFor.length === 0;
}

/** Restarts under way show as `starting`; `failed` is final until somebody starts it again. */
function hopeless(service: ServiceStatus, { state }: InstanceStatus, goal: Goal): boolean {
  if (goal === 'stopped') return false;
  if (goal === 'completed' && !service.task && state === 'stopped') return true;
  return state === 'failed';
}
