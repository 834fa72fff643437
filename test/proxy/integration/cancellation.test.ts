import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';
import { eventually, fetchH1, httpApp, settled, type TestApp, underWay } from '../../support/traffic.ts';

describe('clients that leave', () => {
  let app: TestApp;
  let mesh: TestMesh;
  let arrived = 0;
  let aborted = 0;

  beforeAll(async () => {
    app = await httpApp((request, response) => {
      arrived++;
      response.on('close', () => {
        if (!response.writableFinished) aborted++;
      });
      if (request.url === '/begun') response.write('begun');
      if (request.url === '/ok') response.end('ok');
      request.resume();
    });
    mesh = await startTestMesh({
      app: { apps: [{ port: app.port }] },
      away: { apps: [{ port: 1, state: 'starting' }], cluster: { parking: { timeoutMs: 10_000, maxRequests: 10 } } },
    });
  });

  afterAll(async () => {
    await mesh?.close();
    await app?.close();
  });

  const leaves = async (leave: (path: string) => Promise<() => void>) => {
    for (const path of ['/silent', '/begun']) {
      const before = { arrived, aborted };
      const go = await leave(path);
      await eventually(() => arrived === before.arrived + 1, 'the request arrives');
      go();
      await eventually(() => aborted === before.aborted + 1, 'the application sees the abort');
      await settled(mesh);
    }
    // The link has not suffered.
    expect((await fetchH1(mesh.dependency.app, { path: '/ok' })).body).toBe('ok');
    const slot = mesh.proxy.counters
      .snapshot('all')
      .find((s) => s.direction === 'outbound' && s.destination === 'app')!;
    expect(slot.failures).toBe(0);
  };

  it('is passed on from HTTP/1.1, by close and by reset', async () => {
    for (const how of ['destroy', 'resetAndDestroy'] as const) {
      await leaves(async (path) => {
        const socket = net.connect(mesh.dependency.app, '127.0.0.1');
        socket.write(`GET ${path} HTTP/1.1\r\nhost: app\r\n\r\n`);
        return () => socket[how]();
      });
    }
  });

  it('is passed on from an upload in the middle', () =>
    leaves(async (path) => {
      const request = http.request({
        host: '127.0.0.1',
        port: mesh.dependency.app,
        path,
        method: 'POST',
        agent: false,
      });
      request.on('error', () => {});
      request.on('response', (response) => response.on('error', () => {}));
      request.write('some');
      return () => request.destroy();
    }));

  it('is passed on from h2, by RST_STREAM and by the end of the connection', async () => {
    for (const how of ['stream', 'session'] as const) {
      await leaves(async (path) => {
        const session = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
        session.on('error', () => {});
        const stream = session.request({ ':path': path });
        stream.on('error', () => {});
        return () => {
          if (how === 'session') session.destroy();
          else {
            stream.close(http2.constants.NGHTTP2_CANCEL);
            session.close();
          }
        };
      });
    }
  });

  it('takes a request that waits for an instance out of the queue', async () => {
    const socket = net.connect(mesh.dependency.away, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: away\r\n\r\n');
    await eventually(() => underWay(mesh).parked === 1, 'it is parked');
    socket.destroy();
    await settled(mesh);
  });

  it('survives thousands of cancelled streams on one link', async () => {
    const session = http2.connect(`http://127.0.0.1:${mesh.dependency.app}`);
    await once(session, 'connect');
    // Several connections, since each is allowed a limited number of them; the link they share is not.
    const sessions = [
      session,
      ...Array.from({ length: 3 }, () => http2.connect(`http://127.0.0.1:${mesh.dependency.app}`)),
    ];
    for (const one of sessions) one.on('error', () => {});
    for (let round = 0; round < 15; round++) {
      const before = arrived;
      const streams = sessions.flatMap((one) =>
        Array.from({ length: 50 }, () => {
          const stream = one.request({ ':path': '/silent' });
          stream.on('error', () => {});
          return stream;
        }),
      );
      await eventually(() => arrived >= before + 200, 'all arrive', 10_000);
      for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL);
      await settled(mesh);
    }
    for (const one of sessions) one.close();
    expect((await fetchH1(mesh.dependency.app, { path: '/ok' })).body).toBe('ok');
  });
});
