// stand-in
import chokidar from 'chokidar';
import type { Problem, Result } from '../../model/result.ts';
import type { ConfigLoader, LoadedConfig } from './config-loader.ts';
export interface ConfigWatcherOptions {
  loader: ConfigLoader;
  file: string;
  initial: LoadedConfig;
  extraFiles: () => string[];
  onLoaded: (r: Result<LoadedConfig>) => void;
  onWarnings: (p: readonly Problem[]) => void;
}
export class ConfigWatcher {
  private readonly w;
  constructor(o: ConfigWatcherOptions) {
    this.w = chokidar
      .watch(o.file, { ignoreInitial: true })
      .on('change', async () => o.onLoaded(await o.loader.load(o.file)));
  }
  async close(): Promise<void> {
    await this.w.close();
  }
}
