import { chmod, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ResolvedConfig } from '../../src/model/resolved.ts';
import type { Check } from '../../src/runtime/client/doctor/check.ts';
import { renderCheck, summary } from '../../src/runtime/client/doctor/examine.ts';
import {
  checkDisk,
  checkLoopback,
  checkNode,
  checkOpenFiles,
  checkWatches,
} from '../../src/runtime/client/doctor/machine.ts';
import { checkDaemon, checkPorts, checkStateDirectory } from '../../src/runtime/client/doctor/mesh.ts';
import { locateMesh, type MeshLocation } from '../../src/runtime/client/locate.ts';
import { createStyle } from '../../src/runtime/client/style.ts';
import { serveControl } from '../../src/runtime/control/server.ts';
import { openLedger } from '../../src/runtime/state/ledger.ts';
import { openMeshDirectory } from '../../src/runtime/state/mesh-directory.ts';
import { acquireMeshLock } from '../../src/runtime/state/mesh-lock.ts';
import { fakeMesh, temporaryDirectory } from '../runtime/control/fake-mesh.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let location: MeshLocation;

beforeEach(async () => {
  directory = await temporaryDirectory();
  await writeFile(path.join(directory.path, 'mesh.config.ts'), '');
  const located = locateMesh(directory.path, undefined, true);
  if (!located.ok) throw new Error('not located');
  location = located.value;
});
afterEach(() => directory[Symbol.asyncDispose]());

describe('checks of the machine', () => {
  it('know which Node.js is too old', () => {
    expect(checkNode('20.18.3').outcome).toBe('failed');
    expect(checkNode('18.20.0').outcome).toBe('failed');
    expect(['20.19.0', '22.0.0', '26.1.0'].map((version) => checkNode(version).outcome)).toEqual(['ok', 'ok', 'ok']);
  });

  it('read the limits of the system', () => {
    const limits = (files: string) =>
      `Limit   Soft Limit  Hard Limit  Units\nMax open files            ${files}   4096   files\n`;
    expect(checkOpenFiles(limits('256'))).toMatchObject({ outcome: 'warning', fix: expect.stringContaining('ulimit') });
    expect(checkOpenFiles(limits('unlimited')).outcome).toBe('ok');
    expect(checkOpenFiles(null).outcome).toBe('skipped');
    expect(checkWatches('8192\n').outcome).toBe('warning');
    expect(checkWatches('524288\n').outcome).toBe('ok');
    expect(checkWatches(null).outcome).toBe('skipped');
  });

  it('connect to loopback and look at the disk', async () => {
    expect((await checkLoopback()).outcome).toBe('ok');
    expect(['ok', 'warning']).toContain((await checkDisk(directory.path)).outcome);
    expect((await checkDisk(path.join(directory.path, 'none'))).outcome).toBe('skipped');
  });
});

describe('checks of the mesh', () => {
  it('name who holds a port of the gateway', async () => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    const config = { gateway: { http: port, https: null, routes: [] }, services: {} } as unknown as ResolvedConfig;
    const taken = await checkPorts(config, false);
    expect(taken).toMatchObject({
      outcome: 'warning',
      detail: expect.stringContaining(`${port} (gateway.http) is held by`),
    });
    expect(taken.detail).toContain(`pid ${process.pid}`);
    expect((await checkPorts(config, true)).outcome).toBe('ok');
    await new Promise((resolve) => server.close(resolve));
    expect((await checkPorts(config, false)).outcome).toBe('ok');
    expect((await checkPorts(null, false)).outcome).toBe('skipped');
  });

  it('tell a daemon that runs, one that hangs, and what a dead one left', async () => {
    expect((await checkDaemon(location)).check).toMatchObject({ outcome: 'ok', detail: 'no mesh is running here' });
    const opened = openMeshDirectory(location.baseDir);
    if (!opened.ok) throw new Error(opened.problems[0].message);
    const lock = acquireMeshLock(opened.value.path);
    if (!lock.ok) throw new Error('no lock');
    expect(await checkDaemon(location)).toMatchObject({
      running: true,
      check: { outcome: 'failed', detail: expect.stringContaining(`pid ${process.pid}`) },
    });
    const served = await serveControl(fakeMesh(), location.socketPath);
    if (!served.ok) throw new Error('not served');
    expect(await checkDaemon(location)).toMatchObject({ running: true, check: { outcome: 'ok' } });
    await served.value.close();
    lock.value.release();

    const ledger = openLedger(opened.value.ledger, opened.value.key);
    if (!ledger.ok) throw new Error('no ledger');
    const marker = ledger.value.intend({ instance: 'orders-1', command: 'node', ports: [] });
    if (!marker.ok) throw new Error('no marker');
    ledger.value.started(marker.value, process.pid);
    expect((await checkDaemon(location)).check).toMatchObject({
      outcome: 'failed',
      detail: expect.stringContaining(`orders-1 (pid ${process.pid})`),
    });
    ledger.value.close();
  });

  it.skipIf(process.getuid?.() === 0)('see a directory that cannot be written', async () => {
    await chmod(directory.path, 0o500);
    expect(checkStateDirectory(location).outcome).toBe('failed');
    await chmod(directory.path, 0o700);
    expect(checkStateDirectory(location).outcome).toBe('ok');
  });
});

describe('the verdict', () => {
  const check = (outcome: Check['outcome']): Check => ({ name: 'x', outcome, detail: 'y', fix: 'z' });

  it('counts, and shows the fix', () => {
    expect(summary([check('ok')])).toBe('fit to run');
    expect(summary([check('ok'), check('warning')])).toBe('fit to run, 1 warning');
    expect(summary([check('failed'), check('warning'), check('warning')])).toBe('1 failed, 2 warnings');
    expect(renderCheck(check('failed'), createStyle(false))).toEqual(['✗ x  y', '    fix z']);
  });
});
