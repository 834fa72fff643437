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

/** Programs of this package beside the CLI: where their source is. Built, each is `dist/<name>.js`. */
const ENTRIES = {
  daemon: 'src/runtime/daemon-process.ts',
  'data-plane': 'src/proxy/data-plane.ts',
  'config-loader': 'src/runtime/config/loader-process.ts',
} as const;

/** File to run for one of them: the source if this runs from source (under tsx), else the bundle. */
export function packageEntry(name: keyof typeof ENTRIES): string {
  const fromSource = import.meta.url.endsWith('.ts');
  return path.join(packageRoot(), fromSource ? ENTRIES[name] : `dist/${name}.js`);
}
