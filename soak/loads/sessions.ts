import http from 'node:http';
import net from 'node:net';
import type { Random } from '../../fuzz/random.ts';
import type { Ending, Load, LoadClient, Ports } from '../load.ts';
import { Opcode, openWebSocket } from '../websocket.ts';

let ids = 0;

/** Messages there and back, one after the other, then an orderly close, or none. */
function webSocketClient(ports: Ports, random: Random): LoadClient {
  return {
    async once() {
      const port = random.chance(50) ? ports.gateway : ports.web;
      const { socket, send, onMessage } = await openWebSocket(port, '/ws', 'web');
      const count = 5 + random.below(60);
      const leavesAt = random.chance(20) ? random.below(count) : -1;
      return new Promise<Ending>((resolve, reject) => {
        let n = 0;
        let sent: Buffer = Buffer.alloc(0);
        const next = () => {
          sent = random.bytes(random.below(random.chance(10) ? 70_000 : 300));
          send(Opcode.Binary, sent);
        };
        const end = (error: Error | null, ending: Ending = 'done') => {
          socket.removeAllListeners('close');
          socket.destroy();
          if (error === null) resolve(ending);
          else reject(error);
        };
        socket.on('close', () => end(new Error('closed in the middle')));
        onMessage((opcode, payload) => {
          if (opcode === Opcode.Close) return end(n === count ? null : new Error('closed too early'));
          if (!payload.equals(sent)) return end(new Error('wrong content'));
          if (n === leavesAt) return end(null, 'aborted');
          if (++n === count) send(Opcode.Close, Buffer.from([0x03, 0xe8]));
          else setTimeout(next, random.below(10));
        });
        next();
      });
    },
    close() {},
  };
}

/** Events in order and without delay, until the client has had enough. */
function eventClient(ports: Ports, random: Random): LoadClient {
  return {
    once: () =>
      new Promise((resolve, reject) => {
        const id = `sse-${++ids}`;
        const wanted = 5 + random.below(40);
        let n = 0;
        let text = '';
        let over = false;
        const end = (error: Error | null) => {
          if (over) return;
          over = true;
          request.destroy();
          if (error === null) resolve('done');
          else reject(error);
        };
        const port = random.chance(50) ? ports.gateway : ports.web;
        const request = http.get(
          { host: '127.0.0.1', port, path: '/events', agent: false, headers: { host: 'web', 'x-id': id } },
          (response) => {
            if (response.statusCode !== 200) return end(new Error(`status ${response.statusCode}`));
            response.on('data', (chunk: Buffer) => {
              text += chunk.toString();
              for (let at = text.indexOf('\n\n'); at >= 0; at = text.indexOf('\n\n')) {
                if (text.slice(0, at) !== `id: ${n}\ndata: ${id} ${n}`) return end(new Error('wrong event'));
                text = text.slice(at + 2);
                if (++n === wanted) return end(null);
              }
            });
            response.on('error', () => end(new Error('broken off')));
            response.on('end', () => end(new Error('ended')));
          },
        );
        request.on('error', (error: NodeJS.ErrnoException) =>
          end(new Error(`request: ${error.code ?? error.message}`)),
        );
      }),
    close() {},
  };
}

/** Bytes that come back as they went, on a TCP connection; half-closed at the end. */
function tcpClient(connect: () => Promise<net.Socket>, random: Random): LoadClient {
  return {
    async once() {
      const socket = await connect();
      return new Promise<Ending>((resolve, reject) => {
        const sent = random.bytes(1 + random.below(random.chance(20) ? 300_000 : 3_000));
        const leaves = random.chance(8);
        const got: Buffer[] = [];
        const end = (error: Error | null, ending: Ending = 'done') => {
          socket.removeAllListeners('close');
          socket.destroy();
          if (error === null) resolve(ending);
          else reject(error);
        };
        socket.on('error', (error: NodeJS.ErrnoException) => end(new Error(`connection: ${error.code}`)));
        socket.on('close', () => end(new Error('closed in the middle')));
        socket.on('data', (chunk: Buffer) => got.push(chunk));
        socket.on('end', () => end(Buffer.concat(got).equals(sent) ? null : new Error('wrong content')));
        const cut = random.below(sent.length);
        socket.write(sent.subarray(0, cut));
        setTimeout(() => socket.end(sent.subarray(cut)), random.below(15));
        if (leaves) setTimeout(() => end(null, 'aborted'), random.below(15));
      });
    },
    close() {},
  };
}

function tunnel(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, method: 'CONNECT', path: 'raw:1', agent: false });
    request.on('error', reject);
    request.on('response', (response) => reject(new Error(`tunnel: status ${response.statusCode}`)));
    request.on('connect', (response, socket: net.Socket) => {
      if (response.statusCode !== 200) reject(new Error(`tunnel: status ${response.statusCode}`));
      socket.allowHalfOpen = true;
      resolve(socket);
    });
    request.end();
  });
}

const direct = (port: number) => async (): Promise<net.Socket> =>
  net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });

export const SESSION_LOADS: readonly Load[] = [
  { name: 'WebSocket', service: 'web', clients: 4, long: true, connect: webSocketClient },
  { name: 'server-sent events', service: 'web', clients: 4, long: true, connect: eventClient },
  {
    name: 'TCP',
    service: 'raw',
    clients: 3,
    long: true,
    connect: (ports, random) => tcpClient(direct(ports.raw), random),
  },
  {
    name: 'TCP over CONNECT',
    service: 'raw',
    clients: 2,
    long: true,
    connect: (ports, random) => tcpClient(() => tunnel(ports.outbound), random),
  },
];
