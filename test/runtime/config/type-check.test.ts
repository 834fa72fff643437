import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { TypeCheck } from '../../../src/runtime/config/type-check.ts';
import { isRunning, project, until } from './project.ts';

const TSCONFIG = JSON.stringify({
  compilerOptions: {
    strict: true,
    module: 'nodenext',
    moduleResolution: 'nodenext',
    target: 'es2023',
    types: [],
    noEmit: true,
    allowImportingTsExtensions: true,
  },
});
const COMPILER = path.resolve(import.meta.dirname, '../../../node_modules');

describe('TypeCheck', () => {
  it('warns of type errors in the files of the configuration, with their places', async () => {
    await using p = await project({
      'package.json': '{ "type": "module" }',
      'tsconfig.json': TSCONFIG,
      'mesh.config.ts':
        "import { defineMesh } from 'localmesh';\nimport { a } from './a.ts';\nimport './other.ts';\nexport const b: string =\n  1;\nexport default defineMesh(a);",
      'a.ts': 'export const a: number = "x";',
      'other.ts': 'export const c: number = "x";',
      'unrelated.ts': 'export const d: number = "x";',
    });
    await mkdir(p.at('.mesh'));
    await symlink(COMPILER, p.at('node_modules'));
    const check = new TypeCheck({ file: p.config, scratchDir: p.at('.mesh') });
    const found = await check.check([p.config, p.at('a.ts')]);
    expect(found?.map(({ code, severity, file, line, column }) => ({ code, severity, file, line, column }))).toEqual(
      expect.arrayContaining([
        { code: 'MESH-C011', severity: 'warning', file: p.config, line: 4, column: 14 },
        { code: 'MESH-C011', severity: 'warning', file: p.at('a.ts'), line: 1, column: 14 },
      ]),
    );
    expect(found).toHaveLength(2);
    expect(found?.[0].message).toMatch(/^TS2322: Type '(number|string)' is not assignable/);
    expect(await readdir(p.at('.mesh'))).toEqual([]);
    await check.close();
  });

  it('is skipped without a compiler, a tsconfig.json or a place to write', async () => {
    await using p = await project({ 'mesh.config.ts': 'export default {}' });
    const check = new TypeCheck({ file: p.config, scratchDir: p.at('.mesh') });
    expect(await check.check([p.config])).toBeNull();
    await p.write({ 'tsconfig.json': TSCONFIG, 'node_modules/.bin/tsc': '#!/bin/sh\nexit 0\n' });
    expect(await check.check([p.config])).toBeNull();
    expect(existsSync(p.at('.mesh'))).toBe(false);
  });

  it('is killed with all it started by the next check, whose findings count', async () => {
    await using p = await project({
      'tsconfig.json': TSCONFIG,
      'mesh.config.ts': '',
      '.mesh/x': '',
      // The first run hangs in a child of its own, as the native compiler would.
      'node_modules/.bin/tsc': `#!/bin/sh
if [ -e first ]; then echo "mesh.config.ts(1,2): error TS1: second."; exit 2; fi
echo $$ > first
sleep 1000 &
echo $! > child
wait
`,
    });
    await chmod(p.at('node_modules/.bin/tsc'), 0o755);
    const check = new TypeCheck({ file: p.config, scratchDir: p.at('.mesh') });
    const first = check.check([p.config]);
    await until(() => existsSync(p.at('child')), 'the first run');
    const second = check.check([p.config]);
    expect(await first).toBeNull();
    expect(await second).toMatchObject([
      { code: 'MESH-C011', message: 'TS1: second', file: p.config, line: 1, column: 2 },
    ]);
    const pid = Number(await readFile(p.at('child'), 'utf8'));
    await until(() => !isRunning(pid), 'the end of the child');
    await check.close();
    expect(await readdir(p.at('.mesh'))).toEqual(['x']);
  });
});
