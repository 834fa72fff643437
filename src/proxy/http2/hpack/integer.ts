/** A position in a buffer that a decoding step moves on. */
export interface Cursor {
  pos: number;
}

/**
 * No length, index or table size that this codec accepts comes near this. The bound keeps the sum below 2^31,
 * so that all arithmetic stays in small integers, and ends over-long encodings early.
 */
const MAX_INTEGER = 0x0fff_ffff;

/**
 * Reads an integer (RFC 7541 section 5.1) whose first byte is at `cursor.pos`; `mask` selects its prefix bits
 * (for a 5-bit prefix, 0x1f). Moves the cursor behind it. Returns -1 when it is cut short or too large.
 */
export function readInteger(buf: Uint8Array, cursor: Cursor, end: number, mask: number): number {
  let p = cursor.pos;
  if (p >= end) return -1;
  let value = buf[p++] & mask;
  if (value === mask) {
    let shift = 0;
    let byte: number;
    do {
      // Four more bytes carry 28 bits; padding with zero bytes past that is as good as an attack.
      if (p >= end || shift > 21) return -1;
      byte = buf[p++];
      value += (byte & 0x7f) << shift;
      shift += 7;
    } while (byte & 0x80);
    if (value > MAX_INTEGER) return -1;
  }
  cursor.pos = p;
  return value;
}

/**
 * Writes an integer with the prefix that `mask` selects; `flags` are the bits above the prefix.
 * Returns the position behind it, at most 6 bytes on.
 */
export function writeInteger(buf: Uint8Array, pos: number, flags: number, mask: number, value: number): number {
  if (value < mask) {
    buf[pos] = flags | value;
    return pos + 1;
  }
  buf[pos++] = flags | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    buf[pos++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buf[pos++] = rest;
  return pos;
}
