import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { InjectionStatus } from '../../src/model/injection.ts';
import { type CommandOutcome, cleanUpMeshes, createMesh } from '../support/e2e.ts';
import { ECHO, echo } from '../support/e2e-services.ts';
import { type NetworkNamespace, namespaceObstacle, openNamespace } from '../support/network-namespace.ts';
import { skipped } from '../support/tools.ts';

/** A process at an address that is not this machine's loopback: on the other end of a cable, where the kernel has one. */

const CLI = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const HERE = '10.213.7.1';
const THERE = '10.213.7.2';
const PORT = 8080;

const SERVER = `require('node:http')
  .createServer((request, response) => response.end('remote ' + request.headers['x-forwarded-client-cert']))
  .listen(${PORT}, '${THERE}', () => console.log('listening'))`;
const CALL = `require('node:http').get({ host: '127.0.0.1', port: process.argv[1], headers: { host: 'legacy' } }, async (response) => {
  let body = '';
  for await (const chunk of response) body += chunk;
  console.log(response.statusCode + ' ' + body);
})`;

const obstacle = namespaceObstacle();
if (obstacle !== null) skipped(obstacle);

const open: NetworkNamespace[] = [];

describe.skipIf(obstacle !== null)('a process at a remote address', () => {
  cleanUpMeshes();
  afterEach(() => {
    for (const space of open.splice(0)) space.close();
  });

  it('is called by name with mutual TLS, goes when it no longer answers, and comes back', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO, 'resolv.conf': 'nameserver 127.0.0.53\n' });
    mesh.ports = () => [];
    mesh.config({ gateway: null, services: { web: echo() } });
    const space = await openNamespace('as they are', mesh.path('resolv.conf'));
    if (space === null) throw new Error('no namespace');
    open.push(space);
    const run = (...args: string[]): Promise<CommandOutcome> =>
      space.spawn(process.execPath, [CLI, ...args], { cwd: mesh.dir, env: mesh.env }).ended;
    const json = async <T>(...args: string[]): Promise<T> => {
      const outcome = await run(...args, '--json');
      expect(outcome, outcome.stdout + outcome.stderr).toMatchObject({ code: 0 });
      return JSON.parse(outcome.stdout) as T;
    };
    const serve = machineIn(space);
    let server = await serve();
    expect(await run('up', '-d')).toMatchObject({ code: 0 });

    const status = await json<InjectionStatus>('inject', '--address', `${THERE}:${PORT}`, '--as', 'legacy', '--sticky');
    expect(status).toMatchObject({ host: THERE, port: PORT, pid: null, protocol: 'http', protocolFrom: 'HTTP/1.1' });
    expect(status.coverage).toMatchObject([
      { direction: 'inbound', covered: true },
      { direction: 'outbound', covered: false },
    ]);
    expect(status.coverage[1].detail).toContain('another machine');
    const outbound = String((await mesh.instance('web-1')).outboundPort);
    const call = () => space.exec(process.execPath, '-e', CALL, outbound);
    expect(call()).toMatch(/^200 remote .*sa\/web/);

    const stateOf = async () => (await mesh.instance('legacy-injected-1')).state;
    server.child.kill('SIGKILL');
    await vi.waitFor(async () => expect(await stateOf()).toBe('stopped'), { timeout: 10_000 });
    server = await serve();
    await vi.waitFor(async () => expect(await stateOf()).toBe('ready'), { timeout: 10_000 });
    expect(call()).toMatch(/^200 remote/);

    await json('eject', 'legacy');
    expect(call()).toMatch(/^404/);
    const refused = await run('inject', '--address', `${THERE}:${PORT + 1}`, '--as', 'other', '--json');
    expect(refused.code).not.toBe(0);
    expect(refused.stdout).toContain('MESH-J101');
    expect(await run('down')).toMatchObject({ code: 0 });
  });
});

/** Starts the server where it is remote for the mesh: in a namespace of its own, or else at another address of this one. */
function machineIn(space: NetworkNamespace) {
  const holder = space.spawn('unshare', ['-n', 'sh', '-c', 'echo ready; exec cat']);
  let cable = true;
  const wired = holder.until(/ready/).then(() => {
    const there = String(holder.child.pid);
    try {
      space.exec('ip', 'link', 'add', 'mesh-here', 'type', 'veth', 'peer', 'name', 'mesh-there', 'netns', there);
    } catch {
      cable = false;
      skipped('a cable: no veth pairs in this kernel, so the address leads to the same namespace');
      space.exec('ip', 'route', 'add', 'local', `${THERE}/32`, 'dev', 'lo');
      return;
    }
    space.exec('ip', 'address', 'add', `${HERE}/24`, 'dev', 'mesh-here');
    space.exec('ip', 'link', 'set', 'mesh-here', 'up');
    space.exec('nsenter', '-t', there, '-n', 'ip', 'address', 'add', `${THERE}/24`, 'dev', 'mesh-there');
    space.exec('nsenter', '-t', there, '-n', 'ip', 'link', 'set', 'mesh-there', 'up');
  });
  return async () => {
    await wired;
    const there = cable ? ['-t', String(holder.child.pid), '-n'] : ['-t', String(space.pid), '-n'];
    const server = space.spawn('nsenter', [...there, process.execPath, '-e', SERVER]);
    await server.until(/listening/);
    return server;
  };
}
