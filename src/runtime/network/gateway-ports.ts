import { problem } from '../../model/errors.ts';
import type { ResolvedGateway } from '../../model/resolved.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';
import { describeOwner, portOwner } from '../state/port-owner.ts';
import { type BoundSocket, bindSocket } from './bound-socket.ts';
import type { MeshNetwork } from './mesh-network.ts';

type Scheme = 'http' | 'https';
const SCHEMES: readonly Scheme[] = ['http', 'https'];

/** A change of the gateway's ports that has been prepared: the new ones are bound, the old ones still are. */
export interface GatewayBinding {
  commit(): void;
  rollback(): void;
}

/** The fixed ports of the gateway. New ones are bound before the old ones are given up. */
export class GatewayPorts {
  ports: { http: number | null; https: number | null } = { http: null, https: null };

  constructor(private readonly network: MeshNetwork) {}

  /** What services that call the gateway are told. */
  get port(): number | null {
    return this.ports.http ?? this.ports.https;
  }

  async bind(gateway: ResolvedGateway | null): Promise<Result<GatewayBinding>> {
    const before = { ...this.ports };
    const wanted = { http: gateway?.http ?? null, https: gateway?.https ?? null };
    const sockets: Partial<Record<Scheme, BoundSocket>> = {};
    const problems: Problem[] = [];
    for (const scheme of SCHEMES) {
      const port = wanted[scheme];
      if (port === null || port === before[scheme]) continue;
      const bound = bindSocket(port);
      if (bound.ok) sockets[scheme] = bound.socket;
      else problems.push(await portProblem(scheme, port, bound.error));
    }
    if (problems.length > 0) {
      for (const socket of Object.values(sockets)) socket.close();
      return fail(...problems);
    }
    this.ports = wanted;
    // The data planes ask by the listener's name; the sockets before stay open until they are no longer needed.
    const replaced = SCHEMES.filter((scheme) => wanted[scheme] !== before[scheme]).map((scheme) => {
      const name = `gateway/${scheme}`;
      return { name, socket: this.network.exchange(name, sockets[scheme]) };
    });
    return ok({
      commit: () => {
        for (const { socket } of replaced) socket?.close();
      },
      rollback: () => {
        this.ports = before;
        for (const { name, socket } of replaced) this.network.exchange(name, socket)?.close();
      },
    });
  }
}

async function portProblem(scheme: Scheme, port: number, error: string): Promise<Problem> {
  const path = ['gateway', scheme];
  if (error === 'EACCES') {
    return problem('MESH-N102', {
      message: `port ${port} of the gateway needs the rights of root`,
      hint: 'choose a port above 1023',
      path,
    });
  }
  const owner = await portOwner(port);
  return problem('MESH-N101', {
    message:
      owner === null
        ? `port ${port} of the gateway cannot be used: ${error}`
        : `port ${port} of the gateway is held by ${describeOwner(owner)}`,
    hint: 'stop that process, or choose another port in mesh.config.ts',
    path,
  });
}
