import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  byAddress,
  findTarget,
  type OwnProcesses,
  parseAddress,
  suggestedName,
} from '../../../src/runtime/injection/target.ts';
import { listeningLocally } from '../../../src/runtime/state/port-owner.ts';
import { cleanUpOutsiders, startOutsider } from '../../support/outsiders.ts';
import { skipped } from '../../support/tools.ts';

cleanUpOutsiders();

const SERVER = "require('net').createServer().listen(Number(process.argv[2]), process.argv[3] ?? '127.0.0.1')";

let dir: string;
/** A name that no other process has. */
let name: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'mesh-target-'));
  name = `orders-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
  writeFileSync(path.join(dir, `${name}.js`), SERVER);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const start = (...args: string[]) => startOutsider(['node', path.join(dir, `${name}.js`), 'PORT', ...args]);
const mesh =
  (processes: [number, string][]): OwnProcesses =>
  () =>
    Promise.resolve(new Map(processes));
const NONE = mesh([]);

describe('findTarget', () => {
  it('finds a process by port, pid, script name and address', async () => {
    const { pid, port } = await start();
    const found = { ok: true, value: { host: '127.0.0.1', port, pid } };
    expect(await findTarget(String(port), NONE)).toMatchObject(found);
    expect(await findTarget(String(pid), NONE)).toMatchObject(found);
    expect(await findTarget(name, NONE)).toMatchObject(found);
    expect(await findTarget(`${name}.js`, NONE)).toMatchObject(found);
    expect(await findTarget(`localhost:${port}`, NONE)).toMatchObject(found);
    expect(await byAddress({ host: '10.0.0.5', port })).toMatchObject({ value: { host: '10.0.0.5', pid: null } });
  });

  it('finds the port of a child behind the pid of its parent', async () => {
    const script = path.join(dir, `${name}.js`);
    const { pid, port } = await startOutsider(['sh', '-c', `node ${script} PORT & wait`]);
    expect(await findTarget(String(pid), NONE)).toMatchObject({ ok: true, value: { port } });
    // `sh` passes nothing on.
    const child = await findTarget(String(port), NONE);
    if (child.ok && child.value.pid !== null) process.kill(child.value.pid);
  });

  it('connects to the address that a server is bound to', async () => {
    const { port } = await start('127.0.0.1');
    expect(await findTarget(String(port), NONE)).toMatchObject({ value: { host: '127.0.0.1' } });
    const every = await start('0.0.0.0');
    expect(await findTarget(String(every.port), NONE)).toMatchObject({ value: { host: '127.0.0.1' } });
  });

  it('tells processes apart that have one port of several addresses', async () => {
    const one = await start('127.0.0.1');
    const script = path.join(dir, `${name}.js`);
    const two = await startOutsider(['node', script, 'PORT', '127.0.0.2'], { port: one.port, host: '127.0.0.2' });
    expect(await findTarget(`127.0.0.1:${one.port}`, NONE)).toMatchObject({ value: { pid: one.pid } });
    expect(await findTarget(`127.0.0.2:${one.port}`, NONE)).toMatchObject({
      value: { pid: two.pid, host: '127.0.0.2' },
    });
    expect(await findTarget(`127.0.0.3:${one.port}`, NONE)).toMatchObject({ value: { pid: null } });
    expect(listeningLocally()?.('127.0.0.2', one.port)).toBe(true);
    await two.end();
    expect(listeningLocally()?.('127.0.0.2', one.port)).toBe(false);
    expect(listeningLocally()?.('127.0.0.1', one.port)).toBe(true);
  });

  it('knows the process behind an address of an interface of this machine', async () => {
    const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    const own = all.find(({ internal, family }) => !internal && family === 'IPv4')?.address;
    if (own === undefined) {
      skipped('this machine has no interface but loopback');
      return;
    }
    const script = path.join(dir, `${name}.js`);
    const { pid, port } = await startOutsider(['node', script, 'PORT', own], { host: own });
    expect(await findTarget(String(port), NONE)).toMatchObject({ value: { host: own, port, pid } });
    expect(await findTarget(`${own}:${port}`, NONE)).toMatchObject({ value: { host: own, port, pid } });
    expect(await findTarget(`192.0.2.1:${port}`, NONE)).toMatchObject({ value: { host: '192.0.2.1', pid: null } });
  });

  it('lists what fits where more than one does', async () => {
    const [one, two] = [await start(), await start()];
    const result = await findTarget(name, NONE);
    expect(result).toMatchObject({ ok: false, problems: [{ code: 'MESH-J104' }] });
    const message = result.ok ? '' : result.problems[0].message;
    for (const each of [one, two]) {
      expect(message).toContain(String(each.port));
      expect(message).toContain(String(each.pid));
    }
  });

  it('lists the ports of a process with several', async () => {
    const second = net.createServer();
    await new Promise<void>((resolve) => second.listen(0, '127.0.0.1', resolve));
    const third = net.createServer();
    await new Promise<void>((resolve) => third.listen(0, '127.0.0.1', resolve));
    const result = await findTarget(String(process.pid), NONE);
    expect(result).toMatchObject({ ok: false, problems: [{ code: 'MESH-J104' }] });
    expect(result.ok || result.problems[0].message).toContain('listens on 2 ports');
    second.close();
    third.close();
  });

  it.each([
    ['4194999', 'MESH-J102'],
    ['no-such-program-anywhere', 'MESH-J102'],
  ])('refuses %s with %s', async (text, code) => {
    expect(await findTarget(text, NONE)).toMatchObject({ ok: false, problems: [{ code, hint: expect.any(String) }] });
  });

  it('refuses a process without ports, and one of the mesh', async () => {
    const { pid } = await start();
    expect(await findTarget(String(process.ppid), mesh([[process.ppid, 'the daemon']]))).toMatchObject({
      problems: [{ code: 'MESH-J105', message: `pid ${process.ppid} is the daemon` }],
    });
    expect(await findTarget(name, mesh([[pid, 'orders-1']]))).toMatchObject({ problems: [{ code: 'MESH-J105' }] });
    const silent = spawn('sleep', ['60'], { stdio: 'ignore' });
    expect(await findTarget(String(silent.pid), NONE)).toMatchObject({ problems: [{ code: 'MESH-J103' }] });
    silent.kill();
  });
});

describe('parseAddress', () => {
  it.each([
    ['10.0.0.5:8080', { host: '10.0.0.5', port: 8080 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['dev-box.lan:80', { host: 'dev-box.lan', port: 80 }],
    ['dev-box', null],
    [':80', null],
    ['a:0', null],
    ['a:65536', null],
    ['http://a:80', null],
  ])('reads %s', (text, address) => expect(parseAddress(text)).toEqual(address));
});

describe('suggestedName', () => {
  const target = (pid: number | null) => ({ host: '127.0.0.1', port: 9000, pid, command: '' });

  it('is that of the script, of the folder for one that is called like any other, or made of the port', async () => {
    const { pid } = await start();
    expect(suggestedName(target(pid))).toBe(name);
    writeFileSync(path.join(dir, 'index.js'), SERVER);
    const general = await startOutsider(['node', 'index.js', 'PORT'], { cwd: dir });
    expect(suggestedName(target(general.pid))).toBe(
      path
        .basename(dir)
        .toLowerCase()
        .replaceAll(/[^a-z0-9]+/g, '-'),
    );
    expect(suggestedName(target(null))).toBe('port-9000');
  });
});
