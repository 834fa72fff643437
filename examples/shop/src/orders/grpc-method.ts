import { Readable, type Writable } from 'node:stream';
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import { callerFrom } from '../common/hop.ts';
import type { Log } from '../common/log.ts';
import { headersToPassOn, traceIdFrom } from '../common/pass-on.ts';
import type { Result } from '../common/result.ts';

export interface Failure {
  code: status;
  details: string;
}

export interface Call {
  /** SPIFFE ID of the caller, empty where none was verified. */
  caller: string;
  /** To send along with every call made for this one. */
  headers: Record<string, string>;
  /** Aborted when the caller hangs up or its deadline passes: whoever waits for nothing stops working for it. */
  signal: AbortSignal;
}

type AnyCall = ServerUnaryCall<unknown, unknown> | ServerWritableStream<unknown, unknown>;

/** Turns a function of request and call into what @grpc/grpc-js takes; logs it, and answers INTERNAL for a bug. */
export function unary<Q, R>(
  log: Log,
  serve: (request: Q, call: Call) => Promise<Result<R, Failure>>,
): handleUnaryCall<Q, R> {
  return async (call, reply) => {
    const startedAt = performance.now();
    const result = await serve(call.request, contextOf(call)).catch((error) => bug(log, error));
    if (result.ok) reply(null, result.value);
    else reply(result.error);
    logCall(log, call, startedAt, result);
  };
}

export function serverStream<Q, R>(
  log: Log,
  serve: (request: Q, call: Call) => Result<Iterable<R> | AsyncIterable<R>, Failure>,
): handleServerStreamingCall<Q, R> {
  return (call) => {
    const startedAt = performance.now();
    const result = serve(call.request, contextOf(call));
    if (!result.ok) {
      call.emit('error', result.error);
      logCall(log, call, startedAt, result);
      return;
    }
    // pipe() reads only as fast as the caller does.
    const source = Readable.from(result.value);
    source.on('error', (error) => call.emit('error', bug(log, error).error));
    source.on('end', () => logCall(log, call, startedAt, result));
    source.pipe(call as unknown as Writable);
  };
}

function contextOf(call: AnyCall): Call {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  return {
    caller: callerFrom(first(call.metadata, 'x-forwarded-client-cert')),
    headers: headersToPassOn((name) => first(call.metadata, name)),
    signal: gone.signal,
  };
}

function first(metadata: Metadata, name: string): string | undefined {
  return metadata.get(name)[0]?.toString();
}

function bug(log: Log, error: unknown): { ok: false; error: Failure } {
  log('bug', { error: error instanceof Error ? error.stack : String(error) });
  return { ok: false, error: { code: status.INTERNAL, details: 'Something went wrong here.' } };
}

function logCall(log: Log, call: AnyCall, startedAt: number, result: Result<unknown, Failure>): void {
  log(`${call.getPath()} ${call.cancelled ? 'CANCELLED' : status[result.ok ? status.OK : result.error.code]}`, {
    ms: (performance.now() - startedAt).toFixed(1),
    caller: callerFrom(first(call.metadata, 'x-forwarded-client-cert')),
    trace: traceIdFrom(first(call.metadata, 'traceparent')),
    detail: result.ok ? undefined : result.error.details,
  });
}
