import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bringDown } from '../../src/runtime/client/down.ts';
import { CommandFailure } from '../../src/runtime/client/failure.ts';
import { locateMesh, type MeshLocation } from '../../src/runtime/client/locate.ts';
import { followMesh, type StartedMesh, startMesh, type UpView, waitUntilReady } from '../../src/runtime/client/up.ts';
import { lockOwner } from '../../src/runtime/state/mesh-lock.ts';
import { temporaryDirectory, until } from '../runtime/control/fake-mesh.ts';

/** Bundled once, inside the package, whose proto files and dependencies it uses: tsx would cost half a second each time. */
const fakeDaemon = fileURLToPath(
  new URL(`../../node_modules/.cache/localmesh/fake-daemon-${process.pid}.mjs`, import.meta.url),
);

beforeAll(async () => {
  await build({
    entryPoints: [fileURLToPath(new URL('fake-daemon.ts', import.meta.url))],
    outfile: fakeDaemon,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  });
});
afterAll(() => rm(fakeDaemon, { force: true }));

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let location: MeshLocation;

beforeEach(async () => {
  directory = await temporaryDirectory();
  await writeFile(path.join(directory.path, 'mesh.config.ts'), '');
  const located = locateMesh(directory.path, undefined, true);
  if (!located.ok) throw new Error('not located');
  location = located.value;
});

afterEach(async () => {
  const owner = existsSync(location.stateDir) ? lockOwner(location.stateDir) : null;
  if (owner !== null) process.kill(owner.pid, 'SIGKILL');
  await directory[Symbol.asyncDispose]();
});

const journal = () => {
  const file = path.join(directory.path, 'journal');
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
};

function start(mode: string, services: string[] = [], parentPid = process.pid): Promise<StartedMesh> {
  const daemonCommand = ['env', `FAKE_DAEMON=${mode}`, process.execPath, fakeDaemon];
  return startMesh({ location, services, daemonCommand, stopTimeoutMs: 1_000 }, parentPid);
}

const failureOf = async (promise: Promise<unknown>): Promise<CommandFailure> => {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CommandFailure);
  return error as CommandFailure;
};

/** Runs the foreground part, remembering what it shows. */
function follow(mesh: StartedMesh, services: string[] = []) {
  const shown: string[] = [];
  let interrupt = () => undefined as void;
  const view: UpView = {
    status: (status) => void shown.push(`status ${status.state}`),
    logs: (lines) => void shown.push(...lines.map(({ text }) => `log ${text}`)),
    notice: ({ text }) => void shown.push(`notice ${text}`),
    ready: () => void shown.push('ready'),
    say: (text) => void shown.push(`say ${text}`),
    close: async () => void shown.push('closed'),
  };
  const done = followMesh(mesh, { location, services, stopTimeoutMs: 1_000 }, view, {
    listen(listener) {
      interrupt = listener;
      return () => undefined;
    },
  });
  return { shown, done, press: () => interrupt() };
}

describe('mesh up -d', () => {
  it('returns when all are ready, and the mesh stays', async () => {
    const mesh = await start('ready', ['orders'], 0);
    const status = await waitUntilReady(mesh, [], 10_000, () => undefined);
    mesh.client.close();
    expect(status.services[1].instances[0].state).toBe('ready');
    expect(journal()).toEqual(['start orders']);

    const again = await start('ready', ['inventory']);
    expect(again.launched).toBe(false);
    again.client.close();

    expect(await bringDown(location, 1_000, () => undefined)).toEqual({ ok: true, value: { kind: 'stopped' } });
    expect(existsSync(location.socketPath)).toBe(false);
    expect(journal()).toEqual(['start orders', 'down 1000']);
    expect(await bringDown(location, 1_000, () => undefined)).toEqual({ ok: true, value: { kind: 'nothing' } });
  });

  it('fails with the last lines of what failed', async () => {
    const mesh = await start('failing', [], 0);
    const failure = await failureOf(waitUntilReady(mesh, [], 10_000, () => undefined));
    mesh.client.close();
    expect(failure.exitCode).toBe(1);
    expect(failure.message).toBe('orders-1 failed: exited with code 1');
    expect(failure.details).toEqual(['  orders-1 │ Error: no database']);
  });

  it('does not wait to the end for what is restarted again and again', async () => {
    const mesh = await start('looping', [], 0);
    const failure = await failureOf(waitUntilReady(mesh, [], 10_000, () => undefined));
    mesh.client.close();
    expect(failure.exitCode).toBe(1);
    expect(failure.message).toContain('orders-1 starting: exited with code 1, restarting');
  });

  it('knows the services of a mesh that it joins', async () => {
    const mesh = await start('ready', [], 0);
    mesh.client.close();
    const failure = await failureOf(start('ready', ['ordres']));
    expect(failure.exitCode).toBe(2);
    expect(failure.problems).toMatchObject([{ code: 'MESH-U103' }]);
  });

  it('names who waits for whom when the time is over', async () => {
    const mesh = await start('slow', [], 0);
    const failure = await failureOf(waitUntilReady(mesh, [], 300, () => undefined));
    mesh.client.close();
    expect(failure.exitCode).toBe(4);
    expect(failure.message).toContain('orders-1 starting: waiting for inventory (ready)');
  });

  it('starts one mesh when two are started at once', async () => {
    const both = await Promise.all([start('ready'), start('ready')]);
    expect(both.map(({ launched }) => launched).sort()).toEqual([false, true]);
    for (const { client } of both) client.close();
    expect(journal()).toEqual(['start ']);
  });
});

describe('a daemon that does not start', () => {
  it('has its problems shown, with the exit code of a bad configuration', async () => {
    const failure = await failureOf(start('refusing'));
    expect(failure.exitCode).toBe(2);
    expect(failure.problems).toMatchObject([{ code: 'MESH-C203', hint: 'did you mean `orders`?', line: 3 }]);
  });

  it('has its last words shown when it died without a report', async () => {
    const failure = await failureOf(start('crashing'));
    expect(failure.message).toContain('exit code 7');
    expect(failure.problems[0].hint).toContain('Error: out of luck');
  });

  it('is not even tried where the state directory cannot be made', async () => {
    await writeFile(path.join(directory.path, '.mesh'), 'a file');
    const failure = await failureOf(start('ready'));
    expect(failure.problems[0].code).toBe('MESH-S101');
  });
});

describe('mesh up in the foreground', () => {
  it('shows the start, then stops on Ctrl-C and names what is in the way', async () => {
    const { shown, done, press } = follow(await start('ready'));
    await until(() => shown.includes('ready') && shown.includes('log listening'), 'the mesh is ready');
    press();
    await done;
    expect(shown).toContain('say stopping, Ctrl-C again to force');
    expect(shown).toContain('say orders-1 (pid 12) is still running');
    expect(shown.slice(-2)).toEqual(['say shop is stopped', 'closed']);
    expect(journal()).toEqual(['start ', 'down 1000']);
    await until(() => lockOwner(location.stateDir) === null, 'the daemon is gone');
  });

  it('forces with the second Ctrl-C and leaves with the third', async () => {
    const { shown, done, press } = follow(await start('hanging'));
    await until(() => shown.includes('ready'), 'the mesh is ready');
    press();
    await until(() => journal().includes('down 1000'), 'the first arrives');
    press();
    await done;
    expect(shown).toContain('say killing what is left');
    expect(journal()).toEqual(['start ', 'down 1000', 'down 0']);
  });

  it('says so when the daemon dies', async () => {
    const { shown, done } = follow(await start('dying'));
    await expect(done).rejects.toMatchObject({ problems: [{ code: 'MESH-R106' }] });
    expect(shown.at(-1)).toBe('closed');
  });

  it('ends without failure when somebody else takes the mesh down', async () => {
    const { shown, done } = follow(await start('ready'));
    await until(() => shown.includes('ready'), 'the mesh is ready');
    expect((await bringDown(location, 2_000, () => undefined)).ok).toBe(true);
    await done;
    expect(shown).not.toContain('say stopping, Ctrl-C again to force');
  });

  it('only leaves a mesh that it did not start', async () => {
    const owner = await start('ready', [], 0);
    owner.client.close();
    const { shown, done, press } = follow(await start('ready'));
    await until(() => shown.includes('ready'), 'the mesh is seen');
    press();
    await done;
    expect(shown).toContain('say left; the mesh runs on, `mesh down` stops it');
    expect(journal()).toEqual(['start ']);
    expect(lockOwner(location.stateDir)).not.toBeNull();
  });
});

describe('mesh down', () => {
  it('ends a daemon that does not answer', async () => {
    const mesh = await start('ready', [], 0);
    mesh.client.close();
    const owner = lockOwner(location.stateDir)!;
    process.kill(owner.pid, 'SIGSTOP');
    const progress: string[] = [];
    const outcome = await bringDown(location, 500, (line) => progress.push(line));
    expect(outcome).toEqual({ ok: true, value: { kind: 'recovered', processes: 0 } });
    expect(progress).toContain(`the daemon (pid ${owner.pid}) does not answer, killing it`);
    expect(lockOwner(location.stateDir)).toBeNull();
  });

  it('ends what a killed daemon left', async () => {
    const { openMeshDirectory } = await import('../../src/runtime/state/mesh-directory.ts');
    const { openLedger } = await import('../../src/runtime/state/ledger.ts');
    const opened = openMeshDirectory(directory.path);
    if (!opened.ok) throw new Error(opened.problems[0].message);
    const ledger = openLedger(opened.value.ledger, opened.value.key);
    if (!ledger.ok) throw new Error(ledger.problems[0].message);
    const marker = ledger.value.intend({ instance: 'orders-1', command: 'sleep', ports: [] });
    if (!marker.ok) throw new Error('no marker');
    const service = spawn('sleep', ['60'], { detached: true, env: { ...process.env, MESH_PROCESS_ID: marker.value } });
    const ended = new Promise<string | null>((resolve) => service.once('exit', (_, signal) => resolve(signal)));
    ledger.value.started(marker.value, service.pid!);
    ledger.value.close();
    const outcome = await bringDown(location, 2_000, () => undefined);
    expect(outcome).toEqual({ ok: true, value: { kind: 'recovered', processes: 1 } });
    expect(await ended).toBe('SIGTERM');
  });
});

describe('finding the mesh', () => {
  it('goes upwards to the nearest mesh.config.ts', async () => {
    const below = path.join(directory.path, 'a', 'b');
    await mkdir(below, { recursive: true });
    expect(locateMesh(below, undefined, true)).toMatchObject({ ok: true, value: { baseDir: directory.path } });
    expect(locateMesh('/', path.join(directory.path, 'a', 'nope.ts'), true)).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-C001' }],
    });
    expect(locateMesh('/', directory.path, true)).toMatchObject({ ok: true, value: { baseDir: directory.path } });
  });
});
