import { fork } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { open, readdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Problem } from '../../../src/model/result.ts';
import { ConfigLoader, type LoadedConfig } from '../../../src/runtime/config/config-loader.ts';
import { loadConfig } from '../../../src/runtime/config/load.ts';
import { loaderEntry } from '../../../src/runtime/config/loader-entry.ts';
import { validateConfig } from '../../../src/runtime/config/validate-config.ts';
import { isRunning, project, shop, until } from './project.ts';

let loader: ConfigLoader;
beforeAll(() => {
  loader = new ConfigLoader({ deadlineMs: 1_000 });
});
afterAll(() => loader.close());

async function loaded(files: Record<string, string>): Promise<LoadedConfig> {
  await using p = await project(files);
  const result = await loader.load(p.config);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

/** The problems of a configuration, files relative to its directory. */
async function problems(files: Record<string, string> | string, from = loader): Promise<Problem[]> {
  await using p = await project(typeof files === 'string' ? { 'mesh.config.ts': files } : files);
  const result = await from.load(p.config);
  if (result.ok) throw new Error('it loaded');
  return result.problems.map((found) => ({ ...found, file: found.file?.replace(`${p.directory}/`, '') }));
}

const services = (code: string) => `{ version: 1, name: 'shop', services: { web: { command: ${code} } } }`;
const commandOf = ({ config }: LoadedConfig) => config.services.web.command?.argv;

describe('what a configuration may be', () => {
  it('resolves it, and says what it consists of', async () => {
    await using p = await project({
      'mesh.config.ts': `import { defineMesh } from 'localmesh';
import { port } from './lib/ports.ts';
import data from './data.json' with { type: 'json' };
export default defineMesh({ version: 1, name: 'shop', services: { web: { command: data.command, port, env: undefined } } });`,
      'lib/ports.ts': 'export const port: number = 3000;',
      'data.json': '{ "command": "node web.js" }',
    });
    const result = await loader.load(p.config);
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    expect(result.value.config.services.web.port).toBe(3000);
    expect(result.value.raw).toEqual({
      version: 1,
      name: 'shop',
      services: { web: { command: 'node web.js', port: 3000 } },
    });
    expect([...result.value.dependencies].sort()).toEqual([p.at('data.json'), p.at('lib/ports.ts'), p.config]);
    expect(result.value.dependencies[0]).toBe(p.config);
    expect(result.value.sources.locate('services.web.port')).toMatchObject({ file: p.config, line: 4 });
    expect(await readdir(p.directory)).toHaveLength(3);
  });

  it.each([
    ['an object', `export default ${services("'x'")}`],
    ['a function', `export default () => (${services("'x'")})`],
    [
      'an async function',
      `import { defineMesh } from 'localmesh';\nexport default defineMesh(async () => (${services("'x'")}))`,
    ],
    ['a Promise', `export default Promise.resolve(${services("'x'")})`],
    ['top-level await', `const x = await Promise.resolve('x');\nexport default ${services('x')}`],
    ['CommonJS', `module.exports = ${services("'x'")}`],
    ['a dynamic import', `export default import('node:path').then((path) => (${services("path.basename('/a/x')")}))`],
    ['a require', `const { basename } = require('node:path');\nexport default ${services("basename('/a/x')")}`],
  ])('%s', async (_, text) => {
    expect(commandOf(await loaded({ 'mesh.config.ts': text }))).toEqual(['x']);
  });

  it('knows its own place, in each file, with either module system', async () => {
    for (const top of ['', 'await 0;\n']) {
      await using p = await project({
        'mesh.config.ts': `${top}import { where } from './lib/where.ts';
export default ${services("[where, import.meta.dirname, __dirname, new URL('x', import.meta.url).pathname, process.cwd()]")}`,
        'lib/where.ts': 'export const where = import.meta.filename;',
      });
      const result = await loader.load(p.config);
      expect(result.ok && commandOf(result.value)).toEqual([
        p.at('lib/where.ts'),
        p.directory,
        p.directory,
        p.at('x'),
        p.directory,
      ]);
    }
  });

  it('takes packages from where they are installed, and linked ones as part of it', async () => {
    await using p = await project({
      'app/mesh.config.ts': `import { a } from 'installed'; import { b } from 'linked';\nexport default ${services('[a, b]')}`,
      'app/node_modules/installed/package.json':
        '{ "name": "installed", "type": "module", "exports": { "import": "./i.js" } }',
      'app/node_modules/installed/i.js': "export const a = 'a';",
      'shared/package.json': '{ "name": "linked", "type": "module", "main": "l.ts" }',
      'shared/l.ts': "export const b: string = 'b';",
    });
    await symlink('../../shared', p.at('app/node_modules/linked'));
    const result = await loader.load(p.at('app/mesh.config.ts'));
    expect(result.ok && commandOf(result.value)).toEqual(['a', 'b']);
    expect(result.ok && result.value.dependencies).toEqual([p.at('app/mesh.config.ts'), p.at('shared/l.ts')]);
  });

  it('keeps the path by which the user knows it', async () => {
    await using p = await project({ 'real/mesh.config.ts': shop("{ command: 'x', bogus: 1 }") });
    await symlink('real', p.at('link'));
    const result = await loader.load(p.at('link/mesh.config.ts'));
    expect(!result.ok && result.problems).toMatchObject([{ file: p.at('link/mesh.config.ts'), line: 2 }]);
  });

  it('sees the environment, and leaves none behind', async () => {
    const text = (name: string) =>
      `process.env.${name} = (process.env.MESH_LEFT ?? '') + '-';\nexport default ${services(`process.env.${name} + process.env.HOME`)}`;
    const first = await loaded({ 'mesh.config.ts': text('MESH_LEFT') });
    const second = await loaded({ 'mesh.config.ts': text('MESH_LEFT') });
    expect(commandOf(first)).toEqual([`-${process.env.HOME}`]);
    expect(commandOf(second)).toEqual(commandOf(first));
  });

  it('reloads changed files in the same process', async () => {
    await using p = await project({
      'mesh.config.ts': `import { c } from './c.ts';\nexport default ${services('c')}`,
      'c.ts': "export const c = 'one';",
    });
    await loader.load(p.config);
    const { pid } = loader;
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      await p.write({ 'c.ts': `export const c = 'n${i}';` });
      const began = performance.now();
      const result = await loader.load(p.config);
      times.push(performance.now() - began);
      expect(result.ok && commandOf(result.value)).toEqual([`n${i}`]);
    }
    expect(loader.pid).toBe(pid);
    times.sort((a, b) => a - b);
    console.log(`warm reload: median ${times[10].toFixed(1)} ms, slowest ${times[19].toFixed(1)} ms`);
  });

  it('prints to where it is told, not to the standard output', async () => {
    await using p = await project({
      'mesh.config.ts': `console.log('to out'); console.error('to err');\n${shop()}`,
      out: '',
    });
    const out = await open(p.at('out'), 'w');
    const own = new ConfigLoader({ outputFd: out.fd });
    expect((await own.load(p.config)).ok).toBe(true);
    await own.close();
    await out.close();
    expect(await readFile(p.at('out'), 'utf8')).toBe('to out\nto err\n');
  });

  it('warns of what is doubtful', async () => {
    await using p = await project({
      'mesh.config.ts': `export default { version: 1, name: 'shop', services: {\n web: { command: 'a' },\n web: { command: 'b' } } }`,
    });
    const result = await loader.load(p.config);
    expect(result.ok && result.warnings).toMatchObject([
      { code: 'MESH-C011', severity: 'warning', file: p.config, line: 3, column: 2 },
    ]);
  });
});

describe('what can be wrong with it', () => {
  it.each([
    [
      'a syntax error',
      'export default {\n  a: 1\n  b: 2,\n}',
      { code: 'MESH-C002', line: 3, column: 3, message: 'Expected "}" but found "b"' },
    ],
    ['a column after other letters', "export default { 'äöü€😀': 1 b }", { code: 'MESH-C002', line: 1, column: 30 }],
    [
      'a file that is not there',
      "\nimport x from './gone.ts';\nexport default x",
      { code: 'MESH-C010', line: 2, column: 15, message: "the file './gone.ts' is not there" },
    ],
    [
      'a package that is not there',
      "import x from 'not-a-package-here';\nexport default x",
      { code: 'MESH-C010', line: 1, column: 15, message: "the package 'not-a-package-here' is not installed" },
    ],
    [
      'a throw',
      "\n  throw new Error('no key');\n",
      { code: 'MESH-C003', line: 2, column: 9, message: 'it threw Error: no key' },
    ],
    [
      'a throw in a function',
      "function f(): never {\n  throw new TypeError('deep');\n}\nexport default () => f();",
      { code: 'MESH-C003', line: 2, column: 9, message: 'it threw TypeError: deep' },
    ],
    [
      'a throw after an await',
      "const x = await Promise.resolve(1);\nif (x) throw new Error('late');\nexport default {}",
      { code: 'MESH-C003', line: 2, column: 14 },
    ],
    [
      'a rejected Promise',
      "export default Promise.reject(new Error('refused'))",
      { code: 'MESH-C003', line: 1, column: 31, message: 'it threw Error: refused' },
    ],
    ['something else that is thrown', "throw 'text'", { code: 'MESH-C003', message: 'it threw "text"' }],
    [
      'a rejection that nobody handles',
      "void Promise.reject(new Error('stray'));\nexport default { version: 1 }",
      { code: 'MESH-C003', line: 1, column: 21, message: 'it threw Error: stray' },
    ],
    [
      'an error of a timer while it waits',
      "setTimeout(() => { throw new Error('timer') }, 1);\nexport default new Promise(() => {})",
      { code: 'MESH-C003', line: 1, column: 26 },
    ],
    [
      'process.exit',
      '\nprocess.exit(3);',
      { code: 'MESH-C003', line: 2, column: 9, message: 'it called process.exit(3)' },
    ],
    [
      'process.exit that is caught',
      'try { process.exit(0) } catch {}\nexport default {}',
      { code: 'MESH-C003', line: 1, message: 'it called process.exit(0)' },
    ],
    [
      'its own end',
      "process.kill(process.pid, 'SIGKILL'); for (;;) {}",
      { code: 'MESH-C003', message: 'it ended the process that evaluates it: signal SIGKILL' },
    ],
    [
      'no export',
      'export const config = {}',
      { code: 'MESH-C007', message: 'mesh.config.ts has no default export, only config' },
    ],
    ['an empty file', '', { code: 'MESH-C007', message: 'mesh.config.ts has no default export' }],
    [
      'a function without return',
      'export default () => { ({ version: 1 }) }',
      { code: 'MESH-C007', message: 'the function that mesh.config.ts exports returned nothing' },
    ],
    ['not an object', 'export default 7', { code: 'MESH-C007', line: 1, column: 16 }],
  ])('%s', async (_, text, expected) => {
    expect(await problems(text)).toMatchObject([{ ...expected, file: 'mesh.config.ts' }]);
  });

  it('a throw in an imported file', async () => {
    const files = {
      'mesh.config.ts': "import { key } from './lib/key.ts';\nexport default { key }",
      'lib/key.ts':
        "interface A { b: string }\n\nconst read = (): A => {\n  throw new Error('here');\n};\nexport const key = read();",
    };
    expect(await problems(files)).toMatchObject([{ code: 'MESH-C003', file: 'lib/key.ts', line: 4, column: 9 }]);
  });

  it('values that are no plain data, together with all else', async () => {
    const text = `const load = async () => 'x';
class Shop {}
const loop: Record<string, unknown> = {};
loop.self = loop;
export default {
  version: 1,
  name: 'shop',
  services: {
    web: {
      command: load(),
      cwd: load,
      port: NaN,
      env: new Shop(),
      envFile: 5n,
      build: loop,
      bogus: 1,
    },
  },
};`;
    const found = await problems(text);
    expect(found.map(({ code, path, line, column }) => [code, path, line, column])).toEqual(
      expect.arrayContaining([
        ['MESH-C005', 'services.web.command', 10, 16],
        ['MESH-C006', 'services.web.cwd', 11, 12],
        ['MESH-C008', 'services.web.port', 12, 13],
        ['MESH-C008', 'services.web.env', 13, 12],
        ['MESH-C008', 'services.web.envFile', 14, 16],
        ['MESH-C008', 'services.web.build.self', 15, 14],
        ['MESH-C101', 'services.web.bogus', 16, 7],
      ]),
    );
    expect(found.find(({ code }) => code === 'MESH-C005')?.hint).toContain('await');
  });

  it('every field at once, in the order of the file', async () => {
    const text = `import { defineMesh } from 'localmesh';
const routes = [{ backends: [{ weight: -1 }] }];
export default defineMesh({
  version: 1,
  nmae: 'shop',
  services: { web: { command: 'x', dependsOn: ['gone'], routes } },
});`;
    const found = await problems(text);
    expect(found.map(({ code, line, column }) => `${code} ${line}:${column}`)).toEqual([
      'MESH-C107 2:40',
      'MESH-C103 3:27',
      'MESH-C101 5:3',
      'MESH-C203 6:48',
    ]);
  });

  it.each([
    ['an endless loop', 'for (;;) {}', /endless loop/],
    ['an endless loop after an await', 'await 0;\nfor (;;) {}', /endless loop/],
    ['an await that never ends', 'export default new Promise(() => {})', /await/],
    ['a top-level await that never ends', 'await new Promise(() => {});\nexport default {}', /await/],
  ])('%s: the process is replaced', async (_, text, hint) => {
    const own = new ConfigLoader({ deadlineMs: 300 });
    const found = await problems(text, own);
    expect(found).toMatchObject([
      { code: 'MESH-C004', message: 'mesh.config.ts took more than 300 ms', file: 'mesh.config.ts' },
    ]);
    expect(found[0].hint).toMatch(hint);
    await using p = await project({ 'mesh.config.ts': shop() });
    expect((await own.load(p.config)).ok).toBe(true);
    await own.close();
  });

  it('memory without end', async () => {
    await using p = await project({ out: '' });
    const out = await open(p.at('out'), 'w');
    const own = new ConfigLoader({ deadlineMs: 30_000, outputFd: out.fd });
    const found = await problems(
      'const all: unknown[] = [];\nfor (;;) all.push(new Array(1000).fill(all.length));',
      own,
    );
    expect(found).toMatchObject([{ code: 'MESH-C003', file: 'mesh.config.ts' }]);
    expect(found[0].message).toContain('memory');
    await own.close();
    await out.close();
  }, 40_000);

  it('a file that is gone', async () => {
    await using p = await project();
    expect(await loader.load(p.config)).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-C010', message: 'mesh.config.ts is not there', file: p.config }],
    });
  });
});

describe('the loader process', () => {
  it('is replaced after a configuration that leaves something running', async () => {
    await using p = await project({ 'mesh.config.ts': `setInterval(() => {}, 1);\n${shop()}` });
    expect((await loader.load(p.config)).ok).toBe(true);
    const { pid } = loader;
    expect((await loader.load(p.config)).ok).toBe(true);
    expect(loader.pid).not.toBe(pid);
  });

  it('is not replaced after a configuration that is merely wrong', async () => {
    const codes: string[] = [];
    const pids: (number | null)[] = [];
    for (const text of [
      'export default {}',
      'export default {',
      "throw new Error('x')",
      "export default { version: 1, name: 'X', services: {} }",
    ]) {
      codes.push((await problems(text))[0].code);
      pids.push(loader.pid);
    }
    expect(codes).toEqual(['MESH-C103', 'MESH-C002', 'MESH-C003', 'MESH-C108']);
    expect(new Set(pids).size).toBe(1);
  });

  it('runs the newest of several loads, for all who asked', async () => {
    await using p = await project({ 'mesh.config.ts': shop("{ command: 'first' }") });
    const own = new ConfigLoader();
    await own.load(p.config);
    const first = own.load(p.config);
    const second = own.load(p.config);
    await p.write({ 'mesh.config.ts': shop("{ command: 'second' }") });
    const third = own.load(p.config);
    const results = await Promise.all([first, second, third]);
    expect(results.map((result) => result.ok && commandOf(result.value))).toEqual([['second'], ['second'], ['second']]);
    await own.close();
  });

  it('does not wait for a slow one when there is a newer one', async () => {
    await using p = await project({ 'mesh.config.ts': 'for (;;) {}' });
    const own = new ConfigLoader({ deadlineMs: 60_000 });
    const stuck = own.load(p.config);
    await until(() => own.pid !== null, 'the process to start');
    await p.write({ 'mesh.config.ts': shop() });
    expect((await own.load(p.config)).ok).toBe(true);
    expect((await stuck).ok).toBe(true);
    await own.close();
  });

  it('is gone after close, also in the middle of a load', async () => {
    await using p = await project({ 'mesh.config.ts': 'for (;;) {}' });
    const own = new ConfigLoader();
    const load = own.load(p.config);
    const pid = own.pid!;
    await own.close();
    expect(await load).toMatchObject({ ok: false, problems: [{ code: 'MESH-C004' }] });
    expect(isRunning(pid)).toBe(false);
  });

  it('does not outlive a parent that was killed, even in an endless loop', async () => {
    const source = path.resolve(import.meta.dirname, '../../../src/runtime/config/config-loader.ts');
    await using p = await project({
      'mesh.config.ts':
        "import { writeFileSync } from 'node:fs';\nwriteFileSync('pid', String(process.pid));\nfor (;;) {}",
      'parent.mts': `import { ConfigLoader } from ${JSON.stringify(source)};
void new ConfigLoader({ deadlineMs: 600_000 }).load(process.argv[2]);`,
    });
    const parent = fork(p.at('parent.mts'), [p.config], { execArgv: [...loaderEntry().execArgv], stdio: 'ignore' });
    await until(() => existsSync(p.at('pid')) && readFileSync(p.at('pid'), 'utf8') !== '', 'the loop to begin');
    const pid = Number(readFileSync(p.at('pid'), 'utf8'));
    expect(isRunning(pid)).toBe(true);
    parent.kill('SIGKILL');
    await until(() => !isRunning(pid), 'the end of the loader process');
  });
});

describe('for commands', () => {
  it('loadConfig loads once', async () => {
    await using p = await project({ 'mesh.config.ts': shop() });
    const result = await loadConfig(p.config);
    expect(result.ok && result.value.config.name).toBe('shop');
  });

  it('validateConfig has all problems, or warnings beside the configuration', async () => {
    await using p = await project({
      'mesh.config.ts': shop("{ command: 'x', env: { PORT: '1' } }"),
      'b.ts': shop('{ port: -1, x: 1 }'),
    });
    const good = await validateConfig(p.config);
    expect(good.config?.name).toBe('shop');
    expect(good.problems).toMatchObject([{ code: 'MESH-C220', severity: 'warning', file: p.config, line: 2 }]);
    const bad = await validateConfig(p.at('b.ts'));
    expect(bad.config).toBeNull();
    expect(bad.problems.map(({ code }) => code).sort()).toEqual(['MESH-C101', 'MESH-C107']);
  });
});
