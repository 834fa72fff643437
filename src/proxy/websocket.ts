import { createHash, randomBytes } from 'node:crypto';

/** RFC 6455 section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A `sec-websocket-key` for a handshake over HTTP/1.1 whose client came over HTTP/2, where there is none (RFC 8441 section 5). */
export function websocketKey(): string {
  return randomBytes(16).toString('base64');
}

/** The `sec-websocket-accept` that answers a key. */
export function websocketAccept(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}
