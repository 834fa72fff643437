import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { transform } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { MeshConfig } from '../../src/model/config.ts';
import { resolveConfig } from '../../src/model/resolve.ts';
import { validateConfig } from '../../src/model/validate.ts';
import { initMesh } from '../../src/runtime/client/init/init-mesh.ts';
import { temporaryDirectory } from '../runtime/control/fake-mesh.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let project: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
  project = path.join(directory.path, 'My Shop');
  await mkdir(project);
});
afterEach(() => directory[Symbol.asyncDispose]());

async function files(contents: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(contents)) {
    await mkdir(path.dirname(path.join(project, name)), { recursive: true });
    await writeFile(path.join(project, name), content);
  }
}

/** Writes the configuration, and reads it as mesh would: what is there must be valid in every respect. */
async function init(options: { from?: string; force?: boolean } = {}): Promise<{ config: MeshConfig; text: string }> {
  const written = await initMesh(project, { force: false, ...options }, { TAG: 'v7' });
  if (!written.ok) throw new Error(written.problems[0].message);
  const text = await readFile(path.join(project, 'mesh.config.ts'), 'utf8');
  const { code } = await transform(text, { loader: 'ts', format: 'cjs' });
  const module: { exports: { default?: MeshConfig } } = { exports: {} };
  new Function('module', 'exports', 'require', code)(module, module.exports, () => ({
    defineMesh: (config: MeshConfig) => config,
  }));
  const config = module.exports.default!;
  expect(validateConfig(config).problems).toEqual([]);
  expect(resolveConfig(config, { baseDir: project }).ok).toBe(true);
  return { config, text };
}

describe('mesh init', () => {
  it('writes something that runs where there is nothing to start from', async () => {
    const { config } = await init();
    expect(config.name).toBe('my-shop');
    expect(config.gateway).toMatchObject({ http: 8080, routes: [{ backends: [{ service: 'hello' }] }] });
    expect((config.services.hello.command as string[])[0]).toBe('node');
  });

  it('never overwrites without --force', async () => {
    await files({ 'mesh.config.ts': 'mine' });
    const refused = await initMesh(project, { force: false });
    expect(refused).toMatchObject({ ok: false, problems: [{ code: 'MESH-U106' }] });
    expect(await readFile(path.join(project, 'mesh.config.ts'), 'utf8')).toBe('mine');
    await init({ force: true });
  });

  it('takes a Procfile: the release once before the others, workers without a port', async () => {
    await files({
      Procfile:
        "# comment\nweb: node server.js --port $PORT\nworker: bundle exec rake 'jobs:work'\nrelease: node migrate.js\n",
    });
    const { config, text } = await init();
    expect(config.services).toEqual({
      web: { command: 'node server.js --port $PORT', dependsOn: { release: 'completed' } },
      worker: {
        command: "bundle exec rake 'jobs:work'",
        readiness: { command: 'true' },
        dependsOn: { release: 'completed' },
      },
      release: { command: 'node migrate.js', task: true },
    });
    expect(config.gateway?.routes).toEqual([{ backends: [{ service: 'web' }] }]);
    expect(text).toContain('// listens on no port');
  });

  it('takes the workspaces of package.json that can be started', async () => {
    await files({
      'package.json': JSON.stringify({ workspaces: ['packages/*', 'apps/**', '!packages/old', 'gateway'] }),
      'packages/api/package.json': JSON.stringify({ name: '@shop/api', scripts: { start: 'x', dev: 'y' } }),
      'packages/lib/package.json': JSON.stringify({ name: '@shop/lib', scripts: { test: 'x' } }),
      'packages/old/package.json': JSON.stringify({ name: 'old', scripts: { start: 'x' } }),
      'apps/customer/web/package.json': JSON.stringify({ name: 'web', scripts: { start: 'x' } }),
      'gateway/package.json': JSON.stringify({ name: 'gateway', scripts: { start: 'x' } }),
    });
    const { config, text } = await init();
    expect(config.services).toEqual({
      api: { command: 'npm run dev', cwd: 'packages/api' },
      web: { command: 'npm run start', cwd: 'apps/customer/web' },
      'gateway-service': { command: 'npm run start', cwd: 'gateway' },
    });
    expect(config.gateway?.routes).toEqual([{ backends: [{ service: 'web' }] }]);
    expect(text).toContain('// lib (packages/lib) has no script');
  });

  it('takes a compose file: builds are services, images are external, addresses are those of the laptop', async () => {
    await files({
      'docker-compose.yml': `
x-env: &env
  LOG_LEVEL: debug
services:
  web_app:
    build: ./web
    ports: ['3000:80']
    depends_on: [orders]
  orders:
    build: { context: orders }
    command: ['node', 'orders.js']
    expose: [5000]
    environment:
      <<: *env
      DATABASE_URL: postgres://user:secret@db:5432/shop
      VERSION: \${TAG:-latest}
      PORT: 5000
    depends_on:
      db: { condition: service_healthy }
      migrate: { condition: service_completed_successfully }
  migrate:
    build: { context: orders }
    command: node migrate.js
    environment: ['MODE=up', 'PASSED_ON']
  worker:
    build: worker
    command: node worker.js
    depends_on: { cache: { condition: service_started } }
  db: { image: 'postgres:16', ports: ['127.0.0.1:15432:5432'] }
  cache: { image: redis }
  blackbox: { build: nowhere }
`,
      'web/Dockerfile': 'FROM node\nRUN npm ci\nCMD ["npm", \\\n  "start"]\n',
    });
    const { config, text } = await init();
    expect(config.services).toEqual({
      'web-app': { command: ['npm', 'start'], cwd: 'web', dependsOn: ['orders'] },
      orders: {
        command: ['node', 'orders.js'],
        cwd: 'orders',
        port: 5000,
        env: { LOG_LEVEL: 'debug', DATABASE_URL: 'postgres://user:secret@127.0.0.1:15432/shop', VERSION: 'v7' },
        dependsOn: { db: 'ready', migrate: 'completed' },
      },
      migrate: { command: 'node migrate.js', cwd: 'orders', env: { MODE: 'up' }, task: true },
      worker: { command: 'node worker.js', cwd: 'worker', readiness: { command: 'true' } },
      db: { external: 'tcp://127.0.0.1:15432', protocol: 'tcp' },
    });
    expect(config.gateway?.routes).toEqual([{ backends: [{ service: 'web-app' }] }]);
    expect(text).toContain('// image postgres:16: not started by mesh; `docker compose up -d db` does');
    expect(text).toContain('// cache: image redis, which publishes no port');
    expect(text).toContain('// blackbox: nothing says how to start it');
  });

  it('says what is wrong with a compose file that it cannot read', async () => {
    await files({ 'compose.yaml': 'services:\n  a: [\n' });
    expect(await initMesh(project, { force: false })).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-C010', message: expect.stringContaining('compose.yaml') }],
    });
  });

  it('fails where the source asked for is not there', async () => {
    expect((await initMesh(project, { from: 'procfile', force: false })).ok).toBe(false);
  });
});
