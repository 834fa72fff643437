import type { InstanceState } from '../../model/compile.ts';
import type { ResolvedConfig } from '../../model/resolved.ts';
import type { EndpointState } from '../../model/snapshot.ts';
import type { InstanceNetwork, InstancePorts } from '../supervisor/contract.ts';
import type { AppPorts } from './app-ports.ts';
import { type BoundSocket, bindSocket } from './bound-socket.ts';

export interface MeshNetworkOptions {
  config: () => ResolvedConfig;
  /** Brings what changed here into force in every data plane. */
  publish: () => Promise<unknown>;
  /** Port of the gateway, for services that call it; null: it has none. */
  gatewayPort: () => number | null;
  /** Variables that are the same for every instance. */
  environment: (service: string, ports: InstancePorts) => Record<string, string>;
  appPorts: AppPorts;
}

const LOOPBACK = '127.0.0.1';

interface Member {
  id: string;
  service: string;
  subset: string;
  state: EndpointState;
  ports: InstancePorts;
  /** Of injected ones. */
  application?: InstanceState['application'];
}

/** An application that mesh did not start. */
export interface AdoptedApplication extends NonNullable<InstanceState['application']> {
  readonly port: number;
}

/** Ports that an instance had under an earlier daemon and its process may still know. */
export type FormerPorts = Pick<InstancePorts, 'inbound' | 'outbound' | 'dependencies'>;

/** The ports of all instances: bound here, lent to the data planes, told to the processes. */
export class MeshNetwork implements InstanceNetwork {
  private readonly members = new Map<string, Member>();
  /** By listener name. */
  private readonly sockets = new Map<string, BoundSocket>();
  /** Requests under way towards application ports that are no longer in force: by `<instance>:<port>`, then by data plane. */
  private readonly leaving = new Map<string, Map<number, number>>();

  constructor(private readonly options: MeshNetworkOptions) {}

  socket(listener: string): BoundSocket | undefined {
    return this.sockets.get(listener);
  }

  /** Of an instance; empty where there is none of that name. */
  subset(id: string): string {
    return this.members.get(id)?.subset ?? '';
  }

  /** In force for an instance now. */
  ports(id: string): InstancePorts | undefined {
    return this.members.get(id)?.ports;
  }

  /** Of an instance's endpoint. */
  stateOf(id: string): EndpointState | undefined {
    return this.members.get(id)?.state;
  }

  /** For `compile`. */
  instances(): InstanceState[] {
    return [...this.members.values()].map((member) => ({ ...member }));
  }

  /** Puts a socket that was bound elsewhere, the gateway's, under its listener's name. The one before is the caller's now. */
  exchange(listener: string, socket: BoundSocket | undefined): BoundSocket | undefined {
    const before = this.sockets.get(listener);
    if (socket === undefined) this.sockets.delete(listener);
    else this.sockets.set(listener, socket);
    return before;
  }

  private release(listener: string): void {
    this.sockets.get(listener)?.close();
    this.sockets.delete(listener);
  }

  async open(instance: { id: string; service: string; subset: string }): Promise<InstancePorts> {
    const { id } = instance;
    const service = this.options.config().services[instance.service];
    const dependencies = this.bindDependencies(id, instance.service);
    const takesRequests = !service.task || service.port !== null;
    const ports: InstancePorts = {
      app: takesRequests ? (service.port ?? (await this.options.appPorts.next())) : null,
      inbound: this.bind(`${id}/inbound`),
      outbound: this.bind(`${id}/outbound`),
      dependencies,
    };
    const known = this.members.get(id);
    // An instance that is started again keeps its old application's port in force until it says otherwise.
    if (known !== undefined)
      ports.app = takesRequests && service.port === null ? ports.app : (service.port ?? ports.app);
    this.members.set(id, {
      ...instance,
      state: known?.state ?? 'starting',
      ports: { ...ports, app: known?.ports.app ?? ports.app },
    });
    await this.options.publish();
    return ports;
  }

  /**
   * Ports for an instance that mesh did not start, and its endpoint in this state. In force with the next publication.
   * Called again when its service's dependencies have changed: ports that it has are kept.
   * @param former bound again where they are free
   * @throws if there are no ports left
   */
  adopt(
    instance: { id: string; service: string; subset: string },
    application: AdoptedApplication,
    state: EndpointState,
    former?: FormerPorts,
  ): InstancePorts {
    const { id } = instance;
    const { host, port, protocol, tls } = application;
    const ports: InstancePorts = {
      app: port,
      inbound: this.bind(`${id}/inbound`, former?.inbound),
      outbound: this.bind(`${id}/outbound`, former?.outbound),
      dependencies: this.bindDependencies(id, instance.service, former?.dependencies),
    };
    this.members.set(id, { ...instance, state, ports, application: { host, protocol, tls } });
    return ports;
  }

  /** What of the mesh has this port of an address of this machine; null: nothing. */
  describePort(port: number, host = LOOPBACK): string | null {
    const address = host === 'localhost' ? LOOPBACK : host;
    for (const [listener, socket] of this.sockets) {
      if (socket.port !== port || address !== LOOPBACK) continue;
      const [workload, kind, destination] = listener.split('/');
      if (workload === 'gateway') return 'the gateway';
      return kind === 'to' ? `the port of ${workload} for ${destination}` : `the ${kind} proxy of ${workload}`;
    }
    for (const { id, ports, application } of this.members.values()) {
      if (ports.app !== port || (application?.host ?? LOOPBACK) !== address) continue;
      return application === undefined ? `${id}, which the mesh runs` : `${id}, which is injected already`;
    }
    return null;
  }

  nextAppPort(_id: string): Promise<number> {
    return this.options.appPorts.next();
  }

  environment(id: string): Record<string, string> {
    const member = this.members.get(id);
    return member === undefined ? {} : this.options.environment(member.service, member.ports);
  }

  async publish(id: string, state: EndpointState, appPort: number | null): Promise<void> {
    const member = this.members.get(id);
    if (member === undefined) return;
    this.members.set(id, { ...member, state, ports: { ...member.ports, app: appPort ?? member.ports.app } });
    await this.options.publish();
  }

  inFlight(id: string, appPort: number): number {
    let requests = 0;
    for (const n of this.leaving.get(`${id}:${appPort}`)?.values() ?? []) requests += n;
    return requests;
  }

  /** Word from a data plane. */
  onInFlight(id: string, appPort: number, requests: number, dataPlane: number): void {
    const key = `${id}:${appPort}`;
    const byDataPlane = this.leaving.get(key) ?? new Map<number, number>();
    if (requests === 0) byDataPlane.delete(dataPlane);
    else byDataPlane.set(dataPlane, requests);
    if (byDataPlane.size === 0) this.leaving.delete(key);
    else this.leaving.set(key, byDataPlane);
  }

  /** Nothing is under way any more in a data plane that died. */
  onDataPlaneDied(dataPlane: number): void {
    for (const byDataPlane of this.leaving.values()) byDataPlane.delete(dataPlane);
  }

  async close(id: string): Promise<void> {
    if (!this.members.delete(id)) return;
    await this.options.publish();
    for (const listener of [...this.sockets.keys()]) if (listener.startsWith(`${id}/`)) this.release(listener);
  }

  closeAll(): void {
    for (const socket of this.sockets.values()) socket.close();
    this.sockets.clear();
    this.members.clear();
  }

  private bindDependencies(id: string, service: string, former: Record<string, number> = {}): Record<string, number> {
    const dependencies: Record<string, number> = {};
    for (const { service: name } of this.options.config().services[service].dependsOn) {
      if (name === 'gateway') {
        const port = this.options.gatewayPort();
        if (port !== null) dependencies[name] = port;
      } else dependencies[name] = this.bind(`${id}/to/${name}`, former[name]);
    }
    for (const listener of [...this.sockets.keys()]) {
      if (listener.startsWith(`${id}/to/`) && !(listener.slice(id.length + 4) in dependencies)) this.release(listener);
    }
    return dependencies;
  }

  private bind(listener: string, wished = 0): number {
    const known = this.sockets.get(listener);
    if (known !== undefined) return known.port;
    const first = bindSocket(wished);
    const bound = first.ok || wished === 0 ? first : bindSocket(0);
    if (!bound.ok) throw new Error(`no free port for ${listener}: ${bound.error}`);
    this.sockets.set(listener, bound.socket);
    return bound.socket.port;
  }
}
