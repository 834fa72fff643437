import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ControlServer, serveControl } from '../../src/runtime/control/server.ts';
import { controlSocketPath } from '../../src/runtime/control/socket-path.ts';
import { type FakeMesh, fakeMesh, shopStatus, temporaryDirectory, until } from '../runtime/control/fake-mesh.ts';

const bin = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let server: ControlServer;
let mesh: FakeMesh;

beforeAll(async () => {
  directory = await temporaryDirectory();
  await writeFile(path.join(directory.path, 'mesh.config.ts'), '');
  await mkdir(path.join(directory.path, 'sub'));
  mesh = fakeMesh();
  const served = await serveControl(mesh, controlSocketPath(path.join(directory.path, '.mesh')));
  if (!served.ok) throw new Error(served.problems[0].message);
  server = served.value;
});

afterAll(async () => {
  await server.close();
  await directory[Symbol.asyncDispose]();
});

beforeEach(() => {
  mesh.calls.length = 0;
  mesh.refuse = null;
  mesh.lines = [];
  mesh.setStatus(shopStatus());
});

interface Run {
  code: number | null;
  stdout: string;
  stderr: string;
}

function launch(
  args: string[],
  cwd: string,
  env: Record<string, string> = {},
): { child: ChildProcess; done: Promise<Run> } {
  const { NO_COLOR: _, CLICOLOR_FORCE: __, ...inherited } = process.env;
  const child = spawn(process.execPath, [bin, ...args], {
    cwd,
    env: { ...inherited, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  return { child, done: new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr }))) };
}

const run = (args: string[], cwd = directory.path, env: Record<string, string> = {}) => launch(args, cwd, env).done;

describe('mesh', () => {
  it('prints the contracted JSON of ps, from a directory below the config', async () => {
    const { code, stdout } = await run(['ps', '--json'], path.join(directory.path, 'sub'));
    expect(code).toBe(0);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ mesh: 'shop', state: 'running', pid: 4242, gateway: { http: 8080 } });
    expect(document.services[0]).toMatchObject({
      name: 'inventory',
      protocol: 'http',
      instances: [
        {
          id: 'inventory-1',
          subset: 'default',
          state: 'ready',
          pid: 11,
          appPort: 3001,
          inboundPort: 3002,
          outboundPort: 3003,
          restarts: 0,
          startedAt: '2026-11-20T10:00:00.500Z',
          spiffeId: 'spiffe://shop.local/ns/default/sa/inventory',
        },
      ],
    });
  });

  it('exits with 3 where no mesh runs, as text and as JSON', async () => {
    const none = path.join(directory.path, 'sub', 'none');
    await mkdir(none, { recursive: true });
    await writeFile(path.join(none, 'mesh.config.ts'), '');
    const [text, json] = await Promise.all([run(['ps'], none), run(['routes', '--json'], none)]);
    expect(text).toMatchObject({ code: 3, stdout: '' });
    expect(text.stderr).toContain('no mesh is running here');
    expect(text.stderr).toContain('`mesh up`');
    expect(json.code).toBe(3);
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, problems: [{ code: 'MESH-R101' }] });
  });

  it('exits with 2 for a wrong command, flag or argument, and says what was meant', async () => {
    const [command, flag, service] = await Promise.all([
      run(['strat']),
      run(['ps', '--nope']),
      run(['logs', 'ordres']),
    ]);
    expect(command.code).toBe(2);
    expect(command.stderr).toContain('did you mean `mesh start`?');
    expect(flag.code).toBe(2);
    expect(flag.stderr).toContain('--nope');
    expect(service.code).toBe(2);
    expect(service.stderr).toContain("did you mean 'orders'?");
  });

  it('exits with 1 for what the daemon refuses', async () => {
    mesh.refuse = 'orders';
    const { code, stderr } = await run(['restart', 'orders']);
    expect(code).toBe(1);
    expect(stderr).toContain('MESH-S404');
    expect(mesh.calls).toEqual(['restart orders']);
  });

  it('restarts several services, one after another', async () => {
    const several = await run(['restart', 'web', 'orders', '--json']);
    expect(several.code).toBe(0);
    expect(JSON.parse(several.stdout)).toMatchObject({ services: ['web', 'orders'] });
    expect(mesh.calls).toEqual(['restart web', 'restart orders']);
    expect((await run(['restart'])).code).toBe(2);
  });

  it('exits with 4 when waiting takes too long, and with 0 when it is done', async () => {
    const [late, done] = await Promise.all([
      run(['wait', 'orders', '--timeout', '2s']),
      run(['wait', 'inventory', '--for', 'ready', '--json']),
    ]);
    expect(late.code).toBe(4);
    expect(late.stderr).toContain('waiting for inventory (ready)');
    expect(done).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(done.stdout)).toEqual({ ok: true, service: 'inventory', state: 'ready' });
  });

  it('follows logs as NDJSON until it is interrupted', async () => {
    const line = {
      time: '2026-11-20T10:00:01.234Z',
      service: 'orders',
      instance: 'orders-1',
      stream: 'stdout' as const,
    };
    mesh.lines.push({ ...line, text: 'one' });
    const { child, done } = launch(['logs', 'orders', '-f', '--json', '-n', '5'], directory.path);
    await until(() => mesh.logReaders === 1, 'the client follows', 10_000);
    mesh.append({ ...line, text: 'two' });
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    child.kill('SIGINT');
    const { code, stdout, stderr } = await done;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((text) => JSON.parse(text)),
    ).toEqual([
      { ...line, text: 'one' },
      { ...line, text: 'two' },
    ]);
    await until(() => mesh.logReaders === 0, 'the daemon stops reading');
  });

  it('is quiet when its reader leaves early', async () => {
    const line = {
      time: '2026-11-20T10:00:01.234Z',
      service: 'orders',
      instance: 'orders-1',
      stream: 'stdout' as const,
    };
    for (let index = 0; index < 5_000; index++) mesh.lines.push({ ...line, text: 'x'.repeat(100) });
    const { child, done } = launch(['logs'], directory.path);
    child.stdout!.once('data', () => child.stdout!.destroy());
    expect(await done).toMatchObject({ code: 0, stderr: '' });
  });

  it('colours only where it is wanted', async () => {
    const [plain, forced, never] = await Promise.all([
      run(['ps']),
      run(['ps'], directory.path, { CLICOLOR_FORCE: '1' }),
      run(['ps'], directory.path, { CLICOLOR_FORCE: '1', NO_COLOR: '1' }),
    ]);
    expect(plain.stdout).not.toContain('\u001b[');
    expect(forced.stdout).toContain('\u001b[32m');
    expect(never.stdout).not.toContain('\u001b[');
    for (const line of plain.stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('documents every command with examples', async () => {
    const names = ['up', 'certs rotate', 'scale'];
    const [overview, ...pages] = await Promise.all([
      run(['--help']),
      ...names.map((name) => run([...name.split(' '), '--help'])),
    ]);
    expect(overview.code).toBe(0);
    for (const name of ['init', 'up', 'down', 'ps', 'logs', 'wait', 'doctor', 'completion']) {
      expect(overview.stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    }
    for (const page of pages) expect(page.stdout).toMatch(/EXAMPLES\n {2}\$ mesh /);
  });
});
