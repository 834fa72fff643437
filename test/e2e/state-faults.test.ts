import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
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
import { ECHO, echo, routesTo } from '../support/e2e-services.ts';
import { get } from '../support/e2e-traffic.ts';

cleanUpMeshes();

/** A disk of its own that is full takes the rights to mount one. */
const mayMount = (() => {
  const dir = mkdtempSync(path.join(tmpdir(), 'mesh-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir], { stdio: 'ignore' });
    execFileSync('umount', [dir]);
    return true;
  } catch {
    console.log('skipped: no right to mount a disk that can be filled');
    return false;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
})();

function fillDisk(file: string): void {
  const fd = openSync(file, 'w');
  try {
    for (;;) writeSync(fd, Buffer.alloc(4096));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(fd);
  }
}

const CONFIG = { services: { a: echo({ dependsOn: ['b'] }), b: echo() }, gateway: { routes: routesTo('a', 'b') } };

describe('.mesh/ that is not as it should be', () => {
  it('not writable: nothing is started, and the message says what to do', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO, '.mesh': 'a file' }, CONFIG);
    const up = await mesh.mesh('up', '-d');
    expect(up.code).toBe(1);
    expect(up.stderr).toContain('MESH-S101');
    expect(up.stderr).toMatch(/\.mesh/);
    expect(mesh.processes()).toEqual([]);
    rmSync(mesh.path('.mesh'));
  });

  it.skipIf(!mayMount)('no space left: nothing is started, and the message says so', async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, CONFIG);
    mkdirSync(mesh.path('.mesh'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', mesh.path('.mesh')]);
    try {
      fillDisk(mesh.path('.mesh/ballast'));
      const up = await mesh.mesh('up', '-d');
      expect(up.code).toBe(1);
      expect(up.stderr).toMatch(/MESH-S102|no space left/i);
      expect(mesh.processes()).toEqual([]);
    } finally {
      execFileSync('umount', ['-l', mesh.path('.mesh')]);
    }
    await mesh.up();
  });

  it('of another version, or with a version that is no version: left alone', async () => {
    for (const [text, code] of [
      ['99\n', 'MESH-S103'],
      ['\0\0garbage', 'MESH-S104'],
    ]) {
      const mesh = await createMesh(
        { 'echo.mjs': ECHO, '.mesh/version': text, '.mesh/logs/kept': 'as it was' },
        CONFIG,
      );
      const up = await mesh.mesh('up', '-d');
      expect(up.code).toBe(1);
      expect(up.stderr).toContain(code);
      expect(up.stderr).toContain('delete');
      expect(readFileSync(mesh.path('.mesh/logs/kept'), 'utf8')).toBe('as it was');
      rmSync(mesh.path('.mesh'), { recursive: true });
      await mesh.up();
    }
  });

  it('a torn and scribbled ledger: what can be read counts, the rest is found by its marker', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    const { pid } = await mesh.status();
    process.kill(pid, 'SIGKILL');
    await eventually(() => !isAlive(pid));
    const ledger = mesh.path('.mesh/ledger');
    const lines = readFileSync(ledger, 'utf8').trim().split('\n');
    writeFileSync(ledger, `\0\0\0{"event":"started"}\n${lines.slice(0, 2).join('\n')}\n[1,2]\n{"event":"ended","mar`);
    expect(await mesh.down()).toMatchObject({ code: 0 });
    expect(mesh.processes()).toEqual([]);
    await mesh.up();
  });

  it('without any ledger, lock or socket: `mesh up` still ends what an earlier run left', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    const before = await mesh.status();
    process.kill(before.pid, 'SIGKILL');
    await eventually(() => !isAlive(before.pid));
    rmSync(mesh.path('.mesh'), { recursive: true });
    await mesh.up();
    expect(before.services.flatMap(({ instances }) => instances).filter((instance) => isAlive(instance.pid!))).toEqual(
      [],
    );
    expect((await get(mesh.gatewayPort, '/a')).status).toBe(200);
  });

  it('keys that are no keys: the intermediate is made anew', async () => {
    const mesh = await startMesh({ 'echo.mjs': ECHO }, CONFIG);
    expect(await mesh.down()).toMatchObject({ code: 0 });
    const files = readdirSync(mesh.path('.mesh/identity')).filter((name) => !name.startsWith('ca-bundle'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) writeFileSync(mesh.path(`.mesh/identity/${name}`), 'scribble');
    await mesh.up();
    expect((await get(mesh.gatewayPort, '/a/call?env=B_URL')).status).toBe(200);
  });
});

describe('the daemon killed at each step', () => {
  const ledgerLines = (mesh: TestMesh): number =>
    existsSync(mesh.path('.mesh/ledger')) ? readFileSync(mesh.path('.mesh/ledger'), 'utf8').split('\n').length - 1 : 0;
  const daemonOf = (mesh: TestMesh): number | undefined =>
    mesh.processes().find(({ command }) => command.includes('daemon.js'))?.pid;

  /** Brings what is left down, and checks that nothing is; then the same place has to start again. */
  const expectClean = async (mesh: TestMesh, when: string): Promise<void> => {
    const ports = mesh.ports();
    const down = await mesh.down();
    expect(down.code, `${when}: ${down.stderr}`).toBe(0);
    await eventually(
      () => mesh.processes().length === 0,
      3_000,
      () => `${when}: ${JSON.stringify(mesh.processes())}`,
    );
    const bound = listeningPorts();
    expect(
      ports.filter((port) => bound.has(port)),
      when,
    ).toEqual([]);
  };

  const ONE = { services: { a: echo() }, gateway: { routes: routesTo('a') } };

  it('of the start', { timeout: 120_000 }, async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, ONE);
    // It exists; each line of the ledger: data plane and service, first the intent, then the start; all is ready.
    for (let step = 0; step <= 5; step++) {
      const before = ledgerLines(mesh);
      const up = mesh.run('up', '-d');
      let over = false;
      void up.ended.then(() => {
        over = true;
      });
      const reached = () => (step === 0 ? daemonOf(mesh) !== undefined : ledgerLines(mesh) - before >= step);
      while (!over && !reached()) await delay(1);
      const pid = daemonOf(mesh);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
      const outcome = await up.ended;
      if (step < 4) expect(outcome.code, `step ${step}: ${outcome.stdout}`).not.toBe(0);
      await expectClean(mesh, `start, step ${step}`);
    }
    await mesh.up();
    expect((await get(mesh.gatewayPort, '/a')).status).toBe(200);
  });

  it('of the stop', { timeout: 120_000 }, async () => {
    const mesh = await createMesh({ 'echo.mjs': ECHO }, ONE);
    // It has been told; each line of the ledger that says that something has ended: the service, the data plane.
    for (let step = 0; step <= 2; step++) {
      await mesh.up();
      const before = ledgerLines(mesh);
      const pid = daemonOf(mesh)!;
      const down = mesh.run('down');
      let over = false;
      void down.ended.then(() => {
        over = true;
      });
      const told = async () => (await mesh.status().catch(() => null))?.state !== 'running';
      while (!over && !(step === 0 ? await told() : ledgerLines(mesh) - before >= step)) await delay(1);
      if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      // It goes on without the daemon.
      const outcome = await down.ended;
      expect(outcome.code, `step ${step}: ${outcome.stderr}`).toBe(0);
      await expectClean(mesh, `stop, step ${step}`);
    }
  });
});
