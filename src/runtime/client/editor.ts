import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fail, ok, type Result } from '../../model/result.ts';
import { configSources } from '../config/source-locations.ts';
import type { MeshLocation } from './locate.ts';

export interface Place {
  file: string;
  /** 1-based. */
  line: number;
}

/** Where to look: a place that is known, else that of a service, else the configuration's first line. */
export function placeToEdit(
  { configFile, baseDir }: Pick<MeshLocation, 'configFile' | 'baseDir'>,
  target: { service: string | null; place: string | null },
): Place {
  const file = configFile ?? path.join(baseDir, 'mesh.config.ts');
  const known = /^(.+?):(\d+)(?::\d+)?$/.exec(target.place ?? '');
  if (known !== null) return { file: path.resolve(baseDir, known[1]), line: Number(known[2]) };
  if (target.service === null) return { file, line: 1 };
  try {
    const sources = configSources(file, new Map([[file, readFileSync(file, 'utf8')]]));
    const at = sources.locate(`services.${target.service}`, 'key');
    if (at !== undefined) return at;
  } catch {
    // Unreadable or half-written: the editor shows why.
  }
  return { file, line: 1 };
}

/** Program and arguments of $VISUAL, $EDITOR or vi that show a place. */
export function editorCommand(env: NodeJS.ProcessEnv, { file, line }: Place): string[] {
  const words = (env.VISUAL?.trim() || env.EDITOR?.trim() || 'vi').split(/\s+/);
  const name = path.basename(words[0]).replace(/\.exe$/i, '');
  if (/^(code|code-insiders|codium|cursor|windsurf)$/.test(name)) return [...words, '--goto', `${file}:${line}`];
  if (/^(subl|zed|hx|helix|micro)$/.test(name)) return [...words, `${file}:${line}`];
  if (/^(idea|webstorm)$/.test(name)) return [...words, '--line', String(line), file];
  // vi and its kin, nano, emacs, joe, kak, ed; others at worst open one more file.
  if (/^(n?vim?|vim?|view|nano|pico|emacs|emacsclient|joe|kak|mg|jed|mcedit|ne)$/.test(name)) {
    return [...words, `+${line}`, file];
  }
  return [...words, file];
}

/** Resolves when the editor is closed. It gets this process's terminal. */
export function openEditor(place: Place, env: NodeJS.ProcessEnv = process.env): Promise<Result<void>> {
  const [program, ...args] = editorCommand(env, place);
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'inherit' });
    child.once('error', (error) =>
      resolve(
        fail({
          code: 'MESH-U102',
          message: `the editor \`${program}\` does not start: ${error.message}`,
          hint: 'set VISUAL or EDITOR to a program that is installed',
        }),
      ),
    );
    child.once('exit', () => resolve(ok(undefined)));
  });
}
