import { execa } from 'execa';
import { problem } from '../../model/errors.ts';
import type { Command } from '../../model/resolved.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { Ledger } from '../state/ledger.ts';
import { PROCESS_MARKER, readProcess, signalGroup } from '../state/process-table.ts';
import { checkCommand, describeCommand, searchPath } from './command-search.ts';

export interface ProcessRequest {
  /** Name in the ledger: `orders-1`, `build of orders`. */
  instance: string;
  /** For messages: the service. */
  owner: string;
  command: Command;
  cwd: string;
  /** PATH gets `node_modules/.bin` of the folders from `cwd` up to here. */
  baseDir: string;
  /** The whole environment. */
  env: Readonly<Record<string, string | undefined>>;
  ports: readonly number[];
  /** Whom it runs as, where not as we do. */
  account?: { readonly uid: number; readonly gid: number } | null;
  /** Descriptors opened with O_APPEND, which stay open here: the process writes to the files itself, so it outlives us. */
  output: { stdout: number; stderr: number } | 'ignore';
}

export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process that mesh started, leader of a session and group of its own. */
export interface StartedProcess {
  instance: string;
  pid: number;
  marker: string;
  /** Empty strings and 0 where it was over before it could be looked at. */
  startTime: string;
  startOrder: number;
  command: string;
  ports: readonly number[];
  /** Null while it runs. Children it left may still run: see `endProcess`. */
  exit: ProcessExit | null;
  exited: Promise<ProcessExit>;
}

/** Starts a process and records it. MESH-P101, P107, P111 as `checkCommand`; MESH-P111 also: the system refused; MESH-S1xx: no record, so no start. */
export async function startProcess(request: ProcessRequest, ledger: Ledger): Promise<Result<StartedProcess>> {
  const { command, cwd, instance } = request;
  const PATH = searchPath(cwd, request.baseDir, request.env.PATH);
  const missing = checkCommand(command, cwd, PATH, request.owner);
  if (missing !== null) return fail(missing);
  const line = describeCommand(command);
  const intent = ledger.intend({ instance, command: line, ports: request.ports });
  if (!intent.ok) return intent;
  const marker = intent.value;

  const { stdout, stderr } =
    request.output === 'ignore' ? { stdout: 'ignore' as const, stderr: 'ignore' as const } : request.output;
  const [file, ...args] = command.argv;
  const child = execa(file, command.shell ? [] : args, {
    cwd,
    shell: command.shell ? '/bin/sh' : false,
    env: { ...request.env, PATH, [PROCESS_MARKER]: marker },
    extendEnv: false,
    detached: true,
    cleanup: false,
    stdin: 'ignore',
    // Any descriptor will do; the types end at 9.
    stdout: stdout as 3,
    stderr: stderr as 3,
    buffer: false,
    reject: false,
    ...(request.account ? { uid: request.account.uid, gid: request.account.gid } : {}),
  });
  if (child.pid === undefined) {
    const outcome = await child;
    ledger.ended(marker);
    const reason = outcome.originalMessage ?? outcome.code ?? 'no reason given';
    return fail(
      problem('MESH-P111', {
        message: `${request.owner}: the system did not start \`${line}\`: ${reason}`,
        hint: hintForSpawnError(outcome.code),
      }),
    );
  }
  const pid = child.pid;
  const recorded = ledger.started(marker, pid);
  const entry = readProcess(pid);
  const started: StartedProcess = {
    instance,
    pid,
    marker,
    startTime: entry?.startTime ?? '',
    startOrder: entry?.startOrder ?? 0,
    command: line,
    ports: request.ports,
    exit: null,
    exited: new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        started.exit = { code, signal };
        resolve(started.exit);
      });
    }),
  };
  if (!recorded.ok) {
    signalGroup(pid, 'SIGKILL');
    await started.exited;
    return recorded;
  }
  return ok(started);
}

/** `exited with code 1`, `was ended by SIGKILL`. */
export function describeExit(exit: ProcessExit): string {
  if (exit.signal !== null) return `was ended by ${exit.signal}`;
  const meaning = exit.code === 127 ? ' (command not found)' : exit.code === 126 ? ' (not executable)' : '';
  return `exited with code ${exit.code}${meaning}`;
}

function hintForSpawnError(code: string | undefined): string {
  if (code === 'EAGAIN') return 'too many processes: see `ulimit -u`';
  if (code === 'EMFILE' || code === 'ENFILE') return 'too many open files: see `ulimit -n`';
  if (code === 'E2BIG') return 'environment and arguments are too large together';
  if (code === 'ENOEXEC') return 'it is not a program of this machine, or a script without `#!` line';
  return 'try the command by hand in the same folder';
}
