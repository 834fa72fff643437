/** What one HTTP/1.1 peer may make this side hold or read before it is refused. */
export interface Http1Limits {
  /** Start line and header fields with their line ends; at most `SCRATCH_BYTES` (256 KiB). Beyond: 414 or 431. */
  readonly maxHeadBytes: number;
  /** Field lines of a head, and of a trailer section; at most 1,024. Beyond: 431. */
  readonly maxHeaders: number;
  /** One chunk-size line with its extensions, without CRLF. */
  readonly maxChunkLineBytes: number;
  /** All chunk extensions of one message: tiny chunks with long extensions would keep a proxy busy for nothing. */
  readonly maxChunkExtensionBytes: number;
  /** The trailer section of a chunked body. */
  readonly maxTrailerBytes: number;
}

export const DEFAULT_HTTP1_LIMITS: Http1Limits = {
  maxHeadBytes: 64 * 1024,
  maxHeaders: 200,
  maxChunkLineBytes: 1024,
  maxChunkExtensionBytes: 16 * 1024,
  maxTrailerBytes: 16 * 1024,
};
