import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
// @ts-expect-error: a script without types
import { violations } from '../../scripts/check-imports.js';
import { explain } from '../../src/model/errors.ts';

const src = path.join(import.meta.dirname, '..', '..', 'src');
const check = (sources: Record<string, string>): string[] => violations(new Map(Object.entries(sources)));

describe('the import rule', () => {
  it('lets each layer import what is below it', () => {
    expect(
      check({
        'model/a.ts': 'export const a = 1;',
        'proxy/b.ts': "import { a } from '../model/a.ts';\nexport const b = a;",
        'runtime/c.ts': "import { b } from '../proxy/b.ts';\nexport const c = b;",
        'tui/d.tsx': "import { a } from '../model/a.ts';\nexport const d = a;",
        'commands/e.ts':
          "import { c } from '../runtime/c.ts';\nexport default async () => [c, await import('../tui/d.tsx')];",
        'index.ts': "export type * from './model/a.ts';",
      }),
    ).toEqual([]);
  });

  it.each([
    ['model/a.ts', "import type { x } from '../runtime/x.ts';", 'model must not import runtime'],
    ['tui/a.ts', "import { x } from '../runtime/x.ts';", 'tui must not import runtime'],
    ['proxy/a.ts', "const x = await import('../runtime/x.ts');", 'proxy must not import runtime'],
    ['runtime/a.ts', "import '../commands/x.ts';", 'runtime must not import commands'],
    ['runtime/a.ts', 'export const a = () => process.exit(1);', 'process.exit'],
    ['runtime/a.ts', "import { x } from './x';", 'lacks its extension'],
    ['runtime/a.ts', "export { x } from './x.ts';\nexport * from './x.ts';", 'barrel'],
    ['runtime/a.ts', 'const x = 1;\n'.repeat(601), '601 lines'],
    ['commands/a.ts', 'const x = 1;\n'.repeat(81), '81 lines'],
    ['runtime/a.ts', "import {\n  x,\n  y,\n} from '../tui/x.ts';", 'runtime must not import tui'],
  ])('refuses %s with %j', (file, text, expected) => {
    const others = {
      'runtime/x.ts': 'export const x = 1;',
      'commands/x.ts': 'export const x = 1;',
      'tui/x.ts': 'export const x = 1;',
    };
    expect(check({ ...others, [file]: text }).join('\n')).toContain(expected);
  });

  it('names a cycle once, but not one of types', () => {
    const cycle = {
      'model/a.ts': "import { b } from './b.ts';\nexport const a = () => b;",
      'model/b.ts': "import { c } from './c.ts';\nexport const b = () => c;",
      'model/c.ts': "import { a } from './a.ts';\nexport const c = () => a;",
    };
    expect(check(cycle)).toEqual(['cycle: model/a.ts -> model/b.ts -> model/c.ts -> model/a.ts']);
    expect(check({ ...cycle, 'model/c.ts': "import type { a } from './a.ts';\nexport const c = 1;" })).toEqual([]);
  });
});

describe('the codes that the CLI reports', () => {
  it('can all be explained', () => {
    for (const folder of ['runtime/client', 'runtime/control', 'commands']) {
      for (const file of readdirSync(path.join(src, folder), { recursive: true, encoding: 'utf8' })) {
        if (!/\.tsx?$/.test(file)) continue;
        const text = readFileSync(path.join(src, folder, file), 'utf8');
        for (const [code] of text.matchAll(/MESH-[A-Z]\d{3}/g))
          expect(explain(code), `${code} in ${file}`).toHaveProperty('ok', true);
      }
    }
  });
});
