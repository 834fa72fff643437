import { createServer, type IncomingMessage, type Server } from 'node:http';
import { isUnavailable } from '../../../shared/database.ts';
import type { Log } from '../../../shared/log.ts';
import { continueTrace, runInTrace } from '../../../shared/trace-context.ts';

export interface Request {
  readonly method: string;
  readonly url: URL;
  header(name: string): string | undefined;
  /** @throws HttpProblem if it is too large or not JSON */
  json(): Promise<unknown>;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answered as application/problem+json (RFC 9457). */
export class HttpProblem extends Error {
  readonly status: number;
  readonly title: string;

  constructor(status: number, title: string, detail = title) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

const MOST_BODY_BYTES = 1 << 20;

export function createHttpServer(
  answer: (request: Request) => Promise<Answer>,
  log: Log,
  stopping: AbortSignal,
): Server {
  return createServer({ requestTimeout: 30_000 }, (request, response) => {
    const header = (name: string): string | undefined => request.headers[name]?.toString();
    const serve = async (): Promise<void> => {
      const found = await outcome(answer, request, header, log);
      if (stopping.aborted) response.setHeader('connection', 'close');
      const text = JSON.stringify(found.body);
      const length = Buffer.byteLength(text);
      response.writeHead(found.status, {
        'content-type': 'application/json',
        'content-length': length,
        ...found.headers,
      });
      response.end(request.method === 'HEAD' ? undefined : text);
      if (request.url?.startsWith('/health')) return;
      log.info('request', { method: request.method, path: request.url?.split('?')[0], status: found.status });
    };
    void runInTrace(continueTrace(header('traceparent'), header('tracestate')), serve);
  });
}

async function outcome(
  answer: (request: Request) => Promise<Answer>,
  request: IncomingMessage,
  header: Request['header'],
  log: Log,
): Promise<Answer> {
  try {
    const { method = 'GET', url = '/' } = request;
    if (!URL.canParse(url, 'http://local')) throw new HttpProblem(400, 'The address is not valid.');
    return await answer({
      method: method === 'HEAD' ? 'GET' : method,
      url: new URL(url, 'http://local'),
      header,
      json: () => bodyOf(request),
    });
  } catch (error) {
    const problem = error instanceof HttpProblem ? error : unexpected(error, log);
    return {
      status: problem.status,
      body: { type: 'about:blank', title: problem.title, status: problem.status, detail: problem.message },
      headers: { 'content-type': 'application/problem+json' },
    };
  }
}

function unexpected(error: unknown, log: Log): HttpProblem {
  if (isUnavailable(error)) {
    log.warn('no database', { error: (error as Error).message });
    return new HttpProblem(503, 'The database cannot be reached.');
  }
  log.error('bug', { error });
  return new HttpProblem(500, 'Something went wrong here.');
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BODY_BYTES) throw new HttpProblem(413, 'The body is too large.');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch (error) {
    throw new HttpProblem(400, 'The body is not JSON.', (error as Error).message);
  }
}
