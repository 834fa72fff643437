import type { InjectionRequest } from '../../model/injection.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import { ok, type Result } from '../../model/result.ts';
import { readEnvFiles } from '../supervisor/instance-environment.ts';

/** A process that runs has its environment; one that is to be started must not begin with half of it. MESH-P108. */
export function checkEnvFiles(config: ResolvedConfig, { service, target }: InjectionRequest): Result<unknown> {
  return target.kind === 'own' && service in config.services ? readEnvFiles(config.services[service]) : ok({});
}

/** What the env files of a service say, as far as they can be read. */
export function fileVariables(config: ResolvedConfig, service: string): Record<string, string> {
  const files = service in config.services ? readEnvFiles(config.services[service]) : ok({});
  return files.ok ? files.value : {};
}
