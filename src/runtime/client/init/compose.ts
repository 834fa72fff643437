import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { DependencyCondition, ServiceConfig } from '../../../model/config.ts';
import { fail, ok, type Result } from '../../../model/result.ts';
import { type Draft, gatewayFor, NO_PORT, NO_PORT_COMMENT, toName } from './draft.ts';

/** What is read of a service in a compose file (https://github.com/compose-spec/compose-spec). */
interface ComposeService {
  image?: string;
  build?: string | { context?: string; dockerfile?: string };
  command?: string | string[];
  entrypoint?: string | string[];
  environment?: Record<string, string | number | boolean | null> | string[];
  env_file?: string | (string | { path: string })[];
  ports?: (string | number | { target: number | string; published?: number | string })[];
  expose?: (string | number)[];
  depends_on?: string[] | Record<string, { condition?: string }>;
  working_dir?: string;
  deploy?: { replicas?: number };
}

interface Port {
  container: number;
  /** On the host. */
  published: number | null;
}

const CONDITIONS: Record<string, DependencyCondition> = {
  service_started: 'started',
  service_healthy: 'ready',
  service_completed_successfully: 'completed',
};

/**
 * Services that are built here become services of the mesh, images become `external`: somebody else starts them.
 * @param env for `${VARIABLES}` in the file.
 */
export async function draftFromCompose(
  file: string,
  name: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Result<Draft>> {
  const { parse } = await import('yaml');
  let document: { services?: Record<string, ComposeService> } | null;
  try {
    document = parse(interpolate(readFileSync(file, 'utf8'), env), { merge: true });
  } catch (error) {
    return fail({
      code: 'MESH-C010',
      message: `${path.basename(file)} cannot be read: ${(error as Error).message.split('\n')[0]}`,
      hint: 'correct it, or start from nothing with `mesh init --from nothing`',
      file,
    });
  }
  const directory = path.dirname(file);
  const composed = Object.entries(document?.services ?? {});
  const services: Record<string, ServiceConfig> = {};
  const comments: Record<string, string[]> = {};
  const leftOut: string[] = [];
  const names = new Map(composed.map(([composeName]) => [composeName, toName(composeName)]));
  /** `db:5432` is an address only between containers. */
  const addresses = new Map<string, string>();
  const listening: string[] = [];

  for (const [composeName, service] of composed) {
    const ports = portsOf(service);
    const own = names.get(composeName)!;
    if (service.build !== undefined) {
      const made = builtService(directory, service, ports);
      if (made === null) {
        leftOut.push(`${own}: nothing says how to start it outside of its image; add \`command\``);
        continue;
      }
      services[own] = made;
      if (ports.length === 0) comments[own] = [NO_PORT_COMMENT];
      else listening.push(own);
    } else {
      const published = ports.find((port) => port.published !== null);
      if (published === undefined) {
        leftOut.push(`${own}: image ${service.image ?? 'unknown'}, which publishes no port`);
        continue;
      }
      services[own] = { external: `tcp://127.0.0.1:${published.published}`, protocol: 'tcp' };
      comments[own] = [`image ${service.image}: not started by mesh; \`docker compose up -d ${composeName}\` does`];
      for (const port of ports) addresses.set(`${composeName}:${port.container}`, `127.0.0.1:${port.published}`);
    }
  }
  for (const [composeName, service] of composed) {
    const own = services[names.get(composeName)!];
    if (own === undefined || own.external !== undefined) continue;
    const env = environmentOf(service, addresses);
    if (Object.keys(env).length > 0) own.env = env;
    const dependsOn = dependenciesOf(service, names, services);
    if (Object.keys(dependsOn).length > 0) {
      const allReady = Object.values(dependsOn).every((condition) => condition === 'ready');
      own.dependsOn = allReady ? Object.keys(dependsOn) : dependsOn;
    }
  }
  markTasks(services, comments);
  const doors = listening.filter((candidate) => !services[candidate].task);
  return ok({ config: { version: 1, name, gateway: gatewayFor(doors), services }, comments, leftOut });
}

/** What others wait to see completed is a task. */
function markTasks(services: Record<string, ServiceConfig>, comments: Record<string, string[]>): void {
  for (const { dependsOn } of Object.values(services)) {
    if (dependsOn === undefined || Array.isArray(dependsOn)) continue;
    for (const [target, condition] of Object.entries(dependsOn)) {
      if (condition !== 'completed') continue;
      const { command, cwd, env, envFile, dependsOn: before } = services[target];
      services[target] = { command, cwd, env, envFile, dependsOn: before, task: true };
      delete comments[target];
    }
  }
}

function builtService(directory: string, service: ComposeService, ports: readonly Port[]): ServiceConfig | null {
  const build = typeof service.build === 'string' ? { context: service.build } : (service.build ?? {});
  const cwd = path.posix.normalize(build.context ?? '.').replace(/\/$/, '');
  const folder = path.join(directory, cwd);
  const command =
    commandOf(service.entrypoint, service.command) ??
    dockerfileCommand(path.join(folder, 'dockerfile' in build ? (build.dockerfile ?? 'Dockerfile') : 'Dockerfile')) ??
    packageCommand(folder);
  if (command === null) return null;
  const made: ServiceConfig = { command };
  if (cwd !== '.') made.cwd = cwd;
  const replicas = service.deploy?.replicas ?? 1;
  if (replicas > 1) made.replicas = replicas;
  // A container may listen on 80; on a laptop a port below 1024 is somebody else's.
  const fixed = ports[0]?.container;
  if (ports.length === 0) Object.assign(made, NO_PORT);
  else if (fixed >= 1024 && replicas === 1) made.port = fixed;
  const files = (Array.isArray(service.env_file) ? service.env_file : [service.env_file ?? []].flat())
    .map((entry) => (typeof entry === 'string' ? entry : entry.path))
    .filter((entry) => existsSync(path.join(directory, entry)));
  if (files.length > 0) made.envFile = files.length === 1 ? files[0] : files;
  return made;
}

/** An entrypoint takes the command as its arguments; as text it ignores it. */
function commandOf(
  entrypoint: string | string[] | undefined,
  command: string | string[] | undefined,
): string | string[] | null {
  if (entrypoint === undefined || entrypoint.length === 0) return command?.length ? command : null;
  if (typeof entrypoint === 'string' || command === undefined) return entrypoint;
  return [...entrypoint, ...(typeof command === 'string' ? command.split(/\s+/) : command)];
}

/** The last ENTRYPOINT and CMD of a Dockerfile. */
function dockerfileCommand(file: string): string | string[] | null {
  if (!existsSync(file)) return null;
  const text = readFileSync(file, 'utf8').replaceAll(/\\\r?\n/g, ' ');
  const last = (instruction: string): string | string[] | undefined => {
    const value = [...text.matchAll(new RegExp(`^\\s*${instruction}\\s+(.+?)\\s*$`, 'gim'))].at(-1)?.[1];
    if (value === undefined || !value.startsWith('[')) return value;
    try {
      return JSON.parse(value) as string[];
    } catch {
      return value;
    }
  };
  return commandOf(last('ENTRYPOINT'), last('CMD'));
}

function packageCommand(folder: string): string | null {
  try {
    const { scripts } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    return scripts?.start === undefined ? null : 'npm start';
  } catch {
    return null;
  }
}

/** `8080:80`, `127.0.0.1:8080:80/tcp`, `80`, 80, or the long form; ranges give their first port. */
function portsOf(service: ComposeService): Port[] {
  const number = (text: string | number | undefined) => {
    const value = Number.parseInt(String(text ?? ''), 10);
    return Number.isInteger(value) && value > 0 && value < 65_536 ? value : null;
  };
  const published = (service.ports ?? []).map((entry) => {
    if (typeof entry === 'object') return { container: number(entry.target), published: number(entry.published) };
    const parts = String(entry)
      .replace(/\/(tcp|udp)$/, '')
      .split(':');
    return { container: number(parts.at(-1)), published: parts.length > 1 ? number(parts.at(-2)) : null };
  });
  const exposed = (service.expose ?? []).map((entry) => ({ container: number(entry), published: null }));
  return [...published, ...exposed].filter((port): port is Port => port.container !== null);
}

function environmentOf(service: ComposeService, addresses: ReadonlyMap<string, string>): Record<string, string> {
  const { environment = {} } = service;
  const pairs = Array.isArray(environment)
    ? environment.map((line): [string, string | null] => {
        const at = line.indexOf('=');
        return at < 0 ? [line, null] : [line.slice(0, at), line.slice(at + 1)];
      })
    : Object.entries(environment);
  const env: Record<string, string> = {};
  for (const [variable, value] of pairs) {
    // Without a value it is passed on from the caller, as mesh does with all.
    if (value === null || value === undefined) continue;
    // Those are mesh's to give.
    if (variable === 'PORT') continue;
    let text = String(value);
    for (const [inside, outside] of addresses) {
      text = text.replaceAll(
        new RegExp(`(?<![\\w.-])${inside.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?!\\d)`, 'g'),
        outside,
      );
    }
    env[variable] = text;
  }
  return env;
}

function dependenciesOf(
  service: ComposeService,
  names: ReadonlyMap<string, string>,
  services: Readonly<Record<string, ServiceConfig>>,
): Record<string, DependencyCondition> {
  const { depends_on: dependsOn = [] } = service;
  const wanted: [string, DependencyCondition][] = Array.isArray(dependsOn)
    ? dependsOn.map((target) => [target, 'ready'])
    : Object.entries(dependsOn).map(([target, { condition }]) => [target, CONDITIONS[condition ?? ''] ?? 'ready']);
  return Object.fromEntries(
    wanted
      .map(([target, condition]): [string | undefined, DependencyCondition] => [names.get(target), condition])
      .filter((entry): entry is [string, DependencyCondition] => entry[0] !== undefined && entry[0] in services),
  );
}

/** `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`; `$$` is a dollar sign. */
function interpolate(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(
    /\$(?:(\$)|\{(\w+)(?:(:?)([-?+])([^}]*))?\}|(\w+))/g,
    (whole, dollar, braced, colon, operator, word, bare) => {
      if (dollar !== undefined) return '$';
      const value = env[braced ?? bare];
      const missing = value === undefined || (colon === ':' && value === '');
      if (operator === '-') return missing ? word : value;
      if (operator === '+') return missing ? '' : word;
      // Left as it is where nothing is known: the shell of the command may know.
      return value ?? whole;
    },
  );
}
