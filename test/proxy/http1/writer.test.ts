import { describe, expect, it } from 'vitest';
import { isValidHeaderName, isValidHeaderValue } from '../../../src/proxy/http1/characters.ts';
import type { Framing } from '../../../src/proxy/http1/framing.ts';
import {
  type RequestLine,
  type ResponseConnection,
  writeChunk,
  writeInformational,
  writeLastChunk,
  writeRequestHead,
  writeResponseHead,
} from '../../../src/proxy/http1/writer.ts';
import type { Headers } from '../../../src/proxy/message.ts';
import { OutBuffer } from '../../../src/proxy/out-buffer.ts';

function written(write: (out: OutBuffer) => unknown): string | unknown {
  const out = new OutBuffer(() => {});
  const result = write(out);
  const text = Buffer.concat(out.take()).latin1Slice();
  return result === false ? [false, text] : text;
}

const get: RequestLine = { method: 'GET', path: '/x', authority: 'a:1', protocol: null };
const requestHead = (line: Partial<RequestLine>, headers: Headers = [], framing: Framing = 'none') =>
  written((out) => writeRequestHead(out, { ...get, ...line }, headers, framing));
const stays: ResponseConnection = { minor: 1, keepAlive: true, upgrade: null };
const responseHead = (
  status: number,
  headers: Headers,
  framing: Framing,
  connection: Partial<ResponseConnection> = {},
) => written((out) => writeResponseHead(out, status, headers, framing, { ...stays, ...connection }));
const REFUSED = [false, ''];

describe('a request head', () => {
  it.each<[string, Partial<RequestLine>, Headers, Framing, string]>([
    ['plain', {}, ['accept', '*/*'], 'none', 'GET /x HTTP/1.1\r\nhost: a:1\r\naccept: */*\r\n\r\n'],
    ['without an authority', { authority: '' }, [], 'none', 'GET /x HTTP/1.1\r\nhost: \r\n\r\n'],
    [
      'with a length',
      { method: 'POST' },
      ['content-length', '5'],
      'length',
      'POST /x HTTP/1.1\r\nhost: a:1\r\ncontent-length: 5\r\n\r\n',
    ],
    [
      'with a length of nothing',
      { method: 'POST' },
      [],
      'length',
      'POST /x HTTP/1.1\r\nhost: a:1\r\ncontent-length: 0\r\n\r\n',
    ],
    [
      'chunked drops the length',
      { method: 'POST' },
      ['content-length', '5'],
      'chunked',
      'POST /x HTTP/1.1\r\nhost: a:1\r\ntransfer-encoding: chunked\r\n\r\n',
    ],
    ['none drops the length', {}, ['content-length', '0'], 'none', 'GET /x HTTP/1.1\r\nhost: a:1\r\n\r\n'],
    [
      'CONNECT',
      { method: 'CONNECT', path: '', authority: 'b:2' },
      [],
      'none',
      'CONNECT b:2 HTTP/1.1\r\nhost: b:2\r\n\r\n',
    ],
    ['OPTIONS *', { method: 'OPTIONS', path: '*' }, [], 'none', 'OPTIONS * HTTP/1.1\r\nhost: a:1\r\n\r\n'],
    [
      'upgrade',
      { protocol: 'websocket' },
      ['sec-websocket-version', '13'],
      'none',
      'GET /x HTTP/1.1\r\nhost: a:1\r\nsec-websocket-version: 13\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
    ],
    [
      'extended CONNECT',
      { method: 'CONNECT', protocol: 'websocket' },
      [],
      'none',
      'GET /x HTTP/1.1\r\nhost: a:1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
    ],
    ['te', {}, ['te', 'trailers'], 'none', 'GET /x HTTP/1.1\r\nhost: a:1\r\nte: trailers\r\nconnection: te\r\n\r\n'],
    [
      'te and upgrade',
      { protocol: 'x' },
      ['te', 'trailers'],
      'none',
      'GET /x HTTP/1.1\r\nhost: a:1\r\nupgrade: x\r\nte: trailers\r\nconnection: upgrade, te\r\n\r\n',
    ],
    ['te of another kind', {}, ['te', 'gzip'], 'none', 'GET /x HTTP/1.1\r\nhost: a:1\r\n\r\n'],
    [
      'cookie crumbs',
      {},
      ['cookie', 'a=1', 'x', 'y', 'cookie', 'b=2', 'cookie', 'c=3'],
      'none',
      'GET /x HTTP/1.1\r\nhost: a:1\r\nx: y\r\ncookie: a=1; b=2; c=3\r\n\r\n',
    ],
    [
      'what only concerns another connection',
      {},
      [
        'host',
        'evil',
        'connection',
        'close',
        'keep-alive',
        'x',
        'proxy-connection',
        'x',
        'transfer-encoding',
        'chunked',
        'upgrade',
        'h2c',
        'http2-settings',
        'x',
        'expect',
        'x',
      ],
      'none',
      'GET /x HTTP/1.1\r\nhost: a:1\r\n\r\n',
    ],
  ])('%s', (_name, line, headers, framing, text) => {
    expect(requestHead(line, headers, framing)).toBe(text);
  });

  it.each<[string, Partial<RequestLine>, Headers, Framing]>([
    ['a method with a space', { method: 'GET /evil HTTP/1.1\r\nX:' }, [], 'none'],
    ['an empty method', { method: '' }, [], 'none'],
    ['a path with a space', { path: '/x HTTP/1.1' }, [], 'none'],
    ['a path with a line end', { path: '/x\r\nX: 1' }, [], 'none'],
    ['a path with a fragment', { path: '/#x' }, [], 'none'],
    ['a path beyond latin1', { path: '/\u0120' }, [], 'none'],
    ['an empty path', { path: '' }, [], 'none'],
    ['an authority with a line end', { authority: 'a\r\nx: 1' }, [], 'none'],
    ['an authority with user information', { authority: 'u@a' }, [], 'none'],
    ['an authority whose percent is not latin1', { authority: 'a%\u0131\u0131' }, [], 'none'],
    ['CONNECT without a port', { method: 'CONNECT', authority: 'a' }, [], 'none'],
    ['a value with CR', {}, ['x', 'a\rb'], 'none'],
    ['a value with LF', {}, ['x', 'a\nb: c'], 'none'],
    ['a value with NUL', {}, ['x', 'a\0b'], 'none'],
    ['a value beyond latin1, whose low byte is LF', {}, ['x', 'a\u010ab'], 'none'],
    ['a name with a colon', {}, ['x: y', 'z'], 'none'],
    ['a pseudo-header', {}, [':path', '/'], 'none'],
    ['an upper case name', {}, ['X', 'y'], 'none'],
    ['an empty name', {}, ['', 'y'], 'none'],
    ['a cookie with a line end', {}, ['cookie', 'a', 'cookie', 'b\r\nx: 1'], 'none'],
    ['a protocol with a line end', { protocol: 'x\r\ny: z' }, [], 'none'],
    ['a length that is none', {}, ['content-length', '5, 5'], 'length'],
    ['a length with a sign', {}, ['content-length', '+5'], 'length'],
  ])('is refused and nothing written: %s', (_name, line, headers, framing) => {
    expect(requestHead(line, headers, framing)).toEqual(REFUSED);
    // Nothing is learnt from it either.
    expect(requestHead(line, headers, framing)).toEqual(REFUSED);
    expect(requestHead({}, ['x', 'fine'])).toBe('GET /x HTTP/1.1\r\nhost: a:1\r\nx: fine\r\n\r\n');
  });
});

describe('a response head', () => {
  it.each<[string, number, Headers, Framing, Partial<ResponseConnection>, string]>([
    ['with a length', 200, ['content-length', '5'], 'length', {}, 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n'],
    ['of unknown status', 299, [], 'length', {}, 'HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n'],
    ['chunked', 200, ['x', 'y'], 'chunked', {}, 'HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['until close', 200, [], 'close', {}, 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n'],
    [
      'that closes',
      503,
      [],
      'length',
      { keepAlive: false },
      'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
    ],
    [
      'to HTTP/1.0',
      200,
      [],
      'length',
      { minor: 0 },
      'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n',
    ],
    ['to HEAD', 200, ['content-length', '5'], 'head', {}, 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n'],
    ['204', 204, ['content-length', '0'], 'none', {}, 'HTTP/1.1 204 No Content\r\n\r\n'],
    [
      'several cookies stay apart',
      200,
      ['set-cookie', 'a', 'set-cookie', 'b'],
      'none',
      {},
      'HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n',
    ],
    [
      '101',
      101,
      ['sec-websocket-accept', 'x'],
      'none',
      { upgrade: 'websocket' },
      'HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
    ],
    [
      'hop-by-hop fields',
      200,
      ['connection', 'x', 'keep-alive', 'x', 'te', 'trailers', 'transfer-encoding', 'x', 'upgrade', 'h2'],
      'none',
      {},
      'HTTP/1.1 200 OK\r\n\r\n',
    ],
  ])('%s', (_name, status, headers, framing, connection, text) => {
    expect(responseHead(status, headers, framing, connection)).toBe(text);
  });

  it('is refused when a field is not one', () => {
    expect(responseHead(200, ['location', '/\r\nset-cookie: a=b'], 'none')).toEqual(REFUSED);
    expect(responseHead(101, [], 'none')).toEqual(REFUSED);
    expect(responseHead(200, ['content-length', '1e3'], 'head')).toEqual(REFUSED);
  });

  it('is a bug with a status or a framing that cannot be', () => {
    expect(() => responseHead(20, [], 'none')).toThrow();
    expect(() => responseHead(200.5, [], 'none')).toThrow();
    expect(() => responseHead(200, [], 'chunked', { minor: 0 })).toThrow();
  });
});

describe('the rest', () => {
  it('informational responses', () => {
    expect(written((out) => writeInformational(out, 100, []))).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    expect(written((out) => writeInformational(out, 103, ['link', '</a>', 'content-length', '5']))).toBe(
      'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n',
    );
    expect(written((out) => writeInformational(out, 103, ['link', '\n']))).toEqual(REFUSED);
  });

  it('chunks: none for no bytes, large ones too', () => {
    const bytes = Buffer.from('0123456789abcdefXYZ');
    expect(written((out) => writeChunk(out, bytes, 3, 19))).toBe('10\r\n3456789abcdefXYZ\r\n');
    expect(written((out) => writeChunk(out, bytes, 3, 3))).toBe('');
    const large = Buffer.alloc(100_000, 0x61);
    expect(written((out) => writeChunk(out, large, 0, large.length))).toBe(`186a0\r\n${'a'.repeat(100_000)}\r\n`);
  });

  it('the last chunk, with trailers but for those that frame or route', () => {
    expect(written((out) => writeLastChunk(out, null))).toBe('0\r\n\r\n');
    expect(written((out) => writeLastChunk(out, []))).toBe('0\r\n\r\n');
    expect(
      written((out) =>
        writeLastChunk(out, [
          'grpc-status',
          '0',
          'content-length',
          '5',
          'transfer-encoding',
          'x',
          'host',
          'x',
          'te',
          'trailers',
          'trailer',
          'x',
        ]),
      ),
    ).toBe('0\r\ngrpc-status: 0\r\n\r\n');
    expect(written((out) => writeLastChunk(out, ['x', 'a\r\n\r\nGET / HTTP/1.1']))).toEqual(REFUSED);
  });

  it('remembers lines without mixing them up', () => {
    const line = (name: string, value: string) => written((out) => writeInformational(out, 103, [name, value]));
    for (let i = 0; i < 2000; i++) {
      const value = String(i % 3);
      const text = `HTTP/1.1 103 Early Hints\r\nx-${i % 700}: ${value}\r\n\r\n`;
      if (line(`x-${i % 700}`, value) !== text) expect.fail(`${i}`);
    }
    expect(line('authorization', 'secret')).toBe(line('authorization', 'secret'));
    expect(line('empty', '')).toBe('HTTP/1.1 103 Early Hints\r\nempty: \r\n\r\n');
    expect(line('empty', '')).toBe('HTTP/1.1 103 Early Hints\r\nempty: \r\n\r\n');
  });
});

describe('names and values', () => {
  it.each([
    ['x', true],
    ["x-1_.~!#$%&'*+^`|", true],
    ['X', false],
    ['', false],
    ['x y', false],
    ['x:', false],
    ['caf\xe9', false],
    ['\0', false],
    ['\u0178', false],
  ])('name %j: %s', (name, valid) => {
    expect(isValidHeaderName(name)).toBe(valid);
  });

  it('values are latin1 without controls but HTAB', () => {
    for (let c = 0; c < 0x300; c++) {
      expect(isValidHeaderValue(`a${String.fromCharCode(c)}b`)).toBe(
        c === 0x09 || (c >= 0x20 && c <= 0xff && c !== 0x7f),
      );
    }
  });
});
