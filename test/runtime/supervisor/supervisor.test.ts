import * as fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  alive,
  createMesh,
  eventually,
  freePort,
  type Mesh,
  node,
  probe,
  SERVER,
  service,
  shell,
  task,
} from './mesh-fixture.ts';

let mesh: Mesh;

beforeEach(() => {
  mesh = createMesh();
});

afterEach(() => mesh.end());

const get = async (port: number | null): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();

describe('starting', () => {
  it('starts services in parallel, each when its dependencies are met', async () => {
    const { baseDir, supervisor } = mesh;
    const slow = `setTimeout(() => { ${SERVER} }, 300);`;
    await supervisor.apply(
      mesh.config(
        service('web', baseDir, { dependsOn: [{ service: 'orders', condition: 'ready' }] }),
        service('orders', baseDir, {
          command: node(slow),
          dependsOn: [
            { service: 'migrate', condition: 'completed' },
            { service: 'legacy', condition: 'ready' },
            { service: 'gateway', condition: 'ready' },
          ],
        }),
        task('migrate', baseDir, { command: shell('until test -e go; do sleep 0.02; done; echo migrated') }),
        service('legacy', baseDir, { command: null, external: { host: '127.0.0.1', port: 9, tls: false } }),
        service('cache', baseDir),
      ),
    );
    const [web, orders] = supervisor.status();
    expect(web.waitingFor).toEqual(['orders (ready)']);
    expect(web.instances[0].reason).toBe('waiting for orders (ready)');
    expect(orders.waitingFor).toEqual(['migrate (completed)']);
    await mesh.reaches('cache-1', 'ready');
    expect(mesh.instance('migrate-1').state).not.toBe('completed');
    fs.writeFileSync(path.join(baseDir, 'go'), '');
    await mesh.reaches('migrate-1', 'completed');
    expect(mesh.instance('web-1').pid).toBeNull();
    await mesh.reaches('orders-1', 'ready');
    const ready = await mesh.reaches('web-1', 'ready');
    expect(ready).toMatchObject({ restarts: 0, spiffeId: 'spiffe://test.local/ns/default/sa/web' });
    expect(Date.parse(ready.startedAt ?? '')).toBeGreaterThan(Date.parse(mesh.instance('orders-1').startedAt ?? ''));
    expect(supervisor.status().find(({ name }) => name === 'legacy')?.instances[0]).toMatchObject({
      state: 'ready',
      pid: null,
    });
    expect(mesh.network.states('web-1')).toEqual(['starting', 'ready']);
    expect(mesh.lines('migrate-1').map(({ text }) => text)).toContain('migrated');
  });

  it('starts only what was asked for, with what that depends on', async () => {
    const { baseDir, supervisor } = mesh;
    const config = mesh.config(
      service('web', baseDir, { dependsOn: [{ service: 'orders', condition: 'started' }] }),
      service('orders', baseDir),
      service('other', baseDir),
    );
    await supervisor.apply(config, ['web']);
    await mesh.reaches('web-1', 'ready');
    await mesh.reaches('orders-1', 'ready');
    expect(mesh.instance('other-1')).toMatchObject({ state: 'stopped', pid: null });
    expect(await supervisor.start('other')).toEqual({ ok: true, value: undefined });
    expect(mesh.instance('other-1').state).toBe('ready');
  });

  it('is quick: five services are ready well under two seconds after the start', async () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const startedMs = performance.now();
    await mesh.supervisor.apply(mesh.config(...names.map((name) => service(name, mesh.baseDir))));
    for (const name of names) await mesh.reaches(`${name}-1`, 'ready');
    for (const name of names)
      expect(mesh.instance(`${name}-1`).readyAfterMs).toBeLessThan(performance.now() - startedMs + 1);
  });

  it('gives instances their environment, PATH and subset', async () => {
    const { baseDir, supervisor } = mesh;
    fs.mkdirSync(path.join(baseDir, 'app/node_modules/.bin'), { recursive: true });
    const tool = path.join(baseDir, 'app/node_modules/.bin/hello');
    fs.writeFileSync(tool, '#!/bin/sh\necho "hello $WHO $LEVEL $FROM_NETWORK $QUOTED $KEPT"\n', { mode: 0o755 });
    fs.writeFileSync(path.join(baseDir, 'one.env'), 'LEVEL=1\nQUOTED="a b"\nKEPT=file\n');
    const subsets = ['stable', 'canary'].map((name) => ({ name, env: { WHO: name }, command: null, replicas: 1 }));
    const more = { command: shell('hello'), envFiles: [path.join(baseDir, 'one.env')], env: { LEVEL: '2' }, subsets };
    await supervisor.apply(mesh.config(task('greet', path.join(baseDir, 'app'), more)));
    await mesh.reaches('greet-canary-1', 'completed');
    await mesh.reaches('greet-stable-1', 'completed');
    expect(mesh.lines('greet-canary-1').map(({ text }) => text)).toContain('hello canary 2 greet-canary-1 a b file');
    expect(mesh.instance('greet-stable-1').subset).toBe('stable');
  });

  it('a missing program fails at once, with where it was looked for and what was meant', async () => {
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { command: shell('nodee server.js') })));
    const failed = await mesh.reaches('web-1', 'failed');
    expect(failed.reason).toContain('nodee was found neither in');
    expect(mesh.notices.at(-1)?.problems[0]).toMatchObject({
      code: 'MESH-P101',
      path: 'services.web.command',
      hint: expect.stringContaining("did you mean 'node'?"),
    });
    expect(mesh.network.states('web-1').at(-1)).toBe('down');
  });

  it('a service that exits at once is restarted with growing back-off and shown with its last lines', async () => {
    const command = node('console.log("out of luck"); console.error("Error: no database"); process.exit(3)');
    await mesh.supervisor.apply(
      mesh.config(
        service('web', mesh.baseDir, {
          command,
          restart: { policy: 'on-failure', backoffMs: 20, maxBackoffMs: 60, attempts: 4 },
        }),
        service('after', mesh.baseDir, { dependsOn: [{ service: 'web', condition: 'ready' }] }),
      ),
    );
    const failed = await mesh.reaches('web-1', 'failed');
    expect(failed).toMatchObject({
      restarts: 3,
      reason: 'exited with code 3; it failed 4 times in a row and is not restarted',
    });
    const texts = mesh.notices.map(({ text }) => text);
    expect(texts[0]).toContain('web-1: exited with code 3, restarting in 20 ms');
    expect(texts[0]).toContain('\n  Error: no database');
    expect(texts[1]).toContain('restarting in 40 ms');
    expect(texts[2]).toContain('restarting in 60 ms');
    expect(mesh.instance('after-1').reason).toContain('waiting for web (ready), which failed: exited with code 3');
    expect(mesh.network.states('web-1').at(-1)).toBe('down');
  });

  it('a service that never becomes ready is restarted after its deadline, and said where it listens instead', async () => {
    const elsewhere = await freePort();
    const command = node(`require('node:http').createServer().listen(${elsewhere}, '127.0.0.1')`);
    const readiness = probe({ kind: 'tcp', port: null }, { deadlineMs: 700 });
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { command, readiness })));
    const notice = await eventually('notice', () => mesh.notices[0]);
    expect(notice.problems[0].code).toBe('MESH-P103');
    expect(notice.text).toMatch(/not ready within 0.7 s: port \d+: connection refused; it listens on 127\.0\.0\.1:/);
    expect(notice.text).toContain(`127.0.0.1:${elsewhere}, not on 127.0.0.1:`);
    const second = await eventually('second try', () =>
      mesh.instance('web-1').restarts > 0 ? mesh.instance('web-1') : null,
    );
    expect(second.state).toBe('starting');
  });

  it('a failing readiness never kills: the instance leaves and comes back with the probe', async () => {
    const flag = path.join(mesh.baseDir, 'flag');
    fs.writeFileSync(flag, '');
    const command = node(`
      require('node:http').createServer((_request, response) => {
        response.statusCode = require('node:fs').existsSync(${JSON.stringify(flag)}) ? 200 : 503;
        response.end();
      }).listen(process.env.PORT);`);
    const readiness = probe({ kind: 'http', path: '/ready', port: null }, { intervalMs: 20, failureThreshold: 2 });
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { command, readiness })));
    const { pid } = await mesh.reaches('web-1', 'ready');
    fs.rmSync(flag);
    expect((await mesh.reaches('web-1', 'unhealthy')).reason).toBe('GET /ready: status 503');
    fs.writeFileSync(flag, '');
    expect(await mesh.reaches('web-1', 'ready')).toMatchObject({ pid, restarts: 0 });
    expect(mesh.network.states('web-1')).toEqual(['starting', 'ready', 'unhealthy', 'ready']);
  });

  it('a failing liveness probe has the process replaced', async () => {
    const flag = path.join(mesh.baseDir, 'stuck');
    const command = node(`${SERVER} server.on('request', () => {});`);
    const check = shell(`test ! -e ${flag}`);
    const liveness = probe({ kind: 'command', command: check }, { intervalMs: 30, failureThreshold: 2 });
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { command, liveness })));
    const { pid } = await mesh.reaches('web-1', 'ready');
    fs.writeFileSync(flag, '');
    await eventually('replaced', () => !alive(pid ?? 0));
    fs.rmSync(flag);
    const replaced = await mesh.reaches('web-1', 'ready');
    expect(replaced.restarts).toBeGreaterThan(0);
    expect(replaced.pid).not.toBe(pid);
    expect(mesh.notices[0].text).toContain('liveness: command exited with code 1');
  });

  it('log probes see the lines of their own process', async () => {
    const command = node(`setTimeout(() => console.log('now serving'), 100); setInterval(() => {}, 1000)`);
    const readiness = probe({ kind: 'log', pattern: 'now \\w+ing' });
    await mesh.supervisor.apply(mesh.config(service('worker', mesh.baseDir, { command, readiness })));
    await mesh.reaches('worker-1', 'ready');
    expect(mesh.lines('worker-1').some(({ text, stream }) => text === 'now serving' && stream === 'stdout')).toBe(true);
  });
});

describe('ports', () => {
  it('a fixed port that is taken is named with its holder, and used once it is free', async () => {
    const port = await freePort();
    const holder = net.createServer().listen(port, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { port })));
    const notice = await eventually('notice', () => mesh.notices[0]);
    expect(notice.problems[0].code).toBe('MESH-N101');
    expect(notice.text).toContain(`port ${port} is in use by pid ${process.pid}`);
    holder.close();
    expect(await get((await mesh.reaches('web-1', 'ready')).appPort)).toContain(String(mesh.instance('web-1').pid));
  });

  it('a port taken while the service starts is named, whether the service exits over it or not', async () => {
    const [port, other] = [await freePort(), await freePort()];
    const command = node(`setTimeout(() => { ${SERVER} }, 400);`);
    const deaf = node(
      `setTimeout(() => { ${SERVER} }, 400); process.on('uncaughtException', () => {}); setInterval(() => {}, 999);`,
    );
    await mesh.supervisor.apply(
      mesh.config(
        service('web', mesh.baseDir, { port, command }),
        service('deaf', mesh.baseDir, { port: other, command: deaf }),
      ),
    );
    await eventually('spawned', () => mesh.instance('web-1').pid !== null && mesh.instance('deaf-1').pid !== null);
    const holders = [port, other].map((each) => net.createServer().listen(each, '127.0.0.1'));
    await eventually('both told', () => mesh.notices.length >= 2);
    for (const name of ['web', 'deaf'])
      expect(mesh.notices.find(({ service }) => service === name)?.text).toMatch(
        /port \d+ is (in use|held) by pid \d+/,
      );
    for (const holder of holders) holder.close();
    await mesh.reaches('web-1', 'ready');
    await mesh.reaches('deaf-1', 'ready');
  });
});

describe('crashes', () => {
  it('kill -9 of a service: parked at once, restarted, ready', async () => {
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir)));
    const { pid } = await mesh.reaches('web-1', 'ready');
    process.kill(pid ?? 0, 'SIGKILL');
    const back = await eventually('back', () => {
      const instance = mesh.instance('web-1');
      return instance.state === 'ready' && instance.pid !== pid ? instance : null;
    });
    expect(back.restarts).toBe(1);
    expect(mesh.network.states('web-1')).toEqual(['starting', 'ready', 'starting', 'starting', 'ready']);
    expect(mesh.notices[0].text).toContain('was ended by SIGKILL, restarting in');
    expect(await get(back.appPort)).toContain(String(back.pid));
  });

  it('children that a crashed process left are ended before it is started again', async () => {
    const file = path.join(mesh.baseDir, 'child');
    const command = node(`
      const { spawn } = require('node:child_process');
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 999)'], { detached: true, stdio: 'ignore' });
      child.unref();
      require('node:fs').appendFileSync(${JSON.stringify(file)}, child.pid + '\\n');
      ${SERVER}`);
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { command })));
    const { pid } = await mesh.reaches('web-1', 'ready');
    const child = Number(fs.readFileSync(file, 'utf8'));
    expect(alive(child)).toBe(true);
    process.kill(pid ?? 0, 'SIGKILL');
    await eventually('child gone', () => !alive(child));
  });

  it('policy never leaves it failed; a start by name tries again', async () => {
    const flag = path.join(mesh.baseDir, 'flag');
    const command = shell(`test -e ${flag} && exec node -e '${SERVER.replaceAll("'", '"')}'`);
    const restart = { policy: 'never' as const, backoffMs: 10, maxBackoffMs: 10, attempts: null };
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { command, restart })));
    expect((await mesh.reaches('web-1', 'failed')).reason).toBe('exited with code 1');
    fs.writeFileSync(flag, '');
    expect(await mesh.supervisor.start('web')).toEqual({ ok: true, value: undefined });
    expect(mesh.instance('web-1').state).toBe('ready');
  });
});
