import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Project extends AsyncDisposable {
  directory: string;
  /** mesh.config.ts in it. */
  config: string;
  at(name: string): string;
  /** Makes the directories, too. */
  write(files: Readonly<Record<string, string>>): Promise<void>;
}

/** A directory of a user's, removed at the end. */
export async function project(files: Readonly<Record<string, string>> = {}): Promise<Project> {
  const directory = await realpath(await mkdtemp(path.join(os.tmpdir(), 'mesh-config-')));
  const at = (name: string) => path.join(directory, name);
  const write = async (contents: Readonly<Record<string, string>>) => {
    for (const [name, text] of Object.entries(contents)) {
      await mkdir(path.dirname(at(name)), { recursive: true });
      await writeFile(at(name), text);
    }
  };
  await write(files);
  return {
    directory,
    config: at('mesh.config.ts'),
    at,
    write,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** A configuration with one service. */
export const shop = (service = "{ command: 'node web.js' }"): string =>
  `import { defineMesh } from 'localmesh';\nexport default defineMesh({ version: 1, name: 'shop', services: { web: ${service} } });\n`;

/** Waits for a condition, with a deadline. */
export async function until(condition: () => boolean, what: string, deadlineMs = 10_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`timed out: ${what}`);
    await delay(2);
  }
}

/** Not counting one that ended and that nobody has asked after. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z';
  } catch {
    return false;
  }
}
