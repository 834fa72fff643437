import type { TapBatch, TapFilter } from '../../model/events.ts';
import { fieldSet } from '../../model/redact.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import type { ServiceStatus } from '../../model/status.ts';
import { createMessageTypes, type ReadyInstance } from './message-types.ts';
import { presentBodies } from './present.ts';

export interface BodiesOptions {
  config: () => ResolvedConfig;
  services: () => readonly ServiceStatus[];
  /** Milliseconds of any clock. */
  now: () => number;
}

/** What a tap says of bodies, made of what data planes have captured; a tap that does not ask for them passes as it is. */
export interface Bodies {
  present(batches: AsyncIterable<TapBatch>, filter: TapFilter): AsyncIterable<TapBatch>;
}

export function createBodies({ config, services, now }: BodiesOptions): Bodies {
  const messages = createMessageTypes({
    places(name) {
      const { services: configured, baseDir } = config();
      if (!Object.hasOwn(configured, name)) return null;
      const { protos, cwd } = configured[name];
      return { files: protos, cwd, baseDir };
    },
    ready: (name) => services().flatMap((service) => (service.name === name ? readyInstances(service, config()) : [])),
    now,
  });
  let fields: { names: readonly string[]; set: ReadonlySet<string> } = { names: [], set: new Set() };
  return {
    present(batches, { bodyLimitBytes: limitBytes = 0 }) {
      if (limitBytes <= 0) return batches;
      return presentBodies(batches, {
        limitBytes,
        messages,
        fields() {
          const names = config().telemetry.redactFields;
          if (names !== fields.names) fields = { names, set: fieldSet(names) };
          return fields.set;
        },
      });
    },
  };
}

/** Instances that can be asked for their definitions: those outside where they are, without proxies between. */
export function readyInstances(
  { name, instances }: ServiceStatus,
  { services }: Pick<ResolvedConfig, 'services'>,
): ReadyInstance[] {
  const outside = Object.hasOwn(services, name) ? services[name].external : null;
  return instances.flatMap(({ id, state, appPort, startedAt }) =>
    state === 'ready' && appPort !== null
      ? [{ id, server: outside ?? { host: '127.0.0.1', port: appPort, tls: false }, startedAt: startedAt ?? '' }]
      : [],
  );
}
