import path from 'node:path';
import { ok, type Result } from '../../model/result.ts';
import { CONFIG_NAMES, findConfig } from '../config/find-config.ts';
import { controlSocketPath } from '../control/socket-path.ts';
import { findMeshDirectory } from '../state/mesh-directory.ts';

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
 * The mesh a command is about: that of `--config`, or of the nearest configuration from the working directory upwards.
 * Unless `needsConfig`, a state directory without one does as well: a mesh whose configuration was deleted or renamed
 * while it runs can still be stopped.
 * @returns MESH-C001 if there is none.
 */
export function locateMesh(cwd: string, config: string | undefined, needsConfig: boolean): Result<MeshLocation> {
  const found = findConfig(cwd, config);
  if (found.ok) return ok(locationOf(found.value));
  if (needsConfig) return found;
  if (config !== undefined) return ok(locationOf(path.resolve(cwd, config)));
  for (let directory = cwd; ; directory = path.dirname(directory)) {
    if (findMeshDirectory(directory) !== null) return ok(locationOf(path.join(directory, CONFIG_NAMES[0])));
    if (path.dirname(directory) === directory) return found;
  }
}

function locationOf(configFile: string): MeshLocation {
  const baseDir = path.dirname(configFile);
  const stateDir = path.join(baseDir, '.mesh');
  const socketPath = findMeshDirectory(baseDir)?.controlSocket ?? controlSocketPath(stateDir);
  return { configFile, baseDir, stateDir, socketPath };
}
