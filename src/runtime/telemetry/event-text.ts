import type { EventBody } from '../../model/bodies.ts';
import type { RequestEvent } from '../../model/events.ts';

/** What `mesh tap --json` and JSON access logs say of a request. Headers are there only if they were asked for. */
export function eventDocument(event: RequestEvent, withHeaders = false): object {
  const {
    parentSpanId: _parent,
    sampled: _sampled,
    pickedAfterMs: _picked,
    connectedAfterMs: _connected,
    firstByteAfterMs: _firstByte,
    requestHeaders,
    responseHeaders,
    requestBody,
    responseBody,
    ...rest
  } = event;
  const { id, traceId, time, source, destination, instance, direction, protocol, ...others } = rest;
  const document = { id, traceId, time, source, destination, instance, direction, protocol, ...others };
  return {
    ...document,
    ...(withHeaders ? { requestHeaders, responseHeaders } : {}),
    ...(requestBody === undefined ? {} : { requestBody: bodyDocument(requestBody) }),
    ...(responseBody === undefined ? {} : { responseBody: bodyDocument(responseBody) }),
  };
}

/** Without what there is not. */
function bodyDocument({ contentType, bytes, truncated, encoding, note, ...content }: EventBody): object {
  return {
    contentType,
    ...content,
    truncated,
    bytes,
    ...(encoding === '' ? {} : { encoding }),
    ...(note === '' ? {} : { note }),
  };
}

/**
 * One line of JSON, or several with `indent`; the control characters that JSON lets pass are escaped too, since some
 * terminals obey them.
 */
export function jsonLine(document: object, indent?: number): string {
  return JSON.stringify(document, null, indent).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Text of somebody else, without anything that a terminal would obey. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

/**
 * A line of a text access log:
 * `<time> <direction> <source> -> <destination> <instance> "<method> <path>" <status> <flags> <ms> <bytes in> <bytes out> <protocol> <tls|plain> <route> <trace>`,
 * `-` for what there is not.
 */
export function accessLogLine(event: RequestEvent): string {
  const path = plain(event.path).replaceAll('"', '\\"');
  const status = event.grpcStatus === null ? String(event.status) : `${event.status}/${event.grpcStatus}`;
  return [
    event.time,
    event.direction,
    event.source || '-',
    '->',
    event.destination || '-',
    event.instance || '-',
    `"${event.method} ${path}"`,
    status,
    event.responseFlags || '-',
    `${event.durationMs}ms`,
    event.requestBytes,
    event.responseBytes,
    event.protocol,
    event.tls ? 'tls' : 'plain',
    event.route || '-',
    event.traceId || '-',
  ].join(' ');
}
