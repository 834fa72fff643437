import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/runtime/clock.ts';
import { type Ledger, openLedger } from '../../../src/runtime/state/ledger.ts';
import { describeOwner, listeningPorts, portOwner } from '../../../src/runtime/state/port-owner.ts';
import { isRunning, listProcesses, markedProcesses, readProcess } from '../../../src/runtime/state/process-table.ts';
import { recover } from '../../../src/runtime/state/recovery.ts';
import { alive, eventually, freePort, temporaryDirectory, unwrap } from '../supervisor/mesh-fixture.ts';

let base: string;
let ledger: Ledger;
const strangers: number[] = [];

beforeEach(() => {
  base = temporaryDirectory();
  ledger = unwrap(openLedger(path.join(base, 'ledger'), path.basename(base)));
});

afterEach(() => {
  for (const pid of strangers.splice(0)) if (alive(pid)) process.kill(pid, 'SIGKILL');
  for (const pid of markedProcesses(ledger.markerPrefix).keys()) process.kill(pid, 'SIGKILL');
  ledger.close();
  fs.rmSync(base, { recursive: true, force: true });
});

const options = { clock: systemClock, graceMs: 300, killMs: 3_000 };

function idle(env: Record<string, string> = {}, script = ''): number {
  const child = spawn(process.execPath, ['-e', `${script}; setInterval(() => {}, 999)`], {
    detached: true,
    stdio: 'ignore',
    env,
  });
  strangers.push(child.pid ?? 0);
  return child.pid ?? 0;
}

const intend = (instance: string, ports: number[] = []): string =>
  unwrap(ledger.intend({ instance, command: 'x', ports }));

describe('process table', () => {
  it('knows this process and not others by its pid', () => {
    const self = readProcess(process.pid);
    expect(self).toMatchObject({ pid: process.pid, ppid: process.ppid });
    expect(self !== null && isRunning(self)).toBe(true);
    expect(isRunning({ pid: process.pid, startTime: '1@0' })).toBe(false);
    expect(readProcess(2 ** 22 + 1)).toBeNull();
    expect(readProcess(-1)).toBeNull();
    expect(listProcesses().map(({ pid }) => pid)).toContain(process.pid);
  });

  it('names who listens on a port', async () => {
    for (const host of ['127.0.0.1', '::1', '0.0.0.0']) {
      const server = net.createServer().listen(0, host);
      await new Promise((resolve) => server.once('listening', resolve));
      const { port } = server.address() as net.AddressInfo;
      const owner = await portOwner(port);
      expect(owner?.pid).toBe(process.pid);
      expect(owner !== null && describeOwner(owner)).toMatch(/^pid \d+ \(.+\)$/);
      expect(await listeningPorts([process.pid])).toContainEqual({ port, address: host });
      await new Promise((resolve) => server.close(resolve));
      expect(await portOwner(port)).toBeNull();
    }
  });
});

describe('recovery', () => {
  it('ends what was recorded, with its group, and what carries the marker; reports ports', async () => {
    const port = await freePort();
    const marker = intend('web-1', [port]);
    const children = path.join(base, 'children');
    const pid = idle(
      { MESH_PROCESS_ID: marker },
      `const { spawn } = require('node:child_process');
       const idle = ['-e', 'setInterval(() => {}, 999)'];
       const group = spawn(process.execPath, idle, { stdio: 'ignore', env: {} });
       const away = spawn(process.execPath, idle, { stdio: 'ignore', detached: true });
       require('node:net').createServer().listen(${port}, '127.0.0.1', () =>
         require('node:fs').writeFileSync(${JSON.stringify(children)}, group.pid + ' ' + away.pid));
       process.on('SIGTERM', () => {})`,
    );
    unwrap(ledger.started(marker, pid));
    const [group, away] = await eventually('children', () =>
      fs.existsSync(children) && fs.readFileSync(children, 'utf8').includes(' ')
        ? fs.readFileSync(children, 'utf8').split(' ').map(Number)
        : null,
    );
    const unrecorded = idle({ MESH_PROCESS_ID: intend('unrecorded-1') });
    const report = await recover(ledger, options);
    expect(report.ended.map((each) => each.pid).sort()).toEqual([pid, group, away, unrecorded].sort());
    expect(report.ended.find((each) => each.pid === unrecorded)?.instance).toBe('unrecorded-1');
    expect(report).toMatchObject({ remaining: [], boundPorts: [] });
    expect([pid, group, away, unrecorded].filter(alive)).toEqual([]);
    expect(ledger.live()).toEqual([]);
  });

  it('a child in the group of a leader that is gone is known by its marker', async () => {
    const marker = intend('web-1');
    const file = path.join(base, 'child');
    const pid = idle(
      { MESH_PROCESS_ID: marker },
      `
      const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 999)'], { stdio: 'ignore' });
      require('node:fs').writeFileSync(${JSON.stringify(file)}, String(child.pid)); `,
    );
    unwrap(ledger.started(marker, pid));
    const child = await eventually('child', () => fs.existsSync(file) && Number(fs.readFileSync(file, 'utf8')));
    process.kill(pid, 'SIGKILL');
    await eventually('leader gone', () => !alive(pid));
    expect(alive(child)).toBe(true);
    expect((await recover(ledger, options)).ended.map((each) => each.pid)).toEqual([child]);
    expect(alive(child)).toBe(false);
  });

  it('does not touch a pid that was given to somebody else, nor his group', async () => {
    const stranger = idle();
    const marker = intend('web-1');
    unwrap(ledger.started(marker, stranger));
    ledger.close();
    const file = path.join(base, 'ledger');
    // As if the recorded process had been an earlier one with this pid.
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/"startTime":"\d+@/, '"startTime":"1@'));
    ledger = unwrap(openLedger(file, path.basename(base)));
    expect(ledger.live()[0].process?.startTime).toMatch(/^1@/);
    expect(await recover(ledger, options)).toMatchObject({ ended: [], remaining: [] });
    expect(alive(stranger)).toBe(true);
    expect(ledger.live()).toEqual([]);
  });

  it('spares what the caller wants kept, and other meshes', async () => {
    const kept = intend('data-plane');
    const pid = idle({ MESH_PROCESS_ID: kept });
    unwrap(ledger.started(kept, pid));
    const other = idle({ MESH_PROCESS_ID: `${path.basename(base)}-other.1` });
    const report = await recover(ledger, { ...options, keep: ({ instance }) => instance === 'data-plane' });
    expect(report.ended).toEqual([]);
    expect([pid, other].every(alive)).toBe(true);
    expect(ledger.live()).toHaveLength(1);
  });

  it('reports a recorded port that somebody else holds', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as net.AddressInfo;
    intend('web-1', [port]);
    const report = await recover(ledger, options);
    expect(report.boundPorts).toMatchObject([{ port, instance: 'web-1', owner: { pid: process.pid } }]);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('a daemon killed at each step of starting and stopping a process', () => {
  const source = (file: string): string =>
    JSON.stringify(fileURLToPath(new URL(`../../../src/runtime/${file}`, import.meta.url)));
  const tsx = fileURLToPath(new URL('../../../node_modules/tsx/dist/loader.mjs', import.meta.url));

  for (const step of ['before-intent', 'intent', 'spawned', 'started', 'running', 'stopping', 'exited', 'ended'])
    it(`${step}: nothing is left, nothing else is touched`, async () => {
      const stranger = idle();
      // Dies by its own SIGKILL at the chosen step: before or after a call of the ledger, or while things go on.
      const script = `
        import { openLedger } from ${source('state/ledger.ts')};
        import { systemClock } from ${source('clock.ts')};
        import { startProcess } from ${source('supervisor/process.ts')};
        import { createProcessScan, endProcess } from ${source('supervisor/process-end.ts')};
        const die = (step: string) => { if (step === ${JSON.stringify(step)}) process.kill(process.pid, 'SIGKILL'); };
        const opened = openLedger(${JSON.stringify(path.join(base, 'ledger'))}, ${JSON.stringify(path.basename(base))});
        if (!opened.ok) throw new Error('ledger');
        const real = opened.value;
        const ledger = {
          ...real,
          intend(request: never) { die('before-intent'); const result = real.intend(request); die('intent'); return result; },
          started(marker: string, pid: number) { die('spawned'); const result = real.started(marker, pid); die('started'); return result; },
          ended(marker: string) { die('exited'); real.ended(marker); die('ended'); },
        };
        const request = { instance: 'web-1', owner: 'web', command: { shell: true, argv: ['sleep 600 & sleep 601'] },
          cwd: ${JSON.stringify(base)}, baseDir: ${JSON.stringify(base)}, env: process.env, ports: [], output: 'ignore' as const };
        const started = await startProcess(request, ledger);
        if (!started.ok) throw new Error(started.problems[0].message);
        die('running');
        const ending = endProcess(started.value, { clock: systemClock, ledger, scan: createProcessScan(systemClock), signal: 'SIGTERM', graceMs: 1000 });
        await new Promise((resolve) => setTimeout(resolve, 6));
        die('stopping');
        await ending;`;
      const file = path.join(base, 'daemon.mts');
      fs.writeFileSync(file, script);
      const daemon = spawn(process.execPath, ['--import', tsx, file], { stdio: ['ignore', 'ignore', 'pipe'] });
      let errors = '';
      daemon.stderr.on('data', (chunk) => (errors += chunk));
      const signal = await new Promise((resolve) => daemon.once('close', (_code, by) => resolve(by)));
      expect(errors).toBe('');
      expect(signal).toBe('SIGKILL');
      const next = unwrap(openLedger(path.join(base, 'ledger'), path.basename(base)));
      const before = markedProcesses(next.markerPrefix).size;
      if (['spawned', 'started', 'running'].includes(step)) expect(before).toBeGreaterThan(0);
      const report = await recover(next, options);
      expect(report.remaining).toEqual([]);
      expect(markedProcesses(next.markerPrefix).size).toBe(0);
      expect(next.live()).toEqual([]);
      expect(alive(stranger)).toBe(true);
      next.close();
    });
});
