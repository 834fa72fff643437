import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { suggest } from '../../model/nearest.ts';
import type { ResolvedConfig, ResolvedResource, ResolvedService } from '../../model/resolved.ts';
import { resourceUrl, resourceVariables, variableOf } from '../../model/resource-environment.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import type { ServiceStatus } from '../../model/status.ts';
import type { Clock } from '../clock.ts';
import type { DatabaseAccess, DatabaseControl } from '../control/database-wire.ts';
import { packageRoot } from '../control/package-root.ts';
import type { InstancePorts } from '../supervisor/contract.ts';
import type { InstanceSpec, Launch, ResourceLaunches } from '../supervisor/instance.ts';
import { DATABASE_USER, databasePassword } from './database-password.ts';
import { preparePostgres, startFailure } from './embedded-postgres.ts';
import { databaseProblem, withClient } from './postgres-client.ts';
import { removeCluster } from './postgres-cluster.ts';
import { pingServer } from './server-ping.ts';
import { ServerWatch } from './server-watch.ts';

const PING_MS = 3_000;
const RESET_MS = 30_000;
const POLL_MS = 25;
const LOGIN = { user: DATABASE_USER, passwordOf: databasePassword };

export interface MeshResourcesOptions {
  clock: Clock;
  config: () => ResolvedConfig;
  /** Of every instance there is. */
  instances: () => readonly { service: string; ports: InstancePorts }[];
  run(what: 'start' | 'stop' | 'restart', service: string): Promise<Result<void>>;
  services: () => readonly ServiceStatus[];
  onNotice(level: 'info' | 'warning', service: string, text: string, problems: readonly Problem[]): void;
}

/** The databases and brokers of a running mesh: how they are started, what services are told of them, and their care. */
export class MeshResources implements DatabaseControl, ResourceLaunches {
  private readonly watch: ServerWatch;
  /** Why tasks failed last, by name. */
  private readonly failures = new Map<string, Problem>();

  constructor(private readonly options: MeshResourcesOptions) {
    this.watch = new ServerWatch({
      clock: options.clock,
      ping: (name, resource) => pingServer(name, resource, PING_MS),
      onChange: (name, found) =>
        found === null
          ? options.onNotice('info', name, `${name} answers again`, [])
          : options.onNotice('warning', name, found.message, [found]),
    });
  }

  /** A configuration is in force. */
  configure(config: ResolvedConfig): void {
    this.watch.configure(config);
  }

  close(): void {
    this.watch.close();
  }

  /** Variables of an instance. */
  environment(service: string, ports: Readonly<Record<string, number>>): Record<string, string> {
    const config = this.options.config();
    return service in config.services ? resourceVariables(config, service, ports, LOGIN) : {};
  }

  /** What takes a server or its migrations to run. MESH-D101 to D107, D115. */
  async prepare({ service }: InstanceSpec, port: number | null, env: Launch['env']): Promise<Result<Launch | null>> {
    const { resource, name } = service;
    if (resource?.kind === 'migrations') return ok(this.migrationLaunch(service, resource, env));
    if (resource?.kind !== 'postgres' || port === null) return ok(null);
    const { dataDir, settings } = resource;
    const prepared = await preparePostgres({ name, dataDir, port, settings });
    if (!prepared.ok) return prepared;
    const { argv, cwd, account } = prepared.value;
    return ok({ command: { shell: false, argv }, env: { ...prepared.value.env }, cwd, account });
  }

  /** By the words of PostgreSQL and of our migrations. */
  diagnose({ name, resource }: ResolvedService, lines: readonly string[]): Problem | null {
    if (resource?.kind === 'postgres') {
      const found = startFailure(name, lines.join('\n'), null);
      return found.code === 'MESH-D107' && !lines.some((line) => /FATAL|PANIC/.test(line)) ? null : found;
    }
    if (resource?.kind !== 'migrations') return null;
    this.failures.delete(name);
    const [, code, message] =
      lines.map((line) => /(MESH-D1\d\d): (.*)$/.exec(line)).find((found) => found !== null) ?? [];
    if (code !== 'MESH-D109' && code !== 'MESH-D110' && code !== 'MESH-D111') return null;
    const found = problem(code, { message, hint: `see \`mesh logs ${name}\` and \`mesh validate --explain ${code}\`` });
    this.failures.set(name, found);
    return found;
  }

  /** What is known about a server that mesh does not run. */
  withHealth(status: ServiceStatus): ServiceStatus {
    const found = status.external ? this.watch.problem(status.name) : null;
    if (found === null) return status;
    const instances = status.instances.map((each) => ({ ...each, state: 'unhealthy' as const, reason: found.message }));
    return { ...status, instances };
  }

  /** MESH-D117: not a database, or `as` does not depend on it. */
  async access(name: string, as: string | null): Promise<Result<DatabaseAccess>> {
    const found = this.find(name);
    if (!found.ok) return found;
    const config = this.options.config();
    const users = this.options
      .instances()
      .filter(({ service, ports }) => ports.dependencies[name] !== undefined && (as === null || service === as));
    if (as !== null && users.length === 0)
      return fail(
        problem('MESH-D117', {
          message: `${as} does not run, or does not depend on ${name}`,
          hint: `add dependsOn: ['${name}'] to it, or use --direct`,
        }),
      );
    const user = users.find(({ service }) => !config.services[service]?.task) ?? users[0];
    const url = user === undefined ? null : resourceUrl(config, name, user.ports.dependencies[name], LOGIN);
    return ok({ name, url, as: user?.service ?? '', directUrl: this.directUrl(config, name) });
  }

  /**
   * Deletes everything in a database and runs its migrations again. One that mesh runs is made anew, whatever state it
   * is in; one given by URL is emptied. MESH-D117, and what stopping, starting and the migrations report.
   */
  async reset(name: string): Promise<Result<void>> {
    const found = this.find(name);
    if (!found.ok) return found;
    const resource = found.value;
    if (resource.kind === 'url') {
      const emptied = await emptyDatabase(name, resource.url);
      if (!emptied.ok) return emptied;
    } else {
      const stopped = await this.options.run('stop', name);
      if (!stopped.ok) return stopped;
      await removeCluster(resource.dataDir);
      const started = await this.options.run('start', name);
      if (!started.ok) return started;
    }
    return this.migrate(name);
  }

  /** Runs the migrations of a database: its own first, then those of services in order of declaration. */
  async migrate(name: string): Promise<Result<void>> {
    const found = this.find(name);
    if (!found.ok) return found;
    for (const service of Object.values(this.options.config().services)) {
      if (service.resource?.kind !== 'migrations' || service.resource.database !== name) continue;
      this.failures.delete(service.name);
      const started = await this.options.run('restart', service.name);
      if (!started.ok) return started;
      const outcome = await this.completed(service.name);
      if (!outcome.ok) return outcome;
    }
    return ok(undefined);
  }

  /** Resolves when a task that was started has ended. */
  private async completed(task: string): Promise<Result<void>> {
    for (;;) {
      const instance = this.options.services().find(({ name }) => name === task)?.instances[0];
      if (instance?.state === 'completed') return ok(undefined);
      if (instance === undefined || instance.state === 'failed' || instance.state === 'stopped') {
        const message = `${task} ${instance?.reason ?? 'is gone'}`;
        const unknown = problem('MESH-P109', { message, hint: `see \`mesh logs ${task}\`` });
        return fail(this.failures.get(task) ?? unknown);
      }
      await new Promise<void>((resolve) => this.options.clock.setTimeout(resolve, POLL_MS));
    }
  }

  private migrationLaunch(
    service: ResolvedService,
    { scope, database, folders, bus }: Extract<ResolvedResource, { kind: 'migrations' }>,
    env: Launch['env'],
  ): Launch {
    const tables = bus ? [path.join(packageRoot(), 'templates', 'shared', 'bus', 'migrations')] : [];
    const program = path.join(packageRoot(), 'dist', 'migrate.js');
    return {
      command: { shell: false, argv: [process.execPath, program, scope, ...tables, ...folders] },
      env: { ...env, MIGRATIONS_URL: env[variableOf(database)] },
      cwd: service.cwd,
      account: null,
    };
  }

  private directUrl(config: ResolvedConfig, name: string): string {
    const resource = config.services[name].resource;
    if (resource?.kind === 'url') return resource.url;
    const port = this.options.instances().find(({ service }) => service === name)?.ports.app;
    return resourceUrl(config, name, port ?? 0, LOGIN) ?? '';
  }

  private find(name: string): Result<Exclude<ResolvedResource, { kind: 'migrations' }>> {
    const { services } = this.options.config();
    const resource = Object.hasOwn(services, name) ? services[name].resource : undefined;
    if (resource?.kind === 'postgres' || (resource?.kind === 'url' && resource.of === 'postgres')) return ok(resource);
    if (resource?.kind === 'migrations') {
      const inside = `its tables are in ${resource.database}`;
      return fail(problem('MESH-D117', { message: `${name} is no database of its own: ${inside}` }));
    }
    const names = Object.values(services).flatMap((service) =>
      service.resource?.kind === 'postgres' || (service.resource?.kind === 'url' && service.resource.of === 'postgres')
        ? [service.name]
        : [],
    );
    const hint = suggest(name, names, 'add one to mesh.config.ts: resources: { ordersdb: postgres() }');
    return fail(problem('MESH-D117', { message: `there is no database ${JSON.stringify(name)}`, hint }));
  }
}

/** Every schema but the system's, and an empty `public` again. */
async function emptyDatabase(name: string, url: string): Promise<Result<void>> {
  try {
    await withClient(url, RESET_MS, async (client) => {
      const { rows } = await client.query<{ nspname: string }>(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
      );
      const drops = rows.map(({ nspname }) => `DROP SCHEMA ${client.escapeIdentifier(nspname)} CASCADE;`);
      await client.query(`BEGIN; ${drops.join(' ')} CREATE SCHEMA public; COMMIT`);
    });
    return ok(undefined);
  } catch (error) {
    return fail(databaseProblem(name, error));
  }
}
