import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, vi } from 'vitest';
import type { MeshConfig } from '../../src/index.ts';
import type { InstanceStatus, MeshStatus } from '../../src/model/status.ts';
import { connectControl } from '../../src/runtime/control/client.ts';
import { removeCluster } from '../../src/runtime/resources/postgres-cluster.ts';

const CLI = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
/** In the environment of everything that a test's commands start, and of what that starts in turn. */
const MARK = 'E2E_MESH';
const DOWN_TIMEOUT = '5s';

export interface CommandOutcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  tookMs: number;
}

export interface MarkedProcess {
  pid: number;
  command: string;
}

/** A command that goes on: `mesh up` in the foreground, `mesh logs -f`. */
export interface RunningCommand {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandOutcome>;
  /** All it wrote so far, both streams. */
  output(): string;
  /** Resolves with the output once it matches, rejects if the command ends before or it takes too long. */
  until(pattern: RegExp, timeoutMs?: number): Promise<string>;
}

/** One mesh in a directory of its own. */
export interface TestMesh {
  readonly dir: string;
  /** Of the gateway in the configurations of `config()`, unless a test chose others. */
  readonly gatewayPort: number;
  /** Environment of its commands; may be added to. */
  readonly env: Record<string, string>;
  path(name: string): string;
  write(name: string, content: string): void;
  /** Writes mesh.config.ts. */
  config(config: Config): void;
  mesh(...args: string[]): Promise<CommandOutcome>;
  run(...args: string[]): RunningCommand;
  /** `mesh up -d`, which has to succeed. */
  up(...args: string[]): Promise<CommandOutcome>;
  down(): Promise<CommandOutcome>;
  /** Output of a command that has to succeed, as JSON. */
  json<T>(...args: string[]): Promise<T>;
  status(): Promise<MeshStatus>;
  instance(id: string): Promise<InstanceStatus>;
  /** Status once it is as wanted. */
  statusWhen(wanted: (status: MeshStatus) => boolean, timeoutMs?: number): Promise<MeshStatus>;
  /** Everything that runs on behalf of this mesh, commands of the test included. */
  processes(): MarkedProcess[];
  /** Ports that the mesh has used so far, as its ledger and configuration say. */
  ports(): number[];
}

export type Config = Partial<Omit<MeshConfig, 'services' | 'gateway'>> & {
  gateway?: Partial<MeshConfig['gateway']> | null;
  services: MeshConfig['services'];
};

const live: TestMesh[] = [];
const running = new WeakMap<TestMesh, ChildProcess[]>();

/** Brings every mesh of the test down and checks that nothing of it is left. Call once in each test file. */
export function cleanUpMeshes(): void {
  // Many processes for few cores.
  vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
  afterEach(async () => {
    const failures: string[] = [];
    for (const mesh of live.splice(0)) failures.push(...(await removeMesh(mesh)));
    expect(failures).toEqual([]);
  });
}

/** A temp dir with these files, and with mesh.config.ts if a configuration is given. */
export async function createMesh(files: Record<string, string> = {}, config?: Config): Promise<TestMesh> {
  const dir = await mkdtemp(path.join(tmpdir(), 'mesh-e2e-'));
  const mark = randomUUID();
  const gatewayPort = await freePort();
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    HOME: path.join(dir, 'home'),
    XDG_DATA_HOME: path.join(dir, 'home', 'data'),
    XDG_RUNTIME_DIR: path.join(dir, 'home', 'run'),
    NO_COLOR: '1',
    CI: '1',
    [MARK]: mark,
  };
  mkdirSync(env.XDG_RUNTIME_DIR, { recursive: true, mode: 0o700 });
  const usedPorts = new Set([gatewayPort]);

  const mesh: TestMesh = {
    dir,
    gatewayPort,
    env,
    path: (name) => path.join(dir, name),
    write(name, content) {
      mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
      writeFileSync(path.join(dir, name), content);
    },
    config(next) {
      mesh.write('mesh.config.ts', configText(next, gatewayPort));
    },
    mesh: (...args) => start(mesh, args).ended,
    run: (...args) => start(mesh, args),
    async up(...args) {
      const outcome = await mesh.mesh('up', '-d', ...args);
      expect(outcome, outcome.stderr + daemonLog(mesh)).toMatchObject({ code: 0 });
      return outcome;
    },
    down: () => mesh.mesh('down', '--timeout', DOWN_TIMEOUT),
    async json<T>(...args: string[]) {
      const outcome = await mesh.mesh(...args, '--json');
      expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
      return JSON.parse(outcome.stdout) as T;
    },
    async status() {
      const status = await statusOf(mesh);
      for (const port of [status.gateway.http, status.gateway.https]) if (port !== undefined) usedPorts.add(port);
      return status;
    },
    async instance(id) {
      const { services } = await mesh.status();
      const found = services.flatMap(({ instances }) => instances).find((instance) => instance.id === id);
      if (found === undefined) throw new Error(`there is no instance ${id}`);
      return found;
    },
    async statusWhen(wanted, timeoutMs = 10_000) {
      let last: MeshStatus | undefined;
      await eventually(
        async () => {
          last = await mesh.status();
          return wanted(last);
        },
        timeoutMs,
        () => `last: ${JSON.stringify(last, null, 1)}`,
      );
      return last!;
    },
    processes: () => markedProcesses(mark),
    ports: () => {
      for (const port of ledgerPorts(mesh.path('.mesh/ledger'))) usedPorts.add(port);
      return [...usedPorts];
    },
  };
  live.push(mesh);
  for (const [name, content] of Object.entries(files)) mesh.write(name, content);
  if (config !== undefined) mesh.config(config);
  return mesh;
}

/** `createMesh` and `mesh up -d`. */
export async function startMesh(files: Record<string, string>, config: Config): Promise<TestMesh> {
  const mesh = await createMesh(files, config);
  await mesh.up();
  return mesh;
}

/** Text of a mesh.config.ts; version, name and the gateway's port are filled in. */
export function configText(config: Config, gatewayPort: number): string {
  const { gateway, ...rest } = config;
  const full = {
    version: 1,
    name: 'e2e',
    ...(gateway === null ? {} : { gateway: { http: gatewayPort, routes: [], ...gateway } }),
    ...rest,
  };
  return `import { defineMesh } from 'localmesh';\n\nexport default defineMesh(${JSON.stringify(full, null, 2)});\n`;
}

/** Over the control socket: a command for each look would take most of the machine's time. */
async function statusOf(mesh: TestMesh): Promise<MeshStatus> {
  const connected = await connectControl(mesh.path('.mesh/control.sock'));
  if (!connected.ok) throw new Error(connected.problems[0].message);
  try {
    return await connected.value.status();
  } finally {
    connected.value.close();
  }
}

async function removeMesh(mesh: TestMesh): Promise<string[]> {
  const failures: string[] = [];
  if (existsSync(mesh.dir) && existsSync(mesh.path('mesh.config.ts'))) {
    const ports = mesh.ports();
    // A command that a failed test was waiting for.
    for (const child of running.get(mesh) ?? []) if (child.exitCode === null) child.kill('SIGKILL');
    const outcome = await mesh.down();
    if (outcome.code !== 0) failures.push(`mesh down: code ${outcome.code}: ${outcome.stderr}`);
    // A foreground `mesh up` of the test and the daemon end at the same moment.
    const gone = await within(2_000, () => mesh.processes().length === 0);
    if (!gone) failures.push(`left: ${JSON.stringify(mesh.processes())}`);
    const bound = listeningPorts();
    for (const port of ports) if (bound.has(port)) failures.push(`port ${port} is still bound`);
  }
  for (const { pid } of mesh.processes()) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone meanwhile.
    }
  }
  // Of databases that root runs: outside, where their account can get to.
  const data = mesh.path('.mesh/data');
  for (const name of existsSync(data) ? readdirSync(data) : []) await removeCluster(path.join(data, name));
  if (process.env.E2E_KEEP === undefined) rmSync(mesh.dir, { recursive: true, force: true, maxRetries: 3 });
  return failures;
}

function start(mesh: TestMesh, args: readonly string[]): RunningCommand {
  const beganMs = performance.now();
  const child = spawn(process.execPath, [CLI, ...args], {
    cwd: mesh.dir,
    env: mesh.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const children = running.get(mesh) ?? [];
  running.set(mesh, [...children, child]);
  return follow(child, beganMs);
}

export function follow(child: ChildProcess, beganMs: number): RunningCommand {
  let stdout = '';
  let stderr = '';
  let all = '';
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of [...waiting]) look();
  };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    all += text;
    wake();
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    all += text;
    wake();
  });
  let over = false;
  const ended = new Promise<CommandOutcome>((resolve) => {
    // A test that ran out of time goes on in a directory that is gone.
    child.on('error', (error) => {
      stderr += error.message;
    });
    child.on('close', (code, signal) => {
      over = true;
      resolve({ code, signal, stdout, stderr, tookMs: performance.now() - beganMs });
      wake();
    });
  });
  return {
    child,
    ended,
    output: () => all,
    until(pattern, timeoutMs = 15_000) {
      return new Promise((resolve, reject) => {
        const settle = (error: string | null): void => {
          clearTimeout(timer);
          waiting.delete(look);
          if (error === null) resolve(all);
          else reject(new Error(`${error} before ${pattern}:\n${all}`));
        };
        const look = (): void => {
          if (pattern.test(all)) settle(null);
          else if (over) settle('ended');
        };
        const timer = setTimeout(() => settle(`${timeoutMs} ms passed`), timeoutMs);
        waiting.add(look);
        look();
      });
    },
  };
}

/** For messages of failed starts. */
function daemonLog(mesh: TestMesh): string {
  const file = mesh.path('.mesh/daemon.log');
  return existsSync(file) ? `\n.mesh/daemon.log:\n${readFileSync(file, 'utf8')}` : '';
}

function ledgerPorts(file: string): number[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return (JSON.parse(line) as { ports?: number[] }).ports ?? [];
      } catch {
        return [];
      }
    });
}

export async function eventually(
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
  explain: () => string = () => '',
): Promise<void> {
  if (!(await within(timeoutMs, condition))) throw new Error(`not within ${timeoutMs} ms. ${explain()}`);
}

async function within(timeoutMs: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (await condition()) return true;
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** By the mark in their environment; zombies are nobody any more. */
function markedProcesses(mark: string): MarkedProcess[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      if (!readFileSync(`/proc/${name}/environ`, 'latin1').includes(`${MARK}=${mark}`)) return [];
      if (/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${name}/stat`, 'latin1'))) return [];
      return [{ pid: Number(name), command: readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
    } catch {
      return [];
    }
  });
}

/** TCP ports that somebody listens on, on any address. */
export function listeningPorts(): Set<number> {
  const ports = new Set<number>();
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    if (!existsSync(file)) continue;
    for (const line of readFileSync(file, 'latin1').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[3] === '0A') ports.add(Number.parseInt(fields[1].split(':')[1], 16));
    }
  }
  return ports;
}

export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

let nextPort = 10_000 + (Number(process.env.VITEST_POOL_ID ?? '1') % 32) * 250 + Math.floor(Math.random() * 200);

/**
 * A port that is free now. Of a range in which systems choose none for outgoing connections and mesh none for
 * applications; each test worker has its own part of it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = nextPort++;
    const free = await new Promise<boolean>((resolve) => {
      const server = net.createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
