import { readFileSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Result } from '../../../model/result.ts';
import { commandOf, readProcess } from '../../state/process-table.ts';

/** An ancestor of this process. */
export interface Ancestor {
  pid: number;
  /** Process group. */
  pgid: number;
  /** Words of its command line, joined by NUL where they are known apart. */
  command: string;
}

const SHELLS = new Set(['sh', 'bash', 'zsh', 'fish', 'dash', 'ksh', 'mksh', 'ash', 'busybox', 'nu', 'xonsh', 'elvish']);

/** The shell that evaluates what this command prints. MESH-J211: no shell started it. */
export function findParentShell(env: NodeJS.ProcessEnv): Result<number> {
  const pid = shellAmong(ancestors(process.ppid), env.npm_command !== undefined);
  return pid !== null
    ? ok(pid)
    : fail(
        problem('MESH-J211', {
          message: 'this command was not started by a shell, so there is none to tie the workload to',
          hint: '`mesh inject --as SERVICE -- COMMAND` starts a command so',
        }),
      );
}

/**
 * The nearest shell among the ancestors, nearest first. `$(...)` may run in a copy of the shell that ends with it: of
 * processes of one group with one command line the oldest is meant. npx puts itself and a shell of its own in between.
 */
export function shellAmong(ancestors: readonly Ancestor[], throughNpm: boolean): number | null {
  let from = 0;
  if (throughNpm) from = ancestors.findIndex(({ command }) => /^(node|npm|npx|bun)\b/.test(nameOf(command))) + 1;
  for (let at = from; at < ancestors.length; at++) {
    if (!isShell(ancestors[at].command)) continue;
    let shell = ancestors[at];
    for (const above of ancestors.slice(at + 1)) {
      if (above.command !== shell.command || above.pgid !== shell.pgid) break;
      shell = above;
    }
    return shell.pid;
  }
  return null;
}

function isShell(command: string): boolean {
  return SHELLS.has(nameOf(command));
}

/** Login shells are called `-bash`. */
function nameOf(command: string): string {
  return path.basename(command.split(/[\0 ]/, 1)[0]).replace(/^-/, '');
}

function ancestors(pid: number): Ancestor[] {
  const found: Ancestor[] = [];
  for (let at = readProcess(pid); at !== null && at.pid > 1; at = readProcess(at.ppid)) {
    found.push({ pid: at.pid, pgid: at.pgid, command: commandLine(at.pid) });
  }
  return found;
}

function commandLine(pid: number): string {
  if (process.platform !== 'linux') return commandOf(pid);
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
