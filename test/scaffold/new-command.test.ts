import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, createMesh, type TestMesh } from '../support/e2e.ts';

cleanUpMeshes();

const CONFIG = `import { defineMesh } from 'localmesh';

export default defineMesh({
  version: 1,
  name: 'e2e',
  services: {}, // none yet
});
`;

async function meshWith(config = CONFIG, files: Record<string, string> = {}): Promise<TestMesh> {
  return createMesh({ 'mesh.config.ts': config, ...files });
}

/** Names in the mesh's directory, but for what tests and loads make there. */
const content = (mesh: TestMesh): string[] =>
  readdirSync(mesh.dir).filter((name) => name !== 'home' && name !== '.mesh');
const configOf = (mesh: TestMesh): string => readFileSync(mesh.path('mesh.config.ts'), 'utf8');

describe('mesh new', () => {
  it('says what is wrong with what it is asked for, and writes nothing', async () => {
    const mesh = await meshWith();
    const cases: [string[], number, RegExp][] = [
      [[], 2, /MESH-N160.*no terminal.*\n.*--list/],
      [['http-service'], 2, /MESH-N160/],
      [['http-servise', 'orders'], 2, /MESH-N150.*\n.*did you mean 'http-service'/],
      [['http-service', 'Orders'], 2, /MESH-N151.*\n.*write `orders`/],
      [['http-service', 'gateway'], 2, /MESH-N151/],
      [['http-service', 'orders', '--lang', 'go'], 2, /MESH-N154.*no option --lang/],
      [['grpc-service', 'orders', '--lang', 'typscript'], 2, /MESH-N154.*\n.*did you mean 'typescript'/],
      [['grpc-service', 'orders', '--entity', 'line-item'], 2, /MESH-N155.*LineItem/],
      [['http-service', 'orders', '--no-such-flag'], 2, /MESH-U102/],
    ];
    for (const [words, code, text] of cases) {
      const outcome = await mesh.mesh('new', ...words);
      expect([outcome.code, outcome.stderr], words.join(' ')).toEqual([code, expect.stringMatching(text)]);
    }
    expect(content(mesh)).toEqual(['mesh.config.ts']);
    expect(configOf(mesh)).toBe(CONFIG);
  });

  it('lists its templates', async () => {
    const mesh = await meshWith();
    const { stdout } = await mesh.mesh('new', '--list');
    for (const name of ['grpc-service', 'http-service', 'consumer'])
      expect(stdout).toMatch(new RegExp(`^${name} +\\w`, 'm'));
    expect(await mesh.json('new', '--list')).toContainEqual(expect.objectContaining({ name: 'http-service' }));
  });

  it('shows with --dry-run what would change, in colours where they are wanted', async () => {
    const mesh = await meshWith();
    const plain = await mesh.mesh('new', 'http-service', 'orders', '--dry-run');
    expect(plain.code).toBe(0);
    expect(plain.stdout).toContain('+++ b/services/orders/package.json\n@@ -0,0 +1,');
    expect(plain.stdout).toContain('-  services: {}, // none yet\n+  services: {\n+    orders: {\n+      command:');
    mesh.env.NO_COLOR = '';
    mesh.env.CLICOLOR_FORCE = '1';
    const coloured = await mesh.mesh('new', 'http-service', 'orders', '--dry-run');
    expect(coloured.stdout).toContain('\u001b[31m-  services: {}, // none yet\u001b[39m');
    expect(content(mesh)).toEqual(['mesh.config.ts']);
  });

  it('overwrites nothing unless it is told to', async () => {
    const mesh = await meshWith(CONFIG, { 'services/orders/package.json': 'mine', 'services/orders/kept': 'mine' });
    const refused = await mesh.mesh('new', 'http-service', 'orders', '--no-install');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/MESH-N153.*\n.*--into DIR.*--force/)]);
    expect(configOf(mesh)).toBe(CONFIG);
    const forced = await mesh.mesh('new', 'http-service', 'orders', '--no-install', '--force');
    expect(forced, forced.stderr).toMatchObject({ code: 0 });
    expect(readFileSync(mesh.path('services/orders/kept'), 'utf8')).toBe('mine');
    expect(readFileSync(mesh.path('services/orders/package.json'), 'utf8')).toContain('"name": "orders"');
    expect(readdirSync(mesh.path('services/orders')).filter((name) => name.includes('mesh-'))).toEqual([]);
    const again = await mesh.mesh('new', 'http-service', 'orders', '--no-install', '--into', 'elsewhere');
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/MESH-N152.*orders/)]);
    expect((await mesh.mesh('validate')).code).toBe(0);
  });

  it('writes the project and prints what to paste where the configuration cannot be edited', async () => {
    const config = CONFIG.replace('services: {},', 'services: { ...{} },');
    const mesh = await meshWith(config);
    const outcome = await mesh.mesh('new', 'http-service', 'orders', '--no-install', '--into', 'apps/orders');
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/MESH-N156.*spread/);
    expect(outcome.stderr).toContain("cwd: 'apps/orders',");
    expect(outcome.stderr).toContain('ordersdb: postgres(),');
    expect(configOf(mesh)).toBe(config);
    expect(existsSync(mesh.path('apps/orders/package.json'))).toBe(true);
    const json = await mesh.mesh('new', 'http-service', 'billing', '--no-install', '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, registered: false, problems: [{ code: 'MESH-N156' }] });
  });

  it('leaves nothing behind when the installation fails, or is interrupted', async () => {
    const mesh = await meshWith(CONFIG, {
      'bin/npm':
        '#!/bin/sh\nmkdir node_modules\necho "no registry here" >&2\nif [ -e ../../wait ]; then sleep 30; fi\nexit 7\n',
    });
    chmodSync(mesh.path('bin/npm'), 0o755);
    mesh.env.PATH = `${mesh.path('bin')}:${mesh.env.PATH}`;
    const failed = await mesh.mesh('new', 'http-service', 'orders');
    expect([failed.code, failed.stderr]).toEqual([
      1,
      expect.stringMatching(/MESH-N158.*npm install.*code 7[\s\S]*no registry here/),
    ]);
    expect(content(mesh)).toEqual(['bin', 'mesh.config.ts']);
    expect(configOf(mesh)).toBe(CONFIG);

    mesh.write('wait', '');
    const running = mesh.run('new', 'http-service', 'orders');
    await running.until(/npm install/);
    running.child.kill('SIGINT');
    const stopped = await running.ended;
    expect(stopped.tookMs).toBeLessThan(20_000);
    expect([stopped.code, stopped.stderr]).toEqual([1, expect.stringMatching(/interrupted/)]);
    expect(content(mesh)).toEqual(['bin', 'mesh.config.ts', 'wait']);
  });

  it('needs a configuration that is valid', async () => {
    const mesh = await meshWith(CONFIG.replace('version: 1', 'version: 2'));
    const outcome = await mesh.mesh('new', 'http-service', 'orders', '--no-install');
    expect([outcome.code, outcome.stderr]).toEqual([2, expect.stringMatching(/MESH-C/)]);
    expect(content(mesh)).toEqual(['mesh.config.ts']);
  });
});
