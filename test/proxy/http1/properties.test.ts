import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { framingForRequest, framingForResponse } from '../../../src/proxy/http1/framing.ts';
import { DEFAULT_HTTP1_LIMITS } from '../../../src/proxy/http1/limits.ts';
import { writeChunk, writeLastChunk, writeRequestHead, writeResponseHead } from '../../../src/proxy/http1/writer.ts';
import { OutBuffer } from '../../../src/proxy/out-buffer.ts';
import { recordRequests, recordResponses } from './recorder.ts';

const latin1 = (bytes: number[]): string => String.fromCharCode(...bytes);
const token = fc.string({
  unit: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.~!#$&*+^`|%'"),
  minLength: 1,
  maxLength: 70,
});
const value = fc
  .array(
    fc.oneof(fc.integer({ min: 0x21, max: 0x7e }), fc.integer({ min: 0x80, max: 0xff }), fc.constantFrom(0x20, 0x09)),
    {
      maxLength: 200,
    },
  )
  .map(latin1)
  .map((s) => s.replace(/^[ \t]+|[ \t]+$/g, ''));

/** Names that mean something, so that generated messages reach the rules behind them. */
const special = fc.constantFrom(
  'Host',
  'Content-Length',
  'Transfer-Encoding',
  'Connection',
  'Upgrade',
  'TE',
  'Expect',
  'Keep-Alive',
  'Trailer',
  'Cookie',
);
const specialValue = fc.constantFrom(
  'a',
  '0',
  '5',
  '5, 5',
  'chunked',
  'gzip, chunked',
  'close',
  'keep-alive, X',
  'upgrade',
  'websocket',
  'trailers',
  '100-continue',
  '',
);
const line = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(token, value).map(([n, v]) => `${n}: ${v}\r\n`) },
  { weight: 2, arbitrary: fc.tuple(special, specialValue).map(([n, v]) => `${n}: ${v}\r\n`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'X : 1\r\n',
      ' folded\r\n',
      'X\r\n',
      'X: 1\n',
      'X: \0\r\n',
      'X: a\rb\r\n',
      '\n',
      '\r\r\n',
    ),
  },
);
const startLine = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.constantFrom(
      'GET / HTTP/1.1\r\nHost: a\r\n',
      'POST /x HTTP/1.1\r\nHost: a\r\n',
      'GET / HTTP/1.0\r\n',
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'GET  / HTTP/1.1\r\n',
      'GET /#x HTTP/1.1\r\n',
      '\r\nGET / HTTP/1.1\r\nHost: a\r\n',
      '\rGET',
      'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n',
    ),
  },
);
const body = fc.constantFrom(
  '',
  'hello',
  '5\r\nhello\r\n0\r\n\r\n',
  '3;a="b"\r\nabc\r\n0\r\nX: 1\r\nY: 2\r\n\r\n',
  '0\r\nX : 1\r\n\r\n',
  '5\r\nhelloX',
  '0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n',
  'g',
);
const framing = fc.constantFrom('', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n');
const message = fc
  .tuple(startLine, fc.array(line, { maxLength: 6 }), framing, body)
  .map(([start, lines, framed, content]) => `${start}${lines.join('')}${framed}\r\n${content}`);
const cuts = fc.array(fc.nat(400), { maxLength: 12 });
const everyByte = Array.from({ length: 1000 }, (_, i) => i);

describe('pieces', () => {
  const limits = {
    ...DEFAULT_HTTP1_LIMITS,
    maxHeadBytes: 400,
    maxHeaders: 8,
    maxTrailerBytes: 60,
    maxChunkLineBytes: 20,
  };

  it('do not matter to requests: the events are those of one piece', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 3 }), cuts, (messages, where) => {
        const text = messages.join('');
        const whole = recordRequests(text, { limits, finish: true });
        expect(recordRequests(text, { limits, cuts: where, finish: true })).toEqual(whole);
        expect(recordRequests(text, { limits, cuts: everyByte, finish: true })).toEqual(whole);
      }),
      { numRuns: 600 },
    );
  });

  it('do not matter to responses', () => {
    const responses = message.map((text) => text.replace(/^\S+ +\S+ (HTTP\/\S+)\r\n/, '$1 200 OK\r\n'));
    fc.assert(
      fc.property(fc.array(responses, { minLength: 1, maxLength: 3 }), cuts, (messages, where) => {
        const text = messages.join('');
        const methods = ['GET', 'HEAD', 'GET'];
        const whole = recordResponses(text, methods, { limits, finish: true });
        expect(recordResponses(text, methods, { limits, cuts: where, finish: true })).toEqual(whole);
        expect(recordResponses(text, methods, { limits, cuts: everyByte, finish: true })).toEqual(whole);
      }),
      { numRuns: 400 },
    );
  });

  it('of garbage do not matter either, and garbage is never more than an error', () => {
    const garbage = fc
      .array(fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0x0d, 0x0a, 0x3a, 0x20)), { maxLength: 120 })
      .map(latin1);
    fc.assert(
      fc.property(garbage, cuts, (text, where) => {
        for (const prefix of [
          '',
          'GET / HTTP/1.1\r\n',
          'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
        ]) {
          const whole = recordRequests(prefix + text, { limits, finish: true });
          expect(recordRequests(prefix + text, { limits, cuts: where, finish: true })).toEqual(whole);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('memory of earlier heads', () => {
  /** A parser of field lines without any memo, as plain as can be. */
  const plainFields = (lines: readonly (readonly [string, string])[]): string[] =>
    lines.flatMap(([name, v]) => [name.toLowerCase(), v]);
  const PLAIN_NAMES = new Set([
    'host',
    'content-length',
    'transfer-encoding',
    'connection',
    'upgrade',
    'te',
    'expect',
    'keep-alive',
    'proxy-connection',
    'http2-settings',
  ]);

  it('never changes what is read, whatever names and values came before in whatever order and spelling', () => {
    const name = fc.oneof(
      token,
      fc.constantFrom(
        'Accept',
        'ACCEPT',
        'accept',
        'Accept-Encoding',
        'User-Agent',
        'x-request-id',
        'X',
        'X-1',
        'X-11',
        'ETag',
        'Via',
      ),
      // More names than there are slots, so that some displace others.
      fc.integer({ min: 0, max: 2000 }).map((n) => `x-made-up-${n}`),
    );
    const known = fc.oneof(
      value,
      fc.constantFrom('1', '11', '1111111', 'text/html', 'text/htm', 'text/html;', 'gzip', ''),
    );
    const fields = fc.array(
      fc.tuple(name, known).filter(([n]) => !PLAIN_NAMES.has(n.toLowerCase())),
      { maxLength: 10 },
    );
    fc.assert(
      fc.property(fc.array(fields, { minLength: 1, maxLength: 5 }), (heads) => {
        for (const lines of [...heads, ...heads]) {
          const text = `GET / HTTP/1.1\r\nHost: a\r\n${lines.map(([n, v]) => `${n}: ${v}\r\n`).join('')}\r\n`;
          expect(recordRequests(text).messages[0].head.headers).toEqual(plainFields(lines));
        }
      }),
      { numRuns: 1500 },
    );
  });

  it('keeps a displaced name from giving its lines to the new one', () => {
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 1500; i++) {
        const { head } = recordRequests(`GET / HTTP/1.1\r\nHost: a\r\nX-Slot-${i}: v${i}\r\nX-Slot-${i + 1}: w\r\n\r\n`)
          .messages[0];
        if (head.headers.join() !== `x-slot-${i},v${i},x-slot-${i + 1},w`) expect.fail(`${i}: ${head.headers.join()}`);
      }
    }
  });
});

describe('what is written', () => {
  const out = (): { buffer: OutBuffer; text(): string } => {
    const buffer = new OutBuffer(() => {});
    return { buffer, text: () => Buffer.concat(buffer.take()).latin1Slice() };
  };
  const fieldName = token.map((s) => s.toLowerCase());
  const CONNECTION_FIELDS = new Set([
    'host',
    'te',
    'expect',
    'upgrade',
    'connection',
    'keep-alive',
    'content-length',
    'http2-settings',
    'proxy-connection',
    'transfer-encoding',
    'cookie',
    'trailer',
  ]);
  const headers = fc
    .array(
      fc.tuple(fieldName, value).filter(([n]) => !CONNECTION_FIELDS.has(n)),
      { maxLength: 8 },
    )
    .map((pairs) => pairs.flat());
  const path = fc.string({ unit: fc.constantFrom(...'abc/?&=%._~-{}|"'), maxLength: 40 }).map((s) => `/${s}`);

  it('is read back as the same request', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('GET', 'POST', 'PURGE'),
        path,
        headers,
        fc.array(fc.string({ unit: 'binary', minLength: 1 }), { maxLength: 3 }),
        headers,
        (method, target, fields, chunks, trailers) => {
          const { buffer, text } = out();
          const framing = framingForRequest(method, null, chunks.length === 0 ? 0 : -1);
          expect(
            writeRequestHead(buffer, { method, path: target, authority: 'a:1', protocol: null }, fields, framing),
          ).toBe(true);
          const bodies = chunks.map((s) => Buffer.from(s));
          if (framing === 'chunked') {
            for (const b of bodies) writeChunk(buffer, b, 0, b.length);
            expect(writeLastChunk(buffer, trailers)).toBe(true);
          }
          const { messages, error } = recordRequests(text());
          expect(error).toBeNull();
          expect(messages).toHaveLength(1);
          const { head, body: read, trailers: readTrailers } = messages[0];
          expect([head.method, head.path, head.authority]).toEqual([method, target, 'a:1']);
          expect(head.headers).toEqual(framing === 'length' ? [...fields, 'content-length', '0'] : fields);
          expect(read).toBe(Buffer.concat(bodies).latin1Slice());
          if (framing === 'chunked') expect(readTrailers ?? []).toEqual(trailers);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is one head or nothing, whatever the strings are: no header injection', () => {
    const anything = fc.oneof(
      value,
      fc.string({
        unit: fc.constantFrom('\r', '\n', '\0', ' ', ':', 'a', '\u010a', '\u560a', '\x7f', ';'),
        maxLength: 8,
      }),
    );
    const pairs = fc.array(fc.tuple(fc.oneof(fieldName, anything), anything), { maxLength: 4 }).map((p) => p.flat());
    fc.assert(
      fc.property(
        anything,
        anything,
        anything,
        fc.option(anything),
        pairs,
        pairs,
        (method, target, authority, protocol, fields, trailers) => {
          const { buffer, text } = out();
          if (writeRequestHead(buffer, { method, path: target, authority, protocol }, fields, 'chunked')) {
            if (!writeLastChunk(buffer, trailers)) writeLastChunk(buffer, null);
            const written = text();
            const read = recordRequests(`${written}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`);
            if (read.error === null) {
              expect(read.messages).toHaveLength(2);
              expect(read.messages[1].head.path).toBe('/next');
              expect(read.messages[0].head.headers.length).toBeLessThanOrEqual(fields.length);
            } else {
              // Our own parser is stricter in what the parts mean; it must never see more lines than were written.
              expect(['BAD_TARGET', 'BAD_CONNECTION', 'BAD_UPGRADE', 'CONNECT_WITH_BODY']).toContain(read.error);
            }
          } else {
            expect(buffer.size).toBe(0);
          }
          const connection = { minor: 1 as const, keepAlive: true, upgrade: null };
          if (writeResponseHead(buffer, 200, fields, 'length', connection)) {
            const read = recordResponses(text(), ['GET', 'GET']);
            expect([read.error, read.messages.length]).toEqual([null, 1]);
          } else {
            expect(buffer.size).toBe(0);
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  it('is read back as the same response', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 599 }),
        fc.constantFrom('GET', 'HEAD'),
        fc.constantFrom<0 | 1>(0, 1),
        headers,
        fc.option(fc.string({ unit: 'binary' })),
        (status, method, minor, fields, content) => {
          const { buffer, text } = out();
          const bytes = Buffer.from(content ?? '');
          const framing = framingForResponse(method, minor, status, content === null ? bytes.length : -1);
          const all = framing === 'length' ? [...fields, 'content-length', String(bytes.length)] : fields;
          expect(writeResponseHead(buffer, status, all, framing, { minor, keepAlive: true, upgrade: null })).toBe(true);
          if (framing === 'chunked') {
            writeChunk(buffer, bytes, 0, bytes.length);
            writeLastChunk(buffer, null);
          } else if (framing === 'length' || framing === 'close') {
            buffer.bytes(bytes, 0, bytes.length);
          }
          const { messages, error } = recordResponses(text(), [method], { finish: true });
          expect(error).toBeNull();
          expect(messages[0]).toMatchObject({
            ended: true,
            body: framing === 'none' || framing === 'head' ? '' : bytes.latin1Slice(),
          });
          expect(messages[0].head).toMatchObject({ status, headers: all, keepAlive: framing !== 'close' });
        },
      ),
      { numRuns: 500 },
    );
  });
});
