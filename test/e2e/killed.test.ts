import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, createMesh, eventually, isAlive, listeningPorts, startMesh } from '../support/e2e.ts';
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';
import { get, startLoad } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const TARGETS = [
  { path: '/a/call?env=B_URL&path=/y', service: 'a' },
  { path: '/b/x', service: 'b' },
];
const CONFIG = { services: { a: echo({ dependsOn: ['b'] }), b: echo() }, gateway: { routes: routesTo('a', 'b') } };

describe('kill -9', () => {
  it('of the data plane: it is replaced, only requests in flight fail', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    const up = mesh.run('up', '--no-tui');
    await up.until(/is ready in/);
    const before = await mesh.status();
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 4, http2: 2 });
    await load.progress();
    process.kill(before.dataPlanePids[0], 'SIGKILL');
    await load.progress(100);
    const { failures, requests } = await load.stop();
    // A connection to the killed process fails once, with what it has under way. New ones wait in the sockets, which the
    // daemon holds: who begins again after a failure gets through.
    const again = failures.filter((failure) =>
      failures.some((before) => before.client === failure.client && before.endedMs < failure.beganMs),
    );
    expect(again).toEqual([]);
    expect(failures.length).toBeLessThanOrEqual(10);
    const after = await mesh.statusWhen(({ dataPlanePids }) => dataPlanePids.length === 1);
    expect(after.dataPlanePids).not.toEqual(before.dataPlanePids);
    expect(after.services).toEqual(before.services);
    const [, tookMs] = /the data plane is back after (\d+) ms/.exec(await up.until(/the data plane is back/))!;
    console.log(
      `data plane killed: replaced after ${tookMs} ms, ${failures.length} of ${requests} requests failed, those in flight`,
    );
  });

  it('of the daemon: traffic goes on, `mesh down` finds what is left, `mesh up` starts clean', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    const { pid, services } = await mesh.status();
    const load = startLoad({ port: mesh.gatewayPort, targets: TARGETS, http1: 3, http2: 1 });
    await load.progress();
    process.kill(pid, 'SIGKILL');
    await load.progress(100);
    const ps = await mesh.mesh('ps');
    expect(ps.code).toBe(3);
    expect(ps.stderr).toContain('mesh down');
    expect(await load.stop()).toMatchObject({ failures: [] });

    const ports = mesh.ports();
    const down = await mesh.down();
    expect(down, down.stderr).toMatchObject({ code: 0 });
    expect(mesh.processes()).toEqual([]);
    expect(ports.filter((port) => listeningPorts().has(port))).toEqual([]);
    await mesh.up();
    const again = await mesh.status();
    expect(again.services.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(again.services[0].instances[0].pid).not.toBe(services[0].instances[0].pid);
    expect((await get(mesh.gatewayPort, '/a/x')).status).toBe(200);
  });

  it('of the daemon: the next `mesh up` ends what was left by itself', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    const before = await mesh.status();
    process.kill(before.pid, 'SIGKILL');
    await eventually(() => !isAlive(before.pid));
    await mesh.up();
    const after = await mesh.status();
    const old = [
      ...before.dataPlanePids,
      ...before.services.flatMap(({ instances }) => instances.map(({ pid }) => pid!)),
    ];
    expect(old.filter(isAlive)).toEqual([]);
    expect(after.services.every(({ instances }) => instances[0].state === 'ready')).toBe(true);
    expect((await get(mesh.gatewayPort, '/a/call?env=B_URL')).status).toBe(200);
  });
});
