import type { InstanceStatus, MeshStatus, ServiceStatus } from '../../model/status.ts';
import { formatMs } from './text.ts';

/** What changed for the worse or the better, one line of it. */
export interface ProgressLine {
  service: string;
  instance: string;
  tone: 'good' | 'bad' | 'neutral';
  text: string;
}

/** What happened between two statuses, in words: who waits for whom, who became ready and how long it took. */
export function progressBetween(previous: MeshStatus | null, next: MeshStatus): ProgressLine[] {
  const before = new Map(
    previous?.services.flatMap((service) => service.instances.map((instance) => [instance.id, { service, instance }])),
  );
  return next.services.flatMap((service) =>
    service.instances.flatMap((instance) => {
      const old = before.get(instance.id);
      const line = lineFor(service, instance, old?.service, old?.instance);
      return line === null ? [] : [{ service: service.name, instance: instance.id, ...line }];
    }),
  );
}

type Line = Pick<ProgressLine, 'tone' | 'text'>;

function lineFor(
  service: ServiceStatus,
  instance: InstanceStatus,
  oldService: ServiceStatus | undefined,
  old: InstanceStatus | undefined,
): Line | null {
  const reason = instance.reason === '' ? '' : `: ${instance.reason}`;
  if (instance.state === 'starting') {
    const waiting = service.waitingFor.join(', ');
    if (waiting !== '' && instance.pid === null) {
      return waiting === oldService?.waitingFor.join(', ') ? null : { tone: 'neutral', text: `waiting for ${waiting}` };
    }
    if (instance.pid !== null && instance.pid !== old?.pid) {
      const again = instance.restarts > 0 ? ` (restart ${instance.restarts})` : '';
      return { tone: 'neutral', text: `starting${again}, pid ${instance.pid}` };
    }
    if (instance.pid === null && instance.reason !== '' && instance.reason !== old?.reason) {
      return { tone: old?.pid == null ? 'neutral' : 'bad', text: instance.reason };
    }
    return null;
  }
  if (instance.state === old?.state && instance.restarts === old.restarts) return null;
  switch (instance.state) {
    case 'ready': {
      const took = instance.readyAfterMs === null ? '' : ` in ${formatMs(instance.readyAfterMs)}`;
      return { tone: 'good', text: `ready${took}` };
    }
    case 'completed':
      return { tone: 'good', text: 'completed' };
    case 'failed':
      return { tone: 'bad', text: `failed${reason}` };
    case 'unhealthy':
      return { tone: 'bad', text: `unhealthy${reason}` };
    case 'stopping':
      return { tone: 'neutral', text: `stopping${reason}` };
    case 'stopped':
      // At the beginning it only says that nothing has happened yet.
      return old === undefined ? null : { tone: 'neutral', text: `stopped${reason}` };
  }
}
