// stand-in
import { createRequire } from 'node:module';
import path from 'node:path';
import vm from 'node:vm';
import { build } from 'esbuild';
import { resolveConfig } from '../../model/resolve.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import { ok, type Result } from '../../model/result.ts';

export interface LoadedConfig { config: ResolvedConfig; raw: unknown; dependencies: string[]; sources: { locate(path: string): { file: string; line: number; column: number } | undefined } }
export class ConfigLoader {
  async load(file: string): Promise<Result<LoadedConfig>> {
    const out = await build({ entryPoints: [file], bundle: true, platform: 'node', format: 'cjs', write: false, plugins: [{ name: 'm', setup(b) { b.onResolve({ filter: /^localmesh$/ }, () => ({ path: 'localmesh', namespace: 'm' })); b.onLoad({ filter: /.*/, namespace: 'm' }, () => ({ contents: 'export const defineMesh = (c) => c' })); } }] });
    const fn = vm.compileFunction(out.outputFiles[0].text, ['module', 'exports', 'require']);
    const m = { exports: {} as { default?: unknown } };
    fn(m, m.exports, createRequire(file));
    const r = resolveConfig(m.exports.default, { baseDir: path.dirname(file) });
    if (!r.ok) return r;
    return ok({ config: r.value, raw: m.exports.default, dependencies: [file], sources: { locate: () => undefined } });
  }
  async close(): Promise<void> {}
}
