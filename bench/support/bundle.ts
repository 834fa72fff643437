import path from 'node:path';
import { build, type Plugin } from 'esbuild';
import { root } from './mesh.ts';

/**
 * Programs of the bench as Node runs them in production: one file each, without a loader. By name, from a path below
 * the checkout, into `dir`; returns where they are.
 */
export async function bundle<Name extends string>(
  dir: string,
  entries: Record<Name, string>,
  plugins: Plugin[] = [],
): Promise<Record<Name, string>> {
  await build({
    absWorkingDir: root,
    outdir: dir,
    entryPoints: entries,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // As scripts/build.js does for what is published.
    minifyWhitespace: true,
    minifySyntax: true,
    define: { 'process.env.NODE_ENV': '"production"' },
    plugins,
    logLevel: 'warning',
  });
  const names = Object.keys(entries) as Name[];
  return Object.fromEntries(names.map((name) => [name, path.join(dir, `${name}.mjs`)])) as Record<Name, string>;
}
