import { once } from 'node:events';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';

describe('a response that breaks off as soon as it has begun', () => {
  let app: http2.Http2Server;
  let mesh: TestMesh;
  let requests = 0;

  beforeAll(async () => {
    app = http2.createServer();
    app.on('stream', (stream) => {
      requests++;
      stream.on('error', () => {});
      stream.respond({ ':status': 200 });
      stream.write('half', () => stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR));
    });
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    mesh = await startTestMesh({ app: { protocol: 'http2', apps: [{ port: (app.address() as AddressInfo).port }] } });
  });

  afterAll(async () => {
    await mesh.close();
    app.close();
  });

  // A client that sees nothing of it may take the connection for one that was just being closed, and send the request
  // again (RFC 9112 section 9.3.1).
  it('shows an HTTP/1.1 client that it had begun, and that it is not whole', async () => {
    for (let i = 1; i <= 30; i++) {
      const socket = net.connect(mesh.dependency.app, '127.0.0.1');
      socket.on('error', () => {});
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk) => (text += chunk));
      socket.write('GET / HTTP/1.1\r\nhost: app\r\n\r\n');
      await once(socket, 'close');
      expect(text).toMatch(/^HTTP\/1\.1 200 /);
      expect(text).toContain('transfer-encoding: chunked');
      expect(text).not.toContain('0\r\n\r\n');
      expect(requests).toBe(i);
    }
  });
});
