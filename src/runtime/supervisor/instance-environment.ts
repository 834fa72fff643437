import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { problem } from '../../model/errors.ts';
import type { ResolvedService, ResolvedSubset } from '../../model/resolved.ts';
import { fail, ok, type Result } from '../../model/result.ts';

/** Variables of the daemon's own that mean something else in a service: its IPC channel, and the mesh it may run in. */
const NOT_INHERITED = ['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE', 'NODE_UNIQUE_ID', 'MESH_PROCESS_ID'];

/**
 * Environment of an instance; later wins: inherited, env files, what mesh sets, `env` of the service, of the subset.
 * MESH-P108: an env file cannot be read.
 */
export function instanceEnvironment(
  inherited: Readonly<Record<string, string | undefined>>,
  service: ResolvedService,
  subset: ResolvedSubset,
  fromMesh: Readonly<Record<string, string>>,
): Result<Record<string, string | undefined>> {
  const env: Record<string, string | undefined> = { ...inherited };
  for (const name of NOT_INHERITED) delete env[name];
  for (const file of service.envFiles) {
    try {
      Object.assign(env, parseEnv(readFileSync(file, 'utf8')));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return fail(
        problem('MESH-P108', {
          message: `${service.name}: cannot read ${file}: ${code === 'ENOENT' ? 'there is no such file' : message}`,
          hint: 'correct `envFile`, which is relative to the config file',
          path: ['services', service.name, 'envFile'],
        }),
      );
    }
  }
  return ok({ ...env, ...fromMesh, ...service.env, ...subset.env });
}
