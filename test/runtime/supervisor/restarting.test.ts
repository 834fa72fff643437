import * as fs from 'node:fs';
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

const done = { ok: true, value: undefined };
const get = async (port: number | null): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();

describe('restart', () => {
  it('the old process serves until the new one is ready, and until its requests have ended', async () => {
    await mesh.supervisor.apply(
      mesh.config(service('web', mesh.baseDir, { command: node(`setTimeout(() => {${SERVER}}, 250)`) })),
    );
    const old = await mesh.reaches('web-1', 'ready');
    mesh.network.flights.set(`web-1:${old.appPort}`, 1);
    let oldAnswered = 0;
    let over = false;
    mesh.network.onPublish = ({ state, appPort }) => {
      if (state !== 'ready') throw new Error(`published ${state}`);
      expect(appPort).not.toBe(old.appPort);
    };
    const asking = (async () => {
      while (!over) {
        expect(await get(mesh.instance('web-1').appPort)).toMatch(/^\d+ /);
        oldAnswered += mesh.instance('web-1').appPort === old.appPort ? 1 : 0;
      }
    })();
    const restarted = mesh.supervisor.restart('web');
    const next = await eventually('new one', () =>
      mesh.instance('web-1').restarts === 1 ? mesh.instance('web-1') : null,
    );
    await eventually('published', () => mesh.network.published.length === 3);
    expect(alive(old.pid ?? 0)).toBe(true);
    expect(await get(old.appPort)).toContain(String(old.pid));
    mesh.network.flights.clear();
    expect(await restarted).toEqual(done);
    over = true;
    await asking;
    expect(oldAnswered).toBeGreaterThan(0);
    expect(alive(old.pid ?? 0)).toBe(false);
    expect(next.pid).not.toBe(old.pid);
    expect(await get(mesh.instance('web-1').appPort)).toContain(String(next.pid));
    mesh.network.onPublish = () => {};
  });

  it('a successor that is never ready leaves the old one serving, and says so', async () => {
    const flag = path.join(mesh.baseDir, 'broken');
    const command = node(
      `if (require('node:fs').existsSync(${JSON.stringify(flag)})) throw new Error('broken now'); ${SERVER}`,
    );
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { command })));
    const old = await mesh.reaches('web-1', 'ready');
    fs.writeFileSync(flag, '');
    expect(await mesh.supervisor.restart('web')).toMatchObject({ ok: false, problems: [{ code: 'MESH-P102' }] });
    expect(mesh.instance('web-1')).toMatchObject({ pid: old.pid, state: 'ready', restarts: 0 });
    expect(mesh.instance('web-1').reason).toContain('the old process keeps serving');
    expect(mesh.notices.at(-1)?.text).toContain('the new process exited with code 1; the old one keeps serving');
    expect(mesh.notices.at(-1)?.text).toContain('broken now');
    expect(await get(old.appPort)).toContain(String(old.pid));
    expect(mesh.network.states('web-1')).toEqual(['starting', 'ready']);
  });

  it('the old one crashing while its successor starts hands over to that', async () => {
    const flag = path.join(mesh.baseDir, 'slow');
    const wait = `require('node:fs').existsSync(${JSON.stringify(flag)}) ? 500 : 0`;
    await mesh.supervisor.apply(
      mesh.config(service('web', mesh.baseDir, { command: node(`setTimeout(() => {${SERVER}}, ${wait})`) })),
    );
    const old = await mesh.reaches('web-1', 'ready');
    fs.writeFileSync(flag, '');
    const restarted = mesh.supervisor.restart('web');
    await eventually('successor', () => mesh.instance('web-1').reason.includes('successor'));
    process.kill(old.pid ?? 0, 'SIGKILL');
    expect(await restarted).toEqual(done);
    expect(mesh.network.states('web-1')).toEqual(['starting', 'ready', 'starting', 'ready']);
    expect(mesh.instance('web-1')).toMatchObject({ state: 'ready', restarts: 1 });
  });

  it('on a fixed port requests are parked while the new process takes it over', async () => {
    const port = await freePort();
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { port })));
    const old = await mesh.reaches('web-1', 'ready');
    expect(await mesh.supervisor.restart('web')).toEqual(done);
    expect(mesh.network.states('web-1')).toEqual(['starting', 'ready', 'starting', 'starting', 'ready']);
    expect(alive(old.pid ?? 0)).toBe(false);
    expect(await get(port)).toContain(String(mesh.instance('web-1').pid));
  });

  it('a stop in the middle of a restart leaves nothing', async () => {
    const flag = path.join(mesh.baseDir, 'slow');
    const wait = `require('node:fs').existsSync(${JSON.stringify(flag)}) ? 5000 : 0`;
    await mesh.supervisor.apply(
      mesh.config(service('web', mesh.baseDir, { command: node(`setTimeout(() => {${SERVER}}, ${wait})`) })),
    );
    await mesh.reaches('web-1', 'ready');
    fs.writeFileSync(flag, '');
    const restarted = mesh.supervisor.restart('web');
    await eventually('successor', () => mesh.instance('web-1').reason.includes('successor'));
    expect(await mesh.supervisor.stop('web')).toEqual(done);
    expect((await restarted).ok).toBe(false);
    expect(mesh.instance('web-1')).toMatchObject({ state: 'stopped', pid: null });
    expect(mesh.ledger.live()).toEqual([]);
  });
});

it('restarts that wait for their turn do not bring back what was stopped meanwhile', async () => {
  await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir)));
  await mesh.reaches('web-1', 'ready');
  const restarts = [mesh.supervisor.restart('web'), mesh.supervisor.restart('web'), mesh.supervisor.restart('web')];
  await eventually('first one', () => mesh.instance('web-1').reason.includes('successor'));
  expect(await mesh.supervisor.stop('web')).toEqual(done);
  for (const restart of restarts) expect((await restart).ok).toBe(false);
  expect(mesh.instance('web-1')).toMatchObject({ state: 'stopped', pid: null });
  expect(mesh.ledger.live()).toEqual([]);
});

it('a network without ports fails the instance, and it tries again', async () => {
  const { network } = mesh;
  const open = network.open.bind(network);
  network.open = () => Promise.reject(new Error('no free port'));
  await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir)));
  const notice = await eventually('notice', () => mesh.notices[0]);
  expect(notice.problems[0].code).toBe('MESH-N103');
  network.open = open;
  await mesh.reaches('web-1', 'ready');
});

describe('watching', () => {
  it('a change builds first, then replaces; a failed build changes nothing', async () => {
    const { baseDir } = mesh;
    fs.mkdirSync(path.join(baseDir, 'src/node_modules'), { recursive: true });
    fs.writeFileSync(path.join(baseDir, 'src/version'), 'one');
    const build = shell('echo building; grep -q bad src/version && exit 7; cp src/version built');
    const command = node(`process.env.VERSION = require('node:fs').readFileSync('built', 'utf8'); ${SERVER}`);
    await mesh.supervisor.apply(
      mesh.config(service('web', baseDir, { command, build, watch: [path.join(baseDir, 'src')] })),
    );
    await mesh.reaches('web-1', 'ready');
    expect(await get(mesh.instance('web-1').appPort)).toContain('one');
    // Written until seen: the watcher says nothing of when it is ready.
    await eventually('second version', async () => {
      fs.writeFileSync(path.join(baseDir, 'src/version'), 'two');
      await new Promise((resolve) => setTimeout(resolve, 300));
      return (await get(mesh.instance('web-1').appPort)).includes('two');
    });
    const { pid } = await mesh.reaches('web-1', 'ready');
    expect(mesh.network.states('web-1').slice(2)).not.toContain('starting');
    fs.writeFileSync(path.join(baseDir, 'src/version'), 'bad');
    const notice = await eventually('notice', () => mesh.notices.find(({ level }) => level === 'error'));
    expect(notice.problems[0].code).toBe('MESH-P104');
    expect(notice.text).toMatch(/the build of web exited with code 7\n {2}building; the old process keeps serving/);
    expect(await get(mesh.instance('web-1').appPort)).toContain('two');
    // Another restart may have been under way when the second version was seen.
    expect(mesh.instance('web-1').state).toBe('ready');
    expect(pid).not.toBeNull();
    fs.writeFileSync(path.join(baseDir, 'src/node_modules/ignored'), 'x');
    expect(mesh.lines('web-1').some(({ text }) => text.includes('ignored'))).toBe(false);
  });

  it('a failing first build fails the service, and a change that mends it starts it', async () => {
    const { baseDir } = mesh;
    fs.mkdirSync(path.join(baseDir, 'src'));
    const build = shell('test -e src/good');
    await mesh.supervisor.apply(mesh.config(service('web', baseDir, { build, watch: [path.join(baseDir, 'src')] })));
    expect((await mesh.reaches('web-1', 'failed')).reason).toBe('the build failed');
    await eventually('mended', async () => {
      fs.writeFileSync(path.join(baseDir, 'src/good'), String(Math.random()));
      await new Promise((resolve) => setTimeout(resolve, 300));
      return mesh.instance('web-1').state === 'ready';
    });
  });
});

describe('a new configuration', () => {
  it('restarts what changed, starts and ends what came and went, and leaves the rest alone', async () => {
    const { baseDir, supervisor } = mesh;
    const [a, b, c] = ['a', 'b', 'c'].map((name) => service(name, baseDir));
    await supervisor.apply(mesh.config(a, b, c));
    for (const name of ['a', 'b', 'c']) await mesh.reaches(`${name}-1`, 'ready');
    const [pidA, pidB, pidC] = ['a', 'b', 'c'].map((name) => mesh.instance(`${name}-1`).pid ?? 0);
    await supervisor.apply(
      mesh.config({ ...a, connectTimeoutMs: 5 }, { ...b, env: { VERSION: 'v2' } }, service('d', baseDir)),
    );
    await mesh.reaches('d-1', 'ready');
    await eventually('b replaced', () => mesh.instance('b-1').restarts === 1);
    expect(await get(mesh.instance('b-1').appPort)).toContain('v2');
    await eventually('c gone', () => !alive(pidC) && !alive(pidB) && mesh.network.closed.includes('c-1'));
    expect(mesh.instance('a-1')).toMatchObject({ pid: pidA, restarts: 0, state: 'ready' });
    expect(supervisor.status().map(({ name }) => name)).toEqual(['a', 'b', 'd']);
    expect(mesh.network.states('c-1').slice(2)).toEqual(['draining', 'down']);
  });

  it('a service that is removed and comes back at once gets its ports only after the old one let go', async () => {
    const { baseDir, supervisor } = mesh;
    const a = service('a', baseDir);
    await supervisor.apply(mesh.config(a));
    const { pid } = await mesh.reaches('a-1', 'ready');
    await supervisor.apply(mesh.config());
    await supervisor.apply(mesh.config(a));
    await mesh.reaches('a-1', 'ready');
    expect(mesh.instance('a-1').pid).not.toBe(pid);
    expect(alive(pid ?? 0)).toBe(false);
    expect(mesh.network.closed).toEqual(['a-1']);
  });

  it('a service that somebody stopped stays so, and what depends on a changed service is left alone', async () => {
    const { baseDir, supervisor } = mesh;
    const dependsOn = [{ service: 'b', condition: 'ready' as const }];
    const [a, b, c] = [service('a', baseDir, { dependsOn }), service('b', baseDir), service('c', baseDir)];
    await supervisor.apply(mesh.config(a, b, c), ['a', 'c']);
    for (const name of ['a', 'c']) await mesh.reaches(`${name}-1`, 'ready');
    await supervisor.stop('c');
    const pid = mesh.instance('a-1').pid;
    await supervisor.apply(mesh.config(a, { ...b, env: { VERSION: 'v2' } }, { ...c, env: { VERSION: 'v2' } }), [
      'a',
      'c',
      'b',
    ]);
    await eventually('b replaced', () => mesh.instance('b-1').restarts === 1 && mesh.instance('b-1').state === 'ready');
    expect(mesh.instance('a-1')).toMatchObject({ pid, restarts: 0 });
    expect(mesh.instance('c-1')).toMatchObject({ pid: null, state: 'stopped' });
    expect(await supervisor.start('c')).toEqual(done);
    expect(await get(mesh.instance('c-1').appPort)).toContain('v2');
  });

  it('a change of one subset restarts that subset alone', async () => {
    const { baseDir, supervisor } = mesh;
    const subsets = (version: string) =>
      [
        ['stable', 'v1'],
        ['canary', version],
      ].map(([name, VERSION]) => ({ name, env: { VERSION }, command: null, replicas: 1 }));
    await supervisor.apply(mesh.config(service('a', baseDir, { subsets: subsets('v2') })));
    for (const name of ['stable', 'canary']) await mesh.reaches(`a-${name}-1`, 'ready');
    const { pid } = mesh.instance('a-stable-1');
    await supervisor.apply(mesh.config(service('a', baseDir, { subsets: subsets('v3') })));
    await eventually('canary replaced', () => mesh.instance('a-canary-1').restarts === 1);
    expect(await get(mesh.instance('a-canary-1').appPort)).toContain('v3');
    expect(mesh.instance('a-stable-1')).toMatchObject({ pid, restarts: 0 });
  });

  it('a changed fixed port moves the service without a gap', async () => {
    const { baseDir, supervisor } = mesh;
    const [one, two] = [await freePort(), await freePort()];
    await supervisor.apply(mesh.config(service('a', baseDir, { port: one })));
    await mesh.reaches('a-1', 'ready');
    await supervisor.apply(mesh.config(service('a', baseDir, { port: two })));
    await eventually('moved', () => mesh.instance('a-1').restarts === 1 && mesh.instance('a-1').state === 'ready');
    expect(mesh.instance('a-1').appPort).toBe(two);
    expect(mesh.network.states('a-1')).toEqual(['starting', 'ready', 'ready']);
  });
});

describe('scale', () => {
  it('adds instances, and drains and ends those too many', async () => {
    const { supervisor, network } = mesh;
    await supervisor.apply(mesh.config(service('web', mesh.baseDir)));
    await mesh.reaches('web-1', 'ready');
    const { pid } = mesh.instance('web-1');
    expect(await supervisor.scale('web', null, 3)).toEqual(done);
    const states = (): string[] => supervisor.status()[0].instances.map(({ id, state }) => `${id} ${state}`);
    expect(states()).toEqual(['web-1 ready', 'web-2 ready', 'web-3 ready']);
    expect(await supervisor.scale('web', null, 1)).toEqual(done);
    expect(states()).toEqual(['web-1 ready']);
    expect(network.closed.sort()).toEqual(['web-2', 'web-3']);
    expect(network.states('web-2')).toEqual(['starting', 'ready', 'draining', 'down']);
    expect(mesh.instance('web-1').pid).toBe(pid);
  });

  it('refuses what cannot be scaled', async () => {
    const external = { host: '127.0.0.1', port: 9, tls: false };
    await mesh.supervisor.apply(
      mesh.config(
        service('fixed', mesh.baseDir, { port: await freePort() }),
        task('once', mesh.baseDir, { command: shell('true') }),
        service('legacy', mesh.baseDir, { command: null, external }),
      ),
    );
    const codes = async (name: string): Promise<string> => {
      const outcome = await mesh.supervisor.scale(name, null, 2);
      return outcome.ok ? 'ok' : outcome.problems[0].code;
    };
    expect(await Promise.all(['fixed', 'once', 'legacy', 'nobody'].map(codes))).toEqual([
      'MESH-U107',
      'MESH-U107',
      'MESH-U107',
      'MESH-U103',
    ]);
  });
});

describe('stopping', () => {
  it('ends everything in reverse order of dependence', async () => {
    const order = path.join(mesh.baseDir, 'order');
    const obeying = (name: string): ReturnType<typeof node> =>
      node(`${SERVER}; process.removeAllListeners('SIGTERM');
        process.on('SIGTERM', () => setTimeout(() => { require('node:fs').appendFileSync(${JSON.stringify(order)}, '${name} '); process.exit() }, 50))`);
    const dependsOn = (name: string) => [{ service: name, condition: 'started' as const }];
    await mesh.supervisor.apply(
      mesh.config(
        service('c', mesh.baseDir, { command: obeying('c') }),
        service('b', mesh.baseDir, { command: obeying('b'), dependsOn: dependsOn('c') }),
        service('a', mesh.baseDir, { command: obeying('a'), dependsOn: dependsOn('b') }),
      ),
    );
    for (const name of ['a', 'b', 'c']) await mesh.reaches(`${name}-1`, 'ready');
    expect(await mesh.supervisor.stopAll(5_000, () => {})).toEqual(done);
    expect(fs.readFileSync(order, 'utf8')).toBe('a b c ');
    expect(mesh.ledger.live()).toEqual([]);
    expect(mesh.instance('a-1').state).toBe('stopped');
  });

  it('what ignores SIGTERM is named with its pid, and killed after its grace period', async () => {
    const command = node(`process.on('SIGTERM', () => {}); ${SERVER.replace('process.exit(0)', '0')}`);
    await mesh.supervisor.apply(
      mesh.config(service('deaf', mesh.baseDir, { command, stop: { signal: 'SIGTERM', graceMs: 1_300 } })),
    );
    const { pid, appPort } = await mesh.reaches('deaf-1', 'ready');
    const lines: string[] = [];
    expect(await mesh.supervisor.stopAll(10_000, (line) => lines.push(line))).toEqual(done);
    expect(lines[0]).toMatch(new RegExp(`^waiting for deaf-1: pid ${pid} \\(.*node -e.*\\), 1 s$`));
    expect(alive(pid ?? 0)).toBe(false);
    await expect(get(appPort)).rejects.toThrow();
  });

  it('a deadline, or asking twice, forces', async () => {
    const command = node(`process.on('SIGTERM', () => {}); ${SERVER.replace('process.exit(0)', '0')}`);
    const stop = { signal: 'SIGTERM' as const, graceMs: 60_000 };
    await mesh.supervisor.apply(mesh.config(service('deaf', mesh.baseDir, { command, stop })));
    await mesh.reaches('deaf-1', 'ready');
    const first = mesh.supervisor.stopAll(60_000, () => {});
    const second = mesh.supervisor.stopAll(60_000, () => {});
    expect(await Promise.all([first, second])).toEqual([done, done]);
  });

  it('signals npm-like wrappers and their children, and ends those that left group, parent and environment', async () => {
    const file = path.join(mesh.baseDir, 'pids');
    const note = `require('node:fs').appendFileSync(${JSON.stringify(file)}, process.pid + '\\n')`;
    const idle = `${note}; setInterval(() => {}, 999)`;
    const command = shell(
      [
        `setsid ${process.execPath} -e '${idle.replaceAll("'", '"')}' &`,
        `env -i setsid ${process.execPath} -e '${idle.replaceAll("'", '"')}' &`,
        `(${process.execPath} -e '${idle.replaceAll("'", '"')}' &)`,
        `${process.execPath} -e '${SERVER.replaceAll("'", '"')}'; true`,
      ].join('\n'),
    );
    await mesh.supervisor.apply(mesh.config(service('wrapped', mesh.baseDir, { command })));
    await mesh.reaches('wrapped-1', 'ready');
    const pids = await eventually('children', () => {
      const found = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim().split('\n').map(Number) : [];
      return found.length === 3 ? found : null;
    });
    expect(pids.every(alive)).toBe(true);
    expect(await mesh.supervisor.stop('wrapped')).toEqual(done);
    expect(pids.filter(alive)).toEqual([]);
    await expect(get(mesh.instance('wrapped-1').appPort)).rejects.toThrow();
  });

  it('a service in back-off, one being built and one that waits stop as well', async () => {
    const crash = {
      command: node('process.exit(1)'),
      restart: { policy: 'always' as const, backoffMs: 60_000, maxBackoffMs: 60_000, attempts: null },
    };
    const build = shell('sleep 60');
    await mesh.supervisor.apply(
      mesh.config(
        service('crashing', mesh.baseDir, crash),
        service('building', mesh.baseDir, { build }),
        service('waiting', mesh.baseDir, { dependsOn: [{ service: 'building', condition: 'ready' }] }),
      ),
    );
    await eventually('back-off', () => mesh.instance('crashing-1').reason.includes('restarting in'));
    // Longer than parking lasts, so callers are told at once.
    expect(mesh.network.states('crashing-1').at(-1)).toBe('down');
    await eventually('building', () => mesh.ledger.live().length === 1);
    const startedMs = performance.now();
    expect(await mesh.supervisor.stopAll(5_000, () => {})).toEqual(done);
    expect(performance.now() - startedMs).toBeLessThan(4_000);
    expect(mesh.ledger.live()).toEqual([]);
  });

  it('probes do not get in the way', async () => {
    const readiness = probe({ kind: 'command', command: shell('sleep 30') }, { timeoutMs: 20_000 });
    await mesh.supervisor.apply(mesh.config(service('web', mesh.baseDir, { readiness })));
    await eventually('probing', () => mesh.ledger.live().length === 2);
    expect(await mesh.supervisor.stopAll(5_000, () => {})).toEqual(done);
  });
});
