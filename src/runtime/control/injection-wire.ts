/** Injections between the model's types and the messages of injection.proto, as wire.ts does it for the rest. */
import type { Protocol } from '../../model/config.ts';
import type { Coverage, InjectionRequest, InjectionStatus, Takeover } from '../../model/injection.ts';
import { timeFromWire, timeToWire } from './wire.ts';

export type InjectMessage = ReturnType<typeof injectionRequestToWire>;
export type InjectionMessage = ReturnType<typeof injectionToWire>;
type TakeoverMessage = ReturnType<typeof takeoverToWire>;

function takeoverToWire(takeover: Takeover | null) {
  return takeover === null
    ? null
    : {
        all: takeover.kind === 'all' ? {} : undefined,
        match: takeover.kind === 'match' ? { header: takeover.header, value: takeover.value } : undefined,
        weight: takeover.kind === 'weight' ? takeover.weight : undefined,
      };
}

function takeoverFromWire(wire: TakeoverMessage | undefined): Takeover | null {
  if (wire === null || wire === undefined) return null;
  const { match, weight } = wire;
  if (match) return { kind: 'match', header: match.header, value: match.value };
  if (wire.all) return { kind: 'all' };
  return { kind: 'weight', weight: weight ?? 0 };
}

export function injectionRequestToWire(request: InjectionRequest) {
  const { target, takeover, ...rest } = request;
  return {
    ...rest,
    address: target.kind === 'address' ? { host: target.host, port: target.port } : undefined,
    own: target.kind === 'own' ? { port: target.port } : undefined,
    takeover: takeoverToWire(takeover),
  };
}

export function injectionRequestFromWire(wire: InjectMessage): InjectionRequest {
  const { service, address, own, pid, protocol, takeover, sticky, transparent, attach } = wire;
  return {
    service,
    target: address
      ? { kind: 'address', host: address.host, port: address.port }
      : { kind: 'own', port: own?.port ?? null },
    pid: pid ?? null,
    protocol: (protocol as Protocol | undefined) ?? null,
    takeover: takeoverFromWire(takeover),
    sticky,
    transparent,
    attach,
  };
}

const coverageToWire = (coverage: Coverage) => ({
  ...coverage,
  direction: `DIRECTION_${coverage.direction.toUpperCase()}`,
});

export function injectionToWire(status: InjectionStatus) {
  return {
    ...status,
    state: `STATE_${status.state.toUpperCase()}`,
    takeover: takeoverToWire(status.takeover),
    injectedAt: timeToWire(status.injectedAt),
    coverage: status.coverage.map(coverageToWire),
  };
}

export function injectionFromWire(wire: InjectionMessage): InjectionStatus {
  return {
    instance: wire.instance,
    service: wire.service,
    pid: wire.pid ?? null,
    host: wire.host,
    port: wire.port,
    protocol: wire.protocol,
    protocolFrom: wire.protocolFrom,
    state: wire.state.slice('STATE_'.length).toLowerCase() as InjectionStatus['state'],
    inboundPort: wire.inboundPort,
    outboundPort: wire.outboundPort,
    spiffeId: wire.spiffeId,
    takeover: takeoverFromWire(wire.takeover),
    sticky: wire.sticky,
    transparent: wire.transparent,
    attach: wire.attach,
    injectedAt: timeFromWire(wire.injectedAt),
    environment: { ...wire.environment },
    coverage: wire.coverage.map(({ direction, subject, covered, detail, fix }) => ({
      direction: direction === 'DIRECTION_INBOUND' ? 'inbound' : 'outbound',
      subject,
      covered,
      detail,
      fix,
    })),
  };
}
