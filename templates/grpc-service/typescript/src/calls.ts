import type { EventEmitter } from 'node:events';
import { Readable, type Writable } from 'node:stream';
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import { isTimeout, isUnavailable } from '../../../shared/database.ts';
import type { Log } from '../../../shared/log.ts';
import { CallError } from './errors.ts';

/** What a method knows about the call besides its request. */
export interface Call {
  /** Aborted when the caller is gone, its deadline has passed or the server drains. */
  readonly signal: AbortSignal;
  /** Until the deadline: the caller's, or that of the server where it has none or a later one. @throws CallError at 0 */
  remainingMs(): number;
}

export interface CallSettings {
  readonly log: Log;
  /** Longest time for a call that ends by itself. */
  readonly longestMs: number;
  /** Aborted when the server stops: streams without end then end. */
  readonly draining: AbortSignal;
}

type AnyCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerReadableStream<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>;

/** Methods as async functions: they return (or yield) the response and throw CallError. */
export interface Methods {
  unary<Q, R>(work: (request: Q, call: Call) => Promise<R>): handleUnaryCall<Q, R>;
  clientStream<Q, R>(work: (requests: AsyncIterable<Q>, call: Call) => Promise<R>): handleClientStreamingCall<Q, R>;
  serverStream<Q, R>(work: (request: Q, call: Call) => AsyncIterable<R>): handleServerStreamingCall<Q, R>;
  /** Without a deadline of the server: it lasts as long as the caller wants. */
  bidiStream<Q, R>(work: (requests: AsyncIterable<Q>, call: Call) => AsyncIterable<R>): handleBidiStreamingCall<Q, R>;
}

export function createMethods(settings: CallSettings): Methods {
  const { log } = settings;
  return {
    unary: (work) => (raw, reply) => {
      const { call, done } = open(raw, settings, settings.longestMs);
      work(raw.request, call)
        .then(
          (response) => reply(null, response),
          (error) => reply(failure(error, log)),
        )
        .finally(done);
    },
    clientStream: (work) => (raw, reply) => {
      const { call, done } = open(raw, settings, settings.longestMs);
      work(raw, call)
        .then(
          (response) => reply(null, response),
          (error) => reply(failure(error, log)),
        )
        .finally(done);
    },
    serverStream: (work) => (raw) => {
      const { call, done } = open(raw, settings, settings.longestMs);
      send(work(raw.request, call), raw, log, done);
    },
    bidiStream: (work) => (raw) => {
      const { call, done } = open(raw, settings, null);
      // The default iterator would destroy the whole call when the caller has ended its half of it.
      send(work(raw.iterator({ destroyOnReturn: false }), call), raw, log, done);
    },
  };
}

function open(raw: AnyCall, { draining }: CallSettings, longestMs: number | null): { call: Call; done: () => void } {
  const ending = new AbortController();
  const abort = (): void => ending.abort();
  const asked = Number(raw.getDeadline());
  const endsAt = Math.min(asked, longestMs === null ? Number.POSITIVE_INFINITY : Date.now() + longestMs);
  const timer = Number.isFinite(endsAt) ? setTimeout(abort, Math.max(0, endsAt - Date.now())) : undefined;
  // All kinds of calls are emitters; TypeScript cannot call the union of their signatures.
  (raw as EventEmitter).once('cancelled', abort);
  // Work with an end is finished while the server drains; a stream without one would hold it up.
  if (longestMs === null) draining.addEventListener('abort', abort);
  const call: Call = {
    signal: ending.signal,
    remainingMs() {
      if (!Number.isFinite(endsAt)) return 0;
      const left = endsAt - Date.now();
      if (left <= 0) throw new CallError(status.DEADLINE_EXCEEDED, 'The deadline of the call has passed.');
      return left;
    },
  };
  return {
    call,
    done() {
      clearTimeout(timer);
      draining.removeEventListener('abort', abort);
    },
  };
}

/** Writes only as fast as the caller reads. */
function send<R>(
  responses: AsyncIterable<R>,
  raw: ServerWritableStream<unknown, R> | ServerDuplexStream<unknown, R>,
  log: Log,
  done: () => void,
): void {
  const source = Readable.from(responses);
  source.once('error', (error) => {
    done();
    raw.emit('error', failure(error, log));
  });
  source.once('close', done);
  (raw as EventEmitter).once('cancelled', () => source.destroy());
  source.pipe(raw as unknown as Writable);
}

function failure(error: unknown, log: Log): CallError {
  if (error instanceof CallError) return error;
  if (isTimeout(error)) return new CallError(status.DEADLINE_EXCEEDED, 'The deadline of the call has passed.');
  if (isUnavailable(error)) {
    log.warn('no database', { error: (error as Error).message });
    return new CallError(status.UNAVAILABLE, 'The database cannot be reached; try again.');
  }
  log.error('bug', { error });
  return new CallError(status.INTERNAL, 'Something went wrong here.');
}
