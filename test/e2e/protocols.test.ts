import http from 'node:http';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { cleanUpMeshes, startMesh } from '../support/e2e.ts';
import { get } from '../support/e2e-traffic.ts';

cleanUpMeshes();

const GRPC = fileURLToPath(import.meta.resolve('@grpc/grpc-js'));
const raw = {
  requestSerialize: (b: Buffer) => b,
  responseSerialize: (b: Buffer) => b,
  requestDeserialize: (b: Buffer) => b,
  responseDeserialize: (b: Buffer) => b,
};

const GRPC_SERVER = `
import grpc from ${JSON.stringify(GRPC)};
const raw = { requestSerialize: (b) => b, responseSerialize: (b) => b, requestDeserialize: (b) => b, responseDeserialize: (b) => b };
const server = new grpc.Server();
server.addService({
  Say: { path: '/e2e.Talk/Say', requestStream: false, responseStream: false, ...raw },
  Chat: { path: '/e2e.Talk/Chat', requestStream: true, responseStream: true, ...raw },
}, {
  Say: (call, done) => String(call.request) === 'fail'
    ? done({ code: grpc.status.FAILED_PRECONDITION, details: 'as asked' })
    : done(null, Buffer.from('you said ' + call.request + ' as ' + call.metadata.get('x-forwarded-client-cert'))),
  Chat: (call) => {
    call.on('data', (message) => call.write(Buffer.from('re: ' + message)));
    call.on('end', () => call.end());
  },
});
server.bindAsync('127.0.0.1:' + process.env.PORT, grpc.ServerCredentials.createInsecure(), () => {});
`;

/** Upgrades to an echo of bytes, an event stream that goes on when poked, and a TCP dependency. */
const MIXED = `
import { createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
let poke = () => {};
const server = http.createServer((request, response) => {
  if (request.url === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: one\\n\\n');
    poke = () => response.end('data: two\\n\\n');
  } else if (request.url === '/poke') {
    poke();
    response.end();
  } else if (request.url === '/db') {
    const socket = net.connect(Number(process.env.DB_SERVICE_PORT), process.env.DB_SERVICE_HOST);
    let answer = '';
    socket.on('data', (data) => { answer += data; });
    socket.on('end', () => response.end(answer));
    socket.on('error', (error) => response.writeHead(502).end(String(error)));
    socket.write('a'.repeat(100000));
    socket.end('the end');
  } else response.end('ok');
});
server.on('upgrade', (request, socket, head) => {
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  const answer = ['HTTP/1.1 101 Switching Protocols', 'connection: upgrade', 'upgrade: websocket', 'sec-websocket-accept: ' + accept];
  socket.write(answer.join('\\r\\n') + '\\r\\n\\r\\n');
  socket.write(head);
  socket.pipe(socket);
});
server.listen(Number(process.env.PORT), '127.0.0.1');
`;
/** Answers only when the other side has finished: half-close has to get through. */
const DB = `
import net from 'node:net';
net.createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  let last = '';
  socket.on('data', (data) => { bytes += data.length; last = data.subarray(-7).toString(); });
  socket.on('end', () => socket.end(bytes + ' bytes, last: ' + last));
}).listen(Number(process.env.PORT), '127.0.0.1');
`;

describe('protocols through the running mesh', () => {
  it('gRPC: unary, errors, both directions streaming', async () => {
    const mesh = await startMesh(
      { 'talk.mjs': GRPC_SERVER },
      {
        services: { talk: { command: ['node', 'talk.mjs'], protocol: 'grpc' } },
        gateway: { routes: [{ matches: [{ grpc: { service: 'e2e.Talk' } }], backends: [{ service: 'talk' }] }] },
      },
    );
    const client = new grpc.Client(`127.0.0.1:${mesh.gatewayPort}`, grpc.credentials.createInsecure());
    const say = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          '/e2e.Talk/Say',
          raw.requestSerialize,
          raw.responseDeserialize,
          Buffer.from(text),
          (error, reply) => (error === null ? resolve(String(reply)) : reject(error)),
        );
      });
    try {
      expect(await say('hello')).toMatch(/^you said hello as .*URI=spiffe:\/\/e2e.local\/ns\/default\/sa\/gateway$/);
      await expect(say('fail')).rejects.toMatchObject({ code: grpc.status.FAILED_PRECONDITION, details: 'as asked' });
      const chat = client.makeBidiStreamRequest('/e2e.Talk/Chat', raw.requestSerialize, raw.responseDeserialize);
      const replies: string[] = [];
      for (const text of ['1', '2', '3']) {
        chat.write(Buffer.from(text));
        replies.push(
          await new Promise((resolve, reject) =>
            chat.once('data', (reply) => resolve(String(reply))).once('error', reject),
          ),
        );
      }
      chat.end();
      const status = await new Promise<{ code: number }>((resolve) => {
        chat.on('data', () => {}).on('status', resolve);
      });
      expect(replies).toEqual(['re: 1', 're: 2', 're: 3']);
      expect(status.code).toBe(grpc.status.OK);
      await mesh.mesh('stop', 'talk');
      await expect(say('gone')).rejects.toMatchObject({ code: grpc.status.UNAVAILABLE });
    } finally {
      client.close();
    }
  });

  it('upgrades, event streams and raw TCP', async () => {
    const mesh = await startMesh(
      { 'mixed.mjs': MIXED, 'db.mjs': DB },
      {
        services: {
          mixed: { command: ['node', 'mixed.mjs'], dependsOn: ['db'] },
          db: { command: ['node', 'db.mjs'], protocol: 'tcp' },
        },
        gateway: { routes: [{ backends: [{ service: 'mixed' }] }] },
      },
    );
    const port = mesh.gatewayPort;
    const echoed = await new Promise<string>((resolve, reject) => {
      const request = http.request({
        host: '127.0.0.1',
        port,
        path: '/ws',
        headers: {
          connection: 'upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        },
      });
      request.on('upgrade', (response, socket) => {
        let text = `${response.statusCode} ${response.headers['sec-websocket-accept']} `;
        socket.setEncoding('utf8').on('data', (data: string) => {
          text += data;
          if (text.endsWith('there')) {
            socket.destroy();
            resolve(text);
          }
        });
        socket.write('hello ');
        setImmediate(() => socket.write('there'));
      });
      request.on('response', (response) => reject(new Error(`status ${response.statusCode}`)));
      request.on('error', reject);
      request.end();
    });
    expect(echoed).toBe('101 s3pPLMBiTxaQ9kYGzzhZRbK+xOo= hello there');

    const events = await new Promise<string[]>((resolve, reject) => {
      const seen: string[] = [];
      http
        .get({ host: '127.0.0.1', port, path: '/events', agent: false }, (response) => {
          // The second is sent only once the first has got here.
          response.setEncoding('utf8').on('data', (text: string) => {
            seen.push(text);
            if (seen.length === 1) void get(port, '/poke');
          });
          response.on('end', () => resolve(seen));
        })
        .on('error', reject);
    });
    expect(events).toEqual(['data: one\n\n', 'data: two\n\n']);

    expect(await get(port, '/db')).toMatchObject({ status: 200, body: '100007 bytes, last: the end' });
  });
});
