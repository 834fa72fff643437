import { statSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';

/** In order of preference where a directory has several. */
export const CONFIG_NAMES = ['mesh.config.ts', 'mesh.config.mts', 'mesh.config.js', 'mesh.config.mjs'] as const;

/**
 * The configuration a command is about: that of `--config` (a file, or the directory it is in), or else the nearest
 * one from `cwd` upwards.
 * @returns an absolute path, or MESH-C001.
 */
export function findConfig(cwd: string, override?: string): Result<string> {
  if (override !== undefined) return named(path.resolve(cwd, override));
  const start = path.resolve(cwd);
  for (let directory = start; ; directory = path.dirname(directory)) {
    const file = configIn(directory);
    if (file !== null) return ok(file);
    if (path.dirname(directory) === directory) break;
  }
  return fail(
    problem('MESH-C001', {
      message: `there is no ${CONFIG_NAMES[0]} in ${start} or above it`,
      hint: 'write one with `mesh init`, or name one with `--config FILE`',
    }),
  );
}

function named(file: string): Result<string> {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats?.isFile()) return ok(file);
  const inside = stats?.isDirectory() ? configIn(file) : null;
  if (inside !== null) return ok(inside);
  return fail(
    problem('MESH-C001', {
      message: stats === undefined ? `there is no file ${file}` : `there is no ${CONFIG_NAMES[0]} in ${file}`,
      hint: 'give `--config` the path of a mesh.config.ts',
    }),
  );
}

/** The configuration of exactly this directory, or null. */
function configIn(directory: string): string | null {
  for (const name of CONFIG_NAMES) {
    const file = path.join(directory, name);
    if (statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  }
  return null;
}
