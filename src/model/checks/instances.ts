import { problem } from '../errors.ts';
import { type CheckContext, instanceCounts } from './context.ts';

/** Instances must be told apart by name, and cannot share a port. */
export function checkInstances({ config, report }: CheckContext): void {
  const owners = new Map<string, string>();
  for (const [name, service] of Object.entries(config.services)) {
    const counts = instanceCounts(service);
    for (const { subset } of counts) {
      const stem = subset === null ? name : `${name}-${subset}`;
      const owner = owners.get(stem);
      if (owner === undefined) owners.set(stem, name);
      else {
        report(
          problem('MESH-C219', {
            path: subset === null ? `services.${name}` : `services.${name}.subsets.${subset}`,
            message: `its instances would be called ${stem}-1 and so on, as those of ${owner} are`,
            hint: 'rename the service or the subset',
          }),
        );
      }
    }
    const total = counts.reduce((sum, { replicas }) => sum + replicas, 0);
    if (service.port !== undefined && total > 1) {
      report(
        problem('MESH-C210', {
          path: `services.${name}.port`,
          message: `port ${service.port} is fixed, but ${name} has ${total} instances`,
          hint: 'remove port: each instance then gets one of its own in the environment variable PORT',
        }),
      );
    }
  }
}
