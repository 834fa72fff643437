import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect } from 'vitest';
import { type Config, createMesh, type TestMesh } from './e2e.ts';
import { startTestServer, type TestServer } from './postgres-server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Installed dependencies by what they are; made once, then copied. */
const INSTALLED = path.join(tmpdir(), 'mesh-scaffold-installed');
const INSTALL_TIMEOUT_MS = 180_000;

export interface ProjectRequest {
  template: string;
  name: string;
  /** Further ones of `mesh new`. */
  flags?: readonly string[];
  /** The mesh it is put into; default: with nothing in it but a gateway. */
  config?: Config;
  /** Files that are there before. */
  files?: Record<string, string>;
}

export interface TestOutcome {
  passed: number;
  failed: number;
  skipped: number;
}

/** A rendered project and the mesh that it was rendered into. */
export interface RenderedProject {
  readonly mesh: TestMesh;
  /** Absolute. */
  readonly directory: string;
  /** Dependencies, so that `run` finds them. */
  install(): Promise<void>;
  /** A script of its package.json; it has to succeed. Resolves with what it wrote. */
  run(script: string, env?: Record<string, string>, args?: readonly string[]): Promise<string>;
  typecheck(): Promise<void>;
  /** Its own tests, which have to pass. */
  test(env?: Record<string, string>): Promise<TestOutcome>;
  /** `mesh up -d` of the configuration as `mesh new` left it. */
  up(): Promise<TestMesh>;
}

/** `mesh new TEMPLATE NAME --no-install`, through the CLI, in a mesh of its own. */
export async function renderProject(request: ProjectRequest): Promise<RenderedProject> {
  const { template, name, flags = [], config = { services: {} }, files = {} } = request;
  const mesh = await createMesh(files, config);
  const { directory } = await mesh.json<{ directory: string }>('new', template, name, '--no-install', ...flags);
  return projectIn(mesh, directory);
}

/** A project that is there already: after a further `mesh new`, for example. */
export function projectIn(mesh: TestMesh, directory: string): RenderedProject {
  const run = async (
    script: string,
    env: Record<string, string> = {},
    args: readonly string[] = [],
  ): Promise<string> => {
    const words = ['run', '--silent', script, '--', ...args];
    const { code, output } = await runProgram('npm', words, directory, { ...mesh.env, ...env });
    expect(code, `npm run ${script}:\n${output}`).toBe(0);
    return output;
  };
  return {
    mesh,
    directory,
    install: () => installInto(directory),
    run,
    typecheck: async () => void (await run('typecheck')),
    async test(env = {}) {
      // `# tests` and so on, whatever the terminal.
      const output = await run('test', { ...env, NODE_OPTIONS: '--test-reporter=tap' });
      const count = (what: string): number => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
      return { passed: count('pass'), failed: count('fail'), skipped: count('skipped') };
    },
    async up() {
      await mesh.up('--timeout', '90s');
      return mesh;
    },
  };
}

/** Lets the gateway of a rendered mesh.config.ts send everything to one service. */
export function routeTo(configFile: string, service: string): void {
  const text = readFileSync(configFile, 'utf8');
  const routed = text.replace('"routes": []', `"routes": [{ "backends": [{ "service": "${service}" }] }]`);
  expect(routed).not.toBe(text);
  writeFileSync(configFile, routed);
}

/** From the registry; without one (or with SCAFFOLD_OFFLINE=1) what this repository has installed, and says so. */
async function installInto(directory: string): Promise<void> {
  const target = path.join(directory, 'node_modules');
  const { dependencies, devDependencies } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
  const digest = createHash('sha256')
    .update(JSON.stringify([dependencies, devDependencies, process.version]))
    .digest('hex');
  const kept = path.join(INSTALLED, digest.slice(0, 16));
  const offline = process.env.SCAFFOLD_OFFLINE === '1';
  if (!offline && !existsSync(kept)) await fillStore(directory, kept);
  if (!offline && existsSync(kept))
    cpSync(path.join(kept, 'node_modules'), target, { recursive: true, verbatimSymlinks: true });
  else {
    console.log(`${offline ? 'offline' : 'no registry'}: the project uses the dependencies of this repository`);
    symlinkSync(path.join(ROOT, 'node_modules'), target);
  }
}

async function fillStore(directory: string, kept: string): Promise<void> {
  mkdirSync(INSTALLED, { recursive: true });
  const staging = await mkdtemp(path.join(INSTALLED, '.staging-'));
  try {
    cpSync(path.join(directory, 'package.json'), path.join(staging, 'package.json'));
    const flags = ['install', '--no-audit', '--no-fund', '--prefer-offline'];
    const { code, output } = await runProgram('npm', flags, staging, process.env, INSTALL_TIMEOUT_MS);
    if (code !== 0 && /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|network/.test(output)) return;
    expect(code, `npm install:\n${output}`).toBe(0);
    // Another worker may have been first.
    if (!existsSync(kept)) renameSync(staging, kept);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

export function runProgram(
  file: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
  timeout = 120_000,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    execFile(file, args, { cwd, env, timeout, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
      resolve({ code, output: stdout + stderr });
    });
  });
}

/**
 * A real PostgreSQL for the tests of a file, stopped and removed after them: DATABASE_URL where it is set, else the
 * embedded one. Call it once, at the top of the file; in tests `url()` is null, the reason printed, where there is none.
 */
export function postgresOfFile(): { url(): string | null } {
  let url = process.env.DATABASE_URL || null;
  let server: TestServer | null = null;
  beforeAll(async () => {
    if (url !== null) return;
    server = await startTestServer();
    url = (await server?.url('scaffold')) ?? null;
  }, 90_000);
  afterAll(() => server?.remove(), 30_000);
  return { url: () => url };
}
