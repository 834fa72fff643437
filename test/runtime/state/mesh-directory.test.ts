import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findMeshDirectory, openMeshDirectory, storageProblem } from '../../../src/runtime/state/mesh-directory.ts';
import { acquireMeshLock, lockOwner } from '../../../src/runtime/state/mesh-lock.ts';
import { eventually, temporaryDirectory, unwrap } from '../supervisor/mesh-fixture.ts';

let base: string;

beforeEach(() => {
  base = temporaryDirectory();
});

afterEach(() => fs.rmSync(base, { recursive: true, force: true }));

const code = (result: ReturnType<typeof openMeshDirectory>): string => (result.ok ? 'ok' : result.problems[0].code);

describe('the mesh directory', () => {
  it('is made for its owner alone, ignored by git, and found again', () => {
    expect(findMeshDirectory(base)).toBeNull();
    const directory = unwrap(openMeshDirectory(base));
    expect(fs.statSync(directory.path).mode & 0o777).toBe(0o700);
    expect(fs.readFileSync(path.join(directory.path, '.gitignore'), 'utf8')).toBe('*\n');
    expect(fs.readFileSync(path.join(directory.path, 'version'), 'utf8')).toBe('1\n');
    for (const folder of [directory.logs, directory.output, directory.identity])
      expect(fs.statSync(folder).isDirectory()).toBe(true);
    expect(unwrap(openMeshDirectory(base))).toEqual(directory);
    expect(findMeshDirectory(base)).toEqual(directory);
  });

  it('has a key of its own for each checkout, the same by whatever path', () => {
    const [one, two] = ['one', 'two'].map((name) => path.join(base, name));
    for (const folder of [one, two]) fs.mkdirSync(folder);
    fs.symlinkSync(one, path.join(base, 'link'));
    const key = (folder: string): string => unwrap(openMeshDirectory(folder)).key;
    expect(key(one)).not.toBe(key(two));
    expect(key(path.join(base, 'link'))).toBe(key(one));
  });

  it('says what is wrong with a state that is not this version’s', () => {
    const file = path.join(unwrap(openMeshDirectory(base)).path, 'version');
    fs.writeFileSync(file, '2\n');
    expect(code(openMeshDirectory(base))).toBe('MESH-S103');
    for (const damaged of ['', 'x', '1\0\0', '\n', '-1\n']) {
      fs.writeFileSync(file, damaged);
      expect(code(openMeshDirectory(base))).toBe('MESH-S104');
    }
    fs.rmSync(file);
    fs.mkdirSync(file);
    expect(code(openMeshDirectory(base))).toBe('MESH-S101');
  });

  it('that cannot be written is a problem with a hint', () => {
    const file = path.join(base, 'file');
    fs.writeFileSync(file, '');
    const under = openMeshDirectory(file);
    expect(under).toMatchObject({ ok: false, problems: [{ code: 'MESH-S101', hint: expect.any(String) }] });
    fs.writeFileSync(path.join(base, '.mesh'), '');
    expect(code(openMeshDirectory(base))).toBe('MESH-S101');
    expect(storageProblem('/x', Object.assign(new Error(), { code: 'EACCES' })).hint).toContain('chown');
  });

  it.runIf(fs.existsSync('/dev/full'))('a full disk is a problem of its own', () => {
    try {
      fs.writeFileSync('/dev/full', 'x');
      throw new Error('not full');
    } catch (error) {
      expect(storageProblem('.mesh/ledger', error)).toMatchObject({
        code: 'MESH-S102',
        message: 'no space left to write .mesh/ledger',
      });
    }
  });

  it('keeps the socket where a socket can be, and writes down where that is', async () => {
    const deep = path.join(base, 'a-rather-long-folder-name/'.repeat(5));
    fs.mkdirSync(deep, { recursive: true });
    const { XDG_RUNTIME_DIR } = process.env;
    const runtime = path.join(base, 'runtime');
    fs.mkdirSync(runtime, { mode: 0o700 });
    const server = net.createServer();
    try {
      process.env.XDG_RUNTIME_DIR = runtime;
      const directory = unwrap(openMeshDirectory(deep));
      expect(path.dirname(directory.controlSocket)).toBe(runtime);
      await new Promise<void>((resolve) => server.listen(directory.controlSocket, resolve));
      process.env.XDG_RUNTIME_DIR = base;
      expect(findMeshDirectory(deep)?.controlSocket).toBe(directory.controlSocket);
      process.env.XDG_RUNTIME_DIR = runtime;
      fs.chmodSync(runtime, 0o755);
      expect(code(openMeshDirectory(deep))).toBe('MESH-S105');
    } finally {
      if (XDG_RUNTIME_DIR === undefined) delete process.env.XDG_RUNTIME_DIR;
      else process.env.XDG_RUNTIME_DIR = XDG_RUNTIME_DIR;
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe('the lock', () => {
  it('is held by one process, and free once released', () => {
    const lock = unwrap(acquireMeshLock(base));
    expect(lockOwner(base)).toEqual(lock.owner);
    expect(acquireMeshLock(base)).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-S110', message: expect.stringContaining(`pid ${process.pid}`) }],
    });
    lock.release();
    expect(lockOwner(base)).toBeNull();
    const next = unwrap(acquireMeshLock(base));
    lock.release();
    expect(lockOwner(base)).toEqual(next.owner);
    expect(fs.readdirSync(base)).toHaveLength(1);
  });

  it('of a process that is gone, whose pid was given out again, or that is unreadable is taken over', () => {
    const self = unwrap(acquireMeshLock(base)).owner;
    for (const stale of [
      { pid: 2 ** 22 + 1, startTime: self.startTime },
      { pid: process.pid, startTime: '1@other' },
      'x',
    ]) {
      fs.writeFileSync(
        path.join(base, fs.readdirSync(base)[0]),
        typeof stale === 'string' ? '{"pid":' : JSON.stringify(stale),
      );
      expect(lockOwner(base)).toBeNull();
      const lock = unwrap(acquireMeshLock(base));
      expect(lockOwner(base)).toEqual(lock.owner);
    }
  });

  it('goes to exactly one of five processes at once, also when it has to be taken over', async () => {
    const module = fileURLToPath(new URL('../../../src/runtime/state/mesh-lock.ts', import.meta.url));
    const script = `
      import fs from 'node:fs';
      import { acquireMeshLock } from ${JSON.stringify(module)};
      const root = process.argv[2];
      fs.writeFileSync(root + '/../waiting.' + process.pid, '');
      while (!fs.existsSync(root + '/../go'));
      console.log(acquireMeshLock(root).ok ? 'won' : 'lost');
      process.stdin.resume().on('end', () => process.exit());`;
    const file = path.join(base, 'contender.mts');
    fs.writeFileSync(file, script);
    const tsx = fileURLToPath(new URL('../../../node_modules/tsx/dist/loader.mjs', import.meta.url));
    const root = path.join(base, 'state');
    fs.mkdirSync(root);
    fs.writeFileSync(path.join(root, 'lock.3'), JSON.stringify({ pid: 2 ** 22 + 1, startTime: 'gone' }));
    const contenders = Array.from({ length: 5 }, () =>
      spawn(process.execPath, ['--import', tsx, file, root], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    try {
      const answers = contenders.map(
        ({ stdout }) => new Promise<string>((resolve) => stdout.once('data', (data) => resolve(String(data).trim()))),
      );
      await eventually(
        'all wait',
        () => fs.readdirSync(base).filter((name) => name.startsWith('waiting.')).length === 5,
        20_000,
      );
      fs.writeFileSync(path.join(base, 'go'), '');
      expect((await Promise.all(answers)).sort()).toEqual(['lost', 'lost', 'lost', 'lost', 'won']);
    } finally {
      await Promise.all(
        contenders.map((child) => new Promise((resolve) => child.once('exit', resolve) && child.stdin.end())),
      );
    }
  });
});
