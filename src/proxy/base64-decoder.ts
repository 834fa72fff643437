/** Value of each character of RFC 4648 section 4; -1: not one of them. */
const VALUES = new Int8Array(256).fill(-1);
for (const [value, character] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].entries()) {
  VALUES[character.charCodeAt(0)] = value;
}

const PAD = 0x3d;
const EMPTY = Buffer.alloc(0);

/**
 * Base64 that comes in pieces, split anywhere, and may be several encodings with their padding one behind the other, as
 * gRPC-Web's text form allows. Strict otherwise: `Buffer.from` takes anything and stops at the first padding.
 */
export class Base64Decoder {
  private bits = 0;
  /** Characters of the current group, padding not counted. */
  private characters = 0;
  /** Padding that the current group still needs. */
  private padding = 0;

  /** Whether what came so far ends with a whole group. */
  get complete(): boolean {
    return this.characters === 0 && this.padding === 0;
  }

  /** The bytes that became known by buf[start, end); null where that is no base64. */
  decode(buf: Buffer, start: number, end: number): Buffer | null {
    if (start === end) return EMPTY;
    const out = Buffer.allocUnsafe((((end - start + 3) >> 2) + 1) * 3);
    let n = 0;
    for (let i = start; i < end; i++) {
      const value = VALUES[buf[i]];
      if (this.padding > 0) {
        if (buf[i] !== PAD) return null;
        this.padding--;
      } else if (value >= 0) {
        this.bits = ((this.bits << 6) | value) & 0xffffff;
        if (++this.characters < 4) continue;
        this.characters = 0;
        out[n++] = this.bits >> 16;
        out[n++] = this.bits >> 8;
        out[n++] = this.bits;
      } else if (buf[i] === PAD && this.characters >= 2) {
        // Two characters and two pads are one byte, three and one are two.
        if (this.characters === 2) {
          out[n++] = this.bits >> 4;
          this.padding = 1;
        } else {
          out[n++] = this.bits >> 10;
          out[n++] = this.bits >> 2;
        }
        this.characters = 0;
      } else return null;
    }
    return out.subarray(0, n);
  }
}
