import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';

/** W3C Trace Context (https://www.w3.org/TR/trace-context/): what ties the spans and log lines of one request together. */
export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** Of the work that this process does, 16 hex digits. */
  readonly spanId: string;
  /** Of the caller's; empty where there is none. */
  readonly parentSpanId: string;
  readonly flags: string;
  readonly tracestate: string;
}

const storage = new AsyncLocalStorage<TraceContext>();

/** Continues the trace of a caller, or begins one: an invalid `traceparent` is dropped whole, and tracestate with it. */
export function continueTrace(traceparent: string | undefined, tracestate: string | undefined): TraceContext {
  const [, version, traceId, parentSpanId, flags] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/.exec(traceparent?.trim() ?? '') ?? [];
  const spanId = randomBytes(8).toString('hex');
  const valid = version !== undefined && version !== 'ff' && !/^0+$/.test(traceId!) && !/^0+$/.test(parentSpanId!);
  if (!valid) {
    return { traceId: randomBytes(16).toString('hex'), spanId, parentSpanId: '', flags: '01', tracestate: '' };
  }
  return { traceId: traceId!, spanId, parentSpanId: parentSpanId!, flags: flags!, tracestate: tracestate ?? '' };
}

export const runInTrace = <T>(trace: TraceContext, work: () => T): T => storage.run(trace, work);

export const currentTrace = (): TraceContext | undefined => storage.getStore();

/** Headers for a call that this process makes on behalf of the request it is working on. */
export function traceHeaders(trace: TraceContext | undefined = currentTrace()): Record<string, string> {
  if (trace === undefined) return {};
  const headers: Record<string, string> = { traceparent: `00-${trace.traceId}-${trace.spanId}-${trace.flags}` };
  if (trace.tracestate !== '') headers.tracestate = trace.tracestate;
  return headers;
}
