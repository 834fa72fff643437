import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { HealthCheck } from '../../../src/model/resolved.ts';
import { probeEndpoint } from '../../../src/proxy/cluster/health-probe.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const listen = (server: net.Server, sockets = new Set<net.Socket>()): Promise<number> =>
  new Promise((resolve) => {
    server.on('connection', (socket: net.Socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    });
    closers.push(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

const probe = (
  action: HealthCheck['action'],
  port: number,
  signal = AbortSignal.timeout(5000),
  authority: string | null = null,
) => probeEndpoint(action, { host: '127.0.0.1', port, tls: null, authority }, signal);

/** A port that nobody listens on: it was free a moment ago, and its owner is gone. */
const closedPort = async (): Promise<number> => {
  const server = net.createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
};

describe.each<HealthCheck['action']>([{ kind: 'tcp' }, { kind: 'http', path: '/' }, { kind: 'grpc', service: '' }])(
  '$kind',
  (action) => {
    it('fails where nobody listens', async () => {
      expect(await probe(action, await closedPort())).toMatch(/ECONNREFUSED/);
    });

    it('ends when told to', async () => {
      const port = await listen(net.createServer());
      if (action.kind === 'tcp') {
        const aborted = AbortSignal.abort(new Error('enough'));
        expect(await probe(action, port, aborted)).toBe('enough');
        return;
      }
      const controller = new AbortController();
      const result = probe(action, port, controller.signal);
      controller.abort(new Error('enough'));
      expect(await result).toBe('enough');
    });
  },
);

describe('tcp', () => {
  it('passes where somebody listens', async () => {
    expect(await probe({ kind: 'tcp' }, await listen(net.createServer()))).toBeNull();
  });
});

describe('http', () => {
  it.each([
    [200, null],
    [204, null],
    [302, null],
    [400, 'GET /health answered 400'],
    [503, 'GET /health answered 503'],
  ])('%d: %s', async (status, expected) => {
    const seen: string[] = [];
    const server = http.createServer((request, response) => {
      seen.push(`${request.method} ${request.headers.host} ${request.url}`);
      response.writeHead(status).end('body');
    });
    const port = await listen(server);
    expect(await probe({ kind: 'http', path: '/health' }, port, undefined, 'shop.example')).toBe(expected);
    expect(seen).toEqual(['GET shop.example /health']);
  });

  it('fails on what is no HTTP', async () => {
    const port = await listen(net.createServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n')));
    expect(await probe({ kind: 'http', path: '/' }, port)).toMatch(/Parse Error/);
  });
});

describe('grpc', () => {
  /** Serving status by service name; -1: NOT_FOUND. */
  const serve = (answers: Record<string, number>) => {
    const server = http2.createServer();
    server.on('stream', (stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const message = Buffer.concat(chunks).subarray(5);
        const name = message.length === 0 ? '' : message.subarray(2).toString();
        const known = headers[':path'] === '/grpc.health.v1.Health/Check' && name in answers;
        if (!known || answers[name] < 0) {
          stream.respond(
            { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': known ? '5' : '12' },
            { endStream: true },
          );
          return;
        }
        const status = answers[name];
        const body = status === 0 ? [0, 0, 0, 0, 0] : [0, 0, 0, 0, 2, 8, status];
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(Buffer.from(body));
      });
    });
    return listen(server);
  };

  it('asks for the server as a whole or for a service', async () => {
    const port = await serve({ '': 1, 'shop.Orders': 2, 'shop.New': 0, 'shop.Gone': -1 });
    const ask = (service: string) => probe({ kind: 'grpc', service }, port);
    expect(await ask('')).toBeNull();
    expect(await ask('shop.Orders')).toBe('the health service says NOT_SERVING');
    expect(await ask('shop.New')).toBe('the health service says UNKNOWN');
    expect(await ask('shop.Gone')).toBe('the health service does not know that service name');
    expect(await ask('other')).toBe('the server has no grpc.health.v1.Health service');
  });

  it('fails on a plain HTTP/2 server', async () => {
    const server = http2.createServer((_request, response) => {
      response.statusCode = 404;
      response.end('nothing here');
    });
    expect(await probe({ kind: 'grpc', service: '' }, await listen(server))).toBe(
      'the health service answered HTTP 404',
    );
  });

  it('fails on an HTTP/1.1 server', async () => {
    const port = await listen(http.createServer((_request, response) => response.end('hello')));
    expect(await probe({ kind: 'grpc', service: '' }, port)).not.toBeNull();
  });
});
