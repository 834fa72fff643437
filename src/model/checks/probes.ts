import type { HealthCheckConfig, ProbeConfig, ServiceConfig } from '../config.ts';
import { problem } from '../errors.ts';
import { PROBE_ACTIONS } from '../policies/probe.ts';
import { type CheckContext, inWords, isTcp } from './context.ts';

const PROBES = ['readiness', 'liveness', 'startup'] as const satisfies (keyof ServiceConfig)[];
const CHECK_ACTIONS = ['http', 'tcp', 'grpc'] as const satisfies (keyof HealthCheckConfig)[];

/** Probes of processes and health checks of proxies: one action each, and one that can work. */
export function checkProbes(context: CheckContext): void {
  const { config, report } = context;
  if (config.defaults?.healthCheck !== undefined)
    checkActions(context, 'defaults.healthCheck', config.defaults.healthCheck, true);
  for (const [name, service] of Object.entries(config.services)) {
    for (const kind of PROBES) {
      const probe = service[kind];
      if (probe !== undefined) checkProbe(context, `services.${name}.${kind}`, kind, probe, service);
    }
    if (service.healthCheck === undefined) continue;
    const path = `services.${name}.healthCheck`;
    const inherits = CHECK_ACTIONS.some((action) => config.defaults?.healthCheck?.[action] !== undefined);
    checkActions(context, path, service.healthCheck, inherits || context.isBroken('defaults.healthCheck'));
    if (service.healthCheck.grpc !== undefined && isTcp(service)) report(grpcOnTcp(`${path}.grpc`));
  }
}

const grpcOnTcp = (path: string) =>
  problem('MESH-C214', {
    path,
    message: "a gRPC check of a service with protocol 'tcp'",
    hint: "use a tcp check, or protocol: 'grpc'",
  });

function checkProbe(
  { report }: CheckContext,
  path: string,
  kind: string,
  probe: ProbeConfig,
  service: ServiceConfig,
): void {
  const actions = PROBE_ACTIONS.filter((action) => probe[action] !== undefined);
  if (actions.length !== 1) {
    report(
      problem('MESH-C109', {
        path,
        message: `a probe does exactly one thing, found ${actions.length === 0 ? 'none' : inWords(actions)}`,
        hint: `one of ${PROBE_ACTIONS.join(', ')}`,
      }),
    );
  }
  if (probe.log !== undefined && kind === 'liveness') {
    report(
      problem('MESH-C213', {
        path: `${path}.log`,
        message: 'a line of the log says nothing about whether the service still lives',
        hint: 'use http, tcp, grpc or command',
      }),
    );
  }
  if (probe.grpc !== undefined && isTcp(service)) report(grpcOnTcp(`${path}.grpc`));
}

function checkActions({ report }: CheckContext, path: string, check: HealthCheckConfig, mayInherit: boolean): void {
  const actions = CHECK_ACTIONS.filter((action) => check[action] !== undefined);
  if (actions.length === 1 || (actions.length === 0 && mayInherit)) return;
  report(
    problem('MESH-C109', {
      path,
      message: `a health check does exactly one thing, found ${actions.length === 0 ? 'none' : inWords(actions)}`,
      hint: `one of ${CHECK_ACTIONS.join(', ')}`,
    }),
  );
}
