import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isTimeout, isUnavailable } from '../../../shared/database.ts';
import type { Log } from '../../../shared/log.ts';
import { continueTrace, runInTrace } from '../../../shared/trace-context.ts';
import type { Output, RawRequest } from './operations.ts';
import { Problem } from './problem.ts';

const MOST_BODY_BYTES = 1 << 20;
const REQUEST_TIMEOUT_MS = 30_000;

/**
 * HTTP/1.1 around a function from request to answer: bodies, errors, the trace, a log line for each request. Connections
 * end with their next answer once `stopping` is aborted.
 */
export function createHttpServer(
  answer: (request: RawRequest) => Promise<Output>,
  log: Log,
  stopping: AbortSignal,
): Server {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    const trace = continueTrace(header(request, 'traceparent'), header(request, 'tracestate'));
    void runInTrace(trace, () => serve(request, response));
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = performance.now();
    const { method = '', url = '/' } = request;
    let output: Output;
    try {
      output = await answer(rawRequest(request));
    } catch (error) {
      output = problemOutput(error, log);
    }
    if (stopping.aborted) response.setHeader('connection', 'close');
    send(response, output, request.method === 'HEAD');
    if (url.startsWith('/health')) return;
    log.info('request', {
      method,
      path: url.split('?')[0],
      status: output.status,
      ms: Math.round((performance.now() - startedAt) * 10) / 10,
      // In a mesh: the identity of the caller, from its certificate.
      caller: /URI=([^;,"]+)/.exec(header(request, 'x-forwarded-client-cert') ?? '')?.[1],
    });
  }
  return server;
}

function rawRequest(request: IncomingMessage): RawRequest {
  if (!URL.canParse(request.url ?? '/', 'http://local')) throw new Problem(400, 'The address is not valid.');
  return {
    method: request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET'),
    url: new URL(request.url ?? '/', 'http://local'),
    header: (name) => header(request, name),
    async body() {
      const type = header(request, 'content-type') ?? '';
      if (!/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type)) {
        throw new Problem(415, 'The body must be application/json.');
      }
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of request as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        // The rest is not read: the connection ends with the answer.
        if (bytes > MOST_BODY_BYTES) throw new Problem(413, 'The body is too large.', {}, { connection: 'close' });
        chunks.push(chunk);
      }
      try {
        return JSON.parse(Buffer.concat(chunks).toString());
      } catch (error) {
        throw new Problem(400, 'The body is not JSON.', { detail: (error as Error).message });
      }
    },
  };
}

function problemOutput(error: unknown, log: Log): Output {
  const problem = error instanceof Problem ? error : unexpected(error, log);
  const headers = { 'content-type': 'application/problem+json', ...problem.headers };
  return { status: problem.details.status, body: problem.details, headers };
}

function unexpected(error: unknown, log: Log): Problem {
  if (isTimeout(error)) return new Problem(504, 'The database took too long.');
  if (isUnavailable(error)) {
    log.warn('no database', { error: (error as Error).message });
    return new Problem(503, 'The database cannot be reached.', {}, { 'retry-after': '1' });
  }
  log.error('bug', { error });
  return new Problem(500, 'Something went wrong here.');
}

function send(response: ServerResponse, { status, body, headers = {} }: Output, headOnly: boolean): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(headOnly ? undefined : text);
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
