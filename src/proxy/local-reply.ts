import type { Exchange } from './exchange.ts';
import { GRPC_DEADLINE_EXCEEDED, grpcReplyHeaders, httpToGrpcStatus } from './grpc-status.ts';
import type { Headers, ResponseHead } from './message.ts';
import { RESPONSE_FLAGS_HEADER, type ResponseFlag } from './response-flags.ts';

/**
 * Answers in place of the application: the only place where an error becomes a status. HTTP callers get `status` with a
 * text that says what happened and what to do; gRPC callers get a response of trailers only with the matching
 * grpc-status, as their clients would otherwise make up UNKNOWN (gRPC over HTTP/2, "Responses"). Where the response has
 * begun it can only be broken off.
 */
export function localReply(x: Exchange, status: number, flag: ResponseFlag, message: string): void {
  if (x.finished) return;
  x.flag = flag;
  const grpcStatus = x.grpc ? (flag === 'UT' ? GRPC_DEADLINE_EXCEEDED : httpToGrpcStatus(status)) : -1;
  if (x.responseStarted) {
    x.breakOff(flag, grpcStatus, message);
    return;
  }
  x.dropAttempt();
  if (x.grpc) {
    x.grpcStatus = grpcStatus;
    const headers = grpcReplyHeaders(grpcStatus, message);
    headers.push(RESPONSE_FLAGS_HEADER, flag);
    x.startResponse({ status: 200, headers, contentLength: 0 }, true);
    return;
  }
  respond(x, status, ['content-type', 'text/plain; charset=utf-8', RESPONSE_FLAGS_HEADER, flag], `${message}\n`);
}

/** Sends a response that a filter made. */
export function filterReply(x: Exchange): void {
  const reply = x.reply;
  if (reply === null) throw new Error('a filter responded without a reply');
  x.dropAttempt();
  respond(x, reply.status, reply.headers.slice(), reply.body);
}

function respond(x: Exchange, status: number, headers: Headers, text: string): void {
  const body = Buffer.from(text, 'utf8');
  headers.push('content-length', String(body.length));
  const head: ResponseHead = { status, headers, contentLength: body.length };
  if (body.length === 0 || x.request.method === 'HEAD') {
    x.startResponse(head, true);
    return;
  }
  x.startResponse(head, false);
  x.onResponseData(body, 0, body.length, true);
}
