import type { RequestEvent } from '../model/events.ts';
import type { Colour } from './layout/lines.ts';

/** Whether a request went wrong, as a caller sees it. */
export function isFailure(event: RequestEvent): boolean {
  if (event.grpcStatus !== null) return event.grpcStatus !== 0;
  return event.status === 0 ? event.protocol !== 'tcp' || event.responseFlags !== '' : event.status >= 500;
}

/** `200`, `grpc 14`, `-` where nothing came back. */
export function statusText({ status, grpcStatus }: Pick<RequestEvent, 'status' | 'grpcStatus'>): string {
  if (grpcStatus !== null) return grpcStatus === 0 ? 'OK' : (GRPC_NAMES[grpcStatus] ?? `grpc ${grpcStatus}`);
  return status === 0 ? '-' : String(status);
}

/** Of google.rpc.Code, shortened to what fits a column. */
const GRPC_NAMES: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID',
  'DEADLINE',
  'NOT_FOUND',
  'EXISTS',
  'DENIED',
  'EXHAUSTED',
  'PRECOND',
  'ABORTED',
  'RANGE',
  'UNIMPL',
  'INTERNAL',
  'UNAVAIL',
  'DATALOSS',
  'UNAUTH',
];

export const statusColour = (event: RequestEvent): Colour | undefined => {
  if (isFailure(event)) return 'red';
  return event.status >= 400 ? 'yellow' : event.status >= 200 && event.status < 300 ? 'green' : undefined;
};
