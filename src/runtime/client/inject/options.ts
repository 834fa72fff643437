import type { Protocol } from '../../../model/config.ts';
import { problem } from '../../../model/errors.ts';
import type { InjectionRequest, Takeover } from '../../../model/injection.ts';
import { fail, ok, type Result } from '../../../model/result.ts';
import type { MeshStatus } from '../../../model/status.ts';
import {
  byAddress,
  findTarget,
  type InjectionTarget,
  type OwnProcesses,
  parseAddress,
  suggestedName,
} from '../../injection/target.ts';

/** What the command line of `mesh inject` says, whatever is injected. */
export interface InjectFlags {
  as?: string;
  protocol?: string;
  takeover: boolean;
  match?: string;
  weight?: number;
  sticky: boolean;
  transparent: boolean;
  attach: boolean;
}

export const PROTOCOLS = ['http', 'http2', 'grpc', 'tcp'] as const satisfies readonly Protocol[];

/** `--match` and `--weight` are ways to take over, so they need not be said twice. */
export function parseTakeover({ takeover, match, weight }: InjectFlags): Result<Takeover | null> {
  if (match !== undefined) {
    const parts = /^header=([^:=\s]+):(.*)$/.exec(match);
    if (parts === null)
      return fail(
        problem('MESH-J111', {
          message: `\`--match ${match}\` does not say which header has which value`,
          hint: '`--match header=x-dev:me`',
        }),
      );
    return ok({ kind: 'match', header: parts[1].toLowerCase(), value: parts[2].trim() });
  }
  if (weight !== undefined) return ok({ kind: 'weight', weight });
  return ok(takeover ? { kind: 'all' } : null);
}

/** The processes that are the mesh, or that it runs; not those that were injected. */
function ownProcesses({ pid, dataPlanePids, services }: MeshStatus): ReadonlyMap<number, string> {
  const ours = new Map<number, string>([[pid, 'the daemon of this mesh']]);
  for (const each of dataPlanePids) ours.set(each, 'the data plane of this mesh');
  for (const { instances } of services)
    for (const instance of instances)
      if (instance.pid !== null && instance.injected !== true)
        ours.set(instance.pid, `${instance.id}, which the mesh runs`);
  return ours;
}

/**
 * The request for something that listens already. `target`: PORT, PID, NAME or HOST:PORT; `address`: HOST:PORT.
 * @param status called only where the answer is needed
 */
export async function requestFor(
  given: { target: string | undefined; address: string | undefined },
  flags: InjectFlags,
  status: () => Promise<MeshStatus>,
): Promise<Result<InjectionRequest>> {
  const takeover = parseTakeover(flags);
  if (!takeover.ok) return takeover;
  const found = await targetOf(given, async () => ownProcesses(await status()));
  if (!found.ok) return found;
  const { host, port, pid } = found.value;
  if (takeover.value !== null && flags.as === undefined)
    return fail(
      problem('MESH-J111', {
        message: '`--takeover` needs to know of which service',
        hint: 'name it with `--as SERVICE`',
      }),
    );
  return ok({
    service: flags.as ?? suggestedName(found.value),
    target: { kind: 'address', host, port },
    pid,
    protocol: (flags.protocol as Protocol | undefined) ?? null,
    takeover: takeover.value,
    sticky: flags.sticky,
    transparent: flags.transparent,
    attach: flags.attach,
  });
}

async function targetOf(
  { target, address }: { target: string | undefined; address: string | undefined },
  ours: OwnProcesses,
): Promise<Result<InjectionTarget>> {
  if ((address === undefined) === (target === undefined || target === ''))
    return fail(
      problem('MESH-J111', {
        message: address === undefined ? 'say what to inject' : '`--address` takes the place of TARGET',
        hint: '`mesh inject PORT` (or PID, NAME, HOST:PORT), or `mesh inject --as NAME -- COMMAND`',
      }),
    );
  if (address === undefined) return findTarget(target ?? '', ours);
  const parsed = parseAddress(address);
  if (parsed === null)
    return fail(problem('MESH-J111', { message: `\`${address}\` is no address`, hint: '`--address 10.0.0.5:8080`' }));
  return byAddress(parsed);
}
