import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { block, END_HEADERS, frame, uint32 } from '../../support/h2-raw.ts';
import { startTestMesh, type TestMesh } from '../../support/proxy-mesh.ts';

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;

describe('a response that breaks off as soon as it has begun', () => {
  let app: net.Server;
  let mesh: TestMesh;
  let requests = 0;
  let resetCode = 0;

  beforeAll(async () => {
    // An application whose head, content and RST_STREAM arrive in one piece, so that the proxy reads them in one turn.
    app = net.createServer((socket) => {
      let seen = Buffer.alloc(0);
      let skip = PREFACE_BYTES;
      socket.on('error', () => {});
      socket.write(frame(SETTINGS, 0, 0));
      socket.on('data', (chunk) => {
        seen = Buffer.concat([seen, chunk]);
        for (;;) {
          const dropped = Math.min(skip, seen.length);
          seen = seen.subarray(dropped);
          skip -= dropped;
          if (skip > 0 || seen.length < FRAME_HEAD_BYTES) return;
          if (seen[3] === HEADERS) answer(socket, seen.readUInt32BE(5));
          skip = FRAME_HEAD_BYTES + seen.readUIntBE(0, 3);
        }
      });
    });
    const answer = (socket: net.Socket, streamId: number) => {
      requests++;
      const head = frame(HEADERS, END_HEADERS, streamId, block([':status', '200']));
      const half = frame(DATA, 0, streamId, Buffer.from('half'));
      socket.write(Buffer.concat([head, half, frame(RST_STREAM, 0, streamId, uint32(resetCode))]));
    };
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    mesh = await startTestMesh({ app: { protocol: 'http2', apps: [{ port: (app.address() as AddressInfo).port }] } });
  });

  afterAll(async () => {
    await mesh.close();
    app.close();
  });

  // A client that sees nothing of it may take the connection for one that was just being closed, and send the request
  // again (RFC 9112 section 9.3.1). NO_ERROR says nothing of a response that is not whole.
  it.each([
    ['INTERNAL_ERROR', 2],
    ['NO_ERROR', 0],
  ])('shows an HTTP/1.1 client that it had begun, and that it is not whole (%s)', async (_name, code) => {
    resetCode = code;
    const before = requests;
    for (let i = 1; i <= 10; i++) {
      const socket = net.connect(mesh.dependency.app, '127.0.0.1');
      socket.on('error', () => {});
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk) => (text += chunk));
      socket.write('GET / HTTP/1.1\r\nhost: app\r\n\r\n');
      await once(socket, 'close');
      expect(text).toMatch(/^HTTP\/1\.1 200 /);
      expect(text).toContain('transfer-encoding: chunked');
      expect(text).not.toContain('0\r\n\r\n');
      expect(requests - before).toBe(i);
    }
  });
});
