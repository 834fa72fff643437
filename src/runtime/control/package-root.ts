import { existsSync } from 'node:fs';
import path from 'node:path';

/**
 * Directory of this package. Found from where the code runs, upwards: the same module is in `src/runtime/`, in a
 * chunk under `dist/`, or below somebody's `node_modules/`.
 */
export function packageRoot(): string {
  let directory = import.meta.dirname;
  while (!existsSync(path.join(directory, 'proto', 'mesh', 'control', 'v1', 'control.proto'))) {
    const parent = path.dirname(directory);
    if (parent === directory)
      throw new Error(`the package of ${import.meta.dirname} is incomplete: no proto directory`);
    directory = parent;
  }
  return directory;
}
