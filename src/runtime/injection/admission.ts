import { problem } from '../../model/errors.ts';
import type { InjectionRequest } from '../../model/injection.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { InstanceStatus } from '../../model/status.ts';
import { describeOwner, listenerOf } from '../state/port-owner.ts';
import { commandOf } from '../state/process-table.ts';
import { isLocal, refusalOf, refusedProtocol } from './checks.ts';
import type { InjectionsOptions } from './contract.ts';
import { type Detected, detectProtocol } from './detect.ts';
import type { Injected } from './injected.ts';

export interface Admitted {
  pid: number | null;
  detected: Detected;
}

type Surroundings = Pick<InjectionsOptions, 'network' | 'config' | 'own' | 'describeProcess'>;

/**
 * Whether a process may come in, and what it is: nothing is changed by that.
 * @param taken injected as the same service already
 * @returns MESH-J1xx with what is in the way
 */
export async function admit(
  request: InjectionRequest,
  taken: Injected | undefined,
  mesh: Surroundings,
): Promise<Result<Admitted>> {
  const { service, takeover } = request;
  const declared = mesh.config().services[service];
  const running = mesh.own.status().some(({ name, instances }) => name === service && isBusy(instances));
  const refusal = refusalOf(request, { declared, taken, running });
  if (refusal !== null) return fail(refusal);
  const owner = await ownerOf(request, mesh);
  if (!owner.ok) return owner;
  const found = await protocolFor(request, declared?.protocol ?? null, owner.value.command);
  if (!found.ok) return found;
  const mismatch = declared === undefined ? null : refusedProtocol(declared, found.value.protocol, takeover);
  if (mismatch !== null) return fail(mismatch);
  return ok({ pid: owner.value.pid, detected: found.value });
}

const isBusy = (instances: readonly InstanceStatus[]): boolean =>
  instances.some(({ state }) => state === 'ready' || state === 'starting' || state === 'unhealthy');

/** Who listens there. Problems: it is the mesh itself, or for a process yet to start that somebody does at all. */
async function ownerOf(
  { target, pid }: InjectionRequest,
  { network, describeProcess }: Surroundings,
): Promise<Result<{ pid: number | null; command: string }>> {
  const { port } = target;
  if (port === null || (target.kind === 'address' && !isLocal(target.host))) return ok({ pid, command: '' });
  const host = target.kind === 'address' ? target.host : null;
  const ours = network.describePort(port, host ?? undefined);
  if (ours !== null)
    return fail(
      problem('MESH-J105', { message: `port ${port} is ${ours}`, hint: 'see `mesh ps` for what is in the mesh' }),
    );
  // The client has looked already; to look again takes as long as all the rest.
  const owner = pid === null || target.kind === 'own' ? await listenerOf(port, host) : { pid, command: commandOf(pid) };
  const part = owner?.pid == null ? null : describeProcess(owner.pid);
  if (part !== null)
    return fail(
      problem('MESH-J105', { message: `port ${port} belongs to ${part}`, hint: 'it is in the mesh already' }),
    );
  if (target.kind === 'own' && owner !== null)
    return fail(
      problem('MESH-N101', {
        message: `port ${port} is in use by ${describeOwner(owner)}`,
        hint: `choose another one, or inject that process: \`mesh inject ${port}\``,
      }),
    );
  return ok({ pid: pid ?? owner?.pid ?? null, command: owner?.command ?? '' });
}

async function protocolFor(
  { target, protocol }: InjectionRequest,
  configured: Detected['protocol'] | null,
  command: string,
): Promise<Result<Detected>> {
  const wanted = protocol ?? configured;
  const protocolFrom = protocol !== null ? 'declared' : configured !== null ? 'configured' : 'assumed';
  if (target.kind === 'own') return ok({ protocol: wanted ?? 'http', protocolFrom, tls: false });
  const { host, port } = target;
  const found = await detectProtocol({ host, port, command, local: isLocal(host), wanted });
  if (found.ok && protocol === null) return found;
  // What cannot be told is as it was said, as long as something is there at all.
  if (!found.ok && (found.problems[0].code !== 'MESH-J108' || wanted === null)) return found;
  const tls = found.ok && found.value.tls && wanted !== 'tcp';
  return ok({ protocol: wanted ?? 'http', protocolFrom, tls });
}
