import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import Long from 'long';
import protobuf from 'protobufjs';
import { problem } from '../../model/errors.ts';
import type { Problem } from '../../model/result.ts';

/** Bounds of the search in a service's directory: a repository of definitions is larger than any service needs. */
const MOST_FILES = 500;
const MOST_DEPTH = 6;

/** Where the .proto files of a service are. */
export interface ProtoPlaces {
  /** Absolute paths from the configuration; empty: they are looked for in `cwd`. */
  files: readonly string[];
  cwd: string;
  baseDir: string;
}

/** What was read, and what could not be. */
export interface ProtoDefinitions {
  roots: protobuf.Root[];
  problem: Problem | null;
}

/** The configured files, or `*.proto` and `proto/**` of the working directory, in order of their names. */
export function findProtoFiles({ files, cwd }: ProtoPlaces): string[] {
  if (files.length > 0) return [...files];
  const found: string[] = [];
  const visit = (directory: string, depth: number): void => {
    let entries: import('node:fs').Dirent[];
    try {
      entries = readdirSync(directory, { withFileTypes: true });
    } catch {
      return;
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (found.length >= MOST_FILES) return;
      const file = path.join(directory, entry.name);
      if (entry.isFile() && entry.name.endsWith('.proto')) found.push(file);
      else if (entry.isDirectory() && depth < MOST_DEPTH && entry.name !== 'node_modules' && entry.name[0] !== '.')
        visit(file, depth + 1);
    }
  };
  visit(path.join(cwd, 'proto'), 0);
  visit(cwd, MOST_DEPTH);
  return found;
}

/** What changes when a file comes or goes, or one of them or of what was imported is written. */
export function signatureOf(files: readonly string[], { roots }: ProtoDefinitions): string {
  // protobufjs has its own of google/protobuf, under names that are no paths.
  const imported = roots.flatMap((root) => root.files.filter((file) => path.isAbsolute(file) && !files.includes(file)));
  const stamp = (file: string): string => {
    const stats = statSync(file, { throwIfNoEntry: false });
    return `${file} ${stats?.mtimeMs} ${stats?.size}`;
  };
  return `${files.map(stamp).join('\n')}\n\n${imported.map(stamp).join('\n')}`;
}

/** Reads the files with what they import. One that is broken does not take the others with it. */
export function readProtoFiles(files: readonly string[], places: ProtoPlaces): ProtoDefinitions {
  // protobufjs looks for this package by a name that no bundler sees.
  protobuf.util.Long = Long;
  protobuf.configure();
  if (files.length === 0) return { roots: [], problem: null };
  const all = read(files, places);
  if (all.problem === null || files.length === 1) return all;
  const each = files.map((file) => read([file], places));
  return { roots: each.flatMap(({ roots }) => roots), problem: all.problem };
}

function read(files: readonly string[], { cwd, baseDir }: ProtoPlaces): ProtoDefinitions {
  const root = new protobuf.Root();
  const missing: string[] = [];
  let reading = files[0];
  root.resolvePath = (origin, target) => {
    if (path.isAbsolute(target)) {
      reading = target;
      return target;
    }
    const file = importDirectories(origin, [cwd, baseDir])
      .map((directory) => path.join(directory, target))
      .find((candidate) => existsSync(candidate));
    if (file === undefined) {
      // Often it is imported for its options only, such as google/api/annotations.proto, and then nothing is missed.
      missing.push(target);
      return null;
    }
    reading = file;
    return file;
  };
  try {
    root.loadSync([...files]);
    return { roots: [root], problem: null };
  } catch (error) {
    const imports = missing.length === 0 ? '' : ` (imported and not found: ${missing.join(', ')})`;
    const where = path.relative(baseDir, reading);
    const what = (error as Error).message.split('\n')[0];
    return { roots: [], problem: problem('MESH-B102', { message: `${where}: ${what}${imports}` }) };
  }
}

/** Directories that an import may start from: those above the file that has it, and `proto` in each of the service's. */
function importDirectories(origin: string, roots: readonly string[]): string[] {
  const directories: string[] = [];
  const top = roots.at(-1)!;
  let directory = path.dirname(origin);
  for (let up = 0; up < MOST_DEPTH * 2; up++) {
    directories.push(directory);
    const parent = path.dirname(directory);
    if (parent === directory || directory === top) break;
    directory = parent;
  }
  return [...directories, ...roots.flatMap((root) => [root, path.join(root, 'proto')])];
}
