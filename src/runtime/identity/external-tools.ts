import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import type { Owner } from './data-directory.ts';

export interface ToolRun {
  /** null where the program did not run to its end. */
  readonly exitCode: number | null;
  /** Standard output and error, interleaved. */
  readonly output: string;
}

export interface ToolOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  /** Run as that user. */
  readonly as?: Owner | undefined;
  /** The program may talk to the user at the terminal. */
  readonly interactive?: boolean;
}

/** Runs a program with these arguments, without a shell. Never rejects. */
export async function runTool(argv: readonly string[], options: ToolOptions): Promise<ToolRun> {
  const [file, ...args] = argv;
  const result = await execa(file!, args, {
    reject: false,
    all: true,
    env: options.env,
    extendEnv: false,
    timeout: options.timeoutMs,
    stripFinalNewline: true,
    ...(options.as === undefined ? {} : options.as),
    ...(options.interactive
      ? { stdin: 'inherit', stdout: ['inherit', 'pipe'], stderr: ['inherit', 'pipe'] }
      : { stdin: 'ignore' }),
  });
  const output = typeof result.all === 'string' ? result.all : '';
  return { exitCode: result.exitCode ?? null, output: output === '' ? (result.shortMessage ?? '') : output };
}

/** Path of a program on the PATH of `env` or in one of `alsoIn`, or undefined. */
export async function findTool(
  name: string,
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
  alsoIn: readonly string[] = [],
): Promise<string | undefined> {
  const directories = [...(env.PATH ?? env.Path ?? '').split(delimiter), ...alsoIn].filter((dir) => dir !== '');
  const names = platform === 'win32' ? [`${name}.exe`, name] : [name];
  for (const directory of directories) {
    for (const candidate of names) {
      const path = join(directory, candidate);
      if (await executable(path)) return path;
    }
  }
  return undefined;
}

/** A command line as one would type it. */
export function shellLine(argv: readonly string[]): string {
  return argv.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`)).join(' ');
}

async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
