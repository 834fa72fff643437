import type { Coverage } from '../../model/injection.ts';
import type { Result } from '../../model/result.ts';

/** An injected workload as an interception sees it. */
export interface InterceptedWorkload {
  /** `orders-injected-1`. */
  readonly instance: string;
  readonly service: string;
  /** Root of the process tree. */
  readonly pid: number;
  /** Where the application listens. */
  readonly app: { readonly host: string; readonly port: number };
  readonly inboundPort: number;
  /** Plain HTTP, any service by authority; also an HTTP proxy (absolute-form and CONNECT). */
  readonly outboundPort: number;
  /** By service: the local port of the outbound side that stands for that service alone, any protocol. */
  readonly destinations: Readonly<Record<string, number>>;
  /** By service: application addresses (`host`, `port`) of its instances, which clients may have been configured with. */
  readonly applicationPorts: Readonly<Record<string, readonly { host: string; port: number }[]>>;
}

/**
 * A way to lead a live process's traffic through its proxy without its help. `apply` is called again when destinations
 * change. What it did to the system is in the ledger before it is done, and undone by `remove`, also by a later daemon.
 */
export interface Interception {
  readonly name: 'transparent' | 'attach';
  /** Problems: nothing was changed. */
  apply(workload: InterceptedWorkload): Promise<Result<Coverage[]>>;
  /** Undoes it; also when the process is gone. */
  remove(instance: string): Promise<Result<void>>;
  /** Undoes what a daemon that died left behind. */
  recover(): Promise<void>;
}
