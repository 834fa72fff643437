import { networkInterfaces } from 'node:os';
import type { Protocol } from '../../model/config.ts';
import { problem } from '../../model/errors.ts';
import type { InjectionRequest, Takeover } from '../../model/injection.ts';
import type { ResolvedService } from '../../model/resolved.ts';
import type { Problem } from '../../model/result.ts';
import type { Injected } from './injected.ts';

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** RFC 9110, section 5.1. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Whether an address is one of this machine: of loopback, or of an interface. */
export function isLocal(host: string): boolean {
  const address = host.replace(/^::ffff:/, '');
  if (address === 'localhost' || address === '::1' || address.startsWith('127.')) return true;
  return Object.values(networkInterfaces()).some((all) => all?.some((each) => each.address === address));
}

export interface Circumstances {
  /** In the configuration. */
  readonly declared: ResolvedService | undefined;
  /** Injected as this service already. */
  readonly taken: Injected | undefined;
  /** The mesh runs instances of it. */
  readonly running: boolean;
}

/** Why a request cannot be met whatever is found at its address; null: it may. */
export function refusalOf(request: InjectionRequest, { declared, taken, running }: Circumstances): Problem | null {
  const { service, takeover } = request;
  if (!NAME.test(service) || service === 'gateway')
    return problem('MESH-J111', {
      message: `${JSON.stringify(service)} cannot be the name of a service`,
      hint: 'lowercase letters, digits and -, at most 63; `gateway` is taken',
    });
  if (taken !== undefined)
    return problem('MESH-J106', {
      message: `${taken.instance} (${taken.host}:${taken.port}) is injected as ${service} already`,
      hint: `\`mesh eject ${service}\` frees the name; \`--as\` gives another one`,
    });
  if (takeover === null) {
    if (declared === undefined) return null;
    if (declared.task) return problem('MESH-J109', { message: `${service} is a task, which takes no requests` });
    if (!running && declared.external === null) return null;
    return problem('MESH-J106', {
      message: `${service} is a service of this mesh${running ? ' and runs' : ''}`,
      hint: `\`--takeover\` sends its requests to your process; \`--as\` gives it another name`,
    });
  }
  return takeoverRefusal(service, takeover, declared);
}

function takeoverRefusal(service: string, takeover: Takeover, declared: ResolvedService | undefined): Problem | null {
  if (declared === undefined)
    return problem('MESH-J109', {
      message: `there is no service ${service} to take over`,
      hint: 'leave `--takeover` out to add it to the mesh',
    });
  if (declared.task) return problem('MESH-J109', { message: `${service} is a task, which takes no requests` });
  if (takeover.kind !== 'all' && declared.external !== null)
    return problem('MESH-J109', {
      message: `${service} is external: it can be taken over as a whole only`,
      hint: 'leave `--match` and `--weight` out',
    });
  if (takeover.kind === 'match' && declared.protocol === 'tcp')
    return problem('MESH-J109', {
      message: `${service} speaks raw TCP, which has no headers to match`,
      hint: 'use `--weight`, or take over all of it',
    });
  if (takeover.kind === 'match' && (!HEADER_NAME.test(takeover.header) || /[\r\n\0]/.test(takeover.value)))
    return problem('MESH-J111', {
      message: `${JSON.stringify(takeover.header)} cannot be the name of a header`,
      hint: '`--match header=x-dev:me`',
    });
  if (takeover.kind === 'weight' && !(takeover.weight > 0 && takeover.weight < 100))
    return problem('MESH-J111', {
      message: `a weight of ${takeover.weight} is not a share`,
      hint: '`--weight` is a number from 1 to 99; without it `--takeover` sends all requests',
    });
  return null;
}

const carriesHttp = (protocol: Protocol): boolean => protocol !== 'tcp';

/** A process that is found to speak something else than the service that it is to be; null: it fits. */
export function refusedProtocol(service: ResolvedService, found: Protocol, takeover: Takeover | null): Problem | null {
  const { name, protocol } = service;
  const alone = takeover?.kind === 'all';
  const fits = alone || carriesHttp(protocol) === carriesHttp(found);
  if (fits && !(protocol === 'grpc' && found === 'http')) return null;
  return problem('MESH-J109', {
    message: `${name} speaks ${protocol}, and your process ${found}`,
    hint: 'if the probe is wrong, say it with `--protocol`',
  });
}
