import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { callerFrom } from './hop.ts';
import type { Log } from './log.ts';
import { traceIdFrom } from './pass-on.ts';
import { readJson } from './read-json.ts';
import type { RunningService, StartOptions } from './service.ts';

export interface HttpRequest {
  /** What stood in the place of `:name` in the route's path. */
  params: Record<string, string>;
  headers: IncomingHttpHeaders;
  /** The JSON body of a POST. */
  body: unknown;
  /** SPIFFE ID of the caller, empty where none was verified. */
  caller: string;
  /** Aborted when the caller went away; for a stream also when the service stops. */
  signal: AbortSignal;
}

/** `body` goes out as it is if it is a string or a stream of strings, as JSON otherwise. */
export interface Reply {
  status: number;
  type?: string;
  headers?: Record<string, string>;
  body: unknown;
}

export interface Route {
  method: 'GET' | 'POST';
  /** `/stock/:sku` */
  path: string;
  reply(request: HttpRequest): Reply | Promise<Reply>;
}

const shutdownMs = 4_000;

/** An error as RFC 9457 wants it. */
export function problem(status: number, title: string, detail: string, more: object = {}): Reply {
  return { status, type: 'application/problem+json', body: { title, status, detail, ...more } };
}

/** Serves the routes and the two health paths, logs each request, and stops without cutting off an answer. */
export async function serveHttp(routes: Route[], { port, env }: StartOptions, log: Log): Promise<RunningService> {
  const table = [...routes, ...healthRoutes(() => stopping)].map((route) => ({
    route,
    pattern: patternOf(route.path),
  }));
  const streams = new Set<AbortController>();
  let stopping = false;

  async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = performance.now();
    const path = message.url!.split('?', 1)[0];
    const callerGone = new AbortController();
    response.once('close', () => {
      callerGone.abort();
      if (stopping) server.closeIdleConnections();
    });
    const caller = callerFrom(message.headers['x-forwarded-client-cert']?.toString());

    const reply = await route(message, path, caller, callerGone.signal).catch((error) => {
      log('bug', { error: error instanceof Error ? error.stack : String(error) });
      return problem(500, 'Internal error', 'Something went wrong here.');
    });
    await send(response, reply, callerGone).catch(() => response.destroy());

    if (path.startsWith('/health/') && reply.status < 400) return;
    log(`${message.method} ${path} ${reply.status}`, {
      ms: (performance.now() - startedAt).toFixed(1),
      caller,
      trace: traceIdFrom(message.headers.traceparent),
    });
  }

  async function route(message: IncomingMessage, path: string, caller: string, signal: AbortSignal): Promise<Reply> {
    const found = table
      .flatMap(({ route, pattern }) => ({ route, match: pattern.exec(path) }))
      .filter((it) => it.match);
    if (found.length === 0) return problem(404, 'Not found', `There is nothing at ${path}.`);
    const method = message.method === 'HEAD' ? 'GET' : message.method;
    const chosen = found.find((it) => it.route.method === method);
    if (!chosen) {
      const allow = found.map((it) => it.route.method).join(', ');
      return { ...problem(405, 'Method not allowed', `${path} takes ${allow}.`), headers: { allow } };
    }
    const body = method === 'POST' ? await readJson(message) : { ok: true as const, value: undefined };
    if (!body.ok) return problem(body.error.status, body.error.title, body.error.detail);
    const params = { ...chosen.match!.groups };
    return chosen.route.reply({ params, headers: message.headers, body: body.value, caller, signal });
  }

  async function send(response: ServerResponse, reply: Reply, callerGone: AbortController): Promise<void> {
    const { status, headers, body } = reply;
    const streamed = typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
    response.writeHead(status, {
      'content-type': reply.type ?? 'application/json',
      ...(stopping ? { connection: 'close' } : {}),
      ...headers,
    });
    if (!streamed) {
      response.end(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`);
      return;
    }
    streams.add(callerGone);
    response.flushHeaders();
    try {
      for await (const chunk of body as AsyncIterable<string>) {
        if (!response.write(chunk)) await once(response, 'drain', { signal: callerGone.signal });
      }
      response.end();
    } finally {
      streams.delete(callerGone);
    }
  }

  const server = createServer((message, response) => void answer(message, response));
  // Longer than a proxy keeps an idle connection: whoever closes first must be the side that opens it,
  // or a request meets a connection that is just being closed.
  server.keepAliveTimeout = 75_000;
  server.listen(port, env.HOST ?? '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${address.port}`;
  log(`listening on ${url}`);

  async function stop(): Promise<void> {
    if (stopping) return;
    stopping = true;
    const closed = once(server, 'close');
    server.close(); // also closes idle connections
    for (const stream of streams) stream.abort();
    const deadline = setTimeout(() => server.closeAllConnections(), shutdownMs);
    await closed;
    clearTimeout(deadline);
    log('stopped');
  }
  return { url, stop };
}

/** Live: the process answers at all. Ready: it wants requests. */
function healthRoutes(isStopping: () => boolean): Route[] {
  const up: Reply = { status: 200, body: { status: 'ok' } };
  const down = problem(503, 'Stopping', 'This instance takes no new requests.');
  return [
    { method: 'GET', path: '/health/live', reply: () => up },
    { method: 'GET', path: '/health/ready', reply: () => (isStopping() ? down : up) },
  ];
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replace(/:(\w+)/g, '(?<$1>[^/]+)')}$`);
}
