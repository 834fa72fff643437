import { injectedSubset } from '../../model/injected-config.ts';
import type { InjectionStatus } from '../../model/injection.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import { formatSpiffeId } from '../../model/spiffe.ts';
import type { ServiceStatus } from '../../model/status.ts';
import { type Injected, instanceStatus, shareOf } from './injected.ts';

/** @param config what the user wrote */
export function injectionStatus(
  injected: Injected,
  config: ResolvedConfig,
  environment: Record<string, string>,
): InjectionStatus {
  const { instance, service, pid, host, port, protocol, protocolFrom, state, ports } = injected;
  const { takeover, sticky, transparent, attach, injectedAt, coverage } = injected;
  const share = shareOf({ ...injected, leaving: false, state: 'ready' }, service in config.services);
  return {
    ...{ instance, service, pid, host, port, protocol, protocolFrom, state },
    inboundPort: ports.inbound,
    outboundPort: ports.outbound,
    spiffeId: spiffeIdOf(config, service),
    takeover: typeof share === 'string' ? takeover : share,
    ...{ sticky, transparent, attach, injectedAt, environment, coverage },
  };
}

/** The rows of `mesh ps` with those of the injected processes. */
export function withInjected(
  services: readonly ServiceStatus[],
  all: Iterable<Injected>,
  config: ResolvedConfig,
): ServiceStatus[] {
  const result = [...services];
  for (const injected of all) {
    const { service: name, protocol } = injected;
    const subset = injectedSubset(config, name, shareOf(injected, name in config.services));
    const row = instanceStatus(injected, subset, spiffeIdOf(config, name));
    const at = result.findIndex((service) => service.name === name);
    if (at >= 0) result[at] = { ...result[at], instances: [...result[at].instances, row] };
    else result.push({ name, protocol, external: false, task: false, waitingFor: [], instances: [row] });
  }
  return result;
}

const spiffeIdOf = ({ trustDomain, namespace }: ResolvedConfig, service: string): string =>
  formatSpiffeId({ trustDomain, namespace, service });
