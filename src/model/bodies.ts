import type { RequestEvent } from './events.ts';

/** Bodies of requests and responses as `mesh tap --bodies` shows them. */

/** Bytes of each body that are kept where the tap does not say. */
export const DEFAULT_BODY_LIMIT_BYTES = 4 * 1024;
/** More of one body is for a file, not for a terminal; it also bounds what a single request may cost a data plane. */
export const MOST_BODY_LIMIT_BYTES = 1024 * 1024;

/** What a data plane has kept of one body, as it was on the wire. */
export interface CapturedBody {
  /** Value of the header; empty where there was none. */
  contentType: string;
  /** `content-encoding`, for gRPC `grpc-encoding`; empty: as it is. */
  encoding: string;
  /** The first bytes of the body. */
  data: Uint8Array;
  /** Of the whole body, kept or not. */
  bytes: number;
  /** Nothing or not all was kept, because too much was under way at once. */
  dropped: boolean;
}

/** On the way from a data plane to the daemon, which makes `requestBody` and `responseBody` of it. */
export interface CapturedEvent extends RequestEvent {
  captured?: { request: CapturedBody; response: CapturedBody };
}

/** A body decompressed, decoded as far as possible and without secrets. One of text, base64 and messages; none: empty, or `note` says why. */
export interface EventBody {
  contentType: string;
  /** How it was compressed on the wire; empty: it was not. */
  encoding: string;
  /** Of the whole body on the wire. */
  bytes: number;
  /** There is more of it than what is shown. */
  truncated: boolean;
  text?: string;
  base64?: string;
  /** Of gRPC, in order. */
  messages?: BodyMessage[];
  /** What stood in the way of showing it, with a code; empty: nothing did. */
  note: string;
}

/** One message of a gRPC body. */
export interface BodyMessage {
  /** Full name of its type; empty: it is not known. */
  type: string;
  /** Of the message on the wire, without its frame's head. */
  bytes: number;
  /** Only a part of it was captured. */
  truncated: boolean;
  /** As protobuf's JSON mapping has it. Left out where the type is not known: secret fields could not be told from others. */
  json?: unknown;
}
