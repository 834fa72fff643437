import { mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Result } from '../../../src/model/result.ts';
import { ConfigLoader, type LoadedConfig } from '../../../src/runtime/config/config-loader.ts';
import { ConfigWatcher, type ConfigWatcherOptions } from '../../../src/runtime/config/config-watcher.ts';
import { type Project, project, shop, until } from './project.ts';

let loader: ConfigLoader;
beforeAll(() => {
  loader = new ConfigLoader({ deadlineMs: 2_000 });
});
afterAll(() => loader.close());

interface Watched extends AsyncDisposable {
  results: Result<LoadedConfig>[];
  /** How often a load began. */
  reloads: number;
  reloadedAt: number;
  /** The command of each load, or the code of its first problem. */
  readonly seen: string[];
}

async function watch(p: Project, options: Partial<ConfigWatcherOptions> = {}): Promise<Watched> {
  const initial = await loader.load(p.config);
  const results: Result<LoadedConfig>[] = [];
  const watched: Watched = {
    results,
    reloads: 0,
    reloadedAt: 0,
    get seen() {
      return results.map((result) =>
        result.ok ? String(result.value.config.services.web.command?.argv) : result.problems[0].code,
      );
    },
    [Symbol.asyncDispose]: () => watcher.close(),
  };
  const watcher = new ConfigWatcher({
    loader,
    file: p.config,
    initial: initial.ok ? initial.value : null,
    onLoaded: (result) => results.push(result),
    onReload: () => {
      watched.reloads++;
      watched.reloadedAt = performance.now();
    },
    ...options,
  });
  await watcher.ready;
  return watched;
}

const command = (text: string) => shop(`{ command: '${text}' }`);
/** How editors save: the new text is complete before it takes the old one's name. */
async function saveByRename(file: string, text: string): Promise<void> {
  await writeFile(`${file}~`, text);
  await rename(`${file}~`, file);
}
/** Long enough for events that must not have an effect. */
const quiet = () => delay(150);

describe('ConfigWatcher', () => {
  it('loads what was saved, at once', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    const times: number[] = [];
    for (let i = 1; i <= 10; i++) {
      const began = performance.now();
      if (i % 2 === 0) await writeFile(p.config, command(`n${i}`));
      else await saveByRename(p.config, command(`n${i}`));
      const saved = performance.now();
      await until(() => watched.seen.at(-1) === `n${i}`, `save ${i}`);
      times.push(watched.reloadedAt - saved);
      expect(performance.now() - began).toBeLessThan(10_000);
    }
    expect(watched.seen).toEqual(Array.from({ length: 10 }, (_, i) => `n${i + 1}`));
    times.sort((a, b) => a - b);
    console.log(`save to start of reload: median ${times[5].toFixed(1)} ms, slowest ${times[9].toFixed(1)} ms`);
  });

  it('follows a file that is replaced again and again by renaming', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    for (let i = 1; i <= 5; i++) {
      await saveByRename(p.config, command(`n${i}`));
      await until(() => watched.seen.at(-1) === `n${i}`, `rename ${i}`);
    }
  });

  it('follows an editor that moves the old file away first', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    await rename(p.config, p.at('backup'));
    await delay(10);
    await writeFile(p.config, command('one'));
    await until(() => watched.seen.length > 0, 'the new file');
    expect(watched.seen).toEqual(['one']);
  });

  it('ignores a save that changes nothing, and files that have nothing to do with it', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    await writeFile(p.config, command('zero'));
    await saveByRename(p.config, command('zero'));
    await utimes(p.config, new Date(), new Date());
    await p.write({ 'other.ts': 'x', 'deep/other.ts': 'x' });
    await quiet();
    expect(watched.reloads).toBe(0);
    await writeFile(p.config, command('one'));
    await until(() => watched.results.length === 1, 'a real save');
    expect(watched.seen).toEqual(['one']);
  });

  it('ends with the last of quick saves', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    for (let i = 1; i <= 20; i++) await writeFile(p.config, command(`n${i}`));
    await until(() => watched.seen.at(-1) === 'n20', 'the last save');
    await quiet();
    expect(watched.seen.at(-1)).toBe('n20');
    const order = watched.seen.map((text) => Number(text.slice(1)));
    expect(order).toEqual([...order].sort((a, b) => a - b));
  });

  it('watches what it imports, and no longer what it imported', async () => {
    const importing = (from: string) =>
      `import { command } from '${from}';\nexport default { version: 1, name: 'shop', services: { web: { command } } };`;
    await using p = await project({
      'mesh.config.ts': importing('./lib/a.ts'),
      'lib/a.ts': "export const command = 'a1';",
      'more/b.ts': "export const command = 'b1';",
    });
    await using watched = await watch(p);
    await saveByRename(p.at('lib/a.ts'), "export const command = 'a2';");
    await until(() => watched.seen.at(-1) === 'a2', 'the imported file');
    await writeFile(p.config, importing('./more/b.ts'));
    await until(() => watched.seen.at(-1) === 'b1', 'the other import');
    await writeFile(p.at('lib/a.ts'), "export const command = 'a3';");
    await quiet();
    await writeFile(p.at('more/b.ts'), "export const command = 'b2';");
    await until(() => watched.seen.at(-1) === 'b2', 'the file imported now');
    expect(watched.seen).toEqual(['a2', 'b1', 'b2']);
  });

  it('reports a broken save, and recovers', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    await writeFile(p.config, 'export default {');
    await until(() => watched.seen.length === 1, 'the syntax error');
    await writeFile(p.config, command('one'));
    await until(() => watched.seen.length === 2, 'the repair');
    expect(watched.seen).toEqual(['MESH-C002', 'one']);
  });

  it('recovers by a change of the imported file that is to blame', async () => {
    await using p = await project({
      'mesh.config.ts':
        "import { command } from './lib/a.ts';\nexport default { version: 1, name: 'shop', services: { web: { command } } };",
      'lib/a.ts': "export const command = 'a1';",
    });
    await using watched = await watch(p);
    await writeFile(p.at('lib/a.ts'), "throw new Error('x'); export const command = 'a2';");
    await until(() => watched.seen.length === 1, 'the throw');
    await writeFile(p.at('lib/a.ts'), 'for (;;) {} export const command = 1;');
    await until(() => watched.seen.length === 2, 'the loop');
    await writeFile(p.at('lib/a.ts'), "export const command = 'a3';");
    await until(() => watched.seen.length === 3, 'the repair');
    expect(watched.seen).toEqual(['MESH-C003', 'MESH-C004', 'a3']);
  });

  it('recovers when a missing import appears, in a directory that was not there', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    await writeFile(
      p.config,
      "import { command } from './new/deep/a';\nexport default { version: 1, name: 'shop', services: { web: { command } } };",
    );
    await until(() => watched.seen.length === 1, 'the missing import');
    await mkdir(p.at('new/deep'), { recursive: true });
    await quiet();
    await writeFile(p.at('new/deep/a.ts'), "export const command = 'found';");
    await until(() => watched.seen.length === 2, 'the import');
    expect(watched.seen).toEqual(['MESH-C010', 'found']);
  });

  it('waits for a save that first empties the file, and reports one that stays empty', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    await writeFile(p.config, '');
    await delay(20);
    await writeFile(p.config, command('one'));
    await until(() => watched.seen.length === 1, 'the whole text');
    await writeFile(p.config, '');
    await until(() => watched.seen.length === 2, 'the empty file');
    expect(watched.seen).toEqual(['one', 'MESH-C007']);
  });

  it('reports a deleted file, and takes it when it is back', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    await using watched = await watch(p);
    await rm(p.config);
    await until(() => watched.seen.length === 1, 'the deletion');
    await writeFile(p.config, command('one'));
    await until(() => watched.seen.length === 2, 'its return');
    await writeFile(p.config, command('two'));
    await until(() => watched.seen.length === 3, 'a later save');
    expect(watched.seen).toEqual(['MESH-C010', 'one', 'two']);
  });

  it('survives that the whole directory of an import is removed and made again', async () => {
    await using p = await project({
      'mesh.config.ts':
        "import { command } from './lib/a.ts';\nexport default { version: 1, name: 'shop', services: { web: { command } } };",
      'lib/a.ts': "export const command = 'a1';",
    });
    await using watched = await watch(p);
    await rm(p.at('lib'), { recursive: true });
    await until(() => watched.seen.length === 1, 'the removal');
    await p.write({ 'lib/a.ts': "export const command = 'a2';" });
    await until(() => watched.seen.at(-1) === 'a2', 'its return');
    await writeFile(p.at('lib/a.ts'), "export const command = 'a3';");
    await until(() => watched.seen.at(-1) === 'a3', 'a later save');
    expect(watched.seen[0]).toBe('MESH-C010');
  });

  it('loads again for other files that count, such as env files, also when one appears', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero'), '.env': 'A=1' });
    await using watched = await watch(p, { extraFiles: () => [p.at('.env'), p.at('.env.local')] });
    await quiet();
    expect(watched.reloads).toBe(0);
    await writeFile(p.at('.env'), 'A=2');
    await until(() => watched.results.length === 1, 'the env file');
    await writeFile(p.at('.env.local'), 'A=3');
    await until(() => watched.results.length === 2, 'the new env file');
    expect(watched.seen).toEqual(['zero', 'zero']);
  });

  it('notices a save between the first load and its own start', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    const initial = await loader.load(p.config);
    if (!initial.ok) throw new Error('it did not load');
    await writeFile(p.config, command('one'));
    const results: Result<LoadedConfig>[] = [];
    const watcher = new ConfigWatcher({
      loader,
      file: p.config,
      initial: initial.value,
      onLoaded: (r) => results.push(r),
    });
    await until(() => results.length === 1, 'the save');
    await watcher.close();
  });

  it('starts from a configuration that could not be loaded', async () => {
    await using p = await project({ 'mesh.config.ts': "import './a.ts';\nexport default 1", 'a.ts': 'throw 1' });
    await using watched = await watch(p);
    await until(() => watched.seen.length === 1, 'the first load');
    await writeFile(p.at('a.ts'), 'export {};');
    await until(() => watched.seen.length === 2, 'the repair of the import');
    expect(watched.seen).toEqual(['MESH-C003', 'MESH-C007']);
  });

  it('is quiet after close', async () => {
    await using p = await project({ 'mesh.config.ts': command('zero') });
    const watched = await watch(p);
    const closing = watched[Symbol.asyncDispose]();
    await writeFile(p.config, command('one'));
    await closing;
    await quiet();
    expect(watched.results).toEqual([]);
    expect(path.dirname(p.config)).toBe(p.directory);
  });
});
