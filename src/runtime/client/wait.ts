import { fail, ok, type Result } from '../../model/result.ts';
import type { ControlClient } from '../control/client.ts';
import { knownServices } from './arguments.ts';
import { type Goal, type Readiness, readinessOf } from './readiness.ts';

/**
 * @returns MESH-U103 if there is no such service, MESH-P103 if it will not get there by itself, MESH-U105 if it does
 * not within the limit.
 */
export async function waitFor(
  client: ControlClient,
  service: string,
  goal: Goal,
  timeoutMs: number,
): Promise<Result<void>> {
  const limit = AbortSignal.timeout(timeoutMs);
  let last: Readiness = { kind: 'reached' };
  for await (const status of client.watchStatus(limit)) {
    const known = knownServices(status, [service]);
    if (!known.ok) return known;
    last = readinessOf(status, goal, [service]);
    if (last.kind === 'reached') return ok(undefined);
    if (last.kind === 'failed') {
      return fail(
        ...last.instances.map(({ instance, why }) => ({
          code: 'MESH-P103',
          message: `${instance} ${why}`,
          hint: `see \`mesh logs ${service}\`; \`mesh start ${service}\` tries again`,
        })),
      );
    }
  }
  if (!limit.aborted) {
    if (goal === 'stopped') return ok(undefined);
    return fail({ code: 'MESH-R106', message: 'the mesh was stopped meanwhile', hint: 'start it with `mesh up`' });
  }
  const instances = last.kind === 'reached' ? [] : last.instances;
  return fail({
    code: 'MESH-U105',
    message: `${service} is not ${goal} after ${timeoutMs / 1000} s: ${instances.map(({ instance, why }) => `${instance} ${why}`).join('; ')}`,
    hint: `see \`mesh logs ${service}\`, or wait longer with --timeout`,
  });
}
