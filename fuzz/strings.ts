import type { Random } from './random.ts';

/**
 * Strings as bytes, so that inputs of strings can be printed and made smaller like any others: 0xfe ends a string,
 * 0xfd b stands for the character 0x100 + b, 0xfc b for b itself; any other byte for itself.
 */
const END = 0xfe;
const WIDE = 0xfd;
const LITERAL = 0xfc;

export function readStrings(bytes: Buffer): string[] {
  const strings: string[] = [];
  let text = '';
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === END) {
      strings.push(text);
      text = '';
    } else if (byte === WIDE) text += String.fromCharCode(0x100 + (bytes[++i] ?? 0));
    else if (byte === LITERAL) text += String.fromCharCode(bytes[++i] ?? 0);
    else text += String.fromCharCode(byte);
  }
  return strings;
}

/** What could end a line, a name or a value where it should not. U+010A and U+560A end in LF when cut to a byte. */
const POISON = [
  [0x0d],
  [0x0a],
  [0x0d, 0x0a],
  [0x00],
  [0x20],
  [0x09],
  [0x3a],
  [0x7f],
  [0x80],
  [WIDE, 0x0a],
  [WIDE, 0x0d],
  [LITERAL, 0xff],
  [...Buffer.from('\r\n\r\nGET /injected HTTP/1.1\r\nhost: a\r\n\r\n')],
  [...Buffer.from('\r\ntransfer-encoding: chunked')],
];
const WHOLE = [
  'GET',
  'POST',
  'CONNECT',
  'OPTIONS',
  '/',
  '*',
  '/a?b=c',
  'http://a/',
  'a',
  'a:80',
  '[::1]',
  'websocket',
  'h2c',
  'host',
  'connection',
  'upgrade',
  'te',
  'trailers',
  'transfer-encoding',
  'chunked',
  'content-length',
  '5',
  '05',
  '-1',
  'keep-alive',
  'expect',
  '100-continue',
  'cookie',
  'a=b',
  'x-a',
  'trailer',
  'proxy-connection',
  'http2-settings',
  '',
];

export function writeStrings(random: Random, count: number): Buffer {
  const parts: number[] = [];
  for (let i = 0; i < count; i++) {
    if (random.chance(85)) parts.push(...Buffer.from(random.pick(WHOLE)));
    if (random.chance(15)) parts.push(...random.pick(POISON));
    for (let n = random.chance(20) ? random.below(12) : 0; n > 0; n--) {
      const byte = random.below(256);
      if (byte >= LITERAL) parts.push(LITERAL);
      parts.push(byte);
    }
    parts.push(END);
  }
  return Buffer.from(parts);
}
