import { existsSync, rmSync } from 'node:fs';
import { problem } from '../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../model/result.ts';
import { applyFiles, type Disk } from './apply.ts';
import type { Plan } from './plan.ts';

export interface CreateOptions {
  /** Whether the template's steps after writing (`npm install`) are run. */
  readonly install: boolean;
  /** Runs a program in a directory; what it wrote is for messages. */
  readonly run: (
    argv: readonly string[],
    cwd: string,
  ) => Promise<{ readonly code: number | null; readonly output: string }>;
  /** Evaluates the edited configuration, not yet in place: what is wrong with it. */
  readonly check: (text: string) => Promise<readonly Problem[]>;
  /** Whether the user wants to stop. */
  readonly interrupted: () => boolean;
  readonly disk?: Disk;
}

/**
 * Does what was planned: the files, the steps after it, and last mesh.config.ts, so that a running mesh sees a service
 * that can start. What fails is undone.
 * @returns MESH-N157, MESH-N158, or what the edited configuration is refused for
 */
export async function createProject(plan: Plan, options: CreateOptions): Promise<Result<void>> {
  const { disk, interrupted } = options;
  const written = applyFiles(plan.files, disk);
  if (!written.ok) return written;
  const undo = (): void => {
    // What the steps made in it (node_modules) goes too, before the folders around it.
    if (plan.isNew && existsSync(plan.directory)) rmSync(plan.directory, { recursive: true, force: true });
    written.value.undo();
  };
  try {
    const failed = (await firstFailure(plan, options)) ?? (interrupted() ? STOPPED : null);
    if (failed !== null) {
      undo();
      return fail(...failed);
    }
    if (plan.config !== null) {
      const edited = applyFiles([plan.config], disk);
      if (!edited.ok) {
        undo();
        return edited;
      }
      edited.value.keep();
    }
    written.value.keep();
    return ok(undefined);
  } catch (error) {
    undo();
    throw error;
  }
}

const STOPPED: readonly Problem[] = [problem('MESH-N158', { message: 'interrupted', hint: 'nothing was left behind' })];

async function firstFailure(plan: Plan, options: CreateOptions): Promise<readonly Problem[] | null> {
  if (plan.config !== null) {
    const problems = await options.check(plan.config.after.toString());
    if (problems.length > 0) return problems;
  }
  for (const argv of options.install ? plan.install : []) {
    if (options.interrupted()) return STOPPED;
    const { code, output } = await options.run(argv, plan.directory);
    if (code === 0) continue;
    const said = output.trim().split('\n').slice(-6).join('\n');
    return [
      problem('MESH-N158', {
        message: options.interrupted()
          ? 'interrupted'
          : `\`${argv.join(' ')}\` failed${code === null ? '' : ` with code ${code}`}`,
        hint: `nothing was left behind; \`--no-install\` leaves that step out${said === '' ? '' : `\n${said}`}`,
      }),
    ];
  }
  return null;
}
