import { deepEqual } from '../../model/deep-equal.ts';
import { problem } from '../../model/errors.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';
import type { ServiceStatus } from '../../model/status.ts';

const ENDPOINT = 'OTEL_EXPORTER_OTLP_ENDPOINT';

/**
 * Services that run, but were started before there was a receiver for their spans. Those that the reload starts anew, or
 * that have an endpoint of their own, are none of them.
 * @returns MESH-T104; null: there are none
 */
export function servicesWithoutReceiver(
  running: readonly ServiceStatus[],
  before: ResolvedConfig,
  next: ResolvedConfig,
): Problem | null {
  const names = running
    .filter(({ name, external, task, instances }) => {
      const service = next.services[name];
      if (external || task || service === undefined || ENDPOINT in service.env) return false;
      return instances.some(({ pid }) => pid !== null) && deepEqual(before.services[name], service);
    })
    .map(({ name }) => name);
  if (names.length === 0) return null;
  const [they, do_] = names.length === 1 ? ['it was', 'does'] : ['they were', 'do'];
  return problem('MESH-T104', {
    message: `traces are on for the proxies; ${names.join(', ')} ${do_} not send spans, since ${they} started without`,
    hint: `\`mesh restart ${names.join(' ')}\` gives them ${ENDPOINT}`,
    path: 'telemetry.traces',
    severity: 'warning',
  });
}
