import {
  InterceptingCall,
  type Interceptor,
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import type { Log } from '../../../shared/log.ts';
import { continueTrace, currentTrace, runInTrace, traceHeaders } from '../../../shared/trace-context.ts';

/** Continues the caller's trace: everything that the method does, its log lines and calls included, belongs to it. */
export const tracing: ServerInterceptor = (_method, call) => {
  let trace = continueTrace(undefined, undefined);
  return new ServerInterceptingCall(call, {
    start(next) {
      next({
        onReceiveMetadata(metadata, proceed) {
          trace = continueTrace(first(metadata, 'traceparent'), first(metadata, 'tracestate'));
          runInTrace(trace, () => proceed(metadata));
        },
        onReceiveMessage: (message, proceed) => runInTrace(trace, () => proceed(message)),
        onReceiveHalfClose: (proceed) => runInTrace(trace, proceed),
        onCancel: () => {},
      });
    },
    sendStatus: (result, next) => runInTrace(trace, () => next(result)),
  });
};

/** A line for each call when it ends. Those of health checks and reflection are left out: they are many. */
export const logging =
  (log: Log): ServerInterceptor =>
  (method, call) => {
    if (/^\/grpc\.(?:health|reflection)\./.test(method.path)) return new ServerInterceptingCall(call);
    const startedAt = performance.now();
    let caller: string | undefined;
    let ended = false;
    let trace = currentTrace();
    const end = (code: status, details: string): void => {
      if (ended) return;
      ended = true;
      const fields = {
        method: method.path,
        status: status[code],
        ms: Math.round((performance.now() - startedAt) * 10) / 10,
        caller,
      };
      const write = (): void => log.info('call', code === status.OK ? fields : { ...fields, details });
      if (trace === undefined) write();
      else runInTrace(trace, write);
    };
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, proceed) {
            trace = currentTrace();
            // In a mesh: the identity of the caller, from its certificate.
            caller = /URI=([^;,"]+)/.exec(first(metadata, 'x-forwarded-client-cert') ?? '')?.[1];
            proceed(metadata);
          },
          onReceiveMessage: (message, proceed) => proceed(message),
          onReceiveHalfClose: (proceed) => proceed(),
          onCancel: () => end(status.CANCELLED, 'The caller left.'),
        });
      },
      sendStatus(result, next) {
        end(result.code ?? status.UNKNOWN, result.details ?? '');
        next(result);
      },
    });
  };

/** For clients: hands the trace on that the current work belongs to. */
export const passingTraceOn: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    start(metadata, listener, next) {
      for (const [name, value] of Object.entries(traceHeaders())) metadata.set(name, value);
      next(metadata, listener);
    },
  });

const first = (metadata: Metadata, name: string): string | undefined => metadata.get(name)[0]?.toString();
