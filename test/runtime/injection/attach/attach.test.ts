import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Coverage } from '../../../../src/model/injection.ts';
import type { Result } from '../../../../src/model/result.ts';
import { createAttach } from '../../../../src/runtime/injection/attach/attach.ts';
import type { InterceptedWorkload, Interception } from '../../../../src/runtime/injection/interception.ts';
import { listeningPorts } from '../../../../src/runtime/state/port-owner.ts';
import { type NamedServer, startNamed, startTarget, type Target } from './target.ts';

const KINDS = ['http', 'fetch', 'http2', 'grpc', 'net'] as const;

// A process for each test, and several starts of an inspector.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let dir: string;
let attach: Interception;
/** What clients were configured with, and what the mesh would have them use. */
let direct: NamedServer;
let mesh: NamedServer;
let target: Target | undefined;

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'mesh-attached-'));
  attach = createAttach(dir);
  [direct, mesh] = await Promise.all([startNamed('direct'), startNamed('mesh')]);
});

afterEach(async () => {
  await target?.end();
  target = undefined;
  await Promise.all([direct.close(), mesh.close()]);
  await rm(dir, { recursive: true, force: true });
});

/** One service for each kind, called as the kind. */
function workloadOf(pid: number, appPort = 1): InterceptedWorkload {
  const { ports } = mesh;
  const local = (port: number) => [{ host: '127.0.0.1', port }];
  return {
    instance: 'web-injected-1',
    service: 'web',
    pid,
    app: { host: '127.0.0.1', port: appPort },
    inboundPort: 1,
    outboundPort: 2,
    destinations: { http: ports.http, http2: ports.http2, grpc: ports.grpc, net: ports.net },
    applicationPorts: {
      http: local(direct.ports.http),
      http2: local(direct.ports.http2),
      grpc: local(direct.ports.grpc),
      net: local(direct.ports.net),
    },
  };
}

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.value;
}

const row = (coverage: Coverage[], subject: string) => coverage.find((entry) => entry.subject === subject);
const portOf = (server: NamedServer, kind: (typeof KINDS)[number]) => server.ports[kind === 'fetch' ? 'http' : kind];
const nameOf = (kind: (typeof KINDS)[number]) => (kind === 'fetch' ? 'http' : kind);

describe.each(['cjs', 'esm'] as const)('a live %s program', (form) => {
  it('goes through the mesh by address and by name, warm pools included, and back', async () => {
    target = await startTarget(form);
    const before = await target.call('pristine', '', 0);
    for (const kind of KINDS) expect(await target.call(kind, '127.0.0.1', portOf(direct, kind))).toBe('direct');

    const coverage = value(await attach.apply(workloadOf(target.pid)));
    for (const subject of ['http', 'https', 'fetch', 'http2', 'grpc', 'net'])
      expect(
        coverage.find((entry) => entry.subject === subject),
        subject,
      ).toMatchObject({ covered: true, fix: '' });
    // A raw connection is nobody's to close.
    expect(row(coverage, 'open connections')).toMatchObject({
      covered: false,
      detail: `1 TCP to net (127.0.0.1:${direct.ports.net}) was opened before and stays direct`,
    });
    for (const kind of ['http', 'fetch', 'http2', 'grpc'] as const)
      expect(await target.call(kind, '127.0.0.1', portOf(direct, kind)), kind).toBe('mesh');
    expect(await target.call('net', '127.0.0.1', direct.ports.net)).toBe('direct');
    expect(await target.call('net', 'localhost', direct.ports.net)).toBe('mesh');
    for (const kind of KINDS) {
      expect(await target.call(kind, nameOf(kind), 50_051), kind).toBe('mesh');
      expect(await target.call(kind, `${nameOf(kind)}.mesh`, 80), kind).toBe('mesh');
    }

    value(await attach.remove('web-injected-1'));
    for (const kind of ['http', 'fetch', 'http2', 'grpc'] as const)
      expect(await target.call(kind, '127.0.0.1', portOf(direct, kind)), kind).toBe('direct');
    expect(await target.call('http', 'http.mesh', 80)).toMatch(/ENOTFOUND|EAI_AGAIN/);
    const after = JSON.parse(await target.call('pristine', '', 0));
    expect(after.same).toBe(true);
    // The first fetch of a program leaves its dispatcher on the global object: that is not ours.
    expect({ ...after, symbols: [] }).toEqual({ ...JSON.parse(before), symbols: [] });
    expect(after.symbols.join()).not.toContain('localmesh');
    // No debug port stays open, and nothing is recorded.
    expect((await listeningPorts([target.pid])).map(({ port }) => port)).toEqual([target.appPort]);
    expect(existsSync(path.join(dir, 'attached.json'))).toBe(false);
    expect(target.stderr()).not.toMatch(/Error/);
  });
});

it('lets an answer under way end, and takes the new way after it', async () => {
  target = await startTarget('esm');
  const late = target.call('slow', '127.0.0.1', direct.ports.http);
  await expect.poll(() => direct.connections.http).toBe(1);
  value(await attach.apply(workloadOf(target.pid)));
  direct.answerSlow();
  expect(await late).toBe('direct');
  expect(await target.call('http', '127.0.0.1', direct.ports.http)).toBe('mesh');
});

it('fails no request of a busy program', async () => {
  const addition = `
const failures = [];
let calls_ = 0;
let busy = true;
calls.outcome = async () => JSON.stringify({ calls: calls_, failures });
calls.load = async (_, port) => {
  const { http, grpc } = JSON.parse(decodeURIComponent(port));
  for (const [kind, at] of [['http', http], ['fetch', http], ['grpc', grpc]])
    for (let n = 0; n < 3; n++)
      void (async () => { while (busy) { await new Promise((r) => setTimeout(r, 5)); try { await calls[kind]('127.0.0.1', at); calls_++ } catch (e) { failures.push(kind + ': ' + (e.stack ?? e)) } } })();
  return '';
};
calls.rest = async () => { busy = false; return '' };
`;
  target = await startTarget('esm', { addition });
  await target.call('load', '', encodeURIComponent(JSON.stringify(direct.ports)));
  const outcome = async () => JSON.parse(await target!.call('outcome', '', 0)) as { calls: number; failures: string[] };
  const another = async (count: number) => {
    const { calls } = await outcome();
    await expect.poll(async () => (await outcome()).calls, { timeout: 10_000 }).toBeGreaterThan(calls + count);
  };
  await another(100);
  const coverage = value(await attach.apply(workloadOf(target.pid)));
  expect(row(coverage, 'open connections')).toBeUndefined();
  await another(100);
  const before = direct.connections.http;
  await another(100);
  expect(direct.connections.http).toBe(before);
  value(await attach.remove('web-injected-1'));
  await another(100);
  expect(direct.connections.http).toBeGreaterThan(before);
  await target.call('rest', '', 0);
  expect((await outcome()).failures).toEqual([]);
});

it('follows when destinations change, and does nothing when they do not', async () => {
  target = await startTarget('cjs');
  const workload = workloadOf(target.pid);
  const first = value(await attach.apply(workload));
  expect(await target.call('http', 'http', 80)).toBe('mesh');
  const opened = target.stderr();
  expect(value(await attach.apply(workload))).toEqual(first);
  expect(target.stderr()).toBe(opened);

  value(await attach.apply({ ...workload, destinations: { http: direct.ports.http } }));
  expect(await target.call('http', 'http', 80)).toBe('direct');
  expect(await target.call('fetch', 'net', 80)).toMatch(/ENOTFOUND|EAI_AGAIN/);
  value(await attach.remove('web-injected-1'));
  expect(JSON.parse(await target.call('pristine', '', 0)).same).toBe(true);
});

it('is undone by a later daemon', async () => {
  target = await startTarget('esm');
  value(await attach.apply(workloadOf(target.pid)));
  expect(JSON.parse(await readFile(path.join(dir, 'attached.json'), 'utf8'))).toMatchObject([{ pid: target.pid }]);
  expect(await target.call('http', 'http', 80)).toBe('mesh');
  await createAttach(dir).recover();
  expect(JSON.parse(await target.call('pristine', '', 0)).same).toBe(true);
  expect(existsSync(path.join(dir, 'attached.json'))).toBe(false);
});

it('names worker threads and child processes, which it does not reach', async () => {
  const addition = `
import { Worker } from 'node:worker_threads';
import { spawn } from 'node:child_process';
const idle = 'setInterval(() => {}, 1000)';
new Worker(idle, { eval: true });
spawn(process.execPath, ['-e', idle + '; process.on("disconnect", () => process.exit())'], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
`;
  target = await startTarget('esm', { addition });
  const coverage = value(await attach.apply(workloadOf(target.pid)));
  expect(row(coverage, 'worker threads')?.detail).toContain('worker thread 1');
  expect(row(coverage, 'child processes')?.fix).toMatch(/mesh inject \d+ --attach/);
});

it('leaves an inspector open that was open before', async () => {
  target = await startTarget('cjs', { nodeOptions: ['--inspect=127.0.0.1:0'] });
  value(await attach.apply(workloadOf(target.pid)));
  expect(await target.call('http', 'http', 80)).toBe('mesh');
  value(await attach.remove('web-injected-1'));
  expect(await listeningPorts([target.pid])).toHaveLength(2);
  expect(target.stderr().match(/Debugger listening/g)).toHaveLength(1);
});

it('says what cannot be attached to, and leaves it as it is', async () => {
  const code = async (pid: number) => {
    const applied = await attach.apply(workloadOf(pid));
    return applied.ok ? '' : applied.problems[0].code;
  };
  const { spawn } = await import('node:child_process');
  const sleeper = spawn('sleep', ['60']);
  try {
    expect(await code(sleeper.pid!)).toBe('MESH-J201');
    expect(sleeper.exitCode).toBe(null);
    expect(sleeper.signalCode).toBe(null);
  } finally {
    sleeper.kill();
  }
  expect(await code(2 ** 22 - 1)).toBe('MESH-J207');
  const suspended = await startTarget('cjs');
  try {
    suspended.child.kill('SIGSTOP');
    await expect.poll(() => code(suspended.pid)).toBe('MESH-J205');
  } finally {
    await suspended.end();
  }
  target = await startTarget('cjs', { addition: "process.on('SIGUSR1', () => console.error('rotated'));" });
  expect(await code(target.pid)).toBe('MESH-J203');
  expect(target.stderr()).toContain('rotated');
  expect(await target.call('http', '127.0.0.1', direct.ports.http)).toBe('direct');
  expect(existsSync(path.join(dir, 'attached.json'))).toBe(false);
});

it('does not touch a process that another mesh is attached to', async () => {
  target = await startTarget('cjs');
  value(await attach.apply(workloadOf(target.pid)));
  const other = await mkdtemp(path.join(tmpdir(), 'mesh-other-'));
  try {
    const applied = await createAttach(other).apply(workloadOf(target.pid));
    expect(applied).toMatchObject({ ok: false, problems: [{ code: 'MESH-J206' }] });
    expect(await target.call('http', 'http', 80)).toBe('mesh');
  } finally {
    await rm(other, { recursive: true });
  }
});
