import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import { describeOwner, portOwner } from '../state/port-owner.ts';
import { PROMETHEUS_TEXT } from './prometheus.ts';

/** Nobody needs so long for a request of a few lines. */
const REQUEST_TIMEOUT_MS = 5_000;
const MOST_CONNECTIONS = 64;

export interface AdminContent {
  metrics: () => string;
  /** Null: all is well; else what is not. */
  unhealthy: () => string | null;
}

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves `/metrics` and `/healthz` on 127.0.0.1, for reading only. @returns MESH-N106 if the port cannot be had */
export async function openAdminServer(port: number, content: AdminContent): Promise<Result<AdminServer>> {
  const server = http.createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, (request, response) =>
    answer(request, response, content),
  );
  server.maxConnections = MOST_CONNECTIONS;
  const error = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
    server.once('error', resolve);
    server.listen(port, '127.0.0.1', () => resolve(null));
  });
  if (error !== null) return fail(await portProblem(port, error.code ?? error.message));
  return ok({
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}

function answer(request: http.IncomingMessage, response: http.ServerResponse, content: AdminContent): void {
  // A page in a browser must not read what it is not for, by a name that it lets point here.
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  const send = (status: number, type: string, text: string, headers: http.OutgoingHttpHeaders = {}) => {
    const body = Buffer.from(text);
    response.writeHead(status, { 'content-type': type, 'content-length': body.length, 'cache-control': 'no-store', ...headers });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
  const say = (status: number, text: string, headers?: http.OutgoingHttpHeaders) =>
    send(status, 'text/plain; charset=utf-8', `${text}\n`, headers);
  if (!['127.0.0.1', 'localhost', '[::1]'].includes(host)) return say(421, 'this is the admin server of a mesh, for 127.0.0.1 and localhost');
  if (request.method !== 'GET' && request.method !== 'HEAD') return say(405, 'for reading only', { allow: 'GET, HEAD' });
  switch (request.url?.split('?', 1)[0]) {
    case '/metrics':
      return send(200, PROMETHEUS_TEXT, content.metrics());
    case '/healthz': {
      const unhealthy = content.unhealthy();
      return say(unhealthy === null ? 200 : 503, unhealthy ?? 'ok');
    }
    case '/':
      return say(200, '/metrics\n/healthz');
    default:
      return say(404, 'there is /metrics and /healthz');
  }
}

async function portProblem(port: number, error: string) {
  const path = ['telemetry', 'admin'];
  if (error === 'EACCES') {
    return problem('MESH-N102', { message: `port ${port} of the admin server needs the rights of root`, hint: 'choose a port above 1023', path });
  }
  const owner = await portOwner(port);
  return problem('MESH-N106', {
    message: owner === null ? `port ${port} of the admin server cannot be used: ${error}` : `port ${port} of the admin server is held by ${describeOwner(owner)}`,
    hint: 'stop that process, or choose another port in mesh.config.ts',
    path,
  });
}
