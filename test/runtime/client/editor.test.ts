import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { editorCommand, openEditor, placeToEdit } from '../../../src/runtime/client/editor.ts';
import { temporaryDirectory } from '../control/fake-mesh.ts';

const place = { file: '/m/mesh.config.ts', line: 12 };

it.each([
  [{}, ['vi', '+12', '/m/mesh.config.ts']],
  [{ EDITOR: 'nano' }, ['nano', '+12', '/m/mesh.config.ts']],
  [{ EDITOR: 'vi', VISUAL: '/usr/bin/nvim -R' }, ['/usr/bin/nvim', '-R', '+12', '/m/mesh.config.ts']],
  [{ EDITOR: 'code --wait' }, ['code', '--wait', '--goto', '/m/mesh.config.ts:12']],
  [{ EDITOR: 'hx' }, ['hx', '/m/mesh.config.ts:12']],
  [{ EDITOR: 'something-else' }, ['something-else', '/m/mesh.config.ts']],
  [{ EDITOR: '  ', VISUAL: '' }, ['vi', '+12', '/m/mesh.config.ts']],
])('the command for %j', (env, command) => {
  expect(editorCommand(env, place)).toEqual(command);
});

it('finds the line of a service, or takes the place it is given', async () => {
  await using directory = await temporaryDirectory();
  const configFile = path.join(directory.path, 'mesh.config.ts');
  await writeFile(
    configFile,
    "export default {\n  services: {\n    web: {\n    },\n    orders: { command: 'x' },\n  },\n};\n",
  );
  const location = { configFile, baseDir: directory.path };
  expect(placeToEdit(location, { service: 'orders', place: null })).toMatchObject({ file: configFile, line: 5 });
  expect(placeToEdit(location, { service: 'orders', place: 'mesh.config.ts:3' })).toEqual({
    file: configFile,
    line: 3,
  });
  expect(placeToEdit(location, { service: null, place: '/other/file.ts:7:2' })).toEqual({
    file: '/other/file.ts',
    line: 7,
  });
  expect(placeToEdit(location, { service: null, place: null })).toEqual({ file: configFile, line: 1 });
  await writeFile(configFile, 'not { code');
  expect(placeToEdit(location, { service: 'orders', place: null })).toEqual({ file: configFile, line: 1 });
});

it('says which editor does not start', async () => {
  expect(await openEditor(place, { EDITOR: '/no/such/editor' })).toMatchObject({
    ok: false,
    problems: [{ message: expect.stringContaining('/no/such/editor') }],
  });
});
