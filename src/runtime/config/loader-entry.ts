import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../control/package-root.ts';

/** How the loader process is started. */
export interface LoaderEntry {
  modulePath: string;
  /** Flags of Node before it. */
  execArgv: readonly string[];
}

/** Built: `dist/config-loader.js`. From a checkout run by tsx or vitest: the source. */
export function loaderEntry(): LoaderEntry {
  if (!import.meta.url.endsWith('.ts')) {
    return { modulePath: path.join(packageRoot(), 'dist', 'config-loader.js'), execArgv: [] };
  }
  const tsx = createRequire(import.meta.url).resolve('tsx');
  return {
    modulePath: path.join(packageRoot(), 'src', 'runtime', 'config', 'loader-process.ts'),
    execArgv: ['--import', pathToFileURL(tsx).href],
  };
}
