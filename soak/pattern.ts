const PATTERN = Buffer.from(Array.from({ length: 251 * 261 }, (_, i) => (i % 251) ^ Math.floor(i / 251)));
const CHUNK_BYTES = PATTERN.length;

/** A body of that size whose every byte is known: pieces of one repeated pattern. */
export function* patternChunks(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) yield left >= CHUNK_BYTES ? PATTERN : PATTERN.subarray(0, left);
}

/** Checks a body of the pattern as it arrives; the function says whether that piece was right. */
export function patternChecker(): (piece: Buffer) => boolean {
  let at = 0;
  return (piece) => {
    for (let p = 0; p < piece.length; ) {
      const from = at % CHUNK_BYTES;
      const bytes = Math.min(piece.length - p, CHUNK_BYTES - from);
      if (piece.compare(PATTERN, from, from + bytes, p, p + bytes) !== 0) return false;
      p += bytes;
      at += bytes;
    }
    return true;
  };
}
