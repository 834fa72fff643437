import type { ResolvedConfig } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';
import type { ConfigLoaderOptions } from './config-loader.ts';
import { loadConfig } from './load.ts';

export interface ConfigValidation {
  /** Errors and warnings, in the order of the files they are in. */
  problems: readonly Problem[];
  /** Null if there are errors. */
  config: ResolvedConfig | null;
}

/** Everything that is wrong with a configuration, each with file, line and column. */
export async function validateConfig(file: string, options?: ConfigLoaderOptions): Promise<ConfigValidation> {
  const loaded = await loadConfig(file, options);
  return loaded.ok
    ? { problems: loaded.warnings ?? [], config: loaded.value.config }
    : { problems: loaded.problems, config: null };
}
