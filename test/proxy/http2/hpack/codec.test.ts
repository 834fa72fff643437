import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HpackDecoder } from '../../../../src/proxy/http2/hpack/decoder.ts';
import {
  BLOCK_WIRE_OVERHEAD_BYTES,
  FIELD_WIRE_OVERHEAD_BYTES,
  HeadShape,
  HpackEncoder,
} from '../../../../src/proxy/http2/hpack/encoder.ts';
import { FieldKind } from '../../../../src/proxy/http2/hpack/field.ts';
import { decodeHuffman, encodeHuffman, maxDecodedBytes } from '../../../../src/proxy/http2/hpack/huffman.ts';
import { readInteger, writeInteger } from '../../../../src/proxy/http2/hpack/integer.ts';

type Fields = [name: string, value: string][];

function encode(encoder: HpackEncoder, fields: Fields, secret: string[] = []): Buffer {
  const room = fields.reduce((sum, [n, v]) => sum + n.length + v.length + FIELD_WIRE_OVERHEAD_BYTES, 0);
  const buf = Buffer.alloc(room + BLOCK_WIRE_OVERHEAD_BYTES);
  encoder.begin(buf, 0, HeadShape.Request);
  for (const [name, value] of fields) encoder.field(name, value, secret.includes(name));
  const end = encoder.end();
  expect(end).toBeLessThanOrEqual(buf.length);
  return buf.subarray(0, end);
}

function decode(decoder: HpackDecoder, block: Buffer): { fields: Fields; secret: string[]; invalid: string[] } | null {
  const fields: Fields = [];
  const secret: string[] = [];
  const invalid: string[] = [];
  const ok = decoder.decode(block, 0, block.length, {
    field(kind, name, value, valid, neverIndexed) {
      fields.push([name, value]);
      if (neverIndexed) secret.push(name);
      if (!valid || kind === FieldKind.InvalidName) invalid.push(name);
    },
  });
  return ok ? { fields, secret, invalid } : null;
}

/** Few names and values, so that they repeat and meet in every way; and some that no table holds. */
const name = fc.oneof(
  fc.constantFrom('accept', 'content-type', 'x-a', 'x-b', 'traceparent', ':path', 'cookie', 'authorization', 'date'),
  fc.stringMatching(/^[a-z][a-z0-9-]{0,40}$/),
);
const latin1 = fc
  .array(fc.integer({ min: 0x20, max: 0xff }), { maxLength: 200 })
  .map((bytes) => String.fromCharCode(...bytes));
const value = fc.oneof(fc.constantFrom('', 'a', 'b', 'trailers', 'text/plain', 'x'.repeat(60)), latin1);
const dropped = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host', 'te']);
const fields = fc.array(
  fc.tuple(name, value).filter(([n]) => !dropped.has(n)),
  { maxLength: 20 },
);

describe('integers', () => {
  it('come back whatever the prefix', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x0fff_ffff }), fc.integer({ min: 4, max: 7 }), (n, bits) => {
        const buf = Buffer.alloc(8);
        const mask = (1 << bits) - 1;
        const end = writeInteger(buf, 1, 0, mask, n);
        const cursor = { pos: 1 };
        expect(readInteger(buf, cursor, end, mask)).toBe(n);
        expect(cursor.pos).toBe(end);
        // Cut anywhere, it is not an integer.
        for (let cut = 1; cut < end; cut++) expect(readInteger(buf, { pos: 1 }, cut, mask)).toBe(-1);
      }),
    );
  });

  it.each([
    ['too large', 'ffffffffff7f'],
    ['without end', 'ff80808080808080808001'],
    ['padded with zeros', 'ff8080808000'],
  ])('are refused: %s', (_why, text) => {
    const buf = Buffer.from(text, 'hex');
    expect(readInteger(buf, { pos: 0 }, buf.length, 0x7f)).toBe(-1);
  });
});

describe('Huffman', () => {
  it('gives every byte string back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = Buffer.from(bytes).latin1Slice();
        const code = Buffer.alloc(bytes.length * 4 + 1);
        const end = encodeHuffman(text, code, 0);
        const out = Buffer.alloc(maxDecodedBytes(end));
        const n = decodeHuffman(code, 0, end, out);
        expect(out.latin1Slice(0, n)).toBe(text);
      }),
    );
  });

  it.each([
    ['padding of zeros', 'a8eb10649cb0'],
    ['padding of eight bits', 'a8eb10649cbfff'],
    ['EOS', 'ffffffff'],
    ['EOS after a symbol', '1fffffffff'],
  ])('refuses %s (RFC 7541 section 5.2)', (_why, text) => {
    const buf = Buffer.from(text, 'hex');
    expect(decodeHuffman(buf, 0, buf.length, Buffer.alloc(64))).toBe(-1);
  });
});

describe('encoder and decoder', () => {
  it('agree over a series of heads and changes of the table size', () => {
    const step = fc.record({ fields, limit: fc.option(fc.constantFrom(0, 64, 200, 4096, 20_000), { nil: undefined }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, huffman) => {
        const encoder = new HpackEncoder(8192, { huffman });
        const decoder = new HpackDecoder(8192);
        for (const step of steps) {
          if (step.limit !== undefined) {
            // As a receiver does: the new limit holds from the acknowledgement, which stands before the next block.
            encoder.setPeerLimit(step.limit);
            decoder.setLimit(step.limit);
          }
          expect(decode(decoder, encode(encoder, step.fields))?.fields).toEqual(step.fields);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('writes what repeats in one byte, and keeps ids out of the table', () => {
    const encoder = new HpackEncoder(4096);
    const decoder = new HpackDecoder(4096);
    const head = (i: number): Fields => [
      ['user-agent', 'node'],
      ['accept', 'application/json'],
      ['x-tenant', 'blue'],
      ['traceparent', `00-${String(i).padStart(32, '0')}-00f067aa0ba902b7-01`],
    ];
    for (let i = 0; i < 3; i++) decode(decoder, encode(encoder, head(i)));
    const settled = decoder.tableBytes;
    for (let i = 3; i < 200; i++) {
      const block = encode(encoder, head(i));
      expect(decode(decoder, block)?.fields).toEqual(head(i));
      // Three indexes, a name index and the 55 characters of the id.
      expect(block.length).toBeLessThanOrEqual(3 + 2 + 1 + 55);
    }
    expect(decoder.tableBytes).toBe(settled);
  });

  it('never indexes secrets that are short, nor what came as never-indexed', () => {
    const encoder = new HpackEncoder(4096);
    const decoder = new HpackDecoder(4096);
    for (let i = 0; i < 3; i++) {
      const block = encode(
        encoder,
        [
          ['authorization', 'Basic dTpw'],
          ['cookie', 'a=b'],
          ['x-key', '123'],
        ],
        ['x-key'],
      );
      expect(decode(decoder, block)?.secret).toEqual(['authorization', 'cookie', 'x-key']);
    }
    expect(decoder.tableBytes).toBe(0);
  });

  it('leaves out what HTTP/2 forbids (RFC 9113 section 8.2.2)', () => {
    const block = encode(new HpackEncoder(4096), [
      ['connection', 'close'],
      ['transfer-encoding', 'chunked'],
      ['upgrade', 'h2c'],
      ['keep-alive', '5'],
      ['proxy-connection', 'close'],
      ['host', 'a'],
      ['te', 'gzip'],
      ['te', 'trailers'],
    ]);
    expect(decode(new HpackDecoder(4096), block)?.fields).toEqual([['te', 'trailers']]);
  });

  it.each([false, true])(
    'lets no line break out, not even one in the low byte of a wide character (Huffman: %s)',
    (huffman) => {
      const values = ['a\r\nb: c', 'x\u010d\u010a', `\0${'y'.repeat(40)}\u0a0a`];
      for (const text of values) {
        const block = encode(new HpackEncoder(4096, { huffman }), [['x-a', text]]);
        expect(decode(new HpackDecoder(4096), block)?.fields[0][1]).not.toMatch(/[\r\n\0]/);
      }
    },
  );
});

describe('the decoder refuses', () => {
  it.each([
    ['index 0', '80'],
    ['an index beyond the tables', 'be'],
    ['a name index beyond the tables', '7f0001'],
    ['a string longer than the block', '000561'],
    ['a string without length', '0001'],
    ['a table larger than allowed', '3fe21f'],
    ['a size update after a field', '8220'],
    ['Huffman with bad padding', '00016183a8eb10'],
  ])('%s', (_why, text) => {
    expect(decode(new HpackDecoder(4096), Buffer.from(text, 'hex'))).toBeNull();
  });

  it('a block without the size update that a lowered limit asks for (RFC 7541 section 4.2)', () => {
    const decoder = new HpackDecoder(4096);
    decoder.setLimit(100);
    expect(decode(decoder, Buffer.from('82', 'hex'))).toBeNull();
    const obedient = new HpackDecoder(4096);
    obedient.setLimit(100);
    expect(decode(obedient, Buffer.from('3f4582', 'hex'))?.fields).toEqual([[':method', 'GET']]);
  });

  it('nothing: arbitrary bytes end in fields or in false', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const decoder = new HpackDecoder(4096);
        decode(decoder, Buffer.from(bytes));
        expect(decoder.tableBytes).toBeLessThanOrEqual(4096);
      }),
      { numRuns: 500 },
    );
  });
});

describe('values and names', () => {
  it.each([
    ['x-a', 'a\rb', false],
    ['x-a', 'a\nb', false],
    ['x-a', 'a\0b', false],
    ['x-a', ' a', false],
    ['x-a', 'a\t', false],
    ['x-a', 'a\x7f', false],
    ['x-a', 'a \t\xe9b', true],
    ['x-a', '', true],
    ['X-A', 'a', false],
    ['x a', 'a', false],
    ['x:a', 'a', false],
    ['', 'a', false],
    [':path', '/a b', false],
    [':path', '/a#b', false],
    [':path', '/a?b=%20\xe9', true],
    [':authority', 'user@host', false],
    [':authority', 'a/b', false],
    [':authority', '[::1]:80', true],
    [':method', 'GE T', false],
    [':scheme', 'http:', false],
    ['content-length', '+1', false],
    ['content-length', '1, 1', false],
    ['content-length', '-1', false],
  ])('%j: %j is legal: %s', (n, v, legal) => {
    // Written by hand, as a hostile peer would: our encoder would not let some of them out.
    const block = Buffer.concat([
      Buffer.from([0, n.length]),
      Buffer.from(n, 'latin1'),
      Buffer.from([v.length]),
      Buffer.from(v, 'latin1'),
    ]);
    expect(decode(new HpackDecoder(4096), block)?.invalid.length === 0).toBe(legal);
  });
});
