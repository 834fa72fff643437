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
  const server = http.createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => answer(request, response, content),
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

interface Reply {
  status: number;
  text: string;
  headers?: http.OutgoingHttpHeaders;
}

function answer(request: http.IncomingMessage, response: http.ServerResponse, content: AdminContent): void {
  const { status, text, headers } = replyTo(request, content);
  const body = Buffer.from(text);
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function replyTo({ method, url, headers }: http.IncomingMessage, content: AdminContent): Reply {
  // A page in a browser must not read what it is not for, by a name that it lets point here.
  const host = (headers.host ?? '').replace(/:\d+$/, '');
  if (!['127.0.0.1', 'localhost', '[::1]'].includes(host)) {
    return { status: 421, text: 'this is the admin server of a mesh, for 127.0.0.1 and localhost\n' };
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return { status: 405, text: 'for reading only\n', headers: { allow: 'GET, HEAD' } };
  }
  switch (url?.split('?', 1)[0]) {
    case '/metrics':
      return { status: 200, text: content.metrics(), headers: { 'content-type': PROMETHEUS_TEXT } };
    case '/healthz': {
      const unhealthy = content.unhealthy();
      return { status: unhealthy === null ? 200 : 503, text: `${unhealthy ?? 'ok'}\n` };
    }
    case '/':
      return { status: 200, text: '/metrics\n/healthz\n' };
    default:
      return { status: 404, text: 'there is /metrics and /healthz\n' };
  }
}

async function portProblem(port: number, error: string) {
  const path = ['telemetry', 'admin'];
  if (error === 'EACCES') {
    return problem('MESH-N102', {
      message: `port ${port} of the admin server needs the rights of root`,
      hint: 'choose a port above 1023',
      path,
    });
  }
  const owner = await portOwner(port);
  return problem('MESH-N106', {
    message:
      owner === null
        ? `port ${port} of the admin server cannot be used: ${error}`
        : `port ${port} of the admin server is held by ${describeOwner(owner)}`,
    hint: 'stop that process, or choose another port in mesh.config.ts',
    path,
  });
}
