import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { REDACTED_FIELDS } from '../../../src/model/redact.ts';
import { resolveConfig } from '../../../src/model/resolve.ts';
import { checkProtoPaths } from '../../../src/runtime/config/proto-paths.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'mesh-protos-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const resolve = (service: object, telemetry: object = {}) =>
  resolveConfig({ version: 1, name: 'm', telemetry, services: { orders: service } }, { baseDir: dir });

it('a path of `proto` that is no file is named with its place', async () => {
  await writeFile(path.join(dir, 'a.proto'), '');
  const resolved = resolve({ command: 'x', cwd: 'elsewhere', proto: ['a.proto', 'b.proto', '.'] });
  if (!resolved.ok) throw new Error(resolved.problems[0].message);
  expect(resolved.value.services.orders.protos).toEqual(
    ['a.proto', 'b.proto', '.'].map((file) => path.join(dir, file)),
  );
  expect(checkProtoPaths(resolved.value).map(({ code, path: place, message }) => [code, place, message])).toEqual([
    ['MESH-B101', 'services.orders.proto[1]', 'no such file: b.proto'],
    ['MESH-B101', 'services.orders.proto[2]', 'no such file: .'],
  ]);
});

it('fields to redact are added to the usual ones, and tasks have no `proto`', () => {
  const resolved = resolve({ command: 'x' }, { redactFields: ['pin', 'token'] });
  expect(resolved.ok && resolved.value.telemetry.redactFields).toEqual([...REDACTED_FIELDS, 'pin']);
  expect(resolve({ command: 'x' }, { redactFields: [''] })).toMatchObject({ ok: false });
  expect(resolve({ command: 'x', proto: 5 })).toMatchObject({ ok: false });
  expect(resolve({ command: 'x', task: true, proto: 'a.proto' })).toMatchObject({
    ok: false,
    problems: [{ code: 'MESH-C212', path: 'services.orders.proto' }],
  });
});
