import type { ServiceConfig } from '../config.ts';
import { problem } from '../errors.ts';
import { parseExternal } from '../external.ts';
import { quote } from '../show.ts';
import { type CheckContext, isTask, isTcp } from './context.ts';

/** Settings that need a process of the mesh's own. */
const PROCESS_SETTINGS = [
  'cwd',
  'env',
  'envFile',
  'port',
  'replicas',
  'subsets',
  'dependsOn',
  'readiness',
  'liveness',
  'startup',
  'restart',
  'watch',
  'build',
  'stop',
  'task',
] as const satisfies (keyof ServiceConfig)[];

/** Settings that need requests. */
const REQUEST_SETTINGS = [
  'proto',
  'routes',
  'readiness',
  'liveness',
  'startup',
  'loadBalancer',
  'healthCheck',
  'timeouts',
  'retries',
  'parking',
] as const satisfies (keyof ServiceConfig)[];

/** A service is run, external, or a task: each has its own settings. */
export function checkKinds(context: CheckContext): void {
  for (const [name, service] of Object.entries(context.config.services)) {
    const path = `services.${name}`;
    checkSource(context, path, service);
    if (service.external !== undefined) checkExternal(context, path, service, service.external);
    if (isTask(service)) checkTask(context, path, service);
    if (isTcp(service) && !isTask(service) && (service.routes ?? []).length > 0) {
      context.report(
        problem('MESH-C215', {
          path: `${path}.routes`,
          message: `${name} has routes but protocol 'tcp'`,
          hint: "remove the routes, or declare the protocol: 'http', 'http2' or 'grpc'",
        }),
      );
    }
    checkPortVariable(context, path, service);
  }
}

function checkSource({ report }: CheckContext, path: string, service: ServiceConfig): void {
  if (service.command !== undefined && service.external !== undefined) {
    report(problem('MESH-C202', { path, message: 'found both command and external', hint: 'remove one of them' }));
  }
  if (service.command !== undefined || service.external !== undefined) return;
  const subsets = Object.entries(service.subsets ?? {});
  const without = subsets.filter(([, subset]) => subset.command === undefined).map(([subset]) => subset);
  if (subsets.length > 0 && without.length === 0) return;
  report(
    problem('MESH-C201', {
      path,
      message:
        subsets.length > without.length
          ? `found no command for subset ${without.join(', ')}`
          : 'found neither command nor external',
      hint: "say what to run (command: 'node app.js'), or where it runs already (external: 'http://127.0.0.1:9000')",
    }),
  );
}

function checkExternal({ report }: CheckContext, path: string, service: ServiceConfig, url: string): void {
  const address = parseExternal(url);
  if ('wrong' in address) {
    report(
      problem('MESH-C114', {
        path: `${path}.external`,
        message: `${quote(url)} is not the address of a service`,
        hint: address.wrong,
      }),
    );
  } else if (service.protocol !== undefined && (service.protocol === 'tcp') !== address.tcp) {
    report(
      problem('MESH-C114', {
        path: `${path}.protocol`,
        message: `protocol '${service.protocol}' does not go with ${quote(url)}`,
        hint: "tcp:// and protocol 'tcp' belong together, as do http:// or https:// and 'http', 'http2' or 'grpc'",
      }),
    );
  }
  for (const setting of PROCESS_SETTINGS) {
    if (service[setting] === undefined || service[setting] === false) continue;
    report(
      problem('MESH-C211', {
        path: `${path}.${setting}`,
        message: `an external service has no ${setting}`,
        hint: ['readiness', 'liveness', 'startup'].includes(setting) ? 'use healthCheck' : 'remove it',
      }),
    );
  }
}

function checkTask({ report }: CheckContext, path: string, service: ServiceConfig): void {
  for (const setting of REQUEST_SETTINGS) {
    if (service[setting] === undefined) continue;
    report(
      problem('MESH-C212', {
        path: `${path}.${setting}`,
        message: `a task has no ${setting}: it takes no requests`,
        hint: 'remove it, or task: true',
      }),
    );
  }
  if (service.restart?.policy === 'always') {
    report(
      problem('MESH-C212', {
        path: `${path}.restart.policy`,
        message: "a task with restart policy 'always' would never be done",
        hint: "use 'on-failure', or remove task: true",
      }),
    );
  }
}

/** The variable would be overwritten, and the author would wait for a service on a port that it never gets. */
function checkPortVariable({ report }: CheckContext, path: string, service: ServiceConfig): void {
  const places: [string, Record<string, string> | undefined][] = [
    [`${path}.env.PORT`, service.env],
    ...Object.entries(service.subsets ?? {}).map(([name, subset]): [string, Record<string, string> | undefined] => [
      `${path}.subsets.${name}.env.PORT`,
      subset.env,
    ]),
  ];
  for (const [place, env] of places) {
    if (env?.PORT === undefined) continue;
    const fixed = /^\d{1,5}$/.test(env.PORT) ? env.PORT : '3000';
    report(
      problem('MESH-C220', {
        path: place,
        message: 'PORT is set by mesh; this value has no effect',
        hint: `for a fixed port write port: ${fixed}`,
        severity: 'warning',
      }),
    );
  }
}
