import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { findConfig } from '../../../src/runtime/config/find-config.ts';
import { project } from './project.ts';

describe('findConfig', () => {
  it('takes the nearest one upwards', async () => {
    await using p = await project({ 'mesh.config.ts': '', 'a/mesh.config.mjs': '', 'a/b/c/x': '', 'd/x': '' });
    expect(findConfig(p.at('a/b/c'))).toEqual({ ok: true, value: p.at('a/mesh.config.mjs') });
    expect(findConfig(p.at('d'))).toEqual({ ok: true, value: p.config });
    expect(findConfig(p.directory)).toEqual({ ok: true, value: p.config });
  });

  it('prefers TypeScript where there are several, and passes over a directory of that name', async () => {
    await using p = await project({ 'mesh.config.js': '', 'mesh.config.mts': '' });
    await mkdir(p.config);
    expect(findConfig(p.directory)).toEqual({ ok: true, value: p.at('mesh.config.mts') });
  });

  it('takes what --config names, a file or the directory it is in', async () => {
    await using p = await project({ 'mesh.config.ts': '', 'other/mine.ts': '', 'empty/x': '' });
    expect(findConfig(p.directory, 'other/mine.ts')).toEqual({ ok: true, value: p.at('other/mine.ts') });
    expect(findConfig(p.at('other'), '..')).toEqual({ ok: true, value: p.config });
    for (const wrong of ['gone.ts', 'empty']) {
      expect(findConfig(p.directory, wrong)).toMatchObject({ ok: false, problems: [{ code: 'MESH-C001' }] });
    }
  });

  it('says where it looked', () => {
    const root = path.parse(process.cwd()).root;
    const found = findConfig(root);
    expect(found).toMatchObject({ ok: false, problems: [{ code: 'MESH-C001' }] });
    expect(!found.ok && found.problems[0].message).toContain(`in ${root} or above`);
  });
});
