import { compile, diff, type InstanceState } from '../../src/model/compile.ts';
import type { Protocol, RouteConfig, ServiceConfig } from '../../src/model/config.ts';
import { resolveConfig } from '../../src/model/resolve.ts';
import type { Identity, Snapshot } from '../../src/model/snapshot.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import {
  type CertificateAuthority,
  openCertificateAuthority,
} from '../../src/runtime/identity/certificate-authority.ts';
import { type BoundSocket, bindSocket } from '../../src/runtime/network/bound-socket.ts';
import { type DataPlaneEvents, DataPlaneProcess } from '../../src/runtime/snapshot/data-plane-process.ts';
import { disown, own, pin } from './processes.ts';

/** A service of the measured mesh: one instance, whose application listens on `port`. */
export interface MeasuredService {
  port: number;
  protocol?: Protocol;
  routes?: RouteConfig[];
}

export interface MeasuredMesh {
  readonly pid: number;
  readonly process: DataPlaneProcess;
  /** What the data plane had to say; nothing if all went well. */
  readonly notices: readonly string[];
  /** Port of the client's listener that picks the service by its host. */
  readonly outbound: number;
  /** Port of the client's listener for one service. */
  dependency(service: string): number;
  /** Port of a service's listener for other proxies. */
  inbound(service: string): number;
  /** Puts other services in force. */
  apply(services: Record<string, MeasuredService>): Promise<void>;
  stop(): Promise<void>;
}

/** An authority for the mesh and for its peers, which so have certificates of the same kind. */
export async function openBenchAuthority(dir: string): Promise<CertificateAuthority> {
  const opened = await openCertificateAuthority({
    dataDir: `${dir}/data`,
    stateDir: `${dir}/state`,
    mesh: 'bench',
    trustDomain: 'bench.local',
    clock: systemClock,
    ttlMs: 24 * 3_600_000,
  });
  if (!opened.ok) throw new Error(opened.problems[0].message);
  return opened.value;
}

export function issue(authority: CertificateAuthority, service: string): Identity {
  const svid = authority.issueSvid(service);
  if (!svid.ok) throw new Error(svid.problems[0].message);
  const { spiffeId, certificatePem, privateKeyPem, notAfter } = svid.value;
  return { spiffeId, certificate: certificatePem, privateKey: privateKeyPem, notAfter };
}

const CLIENT = 'client';

/**
 * The product's own data-plane process, with this process in the daemon's place: the configuration is resolved and
 * compiled as the daemon does it, so that every default (timeouts, retries, trace context, counters) is on. Nobody looks
 * at its requests until `process` is told so.
 * `client` depends on every service.
 */
export async function startMeasuredMesh(
  entry: string,
  authority: CertificateAuthority,
  core: string | null,
  services: Record<string, MeasuredService>,
  env: Record<string, string> = {},
  events: Partial<DataPlaneEvents> = {},
): Promise<MeasuredMesh> {
  const notices: string[] = [];
  const child = new DataPlaneProcess(entry, { ...process.env, NODE_ENV: 'production', ...env }, 'ignore', {
    onInFlight: () => {},
    onNotice: (level, service, text) => notices.push(`${level}: ${service}: ${text}`),
    onTraffic: () => {},
    onCounters: () => {},
    onEvents: () => {},
    onSpans: () => {},
    onDied: (reason) => notices.push(`error: the data plane ${reason}`),
    ...events,
  });
  if (!(await child.ready())) throw new Error(`the data plane did not start: ${notices.join('; ')}`);
  own(child.pid);
  await pin(child.pid, core);

  const sockets = new Map<string, BoundSocket>();
  const portOf = (listener: string): number => {
    let socket = sockets.get(listener);
    if (socket === undefined) {
      const bound = bindSocket(0);
      if (!bound.ok) throw new Error(`no free port for ${listener}: ${bound.error}`);
      socket = bound.socket;
      sockets.set(listener, socket);
    }
    return socket.port;
  };
  const identities: Record<string, Identity> = {};
  const identify = (service: string) => {
    const spiffeId = `spiffe://bench.local/ns/default/sa/${service}`;
    identities[spiffeId] ??= issue(authority, service);
  };
  let current: Snapshot | null = null;

  const apply = async (wanted: Record<string, MeasuredService>): Promise<void> => {
    const names = Object.keys(wanted);
    const configured: Record<string, ServiceConfig> = { [CLIENT]: { command: 'true', dependsOn: names } };
    const instances: InstanceState[] = [];
    const add = (service: string, app: number, dependencies: readonly string[]) => {
      identify(service);
      const id = `${service}-1`;
      instances.push({
        id,
        service,
        subset: 'default',
        state: 'ready',
        ports: {
          app,
          inbound: portOf(`${id}/inbound`),
          outbound: portOf(`${id}/outbound`),
          dependencies: Object.fromEntries(dependencies.map((name) => [name, portOf(`${id}/to/${name}`)])),
        },
      });
    };
    // Nobody calls the client; its application may be anywhere.
    add(CLIENT, 1, names);
    for (const [name, { port, protocol, routes }] of Object.entries(wanted)) {
      configured[name] = { command: 'true', protocol, routes };
      add(name, port, []);
    }
    const resolved = resolveConfig({ version: 1, name: 'bench', services: configured }, { baseDir: '/' });
    if (!resolved.ok) throw new Error(JSON.stringify(resolved.problems.slice(0, 3)));
    const next = compile(
      resolved.value,
      {
        version: (current?.version ?? 0) + 1,
        trustAnchors: authority.trustAnchors,
        identities: { ...identities },
        instances,
        gateway: { http: null, https: null },
      },
      current,
    );
    for (const name of Object.keys(next.listeners)) {
      if (!(name in (current?.listeners ?? {}))) child.giveSocket(name, sockets.get(name)!.handle);
    }
    const problems = await child.prepare(diff(current, next));
    if (problems === null || problems.length > 0)
      throw new Error(`the data plane refused: ${JSON.stringify(problems)}`);
    if (!(await child.commit(next.version))) throw new Error('the data plane did not commit');
    current = next;
  };
  const stop = async (): Promise<void> => {
    await child.stop();
    disown(child.pid);
    for (const socket of sockets.values()) socket.close();
  };
  try {
    await apply(services);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    pid: child.pid,
    process: child,
    notices,
    outbound: portOf(`${CLIENT}-1/outbound`),
    dependency: (service) => portOf(`${CLIENT}-1/to/${service}`),
    inbound: (service) => portOf(`${service}-1/inbound`),
    apply,
    stop,
  };
}
