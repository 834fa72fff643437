import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { badRequestMessage, statusMessage } from './proto.ts';

/** A field of a request that is not as it has to be: `items[0].quantity`. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What a method fails with on purpose. Anything else that is thrown reads INTERNAL for the caller and is logged. */
export class CallError extends Error implements Partial<StatusObject> {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;

  constructor(code: status, details: string, metadata = new Metadata()) {
    super(details);
    this.code = code;
    this.details = details;
    this.metadata = metadata;
  }
}

const DETAILS_KEY = 'grpc-status-details-bin';
const BAD_REQUEST_URL = 'type.googleapis.com/google.rpc.BadRequest';

/** INVALID_ARGUMENT with every violation in google.rpc.BadRequest, as google.rpc.Status in the trailer. */
export function invalidArgument(violations: readonly FieldViolation[]): CallError {
  const details = violations.map(({ field, description }) => `${field} ${description}`).join('; ');
  const value = badRequestMessage.serialize({ fieldViolations: [...violations] });
  const metadata = new Metadata();
  metadata.set(
    DETAILS_KEY,
    statusMessage.serialize({
      code: status.INVALID_ARGUMENT,
      message: details,
      details: [{ type_url: BAD_REQUEST_URL, value }],
    }),
  );
  return new CallError(status.INVALID_ARGUMENT, details, metadata);
}

/** For callers: the violations that a failed call carries. */
export function violationsOf(error: { metadata?: Metadata }): FieldViolation[] {
  const [bytes] = error.metadata?.get(DETAILS_KEY) ?? [];
  if (!Buffer.isBuffer(bytes)) return [];
  return statusMessage.deserialize(bytes).details.flatMap((detail) => {
    const { type_url: url, value } = detail as { type_url?: string; value?: Uint8Array };
    if (url !== BAD_REQUEST_URL || value === undefined) return [];
    return badRequestMessage.deserialize(Buffer.from(value)).fieldViolations;
  });
}
