import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { problem } from '../../model/errors.ts';
import type { Problem } from '../../model/result.ts';
import type { Injected } from './injected.ts';

/** What of an injection outlives the daemon; its coverage is found out anew. */
export type SavedInjection = Omit<Injected, 'coverage' | 'leaving' | 'goneAtMs'>;

const VERSION = 1;

const fileIn = (stateDir: string): string => path.join(stateDir, 'injections.json');

/** Writes them whole or not at all; without any the file goes. */
export function saveInjections(stateDir: string, injections: readonly Injected[]): Problem | null {
  const file = fileIn(stateDir);
  try {
    if (injections.length === 0) rmSync(file, { force: true });
    else {
      const saved: SavedInjection[] = injections.map(({ coverage, leaving, goneAtMs, ...rest }) => rest);
      writeFileSync(`${file}.new`, JSON.stringify({ version: VERSION, injections: saved }), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    }
    return null;
  } catch (error) {
    return problem('MESH-J114', { message: `${file} cannot be written: ${(error as Error).message}` });
  }
}

/** Those of a daemon that died. One that stopped its mesh left none. */
export function savedInjections(stateDir: string): SavedInjection[] {
  try {
    const document = JSON.parse(readFileSync(fileIn(stateDir), 'utf8')) as {
      version: number;
      injections: SavedInjection[];
    };
    return document.version === VERSION ? document.injections : [];
  } catch {
    return [];
  }
}

/** The mesh is down: the next one begins without. */
export function forgetInjections(stateDir: string): void {
  rmSync(fileIn(stateDir), { force: true });
}
