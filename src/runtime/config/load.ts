import type { Result } from '../../model/result.ts';
import { ConfigLoader, type ConfigLoaderOptions, type LoadedConfig } from './config-loader.ts';

/** Loads a configuration once, for commands: starts the loader process and ends it. */
export async function loadConfig(file: string, options?: ConfigLoaderOptions): Promise<Result<LoadedConfig>> {
  const loader = new ConfigLoader(options);
  try {
    return await loader.load(file);
  } finally {
    await loader.close();
  }
}
