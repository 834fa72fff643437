import * as fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Command, ResolvedConfig, ResolvedProbe, ResolvedService } from '../../../src/model/resolved.ts';
import type { EndpointState } from '../../../src/model/snapshot.ts';
import type { InstanceStatus, LogLine } from '../../../src/model/status.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import type { MeshNotice } from '../../../src/runtime/control/mesh-control.ts';
import { type Ledger, openLedger } from '../../../src/runtime/state/ledger.ts';
import { type MeshDirectory, openMeshDirectory } from '../../../src/runtime/state/mesh-directory.ts';
import { listProcesses, markedProcesses } from '../../../src/runtime/state/process-table.ts';
import type { InstanceNetwork, InstancePorts } from '../../../src/runtime/supervisor/contract.ts';
import { LogStore } from '../../../src/runtime/supervisor/log-files.ts';
import { Supervisor } from '../../../src/runtime/supervisor/supervisor.ts';

export function temporaryDirectory(): string {
  return fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'mesh-test-')));
}

export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Polls until `look` gives something that is not null, false or undefined. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  limitMs = 10_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + limitMs;
  for (;;) {
    const value = await look();
    if (value !== null && value !== undefined && value !== false) return value as NonNullable<Exclude<T, false>>;
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function alive(pid: number): boolean {
  return listProcesses().some((entry) => entry.pid === pid);
}

export const node = (script: string): Command => ({ shell: false, argv: [process.execPath, '-e', script] });
export const shell = (line: string): Command => ({ shell: true, argv: [line] });

/** A server that says its pid and `VERSION`, and obeys SIGTERM. */
export const SERVER = `
  const server = require('node:http').createServer((request, response) => response.end(process.pid + ' ' + (process.env.VERSION ?? '')));
  server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening'));
  process.on('SIGTERM', () => process.exit(0));
`;

export const probe = (action: ResolvedProbe['action'], more: Partial<ResolvedProbe> = {}): ResolvedProbe => ({
  action,
  initialDelayMs: 0,
  intervalMs: null,
  timeoutMs: 1_000,
  failureThreshold: 3,
  successThreshold: 1,
  deadlineMs: 10_000,
  ...more,
});

export const service = (name: string, cwd: string, more: Partial<ResolvedService> = {}): ResolvedService => ({
  name,
  command: node(SERVER),
  external: null,
  cwd,
  env: {},
  envFiles: [],
  protos: [],
  protocol: 'http',
  port: null,
  subsets: [{ name: 'default', env: {}, command: null, replicas: 1 }],
  dependsOn: [],
  readiness: null,
  liveness: null,
  startup: null,
  restart: { policy: 'on-failure', backoffMs: 50, maxBackoffMs: 1_000, attempts: null },
  watch: [],
  build: null,
  stop: { signal: 'SIGTERM', graceMs: 2_000 },
  task: false,
  routes: [],
  loadBalancer: { kind: 'round-robin' },
  healthCheck: null,
  parking: { timeoutMs: 10_000, maxRequests: 100 },
  connectTimeoutMs: 1_000,
  ...more,
});

export const task = (name: string, cwd: string, more: Partial<ResolvedService> = {}): ResolvedService =>
  service(name, cwd, {
    task: true,
    restart: { policy: 'never', backoffMs: 50, maxBackoffMs: 1_000, attempts: null },
    ...more,
  });

export interface Published {
  id: string;
  state: EndpointState;
  appPort: number | null;
}

/** Real ports, no proxies: keeps what was published. */
export class FakeNetwork implements InstanceNetwork {
  readonly published: Published[] = [];
  readonly closed: string[] = [];
  readonly flights = new Map<string, number>();
  readonly tasks = new Set<string>();
  readonly fixedPorts = new Map<string, number>();
  private readonly ports = new Map<string, InstancePorts>();
  onPublish: (published: Published) => void | Promise<void> = () => {};

  async open(instance: { id: string; service: string; subset: string }): Promise<InstancePorts> {
    const fixed = this.fixedPorts.get(instance.service);
    let ports = this.ports.get(instance.id);
    if (ports === undefined || (fixed !== undefined && ports.app !== fixed)) {
      const app = this.tasks.has(instance.service) ? null : (fixed ?? (await freePort()));
      ports = { app, inbound: 1, outbound: 2, dependencies: {} };
      this.ports.set(instance.id, ports);
    }
    return ports;
  }

  nextAppPort(): Promise<number> {
    return freePort();
  }

  environment(id: string): Record<string, string> {
    return { FROM_NETWORK: id };
  }

  async publish(id: string, state: EndpointState, appPort: number | null): Promise<void> {
    const published = { id, state, appPort };
    this.published.push(published);
    await this.onPublish(published);
  }

  inFlight(id: string, appPort: number): number {
    return this.flights.get(`${id}:${appPort}`) ?? 0;
  }

  async close(id: string): Promise<void> {
    this.closed.push(id);
    this.ports.delete(id);
  }

  states(id: string): EndpointState[] {
    return this.published.filter((each) => each.id === id).map(({ state }) => state);
  }
}

export interface Mesh {
  baseDir: string;
  directory: MeshDirectory;
  ledger: Ledger;
  logs: LogStore;
  network: FakeNetwork;
  supervisor: Supervisor;
  notices: MeshNotice[];
  config(...services: ResolvedService[]): ResolvedConfig;
  instance(id: string): InstanceStatus;
  reaches(id: string, state: InstanceStatus['state'], limitMs?: number): Promise<InstanceStatus>;
  lines(id: string): LogLine[];
  /** Ends everything; throws if any process of this mesh is left. */
  end(): Promise<void>;
}

export function createMesh(): Mesh {
  const baseDir = temporaryDirectory();
  const directory = unwrap(openMeshDirectory(baseDir));
  const ledger = unwrap(openLedger(directory.ledger, directory.key));
  const logs = new LogStore({ directory, clock: systemClock });
  const network = new FakeNetwork();
  const notices: MeshNotice[] = [];
  const supervisor = new Supervisor({
    network,
    ledger,
    logs,
    clock: systemClock,
    random: () => 0.5,
  });
  supervisor.onNotice((notice) => notices.push(notice));
  const find = (id: string): InstanceStatus | undefined =>
    supervisor
      .status()
      .flatMap(({ instances }) => instances)
      .find((instance) => instance.id === id);
  return {
    baseDir,
    directory,
    ledger,
    logs,
    network,
    supervisor,
    notices,
    config: (...services) => {
      for (const { name, task: isTask, port } of services) {
        if (isTask) network.tasks.add(name);
        if (port !== null) network.fixedPorts.set(name, port);
        else network.fixedPorts.delete(name);
      }
      return {
        name: 'test',
        trustDomain: 'test.local',
        namespace: 'default',
        identity: { ttlMs: 3_600_000 },
        proxies: 1,
        tracing: { traces: null, otlp: null },
        telemetry: { admin: null, accessLog: null, redactHeaders: [], redactFields: [], otlp: null },
        gateway: null,
        defaults: {},
        services: Object.fromEntries(services.map((each) => [each.name, each])),
        baseDir,
      };
    },
    instance: (id) => find(id) ?? throwMissing(id),
    reaches: (id, state, limitMs) =>
      eventually(
        `${id} ${state}, is ${JSON.stringify(find(id))}`,
        () => {
          const instance = find(id);
          return instance?.state === state ? instance : null;
        },
        limitMs,
      ),
    lines: (id) => {
      const name = supervisor.status().find(({ instances }) => instances.some((each) => each.id === id))?.name ?? '';
      return logs.tail(name, id, 1_000);
    },
    end: async () => {
      await supervisor.stopAll(5_000, () => {});
      logs.close();
      const left = [...markedProcesses(ledger.markerPrefix).keys()].filter(alive);
      ledger.close();
      for (const pid of left) process.kill(pid, 'SIGKILL');
      fs.rmSync(baseDir, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`processes left: ${left.join(', ')}`);
    },
  };
}

export function unwrap<T>(result: { ok: true; value: T } | { ok: false; problems: readonly { message: string }[] }): T {
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('; '));
  return result.value;
}

function throwMissing(id: string): never {
  throw new Error(`no instance ${id}`);
}
