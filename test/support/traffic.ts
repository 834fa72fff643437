import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type { TestMesh } from './proxy-mesh.ts';

/** An application for tests: listens on a free port of 127.0.0.1, and everything it holds ends with `close`. */
export interface TestApp {
  readonly port: number;
  close(): Promise<void>;
  /** `http` only: closes the connections that carry no request. */
  dropIdle(): void;
}

export async function listenOn(server: net.Server, port = 0): Promise<TestApp> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    dropIdle() {
      (server as unknown as http.Server).closeIdleConnections();
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export const httpApp = (listener: http.RequestListener, port = 0): Promise<TestApp> =>
  listenOn(http.createServer({ keepAliveTimeout: 60_000 }, listener), port);

export interface Reply {
  status: number;
  headers: http.IncomingHttpHeaders;
  trailers: NodeJS.Dict<string>;
  body: string;
}

/** One request of HTTP/1.1, on a connection of its own unless `agent` says otherwise. */
export function fetchH1(port: number, options: http.RequestOptions & { body?: string | Buffer } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options;
    const request = http.request({ host: '127.0.0.1', port, agent: false, ...rest }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { statusCode, headers, trailers } = response;
        resolve({ status: statusCode!, headers, trailers, body: Buffer.concat(chunks).toString() });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Sends bytes as they are and gathers what comes back until `until` is in it, or the connection ends. */
export async function rawExchange(port: number, send: string, until?: string | RegExp): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(send, 'latin1');
  let text = '';
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (until !== undefined && (typeof until === 'string' ? text.includes(until) : until.test(text))) resolve();
    });
    socket.on('close', () => resolve());
    socket.on('end', () => resolve());
  });
  socket.destroy();
  return text;
}

/** Polls until the condition holds. */
export async function eventually(condition: () => boolean, what: string, deadlineMs = 5_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Requests that the proxies believe to be under way, by any of their books. */
export function underWay(mesh: TestMesh): { active: number; endpoints: number; apps: number; parked: number } {
  const proxy = mesh.proxy as unknown as {
    routing: {
      clusters: Map<
        string,
        { parked: Set<unknown>; spec: { endpoints: { id: string }[] }; inFlight(id: string): number }
      >;
    };
    apps: Map<string, { active: number }>;
    retiring: Set<{ active: number }>;
  };
  let active = 0;
  for (const slot of mesh.proxy.counters.snapshot('all')) active += slot.active;
  let endpoints = 0;
  let parked = 0;
  for (const cluster of proxy.routing.clusters.values()) {
    parked += cluster.parked.size;
    for (const { id } of cluster.spec.endpoints) endpoints += cluster.inFlight(id);
  }
  let apps = 0;
  for (const app of [...proxy.apps.values(), ...proxy.retiring]) apps += app.active;
  return { active, endpoints, apps, parked };
}

/** Waits until nothing is under way; fails with the books if that does not come. */
export async function settled(mesh: TestMesh): Promise<void> {
  const quiet = () => Object.values(underWay(mesh)).every((n) => n === 0);
  await eventually(quiet, `all books at zero`).catch(() => {
    throw new Error(`still under way: ${JSON.stringify(underWay(mesh))}`);
  });
}
