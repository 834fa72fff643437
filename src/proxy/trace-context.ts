import { randomFillSync } from 'node:crypto';
import { hexDigit } from './matcher.ts';
import { deleteHeader, type Headers } from './message.ts';

/** Where a request stands in its trace (W3C Trace Context, level 2). */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits: the span of this proxy, parent of whatever comes next. */
  readonly spanId: string;
  /** Span that the request came with; empty where the trace begins here. */
  readonly parentSpanId: string;
  readonly sampled: boolean;
}

/** Random hexadecimal digits in bulk: asking the system for eight bytes at a time costs more than all the rest. */
export interface IdSource {
  /** 16 digits, not all zero. */
  spanId(): string;
  /** 32 digits, not all zero. */
  traceId(): string;
}

const POOL_BYTES = 8 * 1024;
const NO_SPAN = '0000000000000000';
const NO_TRACE = '00000000000000000000000000000000';

/** @param fill writes random bytes; another one only in tests */
export function createIdSource(fill: (bytes: Buffer) => unknown = randomFillSync): IdSource {
  let bytes: Buffer | null = null;
  let pool = '';
  let at = 0;
  const take = (digits: number, none: string): string => {
    for (;;) {
      if (at + digits > pool.length) {
        bytes ??= Buffer.allocUnsafeSlow(POOL_BYTES);
        fill(bytes);
        pool = bytes.toString('hex');
        at = 0;
      }
      const id = pool.slice(at, at + digits);
      at += digits;
      if (id !== none) return id;
    }
  };
  return { spanId: () => take(16, NO_SPAN), traceId: () => take(32, NO_TRACE) };
}

/** The process's own; takes its first bytes when it is first asked. */
const IDS = createIdSource();

const SAMPLED = 1;
const unsampled = (): boolean => false;
/** The trace ID is random in its last seven bytes; so are those made here. */
const RANDOM = 2;

/**
 * Continues the trace that a request came with, or begins one: puts this proxy's span into `traceparent`. The flags
 * that are defined are kept. A `traceparent` that is invalid, or there more than once, is dropped together with
 * `tracestate`, whose entries would belong to nothing.
 * @param sampleNew whether a trace that begins here is sampled; not asked for one that goes on
 */
export function continueTrace(
  headers: Headers,
  ids: IdSource = IDS,
  sampleNew: () => boolean = unsampled,
): TraceContext {
  let found = -1;
  let repeated = false;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'traceparent') continue;
    if (found >= 0) repeated = true;
    else found = i;
  }
  const spanId = ids.spanId();
  if (found >= 0 && !repeated) {
    const value = headers[found + 1];
    if (isTraceparent(value)) {
      const traceId = value.slice(3, 35);
      // Flags other than these two are reserved: they must not be passed on (section 3.2.2.5).
      const flags = hexDigit(value.charCodeAt(54)) & (SAMPLED | RANDOM);
      headers[found + 1] = `00-${traceId}-${spanId}-0${flags}`;
      return { traceId, spanId, parentSpanId: value.slice(36, 52), sampled: (flags & SAMPLED) !== 0 };
    }
  }
  if (found >= 0) deleteHeader(headers, 'traceparent');
  deleteHeader(headers, 'tracestate');
  const traceId = ids.traceId();
  const sampled = sampleNew();
  headers.push('traceparent', `00-${traceId}-${spanId}-0${RANDOM | (sampled ? SAMPLED : 0)}`);
  return { traceId, spanId, parentSpanId: '', sampled };
}

/**
 * `00-<32 hex>-<16 hex>-<2 hex>`, lower case, IDs not all zero. Of a later version the same fields are read, and
 * whatever follows them must be set off by a dash (section 4.3).
 */
function isTraceparent(value: string): boolean {
  const length = value.length;
  if (length < 55 || value.charCodeAt(2) !== DASH || value.charCodeAt(35) !== DASH || value.charCodeAt(52) !== DASH) {
    return false;
  }
  if (!isHex(value, 0, 2) || value.startsWith('ff')) return false;
  if (length > 55 && (value.startsWith('00') || value.charCodeAt(55) !== DASH)) return false;
  if (!isHex(value, 3, 35) || !isHex(value, 36, 52) || !isHex(value, 53, 55)) return false;
  return !value.startsWith(NO_TRACE, 3) && !value.startsWith(NO_SPAN, 36);
}

const DASH = 0x2d;

/** Lower-case hexadecimal digits only. */
function isHex(text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if ((c < 0x30 || c > 0x39) && (c < 0x61 || c > 0x66)) return false;
  }
  return true;
}
