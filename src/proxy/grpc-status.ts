import { hexDigit } from './matcher.ts';
import type { Headers } from './message.ts';

export const GRPC_CANCELLED = 1;
const GRPC_UNKNOWN = 2;
export const GRPC_DEADLINE_EXCEEDED = 4;
const GRPC_PERMISSION_DENIED = 7;
const GRPC_UNIMPLEMENTED = 12;
const GRPC_INTERNAL = 13;
export const GRPC_UNAVAILABLE = 14;
const GRPC_UNAUTHENTICATED = 16;

/** What the status of a response that is not gRPC's means to a gRPC client (grpc/doc/http-grpc-status-mapping.md). */
export function httpToGrpcStatus(status: number): number {
  switch (status) {
    case 400:
      return GRPC_INTERNAL;
    case 401:
      return GRPC_UNAUTHENTICATED;
    case 403:
      return GRPC_PERMISSION_DENIED;
    case 404:
      return GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC_UNAVAILABLE;
    default:
      return GRPC_UNKNOWN;
  }
}

/** Whether a content type is gRPC's: `application/grpc`, with a `+codec` or parameters; gRPC-Web is another protocol. */
export function isGrpcContentType(contentType: string | undefined): boolean {
  if (contentType === undefined || !contentType.startsWith('application/grpc')) return false;
  if (contentType.length === 16) return true;
  const next = contentType.charCodeAt(16);
  return next === 0x2b || next === 0x3b || next === 0x20;
}

/**
 * Headers of a response of trailers only: HTTP status 200, no body, the gRPC status in the head.
 * @param contentType of the request, which gRPC clients expect back
 */
export function grpcReplyHeaders(grpcStatus: number, message: string, contentType = 'application/grpc'): Headers {
  const headers = ['content-type', contentType, 'grpc-status', String(grpcStatus)];
  if (message !== '') headers.push('grpc-message', encodeGrpcMessage(message));
  return headers;
}

/** Percent-encoding of `grpc-message`: UTF-8, everything outside of printable ASCII and `%` itself escaped. */
export function encodeGrpcMessage(message: string): string {
  let plain = true;
  for (let i = 0; plain && i < message.length; i++) plain = isUnescaped(message.charCodeAt(i));
  if (plain) return message;
  let encoded = '';
  for (const byte of Buffer.from(message, 'utf8')) {
    encoded += isUnescaped(byte)
      ? String.fromCharCode(byte)
      : `%${byte < 16 ? '0' : ''}${byte.toString(16).toUpperCase()}`;
  }
  return encoded;
}

/** Reads a `grpc-message`; escapes that are none stand for themselves, as the specification asks. */
export function decodeGrpcMessage(value: string): string {
  if (value.indexOf('%') < 0) return value;
  const bytes = Buffer.allocUnsafe(value.length);
  let n = 0;
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    const high = c === 0x25 && i + 2 < value.length ? hexDigit(value.charCodeAt(i + 1)) : -1;
    const low = high < 0 ? -1 : hexDigit(value.charCodeAt(i + 2));
    if (low < 0) bytes[n++] = c;
    else {
      bytes[n++] = high * 16 + low;
      i += 2;
    }
  }
  return bytes.utf8Slice(0, n);
}

function isUnescaped(c: number): boolean {
  return c >= 0x20 && c <= 0x7e && c !== 0x25;
}
