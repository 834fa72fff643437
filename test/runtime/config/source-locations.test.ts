import { describe, expect, it } from 'vitest';
import { problem } from '../../../src/model/errors.ts';
import { configSources } from '../../../src/runtime/config/source-locations.ts';

const FILE = '/p/mesh.config.ts';

/** The text from the place on, to the end of the line. */
function textAt(files: Record<string, string>, path: string, aim?: 'key' | 'value'): string | undefined {
  const absolute = new Map(Object.entries(files).map(([name, text]) => [`/p/${name}`, text]));
  const place = configSources(FILE, absolute).locate(path, aim);
  if (place === undefined) return undefined;
  const text = absolute
    .get(place.file)!
    .split('\n')
    [place.line - 1].slice(place.column - 1);
  return place.file === FILE ? text : `${place.file}: ${text}`;
}
const inConfig = (text: string, path: string, aim?: 'key' | 'value') => textAt({ 'mesh.config.ts': text }, path, aim);

describe('configSources', () => {
  const literal = `import { defineMesh } from 'localmesh';
export default defineMesh({
  name: 'shop',
  'services': {
    orders: {
      ["command"]: 'x',
      routes: [
        { name: 'a' },
        { backends: [{ subset: 's' },
                     { weight: -1 }] },
      ],
    },
  },
});`;

  it('finds values, and keys if asked', () => {
    expect(inConfig(literal, 'name')).toBe("'shop',");
    expect(inConfig(literal, 'name', 'key')).toBe("name: 'shop',");
    expect(inConfig(literal, 'services.orders.command')).toBe("'x',");
    expect(inConfig(literal, 'services.orders.routes[1].backends[1].weight')).toBe('-1 }] },');
    expect(inConfig(literal, 'services.orders.routes[0]')).toBe("{ name: 'a' },");
    expect(inConfig(literal, 'services', 'key')).toBe("'services': {");
    expect(inConfig(literal, '')).toBe('{');
  });

  it('falls back to the nearest part that is there', () => {
    expect(inConfig(literal, 'services.orders.replicas', 'key')).toBe('{');
    expect(inConfig(literal, 'services.orders.routes[7].name')).toBe('[');
    expect(inConfig(literal, 'services.gone.command')).toBe('{');
    expect(inConfig('export default make({ name: 1 });', 'name')).toBe('make({ name: 1 });');
    expect(inConfig('export default { a: list.map((x) => ({ b: x })) };', 'a[0].b')).toBe(
      'list.map((x) => ({ b: x })) };',
    );
  });

  it.each([
    ['const config = { a: 1 };\nexport default config;', 'a', '1 };'],
    ['const config = { a: 1 };\nexport { config as default };', 'a', '1 };'],
    ['export default { a: 1 } satisfies object;', 'a', '1 } satisfies object;'],
    ['export default ({ a: { b: 2 } as const });', 'a.b', '2 } as const });'],
    ['export default defineMesh(async () => ({ a: 1 }));\nimport { defineMesh } from "localmesh";', 'a', '1 }));'],
    ['export default function () {\n const x = 2;\n return { a: x };\n}', 'a', 'x };'],
    ['const f = () => { return { b: 2 } };\nexport default { a: f() };', 'a.b', '2 } };'],
    ['const a = { b: 2 };\nexport default { a };', 'a.b', '2 };'],
    ['const a = 2;\nexport default { a };', 'a', 'a };'],
    ['const base = { b: 2, c: 3 };\nexport default { a: { ...base, c: 4 } };', 'a.b', '2, c: 3 };'],
    ['const base = { b: 2, c: 3 };\nexport default { a: { ...base, c: 4 } };', 'a.c', '4 } };'],
    ['const base = { b: 2, c: 3 };\nexport default { a: { c: 4, ...base } };', 'a.c', '3 };'],
    ['const two = [1, 2];\nexport default { a: [0, ...two, { x: 9 }] };', 'a[2]', '2];'],
    ['const two = [1, 2];\nexport default { a: [0, ...two, { x: 9 }] };', 'a[3].x', '9 }] };'],
    ['const all = { one: { b: 2 } };\nexport default { a: all.one };', 'a.b', '2 } };'],
    ['const all = { one: { b: 2 } };\nexport default { a: all["one"] };', 'a.b', '2 } };'],
    ['const on = true;\nexport default { a: on ? { b: 1 } : { c: 2 } };', 'a.c', '2 } };'],
    ['const k = "x";\nexport default { [k]: 1 };', 'x', '1 };'],
    ['export default { a: { b: 1, b: 2 } };', 'a.b', '2 } };'],
    ['module.exports = { a: 1 };', 'a', '1 };'],
    ['const a = { b: 1 };\nfunction f(a: object) { return { c: a } }\nexport default f(a);', 'c.b', 'a } }'],
    ['const a = { b: 1 };\nexport default () => { const a = { b: 2 }; return a; };', 'b', '2 }; return a; };'],
    ['export default Object.freeze({ a: 1 });', 'a', '1 });'],
  ])('follows %j', (text, path, expected) => {
    expect(inConfig(text, path)).toBe(expected);
  });

  it('follows imports into the files they come from', () => {
    const files = {
      'mesh.config.ts': `import orders, { web as page } from './services/index.js';
import * as ports from './ports.ts';
import data from './data.json';
import { limit } from './data.json';
export default { services: { orders, page, x: ports.x, y: { ...data }, z: limit } };`,
      'services/index.ts': "export { default } from './orders';\nexport * from './web.ts';",
      'services/orders.ts': "export default { command: 'o' };",
      'services/web.ts': "export const web = { command: 'w' };",
      'ports.ts': 'export const x = { port: 1 };',
      'data.json': '{\n  "deep": { "port": 2 },\n  "limit": { "port": 3 } }',
    };
    expect(textAt(files, 'services.orders.command')).toBe("/p/services/orders.ts: 'o' };");
    expect(textAt(files, 'services.page.command', 'key')).toBe("/p/services/web.ts: command: 'w' };");
    expect(textAt(files, 'services.x.port')).toBe('/p/ports.ts: 1 };');
    expect(textAt(files, 'services.y.deep.port')).toBe('/p/data.json: 2 },');
    expect(textAt(files, 'services.z.port')).toBe('/p/data.json: 3 } }');
  });

  it('does not run in circles', () => {
    expect(inConfig('const a = b, b = a;\nexport default { x: { ...a, ...b } };', 'x.y')).toBe('{ ...a, ...b } };');
    expect(inConfig('const f = () => f();\nexport default f();', 'x')).toBeDefined();
    const files = {
      'mesh.config.ts': "export * from './a.ts'; export { default } from './a.ts'",
      'a.ts': "export { default } from './mesh.config.ts'",
    };
    expect(textAt(files, 'x')).toBeUndefined();
  });

  it('places problems, those about keys at the key, in the order of the file', () => {
    const text = 'export default {\n  b: 1,\n  a: { x: 1 },\n  Bad: {},\n};';
    const sources = configSources(FILE, new Map([[FILE, text]]));
    const located = sources.locateAll([
      problem('MESH-C108', { path: 'Bad' }),
      problem('MESH-C101', { path: 'a.x' }),
      problem('MESH-C102', { path: 'b' }),
      { ...problem('MESH-C102', { path: 'b' }), file: '/elsewhere', line: 7 },
    ]);
    expect(located.filter(({ file }) => file === FILE)).toMatchObject([
      { code: 'MESH-C102', file: FILE, line: 2, column: 6 },
      { code: 'MESH-C101', file: FILE, line: 3, column: 8 },
      { code: 'MESH-C108', file: FILE, line: 4, column: 3 },
    ]);
    expect(located.filter(({ file }) => file !== FILE)).toMatchObject([{ file: '/elsewhere', line: 7 }]);
  });

  it('has no place in a file that cannot be parsed, but names it', () => {
    const sources = configSources(FILE, new Map([[FILE, 'export default {{{']]));
    expect(sources.locate('a')).toBeUndefined();
    expect(sources.locateAll([problem('MESH-C102', { path: 'a' })])).toMatchObject([{ file: FILE }]);
  });
});
