import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { allTemplates, findTemplate, templatesDirectory } from '../../src/scaffold/catalogue.ts';
import { TEMPLATE_OPTIONS } from '../../src/scaffold/options.ts';
import { type MeshOnDisk, type Plan, planScaffold, type ScaffoldRequest } from '../../src/scaffold/plan.ts';

let root: string;
let templates: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'mesh-plan-'));
  templates = path.join(root, 'templates');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(files: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), content);
  }
}

const SAMPLE = {
  'templates/sample/template.json': JSON.stringify({
    summary: 'a sample',
    entity: true,
    options: { lang: { choices: ['typescript', 'go'], default: 'typescript' } },
    layers: [
      { from: 'ts', when: { lang: 'typescript' } },
      { from: 'go', when: { lang: 'go' } },
    ],
    resources: { orderdeskdb: { call: 'postgres' } },
    services: {
      'order-desk': { command: 'x', dependsOn: ['orderdeskdb'] },
      'order-desk-go': { command: 'y', when: { lang: 'go' } },
    },
    install: [['npm', 'install'], { run: ['go', 'build', './order-desk'], when: { lang: 'go' } }],
    next: ['cd {folder}', { text: 'go on with {folder}', when: { lang: 'go' } }],
    add: { layers: [{ from: 'add' }], next: ['added'] },
  }),
  'templates/sample/ts/package.json': '{\n  "name": "order-desk"\n}\n',
  'templates/sample/ts/_gitignore': 'node_modules\n',
  'templates/sample/ts/node_modules/x/index.js': 'left out',
  'templates/sample/ts/src/sales-order.ts':
    "import { log } from '../../../shared/log.ts';\nimport './other.ts';\nlog('sales orders');\n",
  'templates/sample/ts/src/other.ts': 'export const salesOrders = [];\n',
  'templates/sample/ts/test/x.test.ts':
    "import '../src/other.ts';\nimport { log } from '../../../shared/log.ts';\nimport '../../../shared/for-tests.ts';\nlog();\n",
  'templates/sample/go/main.go': 'package orderdesk\n',
  'templates/sample/add/package.json': '{"scripts":{"relay":"x","test":"theirs"},"dependencies":{"pg":"^8.0.0"}}',
  'templates/sample/add/migrations/0001_outbox.sql': 'CREATE TABLE outbox ();',
  'templates/sample/add/src/outbox.ts': 'export {};\n',
  'templates/shared/log.ts': "import { time } from './time.ts';\nexport const log = time;\n",
  'templates/shared/time.ts': 'export const time = (text?: string) => text;\n',
  'templates/shared/for-tests.ts': 'export {};\n',
};

function plan(more: Partial<Omit<ScaffoldRequest, 'mesh'>> & { mesh?: Partial<MeshOnDisk> } = {}) {
  const template = findTemplate(templates, 'sample');
  if (!template.ok) throw new Error(template.problems[0].message);
  return planScaffold({
    template: template.value,
    name: 'orders',
    options: {},
    force: false,
    ...more,
    mesh: {
      configFile: path.join(root, 'mesh.config.ts'),
      text: 'export default { services: {} };\n',
      services: {},
      resources: [],
      ...more.mesh,
    },
  });
}

function planned(...args: Parameters<typeof plan>): Plan {
  const result = plan(...args);
  if (!result.ok) throw new Error(result.problems[0].message);
  return result.value;
}

const filesOf = ({ files, directory }: Plan): Record<string, string> =>
  Object.fromEntries(files.map((file) => [path.relative(directory, file.path), file.after.toString()]));
const codeOf = (result: ReturnType<typeof plan>): string => (result.ok ? 'planned' : result.problems[0].code);

describe('a plan', () => {
  it('renders names, shared modules and what the option chooses', () => {
    write(SAMPLE);
    const made = planned();
    expect(made.directory).toBe(path.join(root, 'services/orders'));
    expect(filesOf(made)).toEqual({
      '.gitignore': 'node_modules\n',
      'package.json': '{\n  "name": "orders"\n}\n',
      'src/order.ts': "import { log } from './shared/log.ts';\nimport './other.ts';\nlog('orders');\n",
      'src/other.ts': 'export const orders = [];\n',
      'src/shared/log.ts': SAMPLE['templates/shared/log.ts'],
      'src/shared/time.ts': SAMPLE['templates/shared/time.ts'],
      'test/shared/for-tests.ts': 'export {};\n',
      'test/x.test.ts':
        "import '../src/other.ts';\nimport { log } from '../src/shared/log.ts';\nimport './shared/for-tests.ts';\nlog();\n",
    });
    expect(made.services).toEqual(['orders']);
    expect(made.install).toEqual([['npm', 'install']]);
    expect(made.next).toEqual(['cd services/orders']);
    expect(made.config?.after.toString()).toContain("cwd: 'services/orders'");

    const go = planned({ options: { lang: 'go' }, name: 'shopping-carts' });
    expect(filesOf(go)).toEqual({ 'main.go': 'package shoppingcarts\n' });
    expect(go.services).toEqual(['shopping-carts', 'shopping-carts-go']);
    expect(go.install.at(-1)).toEqual(['go', 'build', './shopping-carts']);
  });

  it('puts the project beside the other services, and uses a database that is there', () => {
    write(SAMPLE);
    const made = planned({
      mesh: { services: { web: { cwd: 'apps/web' }, api: { cwd: './apps/api' } }, resources: ['ordersdb'] },
    });
    expect(made.directory).toBe(path.join(root, 'apps/orders'));
    expect(made.resources).toEqual([]);
    expect(planned({ into: path.join(root, 'x') }).directory).toBe(path.join(root, 'x'));
  });

  it('adds to a service that is there: next migration, scripts and dependencies that are missing', () => {
    write({
      ...SAMPLE,
      'svc/package.json': '{\n    "scripts": { "test": "mine" }\n}\n',
      'svc/migrations/0004_x.sql': '',
    });
    const made = planned({ mesh: { services: { orders: { cwd: 'svc' } } } });
    expect(made.directory).toBe(path.join(root, 'svc'));
    expect(made.config).toBeNull();
    const files = filesOf(made);
    expect(Object.keys(files)).toEqual(['migrations/0005_outbox.sql', 'package.json', 'src/outbox.ts']);
    expect(JSON.parse(files['package.json'])).toEqual({
      scripts: { test: 'mine', relay: 'x' },
      dependencies: { pg: '^8.0.0' },
    });
    expect(files['package.json']).toContain('\n    "scripts"');
  });

  it('refuses what is in the way, unless it is told to replace it', () => {
    write({ ...SAMPLE, 'services/orders/package.json': 'mine', file: '' });
    expect(codeOf(plan())).toBe('MESH-N153');
    const forced = planned({ force: true });
    expect(forced.isNew).toBe(false);
    expect(forced.files.find(({ path: file }) => file.endsWith('package.json'))?.before?.toString()).toBe('mine');
    expect(codeOf(plan({ into: path.join(root, 'file') }))).toBe('MESH-N153');
    expect(codeOf(plan({ into: path.join(root, 'file/below'), force: true }))).toBe('MESH-N153');
    write({ 'svc/src/outbox.ts': 'mine' });
    expect(codeOf(plan({ mesh: { services: { orders: { cwd: 'svc' } } } }))).toBe('MESH-N153');
    expect(readFileSync(path.join(root, 'services/orders/package.json'), 'utf8')).toBe('mine');
  });

  it('refuses names and options that cannot be', () => {
    write(SAMPLE);
    expect(codeOf(plan({ name: 'Orders' }))).toBe('MESH-N151');
    expect(codeOf(plan({ entity: 'class' }))).toBe('MESH-N151');
    expect(codeOf(plan({ options: { lang: 'og' } }))).toBe('MESH-N154');
    expect(codeOf(plan({ options: { style: 'x' } }))).toBe('MESH-N154');
    expect(codeOf(plan({ entity: 'time' }))).toBe('planned');
    write({ 'templates/sample/ts/src/more.ts': 'interface Time {}\ninterface SalesOrder {}\n' });
    expect(codeOf(plan({ entity: 'time' }))).toBe('MESH-N155');
    const wrong = findTemplate(templates, 'sampel');
    expect(wrong).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-N150', hint: expect.stringContaining("'sample'") }],
    });
  });

  it('leaves a configuration alone that it cannot edit, and says what to paste', () => {
    write(SAMPLE);
    const made = planned({ mesh: { text: 'export default { services: { ...others } };\n' } });
    expect(made.config).toBeNull();
    expect(made.unregistered).toMatchObject({
      code: 'MESH-N156',
      hint: expect.stringContaining('ordersdb: postgres(),'),
    });
  });
});

describe('the templates of this package', () => {
  const all = allTemplates(templatesDirectory());
  if (!all.ok) throw new Error(all.problems[0].message);

  it.each(all.value.map((template) => [template.name, template] as const))(
    '%s has its options in src/scaffold/options.ts',
    (_, { manifest }) => {
      for (const [option, { choices, default: preset }] of Object.entries(manifest.options)) {
        expect(Object.keys(TEMPLATE_OPTIONS)).toContain(option);
        expect(choices).toContain(preset);
      }
    },
  );

  it.each(all.value.map((template) => [template.name, template] as const))(
    '%s leaves no sample name in any variant',
    (_, template) => {
      const variants = Object.entries(template.manifest.options).reduce<Record<string, string>[]>(
        (made, [option, { choices }]) => made.flatMap((one) => choices.map((choice) => ({ ...one, [option]: choice }))),
        [{}],
      );
      for (const options of variants) {
        for (const name of ['orders', 'shopping-carts', 'inventory', 'users']) {
          const made = planScaffold({
            template,
            name,
            options,
            force: false,
            mesh: {
              configFile: path.join(root, 'mesh.config.ts'),
              text: 'export default { services: {} };',
              services: {},
              resources: [],
            },
          });
          if (!made.ok) throw new Error(`${name} ${JSON.stringify(options)}: ${made.problems[0].message}`);
          for (const { path: file, after } of made.value.files) {
            expect(`${path.relative(root, file)}\n${after}`).not.toMatch(
              /order[-_ ]?desk|sales[-_ ]?order|from 'localmesh'|\.\.\/shared\/\.\./i,
            );
          }
        }
      }
    },
  );
});
