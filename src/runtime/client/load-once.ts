import type { Result } from '../../model/result.ts';
import { ConfigLoader, type LoadedConfig } from '../config/config-loader.ts';

/** Evaluates and checks a configuration without a daemon: its own loader, closed afterwards. */
export async function loadOnce(file: string): Promise<Result<LoadedConfig>> {
  const loader = new ConfigLoader();
  try {
    return await loader.load(file);
  } finally {
    await loader.close();
  }
}
