import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConfigAddition, configSnippet, editConfig } from '../../src/scaffold/config-edit/edit-config.ts';

const SERVICE = { command: "echo 'it'", dependsOn: ['ordersdb'], readiness: { http: '/health' } };
const ADDITION: ConfigAddition = {
  resources: { ordersdb: { call: 'postgres', arguments: [] } },
  services: { 'shopping-carts': SERVICE },
};

function edited(text: string, addition: ConfigAddition = ADDITION): string {
  const result = editConfig('/x/mesh.config.ts', text, addition);
  if (!result.ok) throw new Error(`${result.problems[0].message}\n${text}`);
  return result.value;
}

function refusal(text: string): string {
  const result = editConfig('/x/mesh.config.ts', text, ADDITION);
  if (result.ok) throw new Error(`it was edited:\n${result.value}`);
  expect(result.problems[0].code).toBe('MESH-N156');
  expect(result.problems[0].hint).toContain(configSnippet(ADDITION));
  return result.problems[0].message;
}

/** What the file exports; the resource functions give their names. */
function evaluate(text: string): unknown {
  const body = text
    .replace(/^#!.*/, '')
    .replaceAll(/import\s*(?:type\s*)?\{([^}]*)\}\s*from\s*(['"])localmesh\2;?/g, (_, names: string) => {
      const parts = names
        .split(',')
        .map((part) => part.replaceAll(/\/\*.*?\*\/|\/\/.*$/gm, '').trim())
        .filter(Boolean);
      return parts
        .map((part) => `const ${part.split(' as ').at(-1)!.trim()} = library.${part.split(' as ')[0].trim()};`)
        .join(' ');
    })
    .replace('export default', 'return')
    .replaceAll(/ satisfies \w+| as const/g, '');
  const library = {
    defineMesh: (config: unknown) => config,
    postgres: (...values: unknown[]) => ['postgres', ...values],
  };
  return new Function('library', body)(library);
}

describe('adding to mesh.config.ts', () => {
  it('keeps what is there, comments and style included', () => {
    const text = `// Mine.
import { defineMesh } from 'localmesh';

export default defineMesh({
  version: 1,
  name: 'shop', // the name
  services: {
    web: { command: 'node web.js' }, // in front

    api: {
      command: 'node api.js',
    },
    // old: { command: 'node old.js' },
  },
});
`;
    expect(edited(text)).toBe(`// Mine.
import { defineMesh, postgres } from 'localmesh';

export default defineMesh({
  version: 1,
  name: 'shop', // the name
  services: {
    web: { command: 'node web.js' }, // in front

    api: {
      command: 'node api.js',
    },

    'shopping-carts': {
      command: 'echo \\'it\\'',
      dependsOn: ['ordersdb'],
      readiness: { http: '/health' },
    },
    // old: { command: 'node old.js' },
  },
  resources: {
    ordersdb: postgres(),
  },
});
`);
  });

  it('writes as the file is written: quotes, indentation, commas, line ends, no semicolons', () => {
    const text = [
      'import { defineMesh } from "localmesh"',
      'export default defineMesh({',
      '\tversion: 1, name: "shop",',
      '\tservices: {',
      '\t\tweb: { command: "node web.js" } // in front',
      '\t}',
      '})',
      '',
    ].join('\r\n');
    expect(edited(text)).toBe(
      [
        'import { defineMesh, postgres } from "localmesh"',
        'export default defineMesh({',
        '\tversion: 1, name: "shop",',
        '\tservices: {',
        '\t\tweb: { command: "node web.js" }, // in front',
        '\t\t"shopping-carts": {',
        '\t\t\tcommand: "echo \'it\'",',
        '\t\t\tdependsOn: ["ordersdb"],',
        '\t\t\treadiness: { http: "/health" }',
        '\t\t}',
        '\t},',
        '\tresources: {',
        '\t\tordersdb: postgres()',
        '\t}',
        '})',
        '',
      ].join('\r\n'),
    );
  });

  it.each([
    [
      'an empty object',
      "import { defineMesh } from 'localmesh';\nexport default defineMesh({ version: 1, services: {} });",
    ],
    ['a comment in an empty object', 'export default { version: 1, services: { /* none */ } };'],
    ['one line', "export default { version: 1, services: { web: { command: 'x' }, api: { command: 'y' } } };"],
    ['no services', 'export default {\n  version: 1,\n};'],
    ['a plain object without an import', '#!/usr/bin/env node\n// Mine.\nexport default {\n  services: {\n  },\n};\n'],
    [
      'constants',
      "import { defineMesh } from 'localmesh';\nconst services = { web: { command: 'x' } };\nconst config = defineMesh({ version: 1, services });\nexport default config;",
    ],
    [
      'types',
      "import { defineMesh } from 'localmesh';\nexport default defineMesh({ services: { web: { command: 'x' } } as const });",
    ],
    ['a name that is taken', 'const postgres = 1;\nexport default { version: postgres, services: {} };'],
    [
      'a renamed import',
      "import { defineMesh as d, postgres as p } from 'localmesh';\nexport default d({ services: {} });",
    ],
    [
      'resources',
      "import { defineMesh, postgres } from 'localmesh';\nexport default defineMesh({ resources: { a: postgres() }, services: {} });",
    ],
  ])('handles %s', (_, text) => {
    const before = evaluate(text) as { services?: object; resources?: object };
    const after = edited(text);
    expect(evaluate(after), after).toEqual({
      ...before,
      services: { ...before.services, 'shopping-carts': SERVICE },
      resources: { ...before.resources, ordersdb: ['postgres'] },
    });
  });

  it.each([
    ['export default { ...base, services: {} };', /spread/],
    ['export default { services: { ...shared } };', /`services` has something spread/],
    ["export default { services: { ['a' + 1]: {} } };", /computed key/],
    ['export default { services: makeServices() };', /`services` is computed/],
    ['export default { services: flag ? {} : {} };', /computed/],
    [
      "import { defineMesh } from 'localmesh';\nexport default defineMesh(() => ({ services: {} }));",
      /function returns/,
    ],
    ['export default build({ services: {} });', /function returns/],
    ["import { services } from './services';\nexport default { services };", /comes from elsewhere/],
    ['const services = {};\nservices.web = {};\nexport default { services };', /several places/],
    ['let services = {};\nexport default { services };', /comes from elsewhere/],
    ['module.exports = { services: {} };', /no default export/],
    ['export default { services: {}, services: {} };', /twice/],
    ["export default { services: { 'shopping-carts': {} } };", /has shopping-carts already/],
  ])('leaves %s alone and prints what to paste', (text, reason) => {
    expect(refusal(text)).toMatch(reason);
  });

  it('refuses what is no code', () => {
    expect(editConfig('/x', 'export default {', ADDITION)).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-C002' }],
    });
  });

  it('means the old configuration and the new entries, with every comment, however the file is written', () => {
    const key = fc.constantFrom('web', 'api', "'my-service'", '"x-1"', '7');
    const value = fc.constantFrom(
      "{ command: 'a' }",
      "{\n      command: 'b', // why\n    }",
      '{}',
      "{ command: ['c', 'd'] }",
    );
    const gap = fc.constantFrom(
      '',
      ' ',
      '\n    ',
      '\n\n    ',
      ' // note\n    ',
      ' /* note */ ',
      '\n    // above\n    ',
    );
    const entries = fc.uniqueArray(fc.record({ key, value, before: gap, after: gap }), {
      selector: ({ key: each }) => each,
      maxLength: 4,
    });
    const file = fc.record({
      entries,
      trailing: fc.boolean(),
      open: gap,
      close: gap,
      more: fc.constantFrom(
        '',
        ", name: 'x'",
        ',\n  name: "x", // the name\n',
        ', resources: {}',
        ", resources: { a: { kind: 'b' } /* c */ }",
      ),
      wrap: fc.boolean(),
      crlf: fc.boolean(),
    });
    const addition = fc.record({
      resources: fc.constantFrom({}, ADDITION.resources, { ordersdb: { call: 'postgres', arguments: [{ port: 1 }] } }),
      services: fc.constantFrom(ADDITION.services, { one: SERVICE, two: { command: 'it\'s "quoted"\n' } }),
    });
    fc.assert(
      fc.property(file, addition, ({ entries: list, trailing, open, close, more, wrap, crlf }, added) => {
        const inner = list
          .map(({ key: each, value: what, before, after }) => `${before}${each}: ${what}${after}`)
          .join(',');
        const object = `{ version: 1,\n  services: {${open}${inner}${trailing && list.length > 0 ? ',' : ''}${close}}${more} }`;
        const whole = wrap
          ? `import { defineMesh } from 'localmesh';\nexport default defineMesh(${object});\n`
          : `export default ${object};\n`;
        const text = crlf ? whole.replaceAll('\n', '\r\n') : whole;
        const before = evaluate(text) as { services: object; resources?: object };
        const after = edited(text, added);
        const resources = Object.fromEntries(
          Object.entries(added.resources).map(([name, { call, arguments: values }]) => [name, [call, ...values]]),
        );
        const expected: Record<string, unknown> = { ...before, services: { ...before.services, ...added.services } };
        if (before.resources !== undefined || Object.keys(resources).length > 0)
          expected.resources = { ...before.resources, ...resources };
        expect(evaluate(after)).toEqual(expected);
        const comments = (code: string) => code.match(/\/\/[^\r\n]*|\/\*.*?\*\//g) ?? [];
        expect(comments(after)).toEqual(comments(text));
        if (crlf) expect(after.replaceAll('\r\n', '')).not.toContain('\n');
      }),
      { numRuns: 400 },
    );
  });
});
