import { once } from 'node:events';
import type http from 'node:http';
import http2 from 'node:http2';
import { afterEach, describe, expect, it } from 'vitest';
import type { ResolvedRoute, RetryPolicy } from '../../../src/model/resolved.ts';
import { freePort, startTestMesh, type TestMesh, type TestService } from '../../support/proxy-mesh.ts';
import { eventually, fetchH1, httpApp, settled, type TestApp, underWay } from '../../support/traffic.ts';

const retries = (part: Partial<RetryPolicy>): RetryPolicy => ({
  attempts: 2,
  perTryTimeoutMs: 0,
  on: [],
  statusCodes: [],
  backoffMs: 5,
  maxBackoffMs: 10,
  ...part,
});

describe('timeouts, retries and parking', () => {
  const opened: { close(): Promise<void> }[] = [];

  afterEach(async () => {
    for (const one of opened.splice(0).reverse()) await one.close();
  });

  const app = async (listener: http.RequestListener, port = 0): Promise<TestApp> => {
    const started = await httpApp(listener, port);
    opened.push(started);
    return started;
  };
  const start = async (service: TestService): Promise<TestMesh> => {
    const mesh = await startTestMesh({ app: service });
    opened.push(mesh);
    return mesh;
  };
  const withRoute = (port: number, part: Partial<ResolvedRoute>): TestService => ({ apps: [{ port }], routes: [part] });

  it('ends a request at its timeout with 504 UT, before and after the response began', async () => {
    const { port } = await app((request, response) => {
      if (request.url === '/half') response.write('half');
    });
    const mesh = await start(withRoute(port, { timeouts: { requestMs: 100, idleMs: 0 } }));
    const reply = await fetchH1(mesh.dependency.app);
    expect([reply.status, reply.headers['x-mesh-response-flags']]).toEqual([504, 'UT']);
    expect(reply.body).toBe('app did not answer within the request timeout\n');
    await expect(fetchH1(mesh.dependency.app, { path: '/half' })).rejects.toThrow(/aborted|ECONNRESET/);
    await settled(mesh);
  });

  it('ends what is idle, and not what moves', async () => {
    const { port } = await app((request, response) => {
      if (request.url === '/quiet') return;
      let left = 6;
      const timer = setInterval(() => {
        response.write('.');
        if (--left === 0) {
          clearInterval(timer);
          response.end();
        }
      }, 40);
    });
    const mesh = await start(withRoute(port, { timeouts: { requestMs: 0, idleMs: 150 } }));
    const quiet = await fetchH1(mesh.dependency.app, { path: '/quiet' });
    expect([quiet.status, quiet.headers['x-mesh-response-flags']]).toEqual([504, 'SI']);
    expect((await fetchH1(mesh.dependency.app)).body).toBe('......');
    await settled(mesh);
  });

  it('tries again on the conditions of the route, elsewhere, and replays the body', async () => {
    const seen: string[] = [];
    const listener =
      (name: string, status: number) => (request: http.IncomingMessage, response: http.ServerResponse) => {
        let n = 0;
        request.on('data', (chunk: Buffer) => (n += chunk.length));
        request.on('end', () => {
          seen.push(`${name} ${n}`);
          response.writeHead(request.url === '/fine' ? 200 : status).end(name);
        });
      };
    const bad = await app(listener('bad', 503));
    const good = await app(listener('good', 200));
    const mesh = await start({
      apps: [{ port: bad.port }, { port: good.port }],
      routes: [{ retries: retries({ on: ['5xx'] }) }],
    });
    for (let i = 0; i < 10; i++) {
      const body = 'x'.repeat(1_000 + i);
      const reply = await fetchH1(mesh.dependency.app, { method: 'POST', body });
      expect([reply.status, reply.body]).toEqual([200, 'good']);
      expect(seen.at(-1)).toBe(`good ${body.length}`);
    }
    expect(seen.filter((s) => s.startsWith('bad')).length).toBeGreaterThan(2);
    const slot = mesh.proxy.counters.snapshot('all').find((s) => s.direction === 'outbound')!;
    expect(slot.retries).toBe(seen.filter((s) => s.startsWith('bad')).length);
    await settled(mesh);
  });

  it('replays what fits into its memory and no more', async () => {
    let tries = 0;
    const { port } = await app((request, response) => {
      request.resume();
      request.on('end', () => response.writeHead(++tries === 1 ? 503 : 200).end());
    });
    const mesh = await start(withRoute(port, { retries: retries({ on: ['5xx'] }) }));
    expect((await fetchH1(mesh.dependency.app, { method: 'POST', body: Buffer.alloc(64 * 1024) })).status).toBe(200);
    expect(tries).toBe(2);
    tries = 0;
    expect((await fetchH1(mesh.dependency.app, { method: 'POST', body: Buffer.alloc(64 * 1024 + 1) })).status).toBe(
      503,
    );
    expect(tries).toBe(1);
    await settled(mesh);
  });

  it('replays trailers', async () => {
    let tries = 0;
    const seen: unknown[] = [];
    const { port } = await app((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => (text += chunk));
      request.on('end', () => {
        seen.push([text, request.trailers['x-sum']]);
        response.writeHead(++tries < 3 ? 503 : 200).end();
      });
    });
    const mesh = await start(withRoute(port, { retries: retries({ on: ['5xx'] }) }));
    for (const text of ['body', '']) {
      tries = 0;
      seen.length = 0;
      const session = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
      const stream = session.request({ ':method': 'POST' }, {
        waitForTrailers: true,
      } as http2.ClientSessionRequestOptions);
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '42' }));
      stream.end(text);
      const [headers] = await once(stream, 'response');
      expect(headers[':status']).toBe(200);
      expect(seen).toEqual(Array.from({ length: 3 }, () => [text, '42']));
      stream.resume();
      session.close();
    }
  });

  it('limits each try, and says how often it tried', async () => {
    let tries = 0;
    const { port } = await app((_request, response) => {
      if (++tries % 3 === 0) response.end('third time lucky');
    });
    const policy = retries({ on: ['5xx'], perTryTimeoutMs: 250 });
    const mesh = await start(withRoute(port, { retries: policy }));
    expect((await fetchH1(mesh.dependency.app)).body).toBe('third time lucky');
    mesh.update({ app: withRoute(port, { retries: { ...policy, attempts: 1 } }) });
    const reply = await fetchH1(mesh.dependency.app);
    expect([reply.status, reply.headers['x-mesh-response-flags']]).toEqual([504, 'UT']);
    expect(reply.body).toContain('(2 tries)');
    await settled(mesh);
  });

  it('tries again when the application breaks off, where the route says so', async () => {
    let tries = 0;
    const { port } = await app((request, response) => {
      if (++tries % 2 === 1) request.socket.destroy();
      else response.end('ok');
    });
    const mesh = await start(withRoute(port, { retries: retries({ on: ['reset'] }) }));
    expect((await fetchH1(mesh.dependency.app, { method: 'POST', body: 'x' })).body).toBe('ok');
    mesh.update({ app: withRoute(port, {}) });
    const reply = await fetchH1(mesh.dependency.app, { method: 'POST', body: 'x' });
    expect([reply.status, reply.headers['x-mesh-response-flags']]).toEqual([502, 'UC']);
    expect(reply.body).toMatch(/^app broke off before it answered: .*; see `mesh logs app`\n$/);
    await settled(mesh);
  });

  it('goes to another instance when one does not listen, without any retry policy', async () => {
    const { port } = await app((_request, response) => response.end('alive'));
    const mesh = await start({ apps: [{ port: 1 }, { port }] });
    for (let i = 0; i < 6; i++) {
      const reply = await fetchH1(mesh.dependency.app, { method: 'POST', body: 'x' });
      expect([reply.status, reply.body]).toEqual([200, 'alive']);
    }
    await settled(mesh);
  });

  it('waits for word of a process that has just died, and fails with UF when none comes', async () => {
    const port = await freePort();
    const mesh = await start({ apps: [{ port }] });
    const started = performance.now();
    const reply = await fetchH1(mesh.dependency.app);
    expect([reply.status, reply.headers['x-mesh-response-flags']]).toEqual([503, 'UF']);
    expect(reply.body).toMatch(/^no connection to app: /);
    expect(performance.now() - started).toBeGreaterThan(900);

    const waiting = fetchH1(mesh.dependency.app, { method: 'POST', body: 'kept' });
    await eventually(() => underWay(mesh).parked === 1, 'the request is parked');
    // The control plane has seen the death, and starts it again.
    mesh.update({ app: { apps: [{ port, state: 'starting' }] } });
    expect(underWay(mesh).parked).toBe(1);
    await app((request, response) => {
      request.pipe(response);
    }, port);
    mesh.update({ app: { apps: [{ port, state: 'ready' }] } });
    expect((await waiting).body).toBe('kept');
    await settled(mesh);
  });

  it('parks while an instance starts and releases when it is ready', async () => {
    const { port } = await app((request, response) => {
      request.pipe(response);
    });
    const mesh = await start({ apps: [{ port, state: 'starting' }] });
    const waiting = Array.from({ length: 20 }, (_, i) =>
      fetchH1(mesh.dependency.app, { method: 'POST', body: `body ${i}` }),
    );
    await eventually(() => underWay(mesh).parked === 20, 'all are parked');
    mesh.update({ app: { apps: [{ port, state: 'ready' }] } });
    expect((await Promise.all(waiting)).map((reply) => reply.body)).toEqual(waiting.map((_, i) => `body ${i}`));
    await settled(mesh);
  });

  it('parks only so long, only so many, and only for what is expected', async () => {
    const parking = { timeoutMs: 120, maxRequests: 2 };
    const mesh = await start({
      apps: [
        { port: 1, state: 'starting' },
        { port: 1, state: 'starting' },
      ],
      cluster: { parking },
    });
    const first = [fetchH1(mesh.dependency.app), fetchH1(mesh.dependency.app)];
    await eventually(() => underWay(mesh).parked === 2, 'two are parked');
    const third = await fetchH1(mesh.dependency.app);
    expect([third.status, third.headers['x-mesh-response-flags']]).toEqual([503, 'UO']);
    expect(third.body).toContain('2 requests wait for app already');
    for (const reply of await Promise.all(first)) {
      expect([reply.status, reply.headers['x-mesh-response-flags']]).toEqual([503, 'UH']);
      expect(reply.body).toBe('no healthy endpoint of app: 2 of 2 starting; see `mesh logs app`\n');
    }
    mesh.update({ app: { apps: [{ port: 1, state: 'down' }] } });
    const started = performance.now();
    expect((await fetchH1(mesh.dependency.app)).body).toContain('1 of 1 down');
    expect(performance.now() - started).toBeLessThan(110);
    mesh.update({ app: { apps: [] } });
    expect((await fetchH1(mesh.dependency.app)).body).toContain('not started yet');
    await settled(mesh);
  });

  it('answers those who wait when the service is removed', async () => {
    const mesh = await start({ apps: [{ port: 1, state: 'starting' }] });
    const waiting = fetchH1(mesh.dependency.app);
    await eventually(() => underWay(mesh).parked === 1, 'it is parked');
    mesh.update({});
    const reply = await waiting;
    expect([reply.status, reply.headers['x-mesh-response-flags']]).toEqual([503, 'UH']);
    expect(reply.body).toContain('removed from the mesh');
  });

  it('fails what a killed application had, and parks what comes next', async () => {
    let arrived = 0;
    const one = await app(() => void arrived++);
    const mesh = await start({ apps: [{ port: one.port }] });
    const inFlight = Array.from({ length: 5 }, () => fetchH1(mesh.dependency.app));
    await eventually(() => arrived === 5, 'the application has them');
    opened.splice(opened.indexOf(one), 1);
    await one.close();
    for (const reply of await Promise.all(inFlight)) {
      expect([reply.status, reply.headers['x-mesh-response-flags']], reply.body).toEqual([502, 'UC']);
    }
    const next = fetchH1(mesh.dependency.app);
    await eventually(() => underWay(mesh).parked === 1, 'the next is parked');
    const two = await app((_request, response) => response.end('again'));
    mesh.update({ app: { apps: [{ port: two.port, state: 'starting' }] } });
    mesh.update({ app: { apps: [{ port: two.port }] } });
    expect((await next).body).toBe('again');
    await settled(mesh);
  });

  it('hides from callers that the application closes idle connections', async () => {
    const server = await app((_request, response) => response.end('ok'));
    const mesh = await start({ apps: [{ port: server.port }] });
    let failures = 0;
    for (let round = 0; round < 30; round++) {
      const replies = await Promise.all(Array.from({ length: 4 }, () => fetchH1(mesh.dependency.app)));
      failures += replies.filter((reply) => reply.status !== 200).length;
      const next = fetchH1(mesh.dependency.app);
      // All that idle go now, while the next request is on its way to one of them.
      server.dropIdle();
      if ((await next).status !== 200) failures++;
    }
    expect(failures).toBe(0);
  });
});
