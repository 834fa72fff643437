import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = path.join(root, 'bin/run.js');

/** A mesh in a directory of its own, run through the CLI. */
export interface BenchMesh {
  dir: string;
  gateway: number;
  mesh(...args: string[]): Promise<string>;
  status(): Promise<{
    pid: number;
    dataPlanePids: number[];
    services: { name: string; instances: { id: string; pid: number; outboundPort: number | null }[] }[];
  }>;
  save(config: string): Promise<void>;
  close(): Promise<void>;
}

/** `config` gets the gateway's port. */
export async function createMesh(
  config: (gateway: number) => string,
  files: Record<string, string> = {},
): Promise<BenchMesh> {
  const dir = await mkdtemp(path.join(tmpdir(), 'mesh-bench-'));
  const gateway = await freePort();
  const env = { ...process.env, XDG_DATA_HOME: path.join(dir, 'data'), NO_COLOR: '1' };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(dir, name), text);
  const file = path.join(dir, 'mesh.config.ts');
  await writeFile(file, config(gateway));
  const mesh = (...args: string[]) =>
    new Promise<string>((resolve, reject) => {
      execFile(process.execPath, [bin, ...args], { cwd: dir, env, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`mesh ${args.join(' ')}: ${stderr}${stdout}`));
      });
    });
  return {
    dir,
    gateway,
    mesh,
    status: async () => JSON.parse(await mesh('ps', '--json')),
    save: (text) => writeFile(file, text),
    async close() {
      await mesh('down').catch(() => '');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export interface LoadReport {
  requests: number;
  failed: number;
  reasons: Record<string, number>;
  p50: number;
  p99: number;
  max: number;
}

export interface Load {
  stop(): Promise<LoadReport>;
}

/** Starts a load; every response must be 200 and begin with `expected`. */
export function startLoad(port: number, connections: number, pathAndQuery: string, expected: string): Load {
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      path.join(root, 'bench/support/load-process.ts'),
      String(port),
      String(connections),
      pathAndQuery,
      expected,
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    async stop() {
      child.kill('SIGTERM');
      await ended;
      return JSON.parse(text) as LoadReport;
    },
  };
}

/** Resident memory of a process in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
