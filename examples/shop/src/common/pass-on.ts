/** Headers that belong to the whole request, not to one hop: a service hands them on to whatever it calls for it. */
const passedOn = ['traceparent', 'tracestate', 'baggage', 'x-canary'] as const;

/** `read` finds a header in whatever holds them: an HTTP request, gRPC metadata. */
export function headersToPassOn(read: (name: string) => unknown): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of passedOn) {
    const value = read(name);
    // Printable ASCII: all that gRPC metadata can carry.
    if (typeof value === 'string' && /^[\x20-\x7e]+$/.test(value)) headers[name] = value;
  }
  return headers;
}

/** The trace ID, to find all log lines of one request. */
export function traceIdFrom(traceparent: unknown): string | undefined {
  return typeof traceparent === 'string' ? /^[\da-f]{2}-([\da-f]{32})-/.exec(traceparent)?.[1] : undefined;
}
