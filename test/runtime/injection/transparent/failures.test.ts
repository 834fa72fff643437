import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { InterceptedWorkload } from '../../../../src/runtime/injection/interception.ts';
import { mountedHierarchies } from '../../../../src/runtime/injection/transparent/cgroups.ts';
import { usableHierarchy } from '../../../../src/runtime/injection/transparent/control-groups.ts';
import { runNft } from '../../../../src/runtime/injection/transparent/nft.ts';
import { placeOf, writeRecord } from '../../../../src/runtime/injection/transparent/record.ts';
import { TransparentInterception } from '../../../../src/runtime/injection/transparent/transparent.ts';
import { undoRecorded } from '../../../../src/runtime/injection/transparent/undo.ts';
import { findTool, skipped } from '../../../support/tools.ts';

/** What goes wrong changes nothing. No rule is ever loaded here: `nft` is a script that refuses. */

const obstacle =
  process.platform !== 'linux'
    ? 'needs Linux'
    : process.getuid?.() !== 0
      ? 'needs root'
      : usableHierarchy([process.pid]) === null
        ? 'no control groups'
        : null;
if (obstacle !== null) skipped(obstacle);

let dir: string;
const children: ChildProcess[] = [];
const originalPath = process.env.PATH;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'mesh-transparent-'));
});
afterEach(async () => {
  process.env.PATH = originalPath;
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(dir, { recursive: true, force: true });
});

function sleeper(command = 'sleep', ...args: string[]): number {
  const child = spawn(command, [...args, ...(command === 'sleep' ? ['60'] : [])], { stdio: 'ignore' });
  children.push(child);
  return child.pid!;
}

/** `nft` on the PATH from now on. @param script of sh; `$1` is `-c` for a dry run */
function replaceNft(script: string): void {
  const file = path.join(dir, 'nft');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  process.env.PATH = `${dir}:${originalPath}`;
}

const workload = (pid: number): InterceptedWorkload => ({
  instance: 'legacy-injected-1',
  service: 'legacy',
  pid,
  app: { host: '127.0.0.1', port: 9000 },
  inboundPort: 24101,
  outboundPort: 24102,
  destinations: { orders: 24105 },
  applicationPorts: { orders: [{ host: '127.0.0.1', port: 20001 }] },
});

function interception(dataPlane: number): TransparentInterception {
  return new TransparentInterception({
    stateDir: dir,
    dataPlanes: { pids: () => [dataPlane], onSpawn: () => {} },
    notice: () => {},
  });
}

const groupsOf = (pid: number): string => readFileSync(`/proc/${pid}/cgroup`, 'latin1');

/** Control groups of this test's mesh, by their names. */
function leftGroups(): string[] {
  const key = createHash('sha256').update(realpathSync(dir)).digest('hex').slice(0, 12);
  const left: string[] = [];
  const look = (directory: string, depth: number): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      if (entry.name.startsWith(`mesh-${key}.`)) left.push(path.join(directory, entry.name));
      else if (depth > 0) look(path.join(directory, entry.name), depth - 1);
    }
  };
  for (const { mount } of mountedHierarchies()) if (existsSync(mount)) look(mount, 3);
  return left;
}

describe.skipIf(obstacle !== null)('an interception that fails', () => {
  it.each([
    ['in the dry run', 'echo "/dev/stdin:1:1-3: Error: syntax error, unexpected cgroupv2" >&2; exit 1'],
    [
      'when the rules are loaded',
      'cat >/dev/null; [ "$1" = -c ] || { echo "Error: syntax error, unexpected cgroupv2" >&2; exit 1; }',
    ],
  ])('%s leaves everything as it was', async (_when, script) => {
    const [pid, dataPlane] = [sleeper(), sleeper()];
    const before = [groupsOf(pid), groupsOf(dataPlane)];
    replaceNft(script);
    const transparent = interception(dataPlane);
    const applied = await transparent.apply(workload(pid));
    expect(applied.ok).toBe(false);
    if (applied.ok) return;
    expect(applied.problems[0]).toMatchObject({ code: 'MESH-J304' });
    expect(applied.problems[0].message).toBe('the packet rules are refused: syntax error, unexpected cgroupv2');
    expect([groupsOf(pid), groupsOf(dataPlane)]).toEqual(before);
    expect(leftGroups()).toEqual([]);
    // The second nft also refuses to remove a table that may be there: then the record says so, for the next try.
    if (existsSync(path.join(dir, 'interception.json'))) {
      replaceNft('cat >/dev/null');
      expect(await undoRecorded(dir)).toEqual({ ok: true, value: true });
    }
    expect(existsSync(path.join(dir, 'interception.json'))).toBe(false);
  });

  it('is refused for a process that is gone', async () => {
    replaceNft('exit 1');
    const applied = await interception(sleeper()).apply(workload(2 ** 22 + 1));
    expect(applied).toMatchObject({ ok: false, problems: [{ code: 'MESH-J311' }] });
  });

  it('is refused for names that cannot be written in a rule', async () => {
    replaceNft('exit 1');
    const hostile = { ...workload(sleeper()), instance: 'a; flush ruleset' };
    const applied = await interception(sleeper()).apply(hostile);
    expect(applied).toMatchObject({ ok: false, problems: [{ code: 'MESH-J308' }] });
  });

  const unshare = findTool('unshare');
  it.skipIf(unshare === null)('is refused for a process in a container', async () => {
    replaceNft('exit 1');
    const pid = sleeper('unshare', '-n', 'sleep', '60');
    await expect.poll(() => readFileSync(`/proc/${pid}/comm`, 'latin1')).toBe('sleep\n');
    const applied = await interception(sleeper()).apply(workload(pid));
    expect(applied).toMatchObject({ ok: false, problems: [{ code: 'MESH-J307' }] });
    expect(existsSync(path.join(dir, 'interception.json'))).toBe(false);
  });

  it('keeps on record what cannot be undone, and says how it can', async () => {
    const record = { version: 1, place: placeOf(dir), table: 'mesh_0123456789ab', groups: [] } as const;
    writeRecord(dir, record);
    replaceNft('echo "Error: Could not process rule: Operation not permitted" >&2; exit 1');
    const undone = await undoRecorded(dir);
    expect(undone).toMatchObject({ ok: false, problems: [{ code: 'MESH-J309' }] });
    if (undone.ok) return;
    expect(undone.problems[0].message).toContain('Operation not permitted');
    expect(undone.problems[0].hint).toContain('sudo mesh down');
    expect(existsSync(path.join(dir, 'interception.json'))).toBe(true);
  });

  it('is told by nft in its own words, or by how it ended', async () => {
    replaceNft('cat >/dev/null; kill -TERM $$');
    expect(await runNft(path.join(dir, 'nft'), 'x', { check: true })).toBe('nft ended with SIGTERM');
    replaceNft('exit 3');
    expect(await runNft(path.join(dir, 'nft'), 'x'.repeat(1 << 20), { check: true })).toBe('nft ended with code 3');
    expect(await runNft(path.join(dir, 'missing'), 'x', { check: true })).toContain('ENOENT');
  });
});
