import { describe, expect, it } from 'vitest';
import { HpackDecoder } from '../../../../src/proxy/http2/hpack/decoder.ts';
import { decodeHuffman, encodeHuffman, huffmanBytes } from '../../../../src/proxy/http2/hpack/huffman.ts';
import { readInteger, writeInteger } from '../../../../src/proxy/http2/hpack/integer.ts';

/** RFC 7541 appendix C, every example. */

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

function decode(decoder: HpackDecoder, block: Buffer): { fields: string[]; secret: string[] } | null {
  const fields: string[] = [];
  const secret: string[] = [];
  const ok = decoder.decode(block, 0, block.length, {
    field(_kind, name, value, _valid, neverIndexed) {
      fields.push(`${name}: ${value}`);
      if (neverIndexed) secret.push(name);
    },
  });
  return ok ? { fields, secret } : null;
}

describe('C.1 integers', () => {
  it.each([
    [10, 0x1f, '0a'],
    [1337, 0x1f, '1f9a0a'],
    [42, 0xff, '2a'],
  ])('%i with prefix mask %i', (value, mask, bytes) => {
    const buf = Buffer.alloc(8);
    const end = writeInteger(buf, 0, 0, mask, value);
    expect(buf.toString('hex', 0, end)).toBe(bytes);
    const cursor = { pos: 0 };
    expect(readInteger(buf, cursor, end, mask)).toBe(value);
    expect(cursor.pos).toBe(end);
  });
});

describe('C.2 field representations', () => {
  it.each([
    ['C.2.1', '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', 'custom-key: custom-header', 55, []],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', ':path: /sample/path', 0, []],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', 'password: secret', 0, ['password']],
    ['C.2.4', '82', ':method: GET', 0, []],
  ])('%s', (_name, block, field, tableBytes, secret) => {
    const decoder = new HpackDecoder(4096);
    expect(decode(decoder, hex(block))).toEqual({ fields: [field], secret });
    expect(decoder.tableBytes).toBe(tableBytes);
  });
});

const REQUESTS: [fields: string[], tableBytes: number][] = [
  [[':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'], 57],
  [[':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'], 110],
  [
    [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com', 'custom-key: custom-value'],
    164,
  ],
];

const DATE_1 = 'date: Mon, 21 Oct 2013 20:13:21 GMT';
const DATE_2 = 'date: Mon, 21 Oct 2013 20:13:22 GMT';
const RESPONSES: [fields: string[], tableBytes: number][] = [
  [[':status: 302', 'cache-control: private', DATE_1, 'location: https://www.example.com'], 222],
  [[':status: 307', 'cache-control: private', DATE_1, 'location: https://www.example.com'], 222],
  [
    [
      ':status: 200',
      'cache-control: private',
      DATE_2,
      'location: https://www.example.com',
      'content-encoding: gzip',
      'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
    ],
    215,
  ],
];

const SEQUENCES: [name: string, tableBytes: number, blocks: string[], expected: [string[], number][]][] = [
  [
    'C.3 requests without Huffman',
    4096,
    [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
    REQUESTS,
  ],
  [
    'C.4 requests with Huffman',
    4096,
    [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
    REQUESTS,
  ],
  [
    'C.5 responses without Huffman, with eviction',
    256,
    [
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
       474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
       666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
       3630 303b 2076 6572 7369 6f6e 3d31`,
    ],
    RESPONSES,
  ],
  [
    'C.6 responses with Huffman, with eviction',
    256,
    [
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
       63c7 8f0b 97c8 e9ae 82ae 43d3`,
      '4883 640e ffc1 c0bf',
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
       b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ],
    RESPONSES,
  ],
];

describe.each(SEQUENCES)('%s', (_name, tableBytes, blocks, expected) => {
  it('decodes block after block with one table', () => {
    const decoder = new HpackDecoder(tableBytes);
    blocks.forEach((block, i) => {
      expect(decode(decoder, hex(block))?.fields).toEqual(expected[i][0]);
      expect(decoder.tableBytes).toBe(expected[i][1]);
    });
  });
});

describe('Huffman strings of C.4 and C.6, encoded', () => {
  it.each([
    ['www.example.com', 'f1e3c2e5f23a6ba0ab90f4ff'],
    ['no-cache', 'a8eb10649cbf'],
    ['custom-key', '25a849e95ba97d7f'],
    ['custom-value', '25a849e95bb8e8b4bf'],
    ['302', '6402'],
    ['307', '640eff'],
    ['private', 'aec3771a4b'],
    ['Mon, 21 Oct 2013 20:13:21 GMT', 'd07abe941054d444a8200595040b8166e082a62d1bff'],
    ['https://www.example.com', '9d29ad171863c78f0b97c8e9ae82ae43d3'],
    ['gzip', '9bd9ab'],
    [
      'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
      '94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
    ],
  ])('%s', (text, code) => {
    const buf = Buffer.alloc(128);
    const end = encodeHuffman(text, buf, 0);
    expect(buf.toString('hex', 0, end)).toBe(code);
    expect(huffmanBytes(text)).toBe(end);
    const out = Buffer.alloc(128);
    expect(out.latin1Slice(0, decodeHuffman(buf, 0, end, out))).toBe(text);
  });
});
