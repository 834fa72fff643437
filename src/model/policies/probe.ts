import type { ProbeConfig } from '../config.ts';
import { closed, commandLine, duration, either, number, optional, port } from '../schema-parts.ts';
import { healthService, probePath, regex } from '../schema-texts.ts';

/** Least time between two probes of one instance. */
const LEAST_INTERVAL_MS = 10;

type HttpAction = NonNullable<ProbeConfig['http']>;

const httpAction = closed<Exclude<HttpAction, string>>('http', { path: probePath, port: optional(port) });

export const probe = closed<ProbeConfig>('a probe', {
  http: optional(either<HttpAction>((input) => (typeof input === 'object' && input !== null ? httpAction : probePath))),
  tcp: optional(closed<{ port?: number }>('tcp', { port: optional(port) })),
  grpc: optional(closed<{ service?: string }>('grpc', { service: optional(healthService) })),
  command: optional(commandLine()),
  log: optional(regex(false)),
  initialDelay: optional(duration()),
  interval: optional(duration(LEAST_INTERVAL_MS)),
  timeout: optional(duration(1)),
  failureThreshold: optional(number('a threshold', 1, 1_000)),
  successThreshold: optional(number('a threshold', 1, 1_000)),
  deadline: optional(duration()),
});

/** The keys of which a probe has exactly one. */
export const PROBE_ACTIONS = ['http', 'tcp', 'grpc', 'command', 'log'] as const satisfies (keyof ProbeConfig)[];
