import * as nodeFs from 'node:fs';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyFiles, type Disk } from '../../src/scaffold/apply.ts';
import { createProject } from '../../src/scaffold/create-project.ts';
import type { Plan, PlannedFile } from '../../src/scaffold/plan.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'mesh-apply-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const file = (name: string, after: string, before: string | null = null, executable = false): PlannedFile => ({
  path: path.join(root, name),
  before: before === null ? null : Buffer.from(before),
  after: Buffer.from(after),
  executable,
});

/** Every file below the root with its content. */
function tree(): Record<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).map((entry) => {
    const full = path.join(entry.parentPath, entry.name);
    return [path.relative(root, full), entry.isDirectory() ? '/' : readFileSync(full, 'utf8')];
  });
  return Object.fromEntries(files);
}

/** A disk whose nth change fails. */
function failingDisk(failsAt: number, code: string): Disk & { changes: number } {
  const disk = { ...nodeFs, changes: 0 };
  const change =
    <A extends unknown[], R>(real: (...args: A) => R) =>
    (...args: A): R => {
      if (disk.changes++ === failsAt) throw Object.assign(new Error(`${code}: it failed`), { code });
      return real(...args);
    };
  return Object.assign(disk, {
    mkdirSync: change(nodeFs.mkdirSync),
    writeFileSync: change(nodeFs.writeFileSync),
    renameSync: change(nodeFs.renameSync),
    linkSync: change(nodeFs.linkSync),
    chmodSync: change(nodeFs.chmodSync),
  });
}

const project = () => {
  writeFileSync(path.join(root, 'package.json'), '{}');
  mkdirSync(path.join(root, 'there'));
  return [
    file('new/src/main.ts', 'main'),
    file('new/run.sh', 'run', null, true),
    file('package.json', '{"a":1}', '{}'),
    file('there/x', 'x'),
  ];
};

describe('writing', () => {
  it('writes all files, and only them', () => {
    const applied = applyFiles(project());
    if (!applied.ok) throw new Error('it failed');
    applied.value.keep();
    expect(tree()).toEqual({
      'package.json': '{"a":1}',
      new: '/',
      'new/src': '/',
      'new/src/main.ts': 'main',
      'new/run.sh': 'run',
      there: '/',
      'there/x': 'x',
    });
    expect(statSync(path.join(root, 'new/run.sh')).mode & 0o111).not.toBe(0);
  });

  it('can be undone', () => {
    const files = project();
    const before = tree();
    const applied = applyFiles(files);
    if (!applied.ok) throw new Error('it failed');
    applied.value.undo();
    expect(tree()).toEqual(before);
  });

  it.each(['ENOSPC', 'EACCES'])('leaves nothing behind at %s, whenever it comes', (code) => {
    const files = project();
    const before = tree();
    let failed = 0;
    for (let at = 0; ; at++) {
      const disk = failingDisk(at, code);
      const applied = applyFiles(files, disk);
      if (applied.ok) break;
      failed++;
      expect(applied.problems[0].code).toBe('MESH-N157');
      expect(applied.problems[0].message).toContain(code === 'ENOSPC' ? 'disk is full' : 'EACCES');
      expect(tree()).toEqual(before);
    }
    expect(failed).toBeGreaterThan(12);
  });
});

describe('a project', () => {
  const plan = (): Plan => {
    writeFileSync(path.join(root, 'mesh.config.ts'), 'old');
    return {
      directory: path.join(root, 'services/orders'),
      isNew: true,
      files: [file('services/orders/package.json', '{}'), file('services/orders/src/main.ts', 'main')],
      config: file('mesh.config.ts', 'new', 'old'),
      unregistered: null,
      services: ['orders'],
      resources: [],
      install: [['npm', 'install'], ['other']],
      next: [],
    };
  };
  const options = { install: true, check: async () => [], interrupted: () => false };

  it('is installed before the mesh hears of it', async () => {
    const seen: string[] = [];
    const result = await createProject(plan(), {
      ...options,
      run: async (argv, cwd) => {
        seen.push(`${argv.join(' ')} in ${path.relative(root, cwd)}: ${tree()['mesh.config.ts']}`);
        return { code: 0, output: '' };
      },
    });
    expect(result.ok).toBe(true);
    expect(seen).toEqual(['npm install in services/orders: old', 'other in services/orders: old']);
    expect(tree()['mesh.config.ts']).toBe('new');
  });

  it.each([
    ['a step fails', { run: async () => ({ code: 7, output: 'no network' }) }, /`npm install` failed with code 7/],
    ['the user interrupts', { run: async () => ({ code: 0, output: '' }), interrupted: () => true }, /interrupted/],
    [
      'the new configuration is refused',
      {
        run: async () => ({ code: 0, output: '' }),
        check: async () => [{ code: 'MESH-C203', message: 'no such service' }],
      },
      /no such service/,
    ],
  ])('leaves nothing behind when %s', async (_, more, message) => {
    const planned = plan();
    const before = tree();
    const run = async (argv: readonly string[], cwd: string) => {
      mkdirSync(path.join(cwd, 'node_modules/x'), { recursive: true });
      return more.run(...([argv, cwd] as unknown as []));
    };
    const result = await createProject(planned, { ...options, ...more, run });
    expect(result.ok ? '' : result.problems[0].message).toMatch(message);
    expect(tree()).toEqual(before);
  });

  it('is taken back when mesh.config.ts cannot be replaced', async () => {
    const planned = plan();
    const before = tree();
    for (let at = 0; ; at++) {
      const disk = failingDisk(at, 'ENOSPC');
      const result = await createProject(planned, { ...options, disk, run: async () => ({ code: 0, output: '' }) });
      if (result.ok) break;
      expect(tree()).toEqual(before);
    }
    expect(tree()['mesh.config.ts']).toBe('new');
  });
});
