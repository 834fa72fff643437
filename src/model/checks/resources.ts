import type { MeshConfig } from '../config.ts';
import { problem } from '../errors.ts';
import { suggest } from '../nearest.ts';
import { databaseNames, databaseOf, migrationsOf } from '../resource-services.ts';
import { parseResourceUrl, shownUrl } from '../resource-url.ts';
import type { Problem } from '../result.ts';
import { quote } from '../show.ts';

/** Names, URLs and references of resources. Works on the configuration as written, before resources become services. */
export function checkResources(config: MeshConfig, report: (problem: Problem) => void): void {
  for (const [name, resource] of Object.entries(config.resources ?? {})) {
    const path = `resources.${name}`;
    if (Object.hasOwn(config.services, name)) {
      report(
        problem('MESH-D112', {
          path,
          message: `${name} is the name of a service and of a resource`,
          hint: 'rename one: dependsOn names both',
        }),
      );
    }
    if (resource.kind === 'postgres-bus') checkBus(config, name, resource.database, report);
    else checkUrl(path, resource.kind, resource.url, report);
    if (resource.kind !== 'postgres') continue;
    if (resource.migrations !== undefined) checkFree(config, name, path, report);
    for (const setting of ['database', 'port', 'settings'] as const) {
      if (resource.url === undefined || resource[setting] === undefined) continue;
      report(
        problem('MESH-D114', {
          path: `${path}.${setting}`,
          message: `a server given by url has no ${setting}`,
          hint: setting === 'database' ? 'the URL names it' : 'remove it: mesh does not start that server',
        }),
      );
    }
  }
  for (const [name, service] of Object.entries(config.services)) {
    if (service.migrations === undefined) continue;
    const path = `services.${name}.migrations`;
    checkFree(config, name, path, report);
    if (databaseOf(config, service) !== null) continue;
    const names = databaseNames(config);
    report(
      problem('MESH-D113', {
        path,
        message: `${name} has migrations, but does not depend on exactly one database`,
        hint:
          names.length === 0
            ? "add resources: { ordersdb: postgres() } and dependsOn: ['ordersdb']"
            : `say which: dependsOn: ['${names[0]}']`,
      }),
    );
  }
}

function checkUrl(
  path: string,
  kind: Parameters<typeof parseResourceUrl>[0],
  url: string | undefined,
  report: (problem: Problem) => void,
): void {
  if (url === undefined) return;
  const address = parseResourceUrl(kind, url);
  if (!('wrong' in address)) return;
  const message = `${quote(shownUrl(url))} is not the URL of a ${kind} server`;
  report(problem('MESH-D114', { path: `${path}.url`, message, hint: address.wrong }));
}

function checkBus(
  config: MeshConfig,
  name: string,
  named: string | undefined,
  report: (problem: Problem) => void,
): void {
  const names = databaseNames(config);
  const path = `resources.${name}.database`;
  if (named !== undefined && !names.includes(named)) {
    const hint = suggest(named, names, 'add one: ordersdb: postgres()');
    report(problem('MESH-D113', { path, message: `there is no postgres() called ${quote(named)}`, hint }));
  }
  if (named === undefined && names.length > 1) {
    const hint = `say which: postgresBus({ database: '${names[0]}' })`;
    report(
      problem('MESH-D113', { path: `resources.${name}`, message: 'there are several databases for the bus', hint }),
    );
  }
  if (named === undefined && names.length === 0) checkFree(config, name, `resources.${name}`, report);
}

function checkFree(config: MeshConfig, name: string, path: string, report: (problem: Problem) => void): void {
  const taken = migrationsOf(name);
  if (!Object.hasOwn(config.services, taken) && !Object.hasOwn(config.resources ?? {}, taken)) return;
  report(
    problem('MESH-D112', {
      path,
      message: `${taken} is the name of the task for these migrations, and of something else`,
      hint: `rename the other ${taken}`,
    }),
  );
}
