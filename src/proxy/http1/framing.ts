/**
 * How the body of a message is delimited on an HTTP/1.1 connection (RFC 9112 section 6).
 * - `none`: no body, and nothing said about one
 * - `head`: no body, but Content-Length (if any) tells what a GET would have had: HEAD and 304
 * - `length`: Content-Length, 0 where the headers have none
 * - `chunked`, `close`
 */
export type Framing = 'none' | 'head' | 'length' | 'chunked' | 'close';

/** Methods whose requests are expected to have content: an empty one says `content-length: 0` (RFC 9110 section 8.6). */
function anticipatesContent(method: string): boolean {
  return method === 'POST' || method === 'PUT' || method === 'PATCH';
}

/**
 * Framing of a request with that body length (-1: only its end will tell). CONNECT, and a request to switch protocols,
 * are followed by the other protocol's bytes and never by a body.
 */
export function framingForRequest(method: string, protocol: string | null, contentLength: number): Framing {
  if (method === 'CONNECT' || protocol !== null) return 'none';
  if (contentLength < 0) return 'chunked';
  return contentLength > 0 || anticipatesContent(method) ? 'length' : 'none';
}

/** Whether a response has no body whatever its fields say (RFC 9112 section 6.3, rules 1 and 2). */
export function responseHasNoBody(requestMethod: string, status: number): boolean {
  if (status < 200 || status === 204 || status === 304) return true;
  return requestMethod === 'HEAD' || (requestMethod === 'CONNECT' && status < 300);
}

/** Framing of a response to a client that speaks HTTP/1.`minor`; only 1.1 knows chunked (RFC 9112 section 7). */
export function framingForResponse(
  requestMethod: string,
  minor: 0 | 1,
  status: number,
  contentLength: number,
): Framing {
  if (responseHasNoBody(requestMethod, status)) {
    if (status < 200 || status === 204) return 'none';
    return requestMethod === 'CONNECT' && status < 300 ? 'none' : 'head';
  }
  if (contentLength >= 0) return 'length';
  return minor === 1 ? 'chunked' : 'close';
}
