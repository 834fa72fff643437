import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogLine, MeshStatus } from '../../../src/model/status.ts';
import { type ControlClient, connectControl } from '../../../src/runtime/control/client.ts';
import type { MeshNotice } from '../../../src/runtime/control/mesh-control.ts';
import { type ControlServer, serveControl } from '../../../src/runtime/control/server.ts';
import { controlSocketPath } from '../../../src/runtime/control/socket-path.ts';
import {
  checkoutSummary,
  checkoutTrace,
  type FakeMesh,
  fakeMesh,
  ordersCertificate,
  shopStatus,
  temporaryDirectory,
  until,
} from './fake-mesh.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let socket: string;
let mesh: FakeMesh;
let server: ControlServer;
let client: ControlClient;
let gone: number;

beforeEach(async () => {
  directory = await temporaryDirectory();
  socket = controlSocketPath(directory.path);
  mesh = fakeMesh();
  gone = 0;
  server = await open();
  client = await connect();
});

afterEach(async () => {
  client.close();
  await server.close();
  await directory[Symbol.asyncDispose]();
});

async function open(): Promise<ControlServer> {
  const served = await serveControl(mesh, socket, { onAttachedClientGone: () => gone++ });
  if (!served.ok) throw new Error(served.problems[0].message);
  return served.value;
}

async function connect(): Promise<ControlClient> {
  const connected = await connectControl(socket);
  if (!connected.ok) throw new Error(connected.problems[0].message);
  return connected.value;
}

const never = new AbortController().signal;

const line = (text: string, service = 'orders'): LogLine => ({
  time: '2026-11-20T10:00:01.234Z',
  service,
  instance: `${service}-1`,
  stream: 'stdout',
  text,
});

describe('the socket', () => {
  it('is there for its owner alone', async () => {
    const { mode } = await stat(socket);
    expect(mode & 0o777).toBe(0o600);
  });

  it('replaces what a dead daemon left behind, and removes its own at the end', async () => {
    await server.close();
    expect(existsSync(socket)).toBe(false);
    await writeFile(socket, '');
    server = await open();
    const again = await connect();
    expect((await again.status()).mesh).toBe('shop');
    again.close();
  });

  it('is not taken from a daemon that answers', async () => {
    const second = await serveControl(fakeMesh(), socket);
    expect(second).toMatchObject({ ok: false, problems: [{ code: 'MESH-R102' }] });
    expect((await client.status()).mesh).toBe('shop');
  });

  it('moves to a shorter path where the state directory is too deep for a unix socket', () => {
    const deep = path.join('/', ...Array.from({ length: 12 }, () => 'a-long-directory-name'));
    expect(Buffer.byteLength(controlSocketPath(deep))).toBeLessThan(92);
    expect(controlSocketPath(deep)).not.toBe(controlSocketPath(`${deep}2`));
  });

  it('refuses to be where no directory can be made', async () => {
    await writeFile(path.join(directory.path, 'file'), '');
    const served = await serveControl(mesh, path.join(directory.path, 'file', 'control.sock'));
    expect(served).toMatchObject({ ok: false, problems: [{ code: 'MESH-R103' }] });
  });
});

describe('connecting', () => {
  it('says that no mesh runs where there is no socket, or a stale one', async () => {
    expect(await connectControl(path.join(directory.path, 'none.sock'))).toMatchObject({
      ok: false,
      problems: [{ code: 'MESH-R101' }],
    });
    await server.close();
    await writeFile(socket, '');
    expect(await connectControl(socket)).toMatchObject({ ok: false, problems: [{ code: 'MESH-R101' }] });
  });

  it('gives up on a daemon that accepts but never answers', async () => {
    const silent = path.join(directory.path, 'silent.sock');
    const accepted: net.Socket[] = [];
    const listener = net.createServer((connection) => void accepted.push(connection.on('error', () => undefined)));
    await new Promise<void>((resolve) => listener.listen(silent, resolve));
    const result = await connectControl(silent, 200);
    expect(result).toMatchObject({ ok: false, problems: [{ code: 'MESH-R104' }] });
    for (const connection of accepted) connection.destroy();
    await new Promise((resolve) => listener.close(resolve));
  });
});

describe('commands', () => {
  it('carry every field of the status there and back', async () => {
    mesh.current.config.problems = [
      {
        code: 'MESH-C101',
        message: 'unknown service `ordres`',
        hint: 'did you mean `orders`?',
        path: 'services.web.dependsOn[0]',
        file: 'mesh.config.ts',
        line: 12,
        column: 7,
        severity: 'warning',
      },
      { code: 'MESH-C102', message: 'bare' },
    ];
    expect(await client.status()).toEqual(mesh.current);
  });

  it('reach the daemon with their arguments', async () => {
    expect(await client.start('orders')).toEqual({ ok: true, value: undefined });
    await client.stop('orders');
    await client.restart('orders');
    await client.scale('orders', 'canary', 3);
    await client.scale('orders', null, 0);
    expect(mesh.calls).toEqual([
      'start orders',
      'stop orders',
      'restart orders',
      'scale orders canary 3',
      'scale orders null 0',
    ]);
  });

  it('bring traces back as they are', async () => {
    const query = { service: 'web', errorsOnly: true, minDurationMs: 1.5, sinceMs: 1_700_000_000_123, limit: 7 };
    expect(await client.traces(query)).toEqual([checkoutSummary]);
    await client.traces({ ...query, service: '', sinceMs: null });
    expect(mesh.calls).toEqual([
      `traces ${JSON.stringify(query)}`,
      `traces ${JSON.stringify({ ...query, service: '', sinceMs: null })}`,
    ]);
    expect(await client.trace('4bf9')).toEqual({ ok: true, value: checkoutTrace });
    expect(await client.trace('zz')).toMatchObject({ ok: false, problems: [{ code: 'MESH-R140' }] });
  });

  it('bring refusals back as problems', async () => {
    mesh.refuse = 'ordres';
    expect(await client.restart('ordres')).toEqual({
      ok: false,
      problems: [{ code: 'MESH-S404', message: 'there is no service ordres', hint: 'did you mean `orders`?' }],
    });
    expect((await client.rotateCertificates('ordres')).ok).toBe(false);
  });

  it('list what the proxies run on', async () => {
    expect(await client.routes()).toEqual(mesh.routes());
    expect(await client.endpoints()).toEqual(mesh.endpoints());
    expect(await client.certificates()).toEqual([ordersCertificate]);
    expect(await client.rotateCertificates(null)).toMatchObject({ ok: true, value: [{ serial: '0a1c' }] });
    expect(mesh.calls).toEqual(['rotate null']);
  });

  it('fail with a reason when the daemon throws', async () => {
    mesh.routes = () => {
      throw new Error('no table yet');
    };
    await expect(client.routes()).rejects.toMatchObject({
      problems: [{ code: 'MESH-R107', message: expect.stringContaining('no table yet') }],
    });
  });

  it('fail when the daemon is gone', async () => {
    await server.close();
    await expect(client.status()).rejects.toMatchObject({ problems: [{ code: 'MESH-R106' }] });
  });
});

describe('subscriptions', () => {
  it('start with the current status, then every change', async () => {
    const abort = new AbortController();
    const seen: MeshStatus['state'][] = [];
    for await (const status of client.watchStatus(abort.signal)) {
      seen.push(status.state);
      if (seen.length === 1) mesh.setStatus({ ...shopStatus(), state: 'stopping' });
      if (seen.length === 2) abort.abort();
    }
    expect(seen).toEqual(['running', 'stopping']);
    await until(() => mesh.statusListeners === 0, 'the daemon forgets the subscriber');
  });

  it('skip states for a reader that lags, but never the last', async () => {
    const statuses = client.watchStatus(never)[Symbol.asyncIterator]();
    expect((await statuses.next()).value.config.version).toBe(3);
    const padding = 'x'.repeat(50_000);
    for (let version = 4; version <= 400; version++) {
      const status = shopStatus();
      status.config.version = version;
      status.services[0].instances[0].reason = padding;
      mesh.setStatus(status);
    }
    let received = 0;
    let last = 0;
    while (last !== 400) {
      last = (await statuses.next()).value.config.version;
      received++;
    }
    expect(received).toBeLessThan(397);
    await statuses.return?.(undefined);
  });

  it('deliver notices with their problems', async () => {
    const abort = new AbortController();
    const notice: MeshNotice = {
      time: '2026-11-20T10:00:02.000Z',
      level: 'error',
      service: 'orders',
      text: 'mesh.config.ts was not applied',
      problems: [{ code: 'MESH-C101', message: 'unknown service', line: 3 }],
    };
    const notices = client.watchNotices(abort.signal)[Symbol.asyncIterator]();
    const first = notices.next();
    const sender = setInterval(() => mesh.notify(notice), 5);
    expect((await first).value).toEqual(notice);
    clearInterval(sender);
    abort.abort();
    expect((await drain(notices)).done).toBe(true);
  });

  it('end with the server', async () => {
    const statuses = client.watchStatus(never)[Symbol.asyncIterator]();
    await statuses.next();
    await server.close();
    expect((await drain(statuses)).done).toBe(true);
  });

  async function drain<T>(iterator: AsyncIterator<T>): Promise<IteratorResult<T>> {
    let result = await iterator.next();
    while (!result.done) result = await iterator.next();
    return result;
  }
});

describe('logs', () => {
  it('end by themselves unless they follow', async () => {
    mesh.lines.push(line('one'), line('two'), line('three', 'web'));
    const texts: string[] = [];
    const query = { services: ['orders'], tail: 2, sinceMs: 1_700_000_000_123, follow: false };
    for await (const batch of client.logs(query, never)) texts.push(...batch.map((entry) => entry.text));
    expect(texts).toEqual(['two']);
    expect(JSON.parse(mesh.calls[0].slice(5))).toEqual(query);
  });

  it('follow without losing a line and stop when the reader leaves', async () => {
    mesh.lines.push(line('0'));
    const texts: string[] = [];
    for await (const batch of client.logs({ services: [], tail: null, sinceMs: null, follow: true }, never)) {
      for (const entry of batch) {
        texts.push(entry.text);
        if (Number(entry.text) < 200) mesh.append(line(String(Number(entry.text) + 1)));
      }
      if (texts.length > 200) break;
    }
    expect(texts).toEqual(Array.from({ length: 201 }, (_, index) => String(index)));
    await until(() => mesh.logReaders === 0, 'the daemon stops reading');
  });

  it('do not pile up in the daemon for a client that does not read', async () => {
    let produced = 0;
    mesh.logs = async function* () {
      for (; produced < 5_000; produced++) yield [line('x'.repeat(10_000))];
    };
    const logs = client.logs({ services: [], tail: null, sinceMs: null, follow: true }, never)[Symbol.asyncIterator]();
    await logs.next();
    let before = -1;
    await until(async () => {
      const settled = before === produced;
      before = produced;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return settled;
    }, 'the daemon pauses');
    expect(produced).toBeLessThan(1_000);
    await logs.return?.(undefined);
  });
});

describe('down', () => {
  it('names what is in the way, then ends with the result', async () => {
    mesh.downProgress = ['orders-1 (pid 12) ignores SIGTERM', 'orders-1 (pid 12) killed'];
    const progress: string[] = [];
    expect(await client.down(2_500, (text) => progress.push(text))).toEqual({ ok: true, value: undefined });
    expect(progress).toEqual(mesh.downProgress);
    expect(mesh.calls).toEqual(['down 2500']);
  });

  it('delivers its result although the server closes at that moment', async () => {
    let release = () => undefined as void;
    mesh.downGate = new Promise((resolve) => {
      release = resolve;
    });
    const result = client.down(1_000, () => undefined);
    await until(() => mesh.calls.length === 1, 'down arrives');
    const closing = server.close();
    release();
    expect(await result).toEqual({ ok: true, value: undefined });
    await closing;
  });
});

describe('attaching', () => {
  it('lets the mesh live on after a detach', async () => {
    const attachment = await client.attach();
    await attachment.detach();
    client.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(gone).toBe(0);
  });

  it('takes the mesh down when the client closes without one', async () => {
    await client.attach();
    client.close();
    await until(() => gone === 1, 'the daemon notices');
  });

  it('takes the mesh down when the client is killed', async () => {
    const program = `
      const { connectControl } = await import(${JSON.stringify(new URL('../../../src/runtime/control/client.ts', import.meta.url).href)});
      const connected = await connectControl(${JSON.stringify(socket)});
      await connected.value.attach();
      process.stdout.write('attached');
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect(gone).toBe(0);
    child.kill('SIGKILL');
    await until(() => gone === 1, 'the daemon notices');
  });

  it('tells the client when the server ends', async () => {
    const attachment = await client.attach();
    await server.close();
    await attachment.ended;
    expect(gone).toBe(0);
  });
});
