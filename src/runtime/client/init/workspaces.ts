import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ServiceConfig } from '../../../model/config.ts';
import { type Draft, gatewayFor, toName } from './draft.ts';

interface PackageJson {
  name?: string;
  workspaces?: string[] | { packages?: string[] };
  scripts?: Record<string, string>;
}

/** Levels that `**` in a workspace pattern may stand for. */
const DEEPEST = 4;

/** Null: no package, or none with a script to start it. `dev` is preferred to `start`. */
export function draftFromWorkspaces(directory: string, name: string): Draft | null {
  const root = readPackage(directory);
  if (root === null) return null;
  const patterns = Array.isArray(root.workspaces) ? root.workspaces : (root.workspaces?.packages ?? []);
  const folders = patterns.length === 0 ? ['.'] : workspaceFolders(directory, patterns);
  const services: Record<string, ServiceConfig> = {};
  const leftOut: string[] = [];
  for (const folder of folders) {
    const pjson = readPackage(path.join(directory, folder));
    if (pjson === null) continue;
    const script = ['dev', 'start'].find((candidate) => pjson.scripts?.[candidate] !== undefined);
    const service = unused(toName(pjson.name ?? path.basename(path.resolve(directory, folder))), services);
    if (script === undefined) {
      leftOut.push(`${service} (${folder}) has no script \`dev\` or \`start\``);
      continue;
    }
    const command = `${runner(directory)} run ${script}`;
    services[service] = folder === '.' ? { command } : { command, cwd: folder };
  }
  const names = Object.keys(services);
  if (names.length === 0) return null;
  const comments = {
    [names[0]]: ['Each service is told its port in PORT; one that ignores it needs `port: 3000` here.'],
  };
  return { config: { version: 1, name, gateway: gatewayFor(names), services }, comments, leftOut };
}

const runner = (directory: string): string => {
  if (existsSync(path.join(directory, 'pnpm-lock.yaml'))) return 'pnpm';
  return existsSync(path.join(directory, 'yarn.lock')) ? 'yarn' : 'npm';
};

function readPackage(directory: string): PackageJson | null {
  try {
    return JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
  } catch {
    return null;
  }
}

function unused(name: string, taken: Readonly<Record<string, unknown>>): string {
  let candidate = name;
  for (let number = 2; candidate in taken; number++) candidate = `${name}-${number}`;
  return candidate;
}

/** Folders with a package.json that the patterns name; `!` excludes. In order of the patterns. */
function workspaceFolders(directory: string, patterns: readonly string[]): string[] {
  const found = new Set<string>();
  for (const pattern of patterns) {
    const excluded = pattern.startsWith('!');
    const segments = path.posix.normalize(pattern.replace(/^!/, '').replace(/\/$/, '')).split('/');
    for (const folder of expand(directory, '', segments)) {
      if (excluded) found.delete(folder);
      else if (existsSync(path.join(directory, folder, 'package.json'))) found.add(folder);
    }
  }
  return [...found];
}

function expand(directory: string, at: string, segments: readonly string[], depth = 0): string[] {
  const [first, ...rest] = segments;
  if (first === undefined) return [at];
  const folders = () =>
    readdirSync(path.join(directory, at), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules' && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort();
  if (!existsSync(path.join(directory, at))) return [];
  if (first === '**') {
    const here = expand(directory, at, rest, depth);
    if (depth >= DEEPEST) return here;
    return [...here, ...folders().flatMap((name) => expand(directory, path.posix.join(at, name), segments, depth + 1))];
  }
  if (!first.includes('*')) return expand(directory, path.posix.join(at, first), rest, depth);
  const match = new RegExp(`^${first.split('*').map(escapeRegex).join('.*')}$`);
  return folders()
    .filter((name) => match.test(name))
    .flatMap((name) => expand(directory, path.posix.join(at, name), rest, depth));
}

const escapeRegex = (text: string): string => text.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&');
