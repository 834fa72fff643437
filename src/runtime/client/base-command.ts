import { Command, Flags } from '@oclif/core';
import { fail, type Problem, type Result } from '../../model/result.ts';
import type { ControlClient } from '../control/client.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { CommandFailure, exitCodeOf, unwrap } from './failure.ts';
import { locateMesh, type MeshLocation } from './locate.ts';
import { renderProblem } from './render-problems.ts';
import { coloursWanted, createStyle, type Style } from './style.ts';

/** What every command shares: where the mesh is, how output and failures look. */
export abstract class MeshCommand extends Command {
  static override baseFlags = {
    config: Flags.string({
      helpValue: 'FILE',
      description: 'use this mesh.config.ts (default: the nearest one upwards)',
      helpGroup: 'GLOBAL',
    }),
    json: Flags.boolean({ description: 'print JSON', helpGroup: 'GLOBAL' }),
  };

  protected readonly style: Style = createStyle(coloursWanted(process.env, process.stdout.isTTY === true));
  /** Width to lay tables out for; null: not a terminal, nothing is cut. */
  protected readonly columns: number | null = process.stdout.isTTY ? (process.stdout.columns ?? 80) : null;
  private connection: ControlClient | null = null;

  protected print(...lines: string[]): void {
    if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
  }

  /** Beside the output: progress, remarks. */
  protected remark(...lines: string[]): void {
    if (lines.length > 0) process.stderr.write(`${lines.join('\n')}\n`);
  }

  /** The one document of a command, or with `line` one object of a stream. */
  protected printJson(value: unknown, line = false): void {
    process.stdout.write(`${JSON.stringify(value, null, line ? undefined : 2)}\n`);
  }

  protected unwrap<T>(result: Result<T>): T {
    return unwrap(result);
  }

  protected locate(flags: { config?: string }, needsConfig = false): MeshLocation {
    return unwrap(locateMesh(process.cwd(), flags.config, needsConfig));
  }

  /** Of the mesh that runs here; ends the command with code 3 if none does. Closed by itself at the end. */
  protected async connect(flags: { config?: string }): Promise<ControlClient> {
    const { connectControl } = await import('../control/client.ts');
    const location = this.locate(flags);
    const connected = await connectControl(location.socketPath);
    if (!connected.ok && connected.problems[0].code === 'MESH-R101') {
      const { describeAbsence } = await import('./left-behind.ts');
      unwrap(fail(describeAbsence(location, connected.problems[0])));
    }
    this.connection = unwrap(connected);
    return this.connection;
  }

  /** Did what was asked; one line for people, one document for programs. */
  protected done(json: boolean, text: string, document: object = {}): void {
    if (json) this.printJson({ ok: true, ...document });
    else this.print(text);
  }

  protected override async catch(error: Error): Promise<void> {
    reportFailure(error, this.argv);
  }

  protected override async finally(): Promise<void> {
    this.connection?.close();
  }
}

/** The one place where a failure is shown and becomes an exit code. */
export function reportFailure(error: Error, argv: readonly string[]): void {
  const { problems, exitCode } = classify(error);
  process.exitCode = exitCode;
  const optionsEnd = argv.indexOf('--');
  if (argv.slice(0, optionsEnd < 0 ? undefined : optionsEnd).includes('--json')) {
    process.stdout.write(`${JSON.stringify({ ok: false, problems }, null, 2)}\n`);
    return;
  }
  const style = createStyle(coloursWanted(process.env, process.stderr.isTTY === true));
  const lines = problems.flatMap((problem) => renderProblem(problem, style, process.cwd()));
  if (error instanceof CommandFailure) lines.push(...error.details);
  process.stderr.write(`${lines.join('\n')}\n`);
}

function classify(error: Error): { problems: readonly Problem[]; exitCode: ExitCode } {
  if (error instanceof CommandFailure) return error;
  const { problems } = error as { problems?: readonly Problem[] };
  if (Array.isArray(problems)) return { problems, exitCode: exitCodeOf(problems) };
  const parserExit = (error as { oclif?: { exit?: number } }).oclif?.exit;
  if (parserExit === 2) {
    // oclif appends the place of the help to the first line.
    const message = error.message.replace(/\nSee more help with --help$/, '').trim();
    return {
      problems: [{ code: 'MESH-U102', message, hint: 'see `--help` of the command' }],
      exitCode: exitCodes.usage,
    };
  }
  return {
    problems: [
      {
        code: 'MESH-R107',
        message: error.message,
        hint: `this is a defect of mesh; please report it with:\n${error.stack ?? ''}`,
      },
    ],
    exitCode: exitCodes.failed,
  };
}

/** `mesh ps | head -1` closes the pipe early: that is no failure, and there is nobody left to tell. */
export function quietWhenReaderLeaves(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? exitCodes.done);
      throw error;
    });
  }
}
