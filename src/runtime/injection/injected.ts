import type { Protocol } from '../../model/config.ts';
import type { InjectedService } from '../../model/injected-config.ts';
import type { Coverage, InjectionStatus, Takeover } from '../../model/injection.ts';
import type { EndpointState } from '../../model/snapshot.ts';
import type { InstanceStatus } from '../../model/status.ts';
import type { InstancePorts } from '../supervisor/contract.ts';

/** Requests to a service whose only process just went away wait so long for it to come back, if it is `sticky`. */
const EXPECTED_BACK_MS = 10_000;

/** One process that mesh did not start, as the daemon knows it. */
export interface Injected {
  readonly instance: string;
  readonly service: string;
  /** Its client starts it, or started it. */
  readonly own: boolean;
  /** The configuration did not know the service when the process came. */
  readonly isNew: boolean;
  readonly host: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly protocolFrom: string;
  readonly tls: boolean;
  /** With `startTime`, which tells it from a later process of the same pid; both null: not known. */
  pid: number | null;
  startTime: string | null;
  readonly takeover: Takeover | null;
  readonly sticky: boolean;
  readonly transparent: boolean;
  readonly attach: boolean;
  readonly injectedAt: string;
  state: InjectionStatus['state'];
  /** No new requests for it: it drains. */
  leaving: boolean;
  /** The mesh's own instances ran before, and are to run again. */
  restoreOwn: boolean;
  ports: InstancePorts;
  coverage: Coverage[];
  /** When it went away, by `performance.now()`. */
  goneAtMs: number;
}

/** What it gets of the requests of its service; `declared`: the configuration knows that service. */
export function shareOf(injected: Injected, declared: boolean): InjectedService['share'] {
  const { state, leaving, takeover, isNew } = injected;
  if (leaving || state === 'waiting' || state === 'gone') return takeover === null && !isNew ? 'joined' : 'aside';
  if (takeover !== null) return takeover;
  // A service that the configuration got to know later keeps going to the process that was injected as it.
  return isNew && declared ? { kind: 'all' } : 'joined';
}

export function endpointStateOf({ state, leaving, sticky, goneAtMs }: Injected, nowMs: number): EndpointState {
  if (leaving) return 'draining';
  switch (state) {
    case 'waiting':
      return 'starting';
    case 'gone':
      return sticky && nowMs - goneAtMs < EXPECTED_BACK_MS ? 'starting' : 'down';
    default:
      return 'ready';
  }
}

/** For people: what it gets. */
export function describeTakeover(takeover: Takeover | null): string {
  switch (takeover?.kind) {
    case 'all':
      return 'takes all requests';
    case 'match':
      return `takes requests with ${takeover.header}: ${takeover.value}`;
    case 'weight':
      return `takes ${takeover.weight} % of the requests`;
    default:
      return '';
  }
}

const STATES = { waiting: 'starting', ready: 'ready', gone: 'stopped', ejecting: 'stopping' } as const;

/** As a row of `mesh ps`. */
export function instanceStatus(injected: Injected, subset: string, spiffeId: string): InstanceStatus {
  const { instance, state, pid, port, ports, host, takeover, injectedAt } = injected;
  const where = host === '127.0.0.1' || host === '::1' ? '' : ` from ${host}`;
  const notes = [`injected${where}`, describeTakeover(takeover)];
  if (state === 'waiting') notes.push(`waits for port ${port}`);
  if (state === 'gone') notes.push(`gone; taken in again when something listens on port ${port}`);
  return {
    id: instance,
    subset,
    state: STATES[state],
    reason: notes.filter((note) => note !== '').join(', '),
    pid,
    appPort: port,
    inboundPort: ports.inbound,
    outboundPort: ports.outbound,
    restarts: 0,
    startedAt: injectedAt,
    readyAfterMs: null,
    spiffeId,
    injected: true,
  };
}
