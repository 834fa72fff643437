import { cpSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  cleanUpMeshes,
  createMesh,
  eventually,
  isAlive,
  listeningPorts,
  startMesh,
  type TestMesh,
} from '../support/e2e.ts';
import { ECHO, type EchoAnswer, echo, routesTo } from '../support/e2e-services.ts';
import { get, getJson } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const CONFIG = { services: { a: echo({ dependsOn: ['b'] }), b: echo() }, gateway: { routes: routesTo('a', 'b') } };
/** Goes on after SIGTERM, for longer than anybody waits here. */
const STUBBORN = `process.on('SIGTERM', () => console.log('not now')); ${ECHO}`;

const nothingLeft = async (mesh: TestMesh): Promise<void> => {
  await eventually(
    () => mesh.processes().length === 0,
    10_000,
    () => JSON.stringify(mesh.processes()),
  );
  const bound = listeningPorts();
  expect(mesh.ports().filter((port) => bound.has(port))).toEqual([]);
};

describe('mesh up in the foreground', () => {
  it('shows who waits for whom, then the URLs and the logs; Ctrl-C stops everything', async () => {
    // The machine may be slow, but not so slow that the client misses this.
    const b = echo({ readiness: { http: '/', initialDelay: '2s' } });
    const mesh = await createMesh({ 'echo.mjs': ECHO }, { ...CONFIG, services: { ...CONFIG.services, b } });
    const up = mesh.run('up', '--no-tui');
    const text = await up.until(/is ready in/);
    expect(text).toMatch(/a-1 +waiting for b \(ready\)/);
    expect(text).toMatch(/b-1 +starting, pid \d+/);
    expect(text).toMatch(/✓ b-1 +ready in [\d.]+ m?s[\s\S]*✓ a-1 +ready in/);
    expect(text).toMatch(new RegExp(`e2e is ready in [\\d.]+ m?s: http://localhost:${mesh.gatewayPort}`));
    await up.until(/b listens on/);
    up.child.kill('SIGINT');
    const ended = await up.ended;
    expect(ended).toMatchObject({ code: 0, signal: null });
    expect(ended.stdout).toContain('e2e is stopped');
    await nothingLeft(mesh);
  });

  it('SIGTERM stops everything as well', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    up.child.kill('SIGTERM');
    expect(await up.ended).toMatchObject({ code: 0 });
    await nothingLeft(mesh);
  });

  it('Ctrl-C names what is in the way, a second one forces', async () => {
    const mesh = await createMesh({ 'echo.mjs': STUBBORN }, { services: { a: echo({ stop: { grace: '1m' } }) } });
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    const { pid } = await mesh.instance('a-1');
    up.child.kill('SIGINT');
    await up.until(new RegExp(`pid ${pid}`), 10_000);
    expect(isAlive(pid!)).toBe(true);
    up.child.kill('SIGINT');
    const ended = await up.ended;
    expect(ended.code).toBe(0);
    await nothingLeft(mesh);
  });

  it('Ctrl-C while services still start stops what there is', async () => {
    const mesh = await createMesh(
      { 'never.mjs': 'setInterval(() => {}, 1000)' },
      { services: { a: { command: ['node', 'never.mjs'] } } },
    );
    const up = mesh.run('up', '--no-tui');
    await up.until(/starting, pid/);
    up.child.kill('SIGINT');
    expect((await up.ended).code).toBe(0);
    await nothingLeft(mesh);
  });

  it('a client that is killed takes its mesh down', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    up.child.kill('SIGKILL');
    await nothingLeft(mesh);
  });

  it('a client that is killed while the daemon starts leaves nothing either', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    const up = mesh.run('up', '--no-tui');
    await eventually(() => mesh.processes().some(({ command }) => command.includes('daemon.js')));
    up.child.kill('SIGKILL');
    await nothingLeft(mesh);
  });

  it('joins a mesh that runs, and leaves it running', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    const { pid } = await mesh.status();
    expect(await mesh.mesh('up', '-d')).toMatchObject({ code: 0 });
    const second = mesh.run('up', '--no-tui');
    await second.until(/a mesh already runs here[\s\S]*e2e is ready/);
    second.child.kill('SIGINT');
    expect(await second.ended).toMatchObject({ code: 0 });
    expect((await mesh.status()).pid).toBe(pid);
    expect((await get(mesh.gatewayPort, '/a')).status).toBe(200);
    // One that only watches learns that the mesh was stopped by somebody else.
    const third = mesh.run('up', '--no-tui');
    await third.until(/e2e is ready/);
    expect(await mesh.down()).toMatchObject({ code: 0 });
    expect(await third.ended).toMatchObject({ code: 0 });
  });

  it('two at the same moment make one mesh', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    const outcomes = await Promise.all([mesh.mesh('up', '-d'), mesh.mesh('up', '-d')]);
    for (const outcome of outcomes) expect(outcome, outcome.stderr).toMatchObject({ code: 0 });
    expect(mesh.processes().filter(({ command }) => command.includes('daemon.js'))).toHaveLength(1);
    expect((await get(mesh.gatewayPort, '/a')).status).toBe(200);
  });

  it('two checkouts of the same mesh run side by side', async () => {
    const first = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    const second = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    // As one user: the same root certificate, the same runtime directory.
    Object.assign(second.env, {
      HOME: first.env.HOME,
      XDG_DATA_HOME: first.env.XDG_DATA_HOME,
      XDG_RUNTIME_DIR: first.env.XDG_RUNTIME_DIR,
    });
    await Promise.all([first.up(), second.up()]);
    const answers = await Promise.all(
      [first, second].map((mesh) => getJson<EchoAnswer>(mesh.gatewayPort, '/a/call?env=B_URL')),
    );
    const instances = await Promise.all([first.instance('b-1'), second.instance('b-1')]);
    expect(answers.map(({ called }) => called!.body.pid)).toEqual(instances.map(({ pid }) => pid));
    expect(await first.down()).toMatchObject({ code: 0 });
    expect((await getJson<EchoAnswer>(second.gatewayPort, '/a/call?env=B_URL')).called!.body.service).toBe('b');
    // A copy of a directory with its state is a mesh of its own.
    const third = await createMesh({ 'echo.mjs': ECHO });
    cpSync(second.path('.mesh'), third.path('.mesh'), { recursive: true, filter: (file) => !file.endsWith('.sock') });
    third.config(CONFIG);
    await third.up();
    expect((await getJson<EchoAnswer>(second.gatewayPort, '/a')).service).toBe('a');
    expect((await getJson<EchoAnswer>(third.gatewayPort, '/a')).pid).toBe((await third.instance('a-1')).pid);
  });
});
