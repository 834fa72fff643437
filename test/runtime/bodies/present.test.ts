import zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CapturedBody, CapturedEvent, EventBody } from '../../../src/model/bodies.ts';
import type { RequestEvent, TapBatch } from '../../../src/model/events.ts';
import { fieldSet, REDACTED_FIELDS } from '../../../src/model/redact.ts';
import { fail, ok } from '../../../src/model/result.ts';
import { grpcFrames } from '../../../src/runtime/bodies/grpc-frames.ts';
import { type MessageDecoder, presentBodies } from '../../../src/runtime/bodies/present.ts';
import { requestEvent } from '../../tui/data.ts';

const NOTHING: CapturedBody = { contentType: '', encoding: '', data: new Uint8Array(), bytes: 0, dropped: false };

const captured = (data: string | Buffer, fields: Partial<CapturedBody> = {}): CapturedBody => {
  const bytes = Buffer.from(data);
  return { ...NOTHING, data: bytes, bytes: bytes.length, ...fields };
};

const unknownTypes: MessageDecoder = {
  method: async () => fail({ code: 'MESH-B103', message: 'not known' }),
};

/** Names what it decodes, and refuses what begins with `x`. */
const named: MessageDecoder = {
  method: async (service, path) => {
    const type = (name: string) => ({
      name,
      decode(data: Uint8Array) {
        const text = Buffer.from(data).toString();
        if (text.startsWith('x')) throw new Error('bad wire type');
        return { [name]: text, accessToken: 'SECRET', deep: [{ password: 'SECRET' }] };
      },
    });
    return ok({ request: type(`${service}${path}?`), response: type('reply') });
  },
};

async function present(
  request: CapturedBody,
  {
    response = NOTHING,
    limitBytes = 1_024,
    event = {},
    messages = unknownTypes,
  }: { response?: CapturedBody; limitBytes?: number; event?: Partial<RequestEvent>; messages?: MessageDecoder } = {},
): Promise<{ event: RequestEvent; request: EventBody; response: EventBody }> {
  const source = async function* (): AsyncGenerator<TapBatch> {
    const seen: CapturedEvent = { ...requestEvent(event), captured: { request, response } };
    yield { events: [seen], dropped: 0, filtered: 0 };
  };
  const fields = fieldSet(REDACTED_FIELDS);
  for await (const { events } of presentBodies(source(), { limitBytes, messages, fields: () => fields })) {
    const [shown] = events;
    expect(shown).not.toHaveProperty('captured');
    return { event: shown, request: shown.requestBody!, response: shown.responseBody! };
  }
  throw new Error('nothing came');
}

const frame = (data: string | Buffer, compressed = 0): Buffer => {
  const bytes = Buffer.from(data);
  const head = Buffer.alloc(5);
  head[0] = compressed;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
};

describe('bodies on their way out of the daemon', () => {
  it('are decompressed, in the order in which they were compressed', async () => {
    const text = JSON.stringify({ token: 'SECRET', n: 1 });
    const encoded: [string, Buffer][] = [
      ['gzip', zlib.gzipSync(text)],
      ['deflate', zlib.deflateSync(text)],
      ['deflate', zlib.deflateRawSync(text)],
      ['br', zlib.brotliCompressSync(text)],
      ['identity', Buffer.from(text)],
      ['br, GZIP', zlib.gzipSync(zlib.brotliCompressSync(text))],
    ];
    for (const [encoding, data] of encoded) {
      const { request } = await present(captured(data, { encoding, contentType: 'application/json' }));
      expect(request.text, encoding).toBe('{"token":"[redacted]","n":1}');
      expect(request).toMatchObject({ bytes: data.length, truncated: false, note: '' });
    }
  });

  it('are shown as far as they can be decompressed where they are cut off', async () => {
    const text = Array.from({ length: 300 }, (_, i) => `line ${i} ${Math.sin(i)}`).join('\n');
    const whole = zlib.gzipSync(text);
    const { request } = await present(captured(whole.subarray(0, 500), { encoding: 'gzip', bytes: whole.length }));
    expect(request.truncated).toBe(true);
    expect(text.startsWith(request.text!)).toBe(true);
    expect(request.text!.length).toBeGreaterThan(200);
  });

  it('do not become larger than is good', async () => {
    const bomb = zlib.gzipSync(Buffer.alloc(50_000_000, 'a'));
    const { request } = await present(captured(bomb, { encoding: 'gzip' }), { limitBytes: 1_000 });
    expect(request.text).toBe('a'.repeat(8_000));
    expect(request.truncated).toBe(true);
    expect(request.note).toMatch(/^MESH-B105 /);
  });

  it('are not shown at all where secrets could hide in them', async () => {
    for (const [data, encoding] of [
      ['no gzip at all, SECRET', 'gzip'],
      ['SECRET', 'rot13'],
      ['SECRET', '__proto__'],
    ]) {
      const { request } = await present(captured(data, { encoding }));
      expect(request.note).toMatch(/^MESH-B104 /);
      expect(JSON.stringify(request)).not.toContain('SECRET');
    }
  });

  it('are text only if they are, also cut off within a character', async () => {
    expect((await present(captured(Buffer.from([0, 1, 2, 255])))).request.base64).toBe('AAEC/w==');
    expect((await present(captured(Buffer.from('a\0b')))).request.text).toBeUndefined();
    const cut = Buffer.from('naïve').subarray(0, 3);
    expect((await present(captured(cut, { bytes: 6 }))).request.text).toBe('na');
    expect((await present(captured(cut))).request.base64).toBeDefined();
    const latin = { contentType: 'text/plain; charset=iso-8859-1' };
    expect((await present(captured(Buffer.from('naïve', 'latin1'), latin))).request.text).toBe('naïve');
    const upload = '--b\r\ncontent-disposition: form-data; name=password\r\n\r\nSECRET\r\n--b\r\n\r\n\0\xff';
    const { request } = await present(captured(Buffer.from(upload, 'latin1'), { contentType: 'multipart/form-data' }));
    expect(Buffer.from(request.base64!, 'base64').toString('latin1')).toBe(upload.replace('SECRET', '[redacted]'));
  });

  it('do not leak a secret field however they are cut off and compressed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...REDACTED_FIELDS),
        fc.string({ unit: fc.constantFrom(...'xyz"\\ ,}'), maxLength: 8 }),
        fc.nat(120),
        fc.constantFrom('', 'gzip', 'br'),
        async (name, value, cut, encoding) => {
          const text = JSON.stringify({ a: [{ [name]: `Q9${value}Q9` }], b: value });
          const data =
            encoding === 'gzip'
              ? zlib.gzipSync(text)
              : encoding === 'br'
                ? zlib.brotliCompressSync(text)
                : Buffer.from(text);
          const { request } = await present(captured(data.subarray(0, cut), { encoding, bytes: data.length }));
          expect(JSON.stringify(request)).not.toContain('Q9');
        },
      ),
      { numRuns: 200 },
    );
  });

  it('say what was dropped', async () => {
    const { request } = await present(captured('', { bytes: 10, dropped: true }));
    expect(request).toMatchObject({ bytes: 10, truncated: true });
    expect(request.note).toMatch(/^MESH-B105 /);
  });
});

describe('gRPC messages', () => {
  const grpc = { event: { protocol: 'grpc' as const, path: '/a.B/C' }, messages: named };
  const type = { contentType: 'application/grpc' };

  it('are listed in order, with the fields of their types but not the secret ones', async () => {
    const data = Buffer.concat([frame('one'), frame(zlib.gzipSync('two'), 1), frame('')]);
    const { request, response } = await present(captured(data, { ...type, encoding: 'gzip' }), {
      ...grpc,
      response: captured(frame('xyz'), type),
    });
    const secrets = { accessToken: '[redacted]', deep: [{ password: '[redacted]' }] };
    expect(request.messages?.map(({ json }) => json)).toEqual(
      ['one', 'two', ''].map((text) => ({ 'orders/a.B/C?': text, ...secrets })),
    );
    expect(request.messages?.map(({ bytes }) => bytes)).toEqual([3, zlib.gzipSync('two').length, 0]);
    expect(request.encoding).toBe('gzip');
    expect(response.messages).toEqual([{ type: 'reply', bytes: 3, truncated: false }]);
    expect(response.note).toMatch(/^MESH-B106 .*bad wire type/);
  });

  it('have only sizes where they are cut off or nobody knows their type', async () => {
    const data = Buffer.concat([frame('one'), frame('SECRET')]).subarray(0, -2);
    const cut = await present(captured(data, { ...type, bytes: 100 }), grpc);
    expect(cut.request.messages?.[1]).toEqual({ type: 'orders/a.B/C?', bytes: 6, truncated: true });
    const none = await present(captured(frame('SECRET'), type), { event: grpc.event });
    expect(none.request.messages).toEqual([{ type: '', bytes: 6, truncated: false }]);
    expect(none.request.note).toMatch(/^MESH-B103 /);
    const plain = await present(captured(frame('SECRET', 1), type), grpc);
    expect(plain.request.note).toMatch(/^MESH-B104 .*no grpc-encoding/);
  });

  it('are found in any bytes without harm', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.integer({ min: 1, max: 5 }), (data, most) => {
        const frames = grpcFrames(data, most);
        expect(frames.length).toBeLessThanOrEqual(most);
        for (const each of frames) expect(each.data.length).toBeLessThanOrEqual(each.bytes);
      }),
    );
  });
});
