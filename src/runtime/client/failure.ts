import type { Problem, Result } from '../../model/result.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';

/**
 * An expected failure on its way to the base command's `catch`. Commands are the one place where Results turn into
 * exceptions, because that is how oclif ends a command.
 */
export class CommandFailure extends Error {
  readonly problems: readonly Problem[];
  readonly exitCode: ExitCode;
  /** Printed after the problems, as it is. */
  readonly details: readonly string[];

  constructor(problems: readonly Problem[], exitCode: ExitCode, details: readonly string[] = []) {
    super(problems[0]?.message ?? 'failed');
    this.problems = problems;
    this.exitCode = exitCode;
    this.details = details;
  }
}

/** Codes that mean something other than 1 to a script, by their first letters, the first that fits. */
const EXIT_CODES: readonly [prefix: string, exitCode: ExitCode][] = [
  ['MESH-R101', exitCodes.notRunning],
  ['MESH-R104', exitCodes.timedOut],
  ['MESH-U105', exitCodes.timedOut],
  ['MESH-U106', exitCodes.failed],
  ['MESH-U', exitCodes.usage],
  ['MESH-C', exitCodes.usage],
  // Of `mesh new`: a template, name or option that there is not, or that is missing.
  ['MESH-N150', exitCodes.usage],
  ['MESH-N151', exitCodes.usage],
  ['MESH-N154', exitCodes.usage],
  ['MESH-N155', exitCodes.usage],
  ['MESH-N160', exitCodes.usage],
  ['MESH-D112', exitCodes.usage],
  ['MESH-D113', exitCodes.usage],
  ['MESH-D114', exitCodes.usage],
  ['MESH-D117', exitCodes.usage],
  ['MESH-D119', exitCodes.usage],
  ['MESH-J111', exitCodes.usage],
];

export function exitCodeOf(problems: readonly Problem[]): ExitCode {
  const code = problems.find(({ severity }) => severity !== 'warning')?.code ?? '';
  return EXIT_CODES.find(([prefix]) => code.startsWith(prefix))?.[1] ?? exitCodes.failed;
}

export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new CommandFailure(result.problems, exitCodeOf(result.problems));
}
