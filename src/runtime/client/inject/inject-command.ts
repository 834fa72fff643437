import { problem } from '../../../model/errors.ts';
import type { InjectionRequest, InjectionStatus } from '../../../model/injection.ts';
import { fail, ok, type Problem, type Result } from '../../../model/result.ts';
import type { ControlClient } from '../../control/client.ts';
import { checkCommand, searchPath } from '../../supervisor/command-search.ts';
import { inheritedEnvironment } from '../../supervisor/instance-environment.ts';
import { ENVIRONMENT_FORMS, type EnvironmentForm } from './environment-text.ts';
import { NOT_EXECUTABLE, NOT_FOUND, startForeground } from './foreground.ts';
import { type InjectFlags, parseTakeover } from './options.ts';
import { findParentShell } from './parent-shell.ts';

/** A workload whose process is ours to start: `-- COMMAND`, `--shell` or `--env`. */
export type OwnWorkload =
  | { kind: 'command'; command: readonly string[] }
  | { kind: 'environment'; form: EnvironmentForm; shellPid: number };

export interface OwnFlags extends InjectFlags {
  shell: boolean;
  env?: string;
  port?: number;
}

/** Where the words for `mesh` end and the command begins. `--env` alone means `--env=sh`. */
export function splitCommand(argv: readonly string[]): { words: string[]; command: string[] | null } {
  const end = argv.indexOf('--');
  const words = argv.slice(0, end < 0 ? undefined : end).map((word) => (word === '--env' ? '--env=sh' : word));
  return { words, command: end < 0 ? null : argv.slice(end + 1) };
}

/** Null: something that runs already is to be injected. MESH-U102: two things at once, or no name for it. */
export function ownWorkload(
  given: { command: readonly string[] | null; target: string | undefined },
  flags: OwnFlags,
  env: NodeJS.ProcessEnv,
): Result<OwnWorkload | null> {
  const { command, target } = given;
  const ways = [
    ...(command === null ? [] : ['-- COMMAND']),
    ...(flags.shell ? ['--shell'] : []),
    ...(flags.env === undefined ? [] : ['--env']),
  ];
  if (ways.length === 0) {
    if (flags.port === undefined) return ok(null);
    return fail(
      usage('--port belongs to a command', 'say what to start: `mesh inject --as NAME --port 9000 -- COMMAND`'),
    );
  }
  if (target !== undefined) ways.push(target);
  if (ways.length > 1) return fail(usage(`${ways.join(' and ')} do not go together`, 'say one of them'));
  if (command !== null && command.length === 0)
    return fail(usage('there is no command after --', '`mesh inject --as orders -- npm run dev`'));
  if (flags.as === undefined)
    return fail(usage(`${ways[0]} needs a name`, 'say which service it is to be with `--as SERVICE`'));
  if (flags.env !== undefined) {
    const form = ENVIRONMENT_FORMS.find((each) => each === flags.env);
    if (form === undefined)
      return fail(usage(`\`--env=${flags.env}\` is no form`, `one of ${ENVIRONMENT_FORMS.join(', ')}`));
    const shell = findParentShell(env);
    return shell.ok ? ok({ kind: 'environment', form, shellPid: shell.value }) : shell;
  }
  return ok({ kind: 'command', command: command ?? [env.SHELL || '/bin/sh'] });
}

/** The request for it. Until the command runs, its life is that of this process. */
export function ownRequest(workload: OwnWorkload, flags: OwnFlags): Result<InjectionRequest> {
  const takeover = parseTakeover(flags);
  if (!takeover.ok) return takeover;
  return ok({
    service: flags.as!,
    target: { kind: 'own', port: flags.port ?? null },
    pid: workload.kind === 'environment' ? workload.shellPid : process.pid,
    protocol: (flags.protocol as InjectionRequest['protocol'] | undefined) ?? null,
    takeover: takeover.value,
    sticky: flags.sticky,
    transparent: flags.transparent,
    attach: flags.attach,
  });
}

export interface OwnCommandOptions {
  client: ControlClient;
  request: InjectionRequest;
  command: readonly string[];
  /** Folder of mesh.config.ts: its node_modules/.bin and those below it come first on PATH, as for services. */
  baseDir: string;
  env: NodeJS.ProcessEnv;
  /** Before the command starts. */
  report: (status: InjectionStatus) => void;
  /** Beside what the command prints: why it does not start, or what does not work around it. */
  remark: (problem: Problem) => void;
}

/** The endpoint leaves with the process anyway; nobody waits longer for his prompt than this. */
const LEAVE_TIMEOUT_MS = 2_000;

/**
 * Injects, runs the command to its end and ejects. Resolves with the exit code that is to be ours: the command's, or what
 * a shell gives for one that cannot be started.
 */
export async function runOwnCommand(options: OwnCommandOptions): Promise<Result<number>> {
  const { client, request, command, env, remark } = options;
  const path = searchPath(process.cwd(), options.baseDir, env.PATH);
  // Looked for before anything is injected, so that a typing error leaves nothing half done.
  const missing = checkCommand({ argv: [...command], shell: false }, process.cwd(), path, request.service);
  if (missing !== null) {
    remark(problem('MESH-J210', { message: missing.message, hint: missing.hint }));
    return ok(missing.code === 'MESH-P111' ? NOT_EXECUTABLE : NOT_FOUND);
  }
  const injected = await client.inject(request);
  if (!injected.ok) return injected;
  const { instance, environment } = injected.value;
  options.report(injected.value);
  try {
    const running = await startForeground(command, { ...inheritedEnvironment(env), PATH: path, ...environment });
    // It runs, and may have ended already: whatever becomes of the mesh, the command goes on.
    void client.updateInjection(instance, { pid: running.pid }).catch(() => undefined);
    return ok(await running.ended);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    remark(problem('MESH-J210', { message: `${command[0]} cannot be started: ${message}` }));
    return ok(code === 'ENOENT' ? NOT_FOUND : NOT_EXECUTABLE);
  } finally {
    await leave(client, instance);
  }
}

/** Problems: it is gone already, or the mesh is. */
async function leave(client: ControlClient, instance: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    client.eject(instance).catch(() => undefined),
    new Promise((resolve) => {
      timer = setTimeout(resolve, LEAVE_TIMEOUT_MS);
    }),
  ]);
  clearTimeout(timer);
}

function usage(message: string, hint: string): Problem {
  return problem('MESH-U102', { message, hint });
}
