import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { eventually, fetchH1, httpApp, settled, type TestApp } from '../../support/traffic.ts';

const MEGABYTE = 1024 * 1024;
/** Of the one large transfer; `MESH_TEST_BYTES=1073741824` for the gibibyte. */
const LARGE_BYTES = Number(process.env.MESH_TEST_BYTES ?? (process.env.CI === 'true' ? 1024 : 64) * MEGABYTE);
/** What sockets, kernel and proxies may hold of a stream whose reader has stopped. */
const HELD_BYTES = 24 * MEGABYTE;
const RSS_GROWTH_BYTES = 60 * MEGABYTE;

const CHUNK = Buffer.alloc(64 * 1024);
for (let i = 0; i < CHUNK.length; i += 4) CHUNK.writeUInt32LE((i * 2654435761) >>> 0, i);

describe('backpressure', () => {
  let app: TestApp;
  let mesh: TestMesh;
  let written = 0;
  let read = 0;
  let readHash = createHash('sha256');
  let stopReading: (() => void) | null = null;

  beforeAll(async () => {
    app = await httpApp((request, response) => {
      if (request.url === '/quick') {
        response.end('quick');
        return;
      }
      if (request.method === 'POST') {
        read = 0;
        readHash = createHash('sha256');
        const slow = request.url === '/slow';
        if (slow) {
          stopReading = () => request.resume();
          request.once('data', () => request.pause());
        }
        request.on('data', (chunk: Buffer) => {
          read += chunk.length;
          readHash.update(chunk);
        });
        request.on('end', () => response.end(readHash.digest('hex')));
        return;
      }
      const total = Number(request.url!.slice(1));
      written = 0;
      const more = () => {
        while (written < total) {
          const piece = CHUNK.subarray(0, Math.min(CHUNK.length, total - written));
          written += piece.length;
          if (!response.write(piece)) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    mesh = await startTestMesh({ app: { apps: [{ port: app.port }] } });
  });

  afterAll(async () => {
    await mesh?.close();
    await app?.close();
  });

  /** Until `value` has not moved for a while: whoever writes is held back. */
  async function still(value: () => number): Promise<number> {
    for (let last = -1; ; ) {
      const now = value();
      if (now === last && now > 0) return now;
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  }

  const rss = () => {
    (globalThis as { gc?: () => void }).gc?.();
    return process.memoryUsage().rss;
  };

  for (const version of ['HTTP/1.1', 'h2'] as const) {
    it(`holds an application back while a reader of ${version} has stopped, and stalls nobody else`, async () => {
      const total = 200 * MEGABYTE;
      await fetchH1(mesh.dependency.app, { path: '/quick' });
      const before = rss();
      let bytes = 0;
      let resume: () => void;
      let ended: Promise<unknown>;
      let session: http2.ClientHttp2Session | null = null;
      if (version === 'h2') {
        session = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
        const stream = session.request({ ':path': `/${total}` });
        await once(stream, 'response');
        ended = once(stream, 'end');
        resume = () => stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
      } else {
        const request = http.get({ host: '127.0.0.1', port: mesh.dependency.app, path: `/${total}`, agent: false });
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        ended = once(response, 'end');
        resume = () => response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      }
      const held = await still(() => written);
      expect(held).toBeLessThan(HELD_BYTES);
      expect(rss() - before).toBeLessThan(RSS_GROWTH_BYTES);
      for (let i = 0; i < 20; i++) expect((await fetchH1(mesh.dependency.app, { path: '/quick' })).body).toBe('quick');
      if (session !== null) {
        const beside = session.request({ ':path': '/quick' });
        let text = '';
        for await (const chunk of beside) text += chunk;
        expect(text).toBe('quick');
      }
      resume();
      await ended;
      expect(bytes).toBe(total);
      expect(rss() - before).toBeLessThan(RSS_GROWTH_BYTES * 2);
      session?.close();
      await settled(mesh);
      console.log(`${version}: ${(held / MEGABYTE).toFixed(1)} MB held back of ${total / MEGABYTE}`);
    });
  }

  it('holds a client back while the application does not read', async () => {
    const before = rss();
    const total = 100 * MEGABYTE;
    const request = http.request({
      host: '127.0.0.1',
      port: mesh.dependency.app,
      path: '/slow',
      method: 'POST',
      agent: false,
    });
    let sent = 0;
    const more = () => {
      while (sent < total) {
        sent += CHUNK.length;
        if (!request.write(CHUNK)) {
          request.once('drain', more);
          return;
        }
      }
      request.end();
    };
    more();
    expect(await still(() => sent)).toBeLessThan(HELD_BYTES);
    expect(rss() - before).toBeLessThan(RSS_GROWTH_BYTES);
    expect((await fetchH1(mesh.dependency.app, { path: '/quick' })).body).toBe('quick');
    stopReading!();
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    await once(response, 'end');
    expect(read).toBe(total);
    await settled(mesh);
  });

  it('keeps the link going when a hundred readers have stopped', async () => {
    const responses: http.IncomingMessage[] = [];
    const requests = Array.from({ length: 100 }, () => {
      const request = http.get({
        host: '127.0.0.1',
        port: mesh.dependency.app,
        path: `/${4 * MEGABYTE}`,
        agent: false,
      });
      request.on('response', (response) => responses.push(response));
      request.on('error', () => {});
      return request;
    });
    await eventually(() => responses.length === 100, 'all have begun', 15_000);
    for (let i = 0; i < 20; i++) expect((await fetchH1(mesh.dependency.app, { path: '/quick' })).body).toBe('quick');
    for (const request of requests) request.destroy();
    await settled(mesh);
  });

  it('never loses window of the link: many small bodies, and answers to bodies that nobody read', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
    // The credit of what was received last on each stream must come back: 20 x 4 MB is more than any one window.
    for (let round = 0; round < 20; round++) {
      const request = http.get({ host: '127.0.0.1', port: mesh.dependency.app, path: `/${4 * MEGABYTE}`, agent });
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      response.resume();
      await once(response, 'end');
    }
    agent.destroy();
    const links = linkWindows(mesh);
    expect(links.length).toBeGreaterThan(0);
    for (const { unaccounted } of links) expect(unaccounted).toBe(0);
  });

  it(`carries ${LARGE_BYTES / MEGABYTE} MB each way unchanged, in constant memory`, { timeout: 120_000 }, async () => {
    const before = rss();
    let most = before;
    const sample = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 50);
    const expected = createHash('sha256');
    for (let n = 0; n < LARGE_BYTES; n += CHUNK.length)
      expected.update(CHUNK.subarray(0, Math.min(CHUNK.length, LARGE_BYTES - n)));
    const digest = expected.digest('hex');

    const started = performance.now();
    const request = http.get({ host: '127.0.0.1', port: mesh.dependency.app, path: `/${LARGE_BYTES}`, agent: false });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    const hash = createHash('sha256');
    for await (const chunk of response) hash.update(chunk as Buffer);
    expect(hash.digest('hex')).toBe(digest);
    const down = performance.now();

    const upload = http.request({ host: '127.0.0.1', port: mesh.dependency.app, method: 'POST', agent: false });
    const answered = once(upload, 'response') as Promise<[http.IncomingMessage]>;
    for (let n = 0; n < LARGE_BYTES; n += CHUNK.length) {
      if (!upload.write(CHUNK.subarray(0, Math.min(CHUNK.length, LARGE_BYTES - n)))) await once(upload, 'drain');
    }
    upload.end();
    const [answer] = await answered;
    let text = '';
    for await (const chunk of answer) text += chunk;
    expect(text).toBe(digest);
    clearInterval(sample);
    const mbps = (ms: number) => Math.round(LARGE_BYTES / MEGABYTE / (ms / 1000));
    console.log(
      `down ${mbps(down - started)} MB/s, up ${mbps(performance.now() - down)} MB/s, memory +${Math.round((most - before) / MEGABYTE)} MB`,
    );
    expect(most - before).toBeLessThan(RSS_GROWTH_BYTES * 2);
    await settled(mesh);
  });
});

/** What the clients' ends of links have received and not given back, beyond what their open streams hold. */
function linkWindows(mesh: TestMesh): { unaccounted: number }[] {
  interface Window {
    available: number;
    credit: number;
    size: number;
  }
  const proxy = mesh.proxy as unknown as {
    routing: {
      clusters: Map<string, { pools: Map<string, Map<string, { connections: { h2: { receiveWindow: Window } }[] }>> }>;
    };
  };
  const links: { unaccounted: number }[] = [];
  for (const cluster of proxy.routing.clusters.values()) {
    for (const pools of cluster.pools.values()) {
      for (const pool of pools.values()) {
        for (const { h2 } of pool.connections) {
          const { available, credit, size } = h2.receiveWindow;
          links.push({ unaccounted: size - available - credit });
        }
      }
    }
  }
  return links;
}
