import { formatPath } from '../config-path.ts';
import { problem } from '../errors.ts';
import { effectivePolicies, effectiveRoutePolicies, type PolicyLevel } from '../precedence.ts';
import type { ResolvedRoute } from '../resolved.ts';
import { formatDuration } from '../units.ts';
import { type CheckContext, instanceCounts, isTcp } from './context.ts';

/** Policies whose parts contradict each other, judged on the level that says one of the parts. */
export function checkPolicies(context: CheckContext): void {
  const { config } = context;
  const defaults = config.defaults ?? {};
  checkLevel(context, 'defaults', [defaults]);
  for (const [name, service] of Object.entries(config.services)) {
    const path = `services.${name}`;
    checkLevel(context, path, [defaults, service]);
    checkBalancer(context, path, name);
    for (const [i, route] of (service.routes ?? []).entries()) {
      if (overrides(route)) checkLevel(context, `${path}.routes[${i}]`, [defaults, service, route]);
    }
  }
  for (const [i, route] of (config.gateway?.routes ?? []).entries()) {
    if (overrides(route)) checkLevel(context, `gateway.routes[${i}]`, [defaults, route]);
  }
}

const overrides = ({ retries, timeouts }: PolicyLevel): boolean =>
  timeouts?.request !== undefined || (retries !== undefined && retries !== false);

function checkLevel({ report }: CheckContext, path: string, levels: readonly PolicyLevel[]): void {
  const own = levels[levels.length - 1];
  if ((own.restart?.backoff ?? own.restart?.maxBackoff) !== undefined) {
    checkBackoff(`${path}.restart`, effectivePolicies(...levels).restart);
  }
  if (!overrides(own)) return;
  const { timeouts, retries } = effectiveRoutePolicies(...levels);
  if (retries === null) return;
  const ownRetries = own.retries === false ? undefined : own.retries;
  if (ownRetries?.perTryTimeout !== undefined) checkTryTimeout(`${path}.retries.perTryTimeout`, timeouts, retries);
  else if (own.timeouts?.request !== undefined) checkTryTimeout(`${path}.timeouts.request`, timeouts, retries);
  if ((ownRetries?.backoff ?? ownRetries?.maxBackoff) !== undefined) checkBackoff(`${path}.retries`, retries);

  function checkTryTimeout(
    place: string,
    { requestMs }: { requestMs: number },
    policy: NonNullable<ResolvedRoute['retries']>,
  ): void {
    if (requestMs === 0 || policy.perTryTimeoutMs <= requestMs) return;
    report(
      problem('MESH-C306', {
        path: place,
        message: `a try may take ${formatDuration(policy.perTryTimeoutMs)}, the whole request only ${formatDuration(requestMs)}`,
        hint: `lower perTryTimeout, or raise the request timeout to ${formatDuration(policy.perTryTimeoutMs * (policy.attempts + 1))} for all ${policy.attempts + 1} tries`,
        severity: 'warning',
      }),
    );
  }

  function checkBackoff(place: string, { backoffMs, maxBackoffMs }: { backoffMs: number; maxBackoffMs: number }): void {
    if (backoffMs <= maxBackoffMs) return;
    report(
      problem('MESH-C217', {
        path: place,
        message: `the first wait, ${formatDuration(backoffMs)}, is longer than the longest, ${formatDuration(maxBackoffMs)}`,
        hint: 'raise maxBackoff, or lower backoff',
        severity: 'warning',
      }),
    );
  }
}

function checkBalancer({ config, report }: CheckContext, path: string, name: string): void {
  const service = config.services[name];
  const balancer = service.loadBalancer;
  if (typeof balancer !== 'object') return;
  if ('ringHash' in balancer && balancer.ringHash !== undefined) {
    if (isTcp(service) && balancer.ringHash.source === undefined) {
      report(
        problem('MESH-C222', {
          path: `${path}.loadBalancer.ringHash`,
          message: "a hash over requests, but the service has protocol 'tcp'",
          hint: 'use ringHash: { source: true }',
        }),
      );
    }
    return;
  }
  const known = new Set<string>();
  for (const { subset, replicas } of instanceCounts(service)) {
    const stem = subset === null ? name : `${name}-${subset}`;
    if (subset !== null) known.add(subset);
    for (let i = 1; i <= replicas; i++) known.add(`${stem}-${i}`);
  }
  for (const weighed of Object.keys((balancer as { weighted: Record<string, number> }).weighted)) {
    if (known.has(weighed)) continue;
    report(
      problem('MESH-C218', {
        path: formatPath(['services', name, 'loadBalancer', 'weighted', weighed]),
        message: `${name} has neither a subset nor an instance '${weighed}'`,
        hint: known.size === 0 ? 'it has no instances' : `there is: ${[...known].slice(0, 12).join(', ')}`,
        severity: 'warning',
      }),
    );
  }
}
