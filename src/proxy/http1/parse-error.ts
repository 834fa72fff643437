/** Each way a message can be wrong: the status a server answers with, and what was found. */
const ERRORS = {
  BAD_METHOD: [400, 'the method is not a token'],
  BAD_REQUEST_LINE: [400, 'the request line is not "method SP target SP version"'],
  BAD_TARGET: [400, 'the request target is not valid for its method'],
  URI_TOO_LONG: [414, 'the request line is longer than the limit'],
  BAD_VERSION: [400, 'the HTTP version is malformed'],
  VERSION_NOT_SUPPORTED: [505, 'only HTTP/1.x is spoken here'],
  HEAD_TOO_LARGE: [431, 'the head is larger than the limit'],
  TOO_MANY_HEADERS: [431, 'there are more header fields than the limit'],
  BARE_LF: [400, 'a line ends with LF alone'],
  BARE_CR: [400, 'a CR is not followed by LF'],
  OBS_FOLD: [400, 'a line starts with white space (obs-fold)'],
  SPACE_BEFORE_COLON: [400, 'there is white space between a field name and its colon'],
  MISSING_COLON: [400, 'a field line has no colon'],
  BAD_FIELD_NAME: [400, 'a field name is not a token'],
  BAD_FIELD_VALUE: [400, 'a field value holds a control character'],
  MISSING_HOST: [400, 'an HTTP/1.1 request has no Host field'],
  MULTIPLE_HOSTS: [400, 'there is more than one Host field'],
  BAD_HOST: [400, 'the Host field is not a host with an optional port'],
  BAD_CONTENT_LENGTH: [400, 'Content-Length is not one decimal number'],
  MULTIPLE_CONTENT_LENGTHS: [400, 'there is more than one Content-Length field'],
  CL_AND_TE: [400, 'both Content-Length and Transfer-Encoding are present'],
  BAD_TRANSFER_ENCODING: [400, 'Transfer-Encoding does not end with one "chunked"'],
  UNSUPPORTED_TRANSFER_CODING: [501, 'a transfer coding other than chunked is used'],
  TE_IN_HTTP_1_0: [400, 'Transfer-Encoding is used in an HTTP/1.0 message'],
  BAD_CONNECTION: [400, 'the Connection field is not a list of tokens'],
  BAD_UPGRADE: [400, 'the Upgrade field is missing or is not a list of protocols'],
  EXPECTATION_FAILED: [417, 'an expectation other than 100-continue'],
  CONNECT_WITH_BODY: [400, 'a CONNECT request declares a body'],
  BAD_CHUNK_SIZE: [400, 'a chunk size is not a hexadecimal number'],
  CHUNK_SIZE_OVERFLOW: [400, 'a chunk size is beyond 2^53'],
  BAD_CHUNK_EXTENSION: [400, 'a chunk extension is malformed'],
  CHUNK_LINE_TOO_LONG: [400, 'a chunk-size line is longer than the limit'],
  CHUNK_EXTENSIONS_TOO_LARGE: [413, 'the chunk extensions of one message exceed the limit'],
  BAD_CHUNK_END: [400, 'chunk data is not followed by CRLF'],
  TRAILERS_TOO_LARGE: [431, 'the trailer section is larger than the limit'],
  TRUNCATED_HEAD: [400, 'the connection ended inside a head'],
  TRUNCATED_BODY: [400, 'the connection ended inside a body'],
  BAD_STATUS_LINE: [502, 'the status line is malformed'],
  UNSOLICITED_RESPONSE: [502, 'bytes arrived that belong to no request'],
  UNEXPECTED_SWITCH: [502, 'the server switched protocols although nobody asked'],
  NO_RESPONSE: [502, 'the connection ended before a response'],
} as const satisfies Record<string, readonly [status: number, message: string]>;

export type Http1ErrorCode = keyof typeof ERRORS;

/** Why a parser gave up. A value, never thrown: the owner of the connection turns it into a local reply. */
export interface Http1ParseError {
  /** Stable name of the rule that was broken. */
  readonly code: Http1ErrorCode;
  /** For a broken request the status to answer with; 502 for a broken response. */
  readonly status: number;
  /** What was found, in one sentence without a full stop. */
  readonly message: string;
}

export function requestError(code: Http1ErrorCode): Http1ParseError {
  return { code, status: ERRORS[code][0], message: ERRORS[code][1] };
}

export function responseError(code: Http1ErrorCode): Http1ParseError {
  return { code, status: 502, message: ERRORS[code][1] };
}
