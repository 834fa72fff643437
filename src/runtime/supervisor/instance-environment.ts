import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { problem } from '../../model/errors.ts';
import type { ResolvedService } from '../../model/resolved.ts';
import { fail, ok, type Result } from '../../model/result.ts';

/** Variables that mean something else in a service: the daemon's IPC channel, and the mesh it may run in itself. */
const NOT_INHERITED = [
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
  'NODE_UNIQUE_ID',
  'MESH_PROCESS_ID',
  'MESH_INSTANCE',
  'PORT',
];

/** What a service's process inherits from whoever started the mesh. */
export function inheritedEnvironment(
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const env = { ...own };
  for (const name of NOT_INHERITED) delete env[name];
  return env;
}

/** What the service's env files say, later ones on top. MESH-P108: one of them cannot be read. */
export function readEnvFiles(service: ResolvedService): Result<Record<string, string>> {
  const env: Record<string, string> = {};
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
  return ok(env);
}
