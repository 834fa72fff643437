/** A body in which whatever is shifted, repeated or left out shows. */
export function bodyOf(bytes: number): Buffer {
  const body = Buffer.allocUnsafe(bytes);
  for (let i = 0; i < bytes; i++) body[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff;
  return body;
}
