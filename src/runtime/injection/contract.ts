import type { ResolvedConfig } from '../../model/resolved.ts';
import type { Problem, Result } from '../../model/result.ts';
import type { ServiceStatus } from '../../model/status.ts';
import type { Svid } from '../identity/certificate-authority.ts';
import type { MeshNetwork } from '../network/mesh-network.ts';
import type { Injected } from './injected.ts';
import type { Interception } from './interception.ts';

/** What injections need of the rest of the daemon. */
export interface InjectionsOptions {
  /** `.mesh`. */
  stateDir: string;
  network: MeshNetwork;
  /** What the user wrote, as far as it is part of this run. */
  config: () => ResolvedConfig;
  /** A service of the configuration that is no part of this run becomes one: it is about to be injected. */
  select: (service: string) => void;
  /** Brings the overlay and the network into force in every data plane. */
  publish: () => Promise<Result<unknown>>;
  identity: { ensure(service: string): Result<Svid>; forget(service: string): void };
  /** The mesh's own instances. */
  own: {
    isWanted(service: string): boolean;
    status(): readonly ServiceStatus[];
    start(service: string): Promise<Result<void>>;
    stop(service: string): Promise<Result<void>>;
  };
  /** What a process of the workload needs; `config` has the injections on it. */
  environment: (injected: Injected, config: ResolvedConfig) => Record<string, string>;
  /** What of the mesh, other than ports of its network, a process is; null: nothing. */
  describeProcess: (pid: number) => string | null;
  trust: () => { anchors: readonly string[]; trustDomain: string };
  interceptions: readonly Interception[];
  notice: (level: 'info' | 'warning' | 'error', service: string, text: string, problems?: readonly Problem[]) => void;
  changed: () => void;
}
