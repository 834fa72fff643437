import type { EndpointState } from '../../model/snapshot.ts';

/** Ports of one instance, bound (mesh's own) or reserved (the application's) before its process starts. */
export interface InstancePorts {
  /** Where the application must listen: PORT. Null: it takes no requests (a task without a port). */
  app: number | null;
  inbound: number;
  outbound: number;
  /** By service name in `dependsOn`, `gateway` included: the local port that stands for it. */
  dependencies: Record<string, number>;
}

/** What the supervisor needs from the rest of the daemon to run instances. Implemented by the daemon. */
export interface InstanceNetwork {
  /** Ports for an instance; the same instance gets the same mesh ports again for as long as the mesh runs. */
  open(instance: { id: string; service: string; subset: string }): Promise<InstancePorts>;
  /** A further application port for the same instance, for a successor process that starts beside the old one. */
  nextAppPort(id: string): Promise<number>;
  /** Variables for CA bundles and telemetry, on top of those that follow from the ports. */
  environment(id: string): Record<string, string>;
  /**
   * The instance's endpoint now is in this state with this application port. Resolves when every data plane has it
   * in force, so that a `draining` old process can be stopped without a failed request.
   */
  publish(id: string, state: EndpointState, appPort: number | null): Promise<void>;
  /** Requests in flight towards the application port; used to drain. */
  inFlight(id: string, appPort: number): number;
  /** The instance is gone for good (scaled down, service removed): its ports are released. */
  close(id: string): Promise<void>;
}
