import type { Http1ErrorCode } from './parse-error.ts';

/**
 * Where heads are scanned. Every head is copied here first: the copy costs about 0.1 us whatever its length, and
 * in exchange the loops run over one buffer at a constant address, four bytes a step through a DataView, with a
 * NUL behind the last byte that stops them without a bounds check. Scanning is synchronous and nothing in here
 * outlives it, so all parsers share one scratch and an idle connection holds no buffer.
 */
export const SCRATCH_BYTES = 256 * 1024;
/** Bytes that a four-byte load may read behind the sentinel. */
const SLACK_BYTES = 8;

export const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES + SLACK_BYTES);
export const scratchView = new DataView(scratch.buffer, scratch.byteOffset, scratch.length);

/** Most field lines one scan can return. */
export const MAX_FIELDS = 1024;

/** What a field means to the framing and routing of a message; the parsers switch on it. */
export const ORDINARY = 0;
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 3;
export const CONNECTION = 4;
export const UPGRADE = 5;
export const TE = 6;
export const EXPECT = 7;
/** Removed wherever it stands: proxy-connection, http2-settings. */
export const HOP_BY_HOP = 8;
export const KEEP_ALIVE = 9;
/** End-to-end, but not allowed to arrive as a trailer (RFC 9110 section 6.5.1). */
export const TRAILER = 10;

/** Scan results. */
export const SCAN_DONE = 0;
export const SCAN_MORE = 1;
export const SCAN_FAILED = 2;

/** The complete lines that the last scan found; positions are into `scratch`. Valid until the next scan. */
export const lines = {
  result: SCAN_MORE as typeof SCAN_DONE | typeof SCAN_MORE | typeof SCAN_FAILED,
  /** Set with SCAN_FAILED. */
  error: 'BAD_REQUEST_LINE' as Http1ErrorCode,
  /** Field lines found. */
  count: 0,
  /** End of the last value that has no string yet: all that strings are cut from lies before it. */
  textEnd: 0,
  /** Whether the start line is among the lines found. */
  started: false,
  /** Start line: the method of a request, and where its target lies. */
  method: '',
  targetStart: 0,
  targetEnd: 0,
  /** Minor version of the start line. */
  minor: 1 as 0 | 1,
  /** Status of a response. */
  status: 0,
};

/** Lowercase name and kind of each field line found, and its value: a string if known, else where it stands. */
export const fieldValues: (string | null)[] = new Array<string | null>(MAX_FIELDS).fill(null);
export const fieldNames: string[] = new Array<string>(MAX_FIELDS).fill('');
export const fieldKinds = new Uint8Array(MAX_FIELDS);
export const valueStarts = new Int32Array(MAX_FIELDS);
export const valueEnds = new Int32Array(MAX_FIELDS);

/**
 * Ends a scan at byte `at` of a line that does not parse: an error if the line is complete, else a wait for more.
 * Judging complete lines only makes the outcome the same however the bytes were cut into reads.
 */
export function lineFailed(error: Http1ErrorCode, at: number, end: number): void {
  const lf = scratch.indexOf(0x0a, at);
  if (lf < 0 || lf >= end) {
    lines.result = SCAN_MORE;
    return;
  }
  lines.result = SCAN_FAILED;
  lines.error = error;
}
