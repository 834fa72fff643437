/**
 * The Huffman code of RFC 7541 appendix B. It is canonical (codes of one length are consecutive, in the order of
 * the bytes they stand for), so the lengths alone define it.
 */
// biome-ignore format: sixteen lengths a row, as the bytes are counted
const CODE_BITS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const CODES = assignCodes();

function assignCodes(): Uint32Array {
  const codes = new Uint32Array(256);
  let next = 0;
  for (let bits = 5; bits <= 30; bits++) {
    for (let byte = 0; byte < 256; byte++) if (CODE_BITS[byte] === bits) codes[byte] = next++;
    next <<= 1;
  }
  return codes;
}

/*
 * Decoding is a state machine over half-bytes. A state is an inner node of the code tree; the shortest code has five
 * bits, so a half-byte ends at most one symbol. An entry holds the next state (bits 0-7), the symbol (8-15) and the
 * flags below. All 256 states x 16 inputs take 16 KiB, which stays in the first-level cache.
 */
const EMIT = 0x1_0000;
const FAIL = 0x2_0000;

const [TRANSITIONS, ACCEPTING] = buildStates();

function buildStates(): [Int32Array, Uint8Array] {
  // children[2n], children[2n+1]: inner node (>= 0), leaf (~byte), or EOS, which no valid string holds.
  const EOS = 0x7fff;
  const children: number[] = [EOS, EOS];
  for (let byte = 0; byte < 256; byte++) {
    let node = 0;
    for (let bit = CODE_BITS[byte] - 1; bit >= 0; bit--) {
      const slot = node * 2 + ((CODES[byte] >>> bit) & 1);
      if (bit === 0) {
        children[slot] = ~byte;
      } else {
        if (children[slot] === EOS) {
          children[slot] = children.length / 2;
          children.push(EOS, EOS);
        }
        node = children[slot];
      }
    }
  }
  // A string may end only at a symbol's end or within padding: fewer than eight bits, all of them ones.
  const states = children.length / 2;
  const accepting = new Uint8Array(states);
  for (let node = 0, depth = 0; depth < 8; depth++) {
    accepting[node] = 1;
    node = children[node * 2 + 1];
  }
  const transitions = new Int32Array(states * 16);
  for (let state = 0; state < states; state++) {
    for (let input = 0; input < 16; input++) {
      let node = state;
      let entry = 0;
      for (let bit = 3; bit >= 0; bit--) {
        const child = children[node * 2 + ((input >>> bit) & 1)];
        if (child === EOS) {
          entry = FAIL;
          node = 0;
          break;
        }
        if (child < 0) {
          entry = EMIT | (~child << 8);
          node = 0;
        } else {
          node = child;
        }
      }
      transitions[state * 16 + input] = entry | node;
    }
  }
  return [transitions, accepting];
}

/** Output for `length` encoded bytes never exceeds this: the shortest code has five bits. */
export function maxDecodedBytes(length: number): number {
  return ((length * 8) / 5) | 0;
}

/**
 * Decodes buf[start, end) into `out` from 0 on and returns the number of bytes, or -1 where the input is not a valid
 * code (RFC 7541 section 5.2: EOS in it, padding of eight bits or more, or padding that is not all ones).
 * `out` must hold `maxDecodedBytes(end - start)`.
 */
export function decodeHuffman(buf: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let state = 0;
  let n = 0;
  for (let p = start; p < end; p++) {
    const byte = buf[p];
    let entry = TRANSITIONS[(state << 4) | (byte >>> 4)];
    if (entry & EMIT) out[n++] = entry >>> 8;
    else if (entry & FAIL) return -1;
    entry = TRANSITIONS[((entry & 0xff) << 4) | (byte & 15)];
    if (entry & EMIT) out[n++] = entry >>> 8;
    else if (entry & FAIL) return -1;
    state = entry & 0xff;
  }
  return ACCEPTING[state] === 1 ? n : -1;
}

/** Bytes that the Huffman code of a latin1 string takes. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += CODE_BITS[text.charCodeAt(i) & 0xff];
  return (bits + 7) >>> 3;
}

/** Writes the Huffman code of a latin1 string and returns the position behind it. */
export function encodeHuffman(text: string, buf: Uint8Array, pos: number): number {
  // At most 7 bits wait when a code of at most 30 comes: 37, so the oldest byte leaves before the code is complete.
  let waiting = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i) & 0xff;
    const code = CODES[byte];
    let left = CODE_BITS[byte];
    while (left > 0) {
      const take = Math.min(left, 8 - bits);
      waiting = (waiting << take) | ((code >>> (left - take)) & ((1 << take) - 1));
      bits += take;
      left -= take;
      if (bits === 8) {
        buf[pos++] = waiting;
        waiting = 0;
        bits = 0;
      }
    }
  }
  if (bits > 0) buf[pos++] = (waiting << (8 - bits)) | (0xff >>> bits);
  return pos;
}
