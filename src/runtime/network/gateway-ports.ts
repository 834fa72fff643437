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
    const replaced: Scheme[] = [];
    for (const scheme of SCHEMES) {
      const socket = sockets[scheme];
      if (socket === undefined) continue;
      // The data planes ask by the listener's name; the old socket of that name is theirs already.
      this.network.adopt(`gateway/${scheme}`, socket);
      replaced.push(scheme);
    }
    return ok({
      commit: () => {
        for (const scheme of SCHEMES) if (wanted[scheme] === null) this.network.release(`gateway/${scheme}`);
      },
      rollback: () => {
        this.ports = before;
        for (const scheme of replaced) {
          this.network.release(`gateway/${scheme}`);
          const port = before[scheme];
          const again = port === null ? null : bindSocket(port);
          if (again?.ok) this.network.adopt(`gateway/${scheme}`, again.socket);
        }
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
    message: owner === null ? `port ${port} of the gateway cannot be used: ${error}` : `port ${port} of the gateway is held by ${describeOwner(owner)}`,
    hint: 'stop that process, or choose another port in mesh.config.ts',
    path,
  });
}
