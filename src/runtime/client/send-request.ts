import http from 'node:http';
import type { Readable } from 'node:stream';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../model/result.ts';

/** A request to be sent to a listener of 127.0.0.1. */
export interface OutgoingRequest {
  port: number;
  method: string;
  path: string;
  /** `host` included. */
  headers: readonly (readonly [string, string])[];
  /** Null: none. A stream is sent as it comes. */
  body: Buffer | Readable | null;
  /** For the whole of it; 0: no limit. */
  timeoutMs: number;
}

export interface IncomingResponse {
  status: number;
  reason: string;
  headers: [string, string][];
  /** Once. Fails with a `Problem` as its cause where the response is not whole. */
  body: AsyncIterable<Buffer>;
  /** After the body. */
  trailers: () => [string, string][];
  /** To the head, in milliseconds. */
  headAfterMs: number;
}

/** @returns MESH-X104 where no response came */
export function sendRequest(outgoing: OutgoingRequest): Promise<Result<IncomingResponse>> {
  const { port, method, path, headers, body, timeoutMs } = outgoing;
  const began = performance.now();
  return new Promise((resolve) => {
    const request = http.request({ host: '127.0.0.1', port, method, path, agent: false, setHost: false });
    const timer = timeoutMs === 0 ? null : setTimeout(() => request.destroy(new TimedOut(timeoutMs)), timeoutMs);
    // Standard input that nobody reads any more would keep the command from ending.
    const settled = (): void => {
      if (timer !== null) clearTimeout(timer);
      if (body !== null && !Buffer.isBuffer(body)) body.destroy();
    };
    request.on('error', (error) => {
      settled();
      resolve(fail(noResponse(error)));
    });
    // An upgrade or a tunnel is more than one request: what it was answered with is all that is shown.
    for (const event of ['upgrade', 'connect'] as const) {
      request.on(event, (response: http.IncomingMessage, socket: { destroy(): void }) => {
        settled();
        socket.destroy();
        resolve(ok(incoming(response, nothing(), performance.now() - began)));
      });
    }
    request.on('response', (response) => {
      response.once('close', settled);
      resolve(ok(incoming(response, chunksOf(response), performance.now() - began)));
    });
    for (const [name, value] of headers) request.appendHeader(name, Buffer.from(value, 'utf8').toString('latin1'));
    if (body === null) request.end();
    else if (Buffer.isBuffer(body)) {
      if (!request.hasHeader('content-length')) request.setHeader('content-length', body.length);
      request.end(body);
    } else {
      body.once('error', (error) => request.destroy(error));
      body.pipe(request);
    }
  });
}

class TimedOut extends Error {
  constructor(timeoutMs: number) {
    super(`no complete response within ${timeoutMs} ms`);
  }
}

function incoming(response: http.IncomingMessage, body: AsyncIterable<Buffer>, headAfterMs: number): IncomingResponse {
  return {
    status: response.statusCode!,
    reason: response.statusMessage ?? '',
    headers: pairs(response.rawHeaders),
    body,
    trailers: () => pairs(response.rawTrailers),
    headAfterMs,
  };
}

async function* chunksOf(response: http.IncomingMessage): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of response) yield chunk as Buffer;
  } catch (error) {
    throw new BrokenBody(noResponse(error as Error, 'the response broke off'));
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}

/** The response ended before its body was complete. */
export class BrokenBody extends Error {
  readonly problems: readonly Problem[];

  constructor(found: Problem) {
    super(found.message);
    this.problems = [found];
  }
}

function noResponse(error: Error & { code?: string }, what = 'no response came'): Problem {
  const why = error.code === 'ECONNRESET' ? 'the connection was closed' : error.message;
  const hint =
    error instanceof TimedOut
      ? 'give it more with --timeout; `mesh tap` shows what became of it'
      : '`mesh ps` shows whether the mesh is well, `mesh logs` what services say';
  return problem('MESH-X104', { message: `${what}: ${why}`, hint });
}

function pairs(flat: readonly string[]): [string, string][] {
  const result: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) result.push([flat[i], flat[i + 1]]);
  return result;
}
