import { spawn } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { problem } from '../../../model/errors.ts';
import { ok, type Problem, type Result } from '../../../model/result.ts';
import { loadOnce } from '../load-once.ts';
import { onInterrupt } from '../signals.ts';

/** A configuration as text and as what came of it. */
export interface MeshOnDisk {
  configFile: string;
  text: string;
  services: Record<string, { cwd?: string }>;
  resources: string[];
}

interface RawConfig {
  services: Record<string, { cwd?: string }>;
  resources?: Record<string, unknown>;
}

/** @returns what is wrong with a configuration that is not valid: nothing is added to one */
export async function readMesh(configFile: string): Promise<Result<MeshOnDisk>> {
  const loaded = await loadOnce(configFile);
  if (!loaded.ok) return loaded;
  const { services, resources = {} } = loaded.value.raw as RawConfig;
  return ok({ configFile, text: readFileSync(configFile, 'utf8'), services, resources: Object.keys(resources) });
}

/**
 * What would be wrong with the configuration if it were this text: evaluated beside it, where its imports resolve, it
 * must be valid and, but for the entries named, mean what it meant.
 */
export async function checkText(
  { configFile, text: before }: MeshOnDisk,
  text: string,
  added: { services: readonly string[]; resources: readonly string[] },
): Promise<readonly Problem[]> {
  const old = await evaluated(configFile, before);
  const now = await evaluated(configFile, text);
  if (!now.ok) return now.problems;
  if (!old.ok) return old.problems;
  const rest = without(now.value, added);
  const wanted = without(old.value, { services: [], resources: [] });
  if (isDeepStrictEqual(rest, wanted)) return [];
  return [
    {
      ...problem('MESH-N156', {
        message: 'adding to it would change what it means',
        hint: 'add the service by hand: `--dry-run` shows the lines',
      }),
      file: configFile,
    },
  ];
}

async function evaluated(configFile: string, text: string): Promise<Result<RawConfig>> {
  const { dir, name, ext } = path.parse(configFile);
  const file = path.join(dir, `.${name}.mesh-new-${process.pid}${ext}`);
  try {
    writeFileSync(file, text);
    const loaded = await loadOnce(file);
    if (loaded.ok) return ok(loaded.value.raw as RawConfig);
    const problems = loaded.problems.map((each) => (each.file === file ? { ...each, file: configFile } : each));
    return { ok: false, problems };
  } catch (error) {
    const { message } = error as Error;
    const hint = 'check free space and who may write there';
    return { ok: false, problems: [problem('MESH-N157', { message, hint })] };
  } finally {
    rmSync(file, { force: true });
  }
}

function without(
  { resources = {}, services, ...rest }: RawConfig,
  added: { services: readonly string[]; resources: readonly string[] },
): unknown {
  const kept = (record: object, names: readonly string[]) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));
  return { ...rest, services: kept(services, added.services), resources: kept(resources, added.resources) };
}

/** Runs a step after scaffolding; never rejects. */
export function runStep(argv: readonly string[], cwd: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    // A group of its own, so that an interruption ends all of it, and only once.
    const child = spawn(argv[0], argv.slice(1), { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const leave = onInterrupt(() => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
    });
    const settle = (code: number | null, output: string): void => {
      leave();
      resolve({ code, output });
    };
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-8_192);
      });
    }
    child.once('error', ({ message }) => settle(null, message));
    child.once('close', (code) => settle(code, output));
  });
}
