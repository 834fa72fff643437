import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { fail, ok, type Result } from '../../model/result.ts';
import { controlSocketPath } from '../control/socket-path.ts';
import { findMeshDirectory } from '../state/mesh-directory.ts';

export const CONFIG_FILE = 'mesh.config.ts';

/** Where a mesh is, whether it runs or not. */
export interface MeshLocation {
  /** Absolute. */
  configFile: string;
  baseDir: string;
  /** `.mesh/` beside the config. */
  stateDir: string;
  socketPath: string;
}

/**
 * The mesh a command is about: that of `--config`, or of the nearest `mesh.config.ts` from the working directory
 * upwards. A state directory without a config counts too unless `needsConfig`: a mesh whose config was deleted or
 * renamed while it runs can still be stopped.
 * @returns MESH-C001 if there is none.
 */
export function locateMesh(cwd: string, config: string | undefined, needsConfig: boolean): Result<MeshLocation> {
  if (config !== undefined) {
    const named = path.resolve(cwd, config);
    const file = statSync(named, { throwIfNoEntry: false })?.isDirectory() ? path.join(named, CONFIG_FILE) : named;
    if (needsConfig && !existsSync(file)) {
      return fail({
        code: 'MESH-C001',
        message: `there is no file ${file}`,
        hint: 'give `--config` the path of a mesh.config.ts',
      });
    }
    return ok(locationOf(file));
  }
  for (let directory = cwd; ; directory = path.dirname(directory)) {
    const file = path.join(directory, CONFIG_FILE);
    if (existsSync(file) || (!needsConfig && findMeshDirectory(directory) !== null)) return ok(locationOf(file));
    if (path.dirname(directory) === directory) break;
  }
  return fail({
    code: 'MESH-C001',
    message: `there is no ${CONFIG_FILE} in ${cwd} or above it`,
    hint: 'write one with `mesh init`, or name one with `--config FILE`',
  });
}

function locationOf(configFile: string): MeshLocation {
  const baseDir = path.dirname(configFile);
  const stateDir = path.join(baseDir, '.mesh');
  const socketPath = findMeshDirectory(baseDir)?.controlSocket ?? controlSocketPath(stateDir);
  return { configFile, baseDir, stateDir, socketPath };
}
