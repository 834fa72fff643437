import { readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, createMesh, eventually, freePort, isAlive, startMesh } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const gateway = { routes: routesTo('a') };

describe('services that go wrong', () => {
  it('a missing program: the start fails at once, with what was meant', async () => {
    const mesh = await createMesh(
      { 'echo.mjs': ECHO },
      { services: { a: { command: ['nodee', 'x.mjs'] }, b: echo() } },
    );
    const up = await mesh.mesh('up', '-d');
    expect(up.code).toBe(1);
    expect(up.stderr).toContain('nodee');
    expect(up.stderr).toMatch(/did you mean .*node\b/);
    expect(up.tookMs).toBeLessThan(15_000);
    expect(await mesh.instance('a-1')).toMatchObject({ state: 'failed', pid: null });
    // The rest of the mesh is there.
    await mesh.statusWhen(({ services }) => services[1].instances[0].state === 'ready');
    expect((await mesh.mesh('ps')).stdout).toMatch(/a-1 +failed/);
  });

  it('one that exits at once is tried again, and shown with its last words', async () => {
    const mesh = await createMesh(
      { 'exits.mjs': `console.log('started'); console.error('no database'); process.exit(3);` },
      { services: { a: { command: ['node', 'exits.mjs'], restart: { attempts: 2, backoff: '50ms' } } } },
    );
    const up = await mesh.mesh('up', '-d');
    expect(up.code).toBe(1);
    expect(up.stderr).toMatch(/a-1 .*exited with code 3/);
    expect(up.stderr).toContain('no database');
    expect(up.stderr).toContain('mesh logs a');
    expect(await mesh.instance('a-1')).toMatchObject({ state: 'failed', restarts: 1 });
  });

  it('a first failure is not the end: back-off, another try, ready', async () => {
    const mesh = await createMesh(
      {
        'echo.mjs': ECHO,
        'late.sh': 'test -e tried || { touch tried; exit 1; }\nexec node echo.mjs',
      },
      { services: { a: { command: ['sh', 'late.sh'] } }, gateway },
    );
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    await up.until(/exited with code 1, restarting in \d+ ms/);
    expect(await mesh.instance('a-1')).toMatchObject({ state: 'ready', restarts: 1 });
    expect((await get(mesh.gatewayPort, '/a')).status).toBe(200);
  });

  it('one that never becomes ready: exit code 4, and where it listens instead', async () => {
    const other = await freePort();
    const mesh = await createMesh(
      { 'elsewhere.mjs': `import http from 'node:http'; http.createServer().listen(${other}, '127.0.0.1');` },
      {
        services: {
          a: { command: ['node', 'elsewhere.mjs'], readiness: { http: '/', deadline: '1s' }, restart: { attempts: 1 } },
          b: { command: ['node', '-e', 'setInterval(() => {}, 1e3)'] },
        },
      },
    );
    const up = await mesh.mesh('up', '-d', 'a');
    expect(up.code).toBe(1);
    expect(up.stderr).toMatch(
      new RegExp(`not ready within 1 s: .*127.0.0.1:${other}, not on 127.0.0.1:\\d+ \\(PORT\\)`),
    );
    const slow = await mesh.mesh('up', '-d', 'b', '--timeout', '500ms');
    expect(slow.code).toBe(4);
    expect(slow.stderr).toMatch(/b-1/);
  });

  it('one that ignores SIGTERM: `down` names it with its pid and kills it in time', async () => {
    const mesh = await startMesh(
      { 'stubborn.mjs': `process.on('SIGTERM', () => {});\n${ECHO}` },
      { services: { a: { command: ['node', 'stubborn.mjs'], stop: { grace: '1m' } } } },
    );
    const { pid } = await mesh.instance('a-1');
    const down = await mesh.mesh('down', '--timeout', '2s');
    expect(down.code, down.stderr).toBe(0);
    expect(down.stderr).toMatch(new RegExp(`a-1.*pid ${pid}|pid ${pid}.*a-1`));
    expect(isAlive(pid!)).toBe(false);
    expect(down.tookMs).toBeLessThan(8_000);
  });

  it('children go with it, also those that left its group and session', async () => {
    const mesh = await startMesh(
      {
        'echo.mjs': ECHO,
        'forks.sh':
          'sleep 1001 &\n(sleep 1002 &)\nsetsid sleep 1003 &\nsetsid sh -c "sleep 1004 & exec sleep 1005" &\nexec node echo.mjs',
      },
      { services: { a: { command: 'sh forks.sh' } }, gateway },
    );
    const sleeping = () => mesh.processes().filter(({ command }) => command.startsWith('sleep 100')).length;
    await eventually(() => sleeping() === 5);
    expect(await mesh.mesh('restart', 'a')).toMatchObject({ code: 0 });
    await eventually(
      () => sleeping() === 5,
      5_000,
      () => JSON.stringify(mesh.processes()),
    );
    expect(await mesh.down()).toMatchObject({ code: 0 });
    expect(mesh.processes()).toEqual([]);
  });

  it('one that floods stdout: bounded on disk, and everybody else goes on', async () => {
    const mesh = await startMesh(
      {
        'flood.mjs': `const line = 'x'.repeat(999) + '\\n'; const block = line.repeat(1000); let n = 0; (function more() { while (n < 200) { n++; if (!process.stdout.write(block)) return process.stdout.once('drain', more); } setInterval(() => console.log('the end'), 50); })();`,
        'echo.mjs': ECHO,
      },
      { services: { a: echo(), flood: { command: ['node', 'flood.mjs'], readiness: { log: 'the end' } } }, gateway },
    );
    expect((await get(mesh.gatewayPort, '/a')).status).toBe(200);
    const logs = await mesh.mesh('logs', 'flood', '-n', '3');
    expect(logs.stdout).toContain('the end');
    const { stdout } = await mesh.mesh('logs', 'a', '-n', '5');
    expect(stdout).toContain('a listens on');
    expect(diskUsage(mesh.path('.mesh'))).toBeLessThan(128 * 1024 * 1024);
  });

  it('one that prints binary: the log stays text', async () => {
    const mesh = await startMesh(
      {
        'binary.mjs': `process.stdout.write(Buffer.from([0, 1, 2, 27, 91, 50, 74, 255, 254, 128, 10])); console.log('after'); setInterval(() => {}, 1e3);`,
      },
      { services: { a: { command: ['node', 'binary.mjs'], readiness: { log: 'after' } } } },
    );
    const { stdout, code } = await mesh.mesh('logs', 'a');
    expect(code).toBe(0);
    expect(stdout).toContain('after');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not get to a terminal
    expect(stdout).not.toMatch(/[\x00-\x08\x0e-\x1f]/);
    const lines = (await mesh.mesh('logs', 'a', '--json')).stdout.trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).service)).toContain('a');
  });
});

describe('ports that are taken', () => {
  it('the gateway’s: nothing is started, the holder is named', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, { services: { a: echo() }, gateway });
    const holder = createServer().listen(mesh.gatewayPort, '127.0.0.1');
    try {
      const up = await mesh.mesh('up', '-d');
      expect(up.code).toBe(1);
      expect(up.stderr).toContain('MESH-N101');
      expect(up.stderr).toMatch(new RegExp(`port ${mesh.gatewayPort} of the gateway is held by .*pid ${process.pid}`));
      expect(mesh.processes()).toEqual([]);
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
    await mesh.up();
  });

  it('a service’s: it is named, and the service starts when the port is free', async () => {
    const port = await freePort();
    const mesh = await createMesh({ 'echo.mjs': ECHO }, { services: { a: echo({ port }), b: echo() }, gateway });
    const holder = createServer().listen(port, '127.0.0.1');
    const up = mesh.run('up', '--no-tui');
    try {
      await up.until(new RegExp(`port ${port} is in use by .*pid ${process.pid}`));
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
    await up.until(/is ready in/);
    expect((await get(mesh.gatewayPort, '/a')).status).toBe(200);
  });
});

describe('bad usage and bad configurations', () => {
  it('unknown commands, flags and services: exit code 2 and a hint', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, { services: { orders: echo() } });
    const command = await mesh.mesh('strat');
    expect(command.code).toBe(2);
    expect(command.stderr).toMatch(/strat[\s\S]*start/);
    expect((await mesh.mesh('ps', '--jsn')).code).toBe(2);
    const service = await mesh.mesh('up', '-d', 'order');
    expect(service.code).toBe(2);
    expect(service.stderr).toMatch(/order[\s\S]*orders/);
    expect(mesh.processes()).toEqual([]);
    await mesh.up();
    const logs = await mesh.mesh('logs', 'order');
    expect(logs.code).toBe(2);
    expect(logs.stderr).toContain('orders');
  });

  it('a broken configuration starts nothing: exit code 2, every problem with its line', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO });
    mesh.config({ services: { a: echo({ dependsOn: ['bb'] }), b: echo({ readines: { http: '/' } }) } as never });
    const up = await mesh.mesh('up', '-d');
    expect(up.code).toBe(2);
    expect(up.stderr).toMatch(/mesh\.config\.ts:\d+:\d+/);
    expect(up.stderr).toContain('readiness');
    expect(up.stderr).toContain('bb');
    expect(mesh.processes()).toEqual([]);
    const elsewhere = await mesh.mesh('ps', '--config', '/nowhere/mesh.config.ts');
    expect(elsewhere.code).not.toBe(0);
  });
});

function diskUsage(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += statSync(path.join(entry.parentPath, entry.name)).blocks * 512;
  return bytes;
}
