import type { H2Connection } from './connection.ts';
import { NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED } from './error-codes.ts';

// What a connection does with messages that its owner never hears of.

/** Resets a stream whose request was not taken. */
export function refuse(connection: H2Connection, streamId: number, code: number, reason: string): void {
  connection.writeReset(streamId, code);
  // A client that does not know our limit yet, or has not seen GOAWAY, does nothing wrong by running into it.
  if (code !== REFUSED_STREAM || connection.holdsToOurLimits) connection.countWastedStream();
  if (reason !== '') connection.events.onMalformed?.(streamId, reason);
}

/** Answers a request with a bare status. */
export function answerOnly(connection: H2Connection, streamId: number, status: number, requestEnded: boolean): void {
  connection.countUnsent(connection.writer.response(streamId, status, ['content-length', '0'], true, null));
  // RFC 9113 section 8.1: the rest of the request is not needed.
  if (!requestEnded) connection.writeReset(streamId, NO_ERROR);
  connection.countWastedStream();
  connection.events.onMalformed?.(streamId, `answered ${status}`);
}

/** DATA on a stream that is closed. */
export function rejectData(connection: H2Connection, streamId: number): void {
  // What was under way when we reset the stream is nobody's fault.
  if (connection.table.wasReset(streamId)) return;
  connection.writeReset(streamId, STREAM_CLOSED);
  connection.countWastedStream();
}

/** HEADERS on a stream that is closed. */
export function rejectHeaders(connection: H2Connection, streamId: number): void {
  const { table } = connection;
  if (table.wasReset(streamId) || !connection.isServer) {
    connection.countIdleFrame();
  } else if (table.idsPassedOver) {
    // An id that was passed over may not be used any more (RFC 9113 section 5.1.1) ...
    connection.fail(PROTOCOL_ERROR, `stream ${streamId} after ${table.lastPeerId}`);
  } else {
    // ... and an id that was used is closed.
    connection.fail(STREAM_CLOSED, 'HEADERS on a closed stream');
  }
}
