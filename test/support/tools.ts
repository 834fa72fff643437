import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program that tests use where it is installed: at the path in `variable`, or by one of `names` on PATH. */
export function findTool(names: string | readonly string[], variable?: string): string | null {
  const dirs = (process.env.PATH ?? '').split(delimiter).filter((dir) => dir !== '');
  const wanted = typeof names === 'string' ? [names] : names;
  const candidates = wanted.flatMap((name) => dirs.map((dir) => join(dir, name)));
  const given = variable === undefined ? undefined : process.env[variable];
  if (given !== undefined && given !== '') candidates.unshift(given);
  return candidates.find(isExecutable) ?? null;
}

/** Says on stdout why tests are skipped, so that a run shows what it did not look at. */
export function skipped(reason: string): true {
  console.log(`skipped: ${reason}`);
  return true;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
