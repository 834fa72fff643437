import type { InjectionStatus } from '../../../model/injection.ts';
import { ok, type Problem, type Result } from '../../../model/result.ts';
import type { ControlClient } from '../../control/client.ts';
import { renderProblem } from '../render-problems.ts';
import { coloursWanted, createStyle } from '../style.ts';
import { environmentText } from './environment-text.ts';
import { type OwnFlags, type OwnWorkload, ownRequest, runOwnCommand } from './inject-command.ts';
import { ownReport } from './own-report.ts';

/**
 * `-- COMMAND`, `--shell` and `--env`: the output is the command's, or the shell's that evaluates it, so that all we have
 * to say goes to stderr. Resolves with the exit code.
 */
export async function runOwn(
  client: ControlClient,
  own: OwnWorkload,
  flags: OwnFlags & { json: boolean },
  baseDir: string,
): Promise<Result<number>> {
  const style = createStyle(coloursWanted(process.env, process.stderr.isTTY === true));
  const remark = (lines: readonly string[]): void => {
    process.stderr.write(`${lines.join('\n')}\n`);
  };
  const report = (status: InjectionStatus): void =>
    remark(flags.json ? [JSON.stringify(status)] : ownReport(status, own, style));
  const request = ownRequest(own, flags);
  if (!request.ok) return request;
  if (own.kind === 'command') {
    return runOwnCommand({
      ...{ client, request: request.value, command: own.command, baseDir, env: process.env, report },
      remark: (problem: Problem) => remark(renderProblem(problem, style, process.cwd())),
    });
  }
  const injected = await client.inject(request.value);
  if (!injected.ok) return injected;
  const { value: status } = injected;
  if (!flags.json) report(status);
  process.stdout.write(flags.json ? `${JSON.stringify(status)}\n` : environmentText(status.environment, own.form));
  return ok(0);
}
