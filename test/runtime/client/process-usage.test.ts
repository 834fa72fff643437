import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { InstanceStatus } from '../../../src/model/status.ts';
import { sampleUsage } from '../../../src/runtime/client/process-usage.ts';
import { temporaryDirectory } from '../control/fake-mesh.ts';

const instance = (id: string, pid: number | null) => ({ id, pid }) as InstanceStatus;

/** proc(5), as far as it is read. */
async function writeProcess(
  root: string,
  pid: number,
  group: number,
  ticks: [number, number],
  residentKiB: number,
): Promise<void> {
  const directory = path.join(root, String(pid));
  await mkdir(directory, { recursive: true });
  const fields = ['S', 1, group, group, 0, -1, 0, 0, 0, 0, 0, ...ticks, 0, 0, 20, 0];
  await writeFile(path.join(directory, 'stat'), `${pid} (a ) tricky (name) ${fields.join(' ')}`);
  await writeFile(path.join(directory, 'status'), `Name:\ta\nVmRSS:\t   ${residentKiB} kB\n`);
}

it('adds up what the process groups of instances take', async () => {
  await using directory = await temporaryDirectory();
  const root = directory.path;
  await writeProcess(root, 100, 100, [10, 0], 1_000);
  await writeProcess(root, 101, 100, [50, 40], 2_000);
  await writeProcess(root, 200, 200, [500, 500], 9_000);
  await mkdir(path.join(root, 'self'));
  await writeFile(path.join(root, 'self', 'stat'), '');
  let nowMs = 0;
  const sample = sampleUsage({ root, clock: () => nowMs })!;
  const instances = [instance('web-1', 100), instance('gone-1', 300), instance('idle-1', null)];
  expect([...(await sample(instances))]).toEqual([['web-1', { cpu: 0, memoryBytes: 3_000 * 1_024 }]]);

  nowMs = 2_000;
  await writeProcess(root, 101, 100, [120, 70], 2_000);
  expect((await sample(instances)).get('web-1')).toEqual({ cpu: 0.5, memoryBytes: 3_000 * 1_024 });

  // A child has ended: less time than before is no negative share.
  nowMs = 4_000;
  await rm(path.join(root, '101'), { recursive: true });
  expect((await sample(instances)).get('web-1')).toEqual({ cpu: 0, memoryBytes: 1_000 * 1_024 });
  // Another process of the same instance begins anew.
  expect((await sample([instance('web-1', 200)])).get('web-1')?.cpu).toBe(0);
});

it('is not there without /proc', () => {
  expect(sampleUsage({ root: '/no/such/proc' })).toBeNull();
});
