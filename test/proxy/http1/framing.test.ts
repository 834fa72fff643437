import { describe, expect, it } from 'vitest';
import { framingForRequest, framingForResponse } from '../../../src/proxy/http1/framing.ts';
import { DEFAULT_HTTP1_LIMITS } from '../../../src/proxy/http1/limits.ts';
import { recordRequests, recordResponses, request, response } from './recorder.ts';

const chunked = (body: string): string => request('Transfer-Encoding: chunked') + body;
const errorOf = (text: string) => recordRequests(text).error;

describe('Content-Length (RFC 9110 section 8.6, RFC 9112 section 6.3)', () => {
  it('frames the body, and what follows is the next request', () => {
    const { messages, error } = recordRequests(`${request('Content-Length: 5')}hello${request()}`);
    expect(error).toBeNull();
    expect(messages.map((m) => [m.body, m.ended, m.head.contentLength])).toEqual([
      ['hello', true, 5],
      ['', true, 0],
    ]);
    expect(messages[0].head.headers).toEqual(['content-length', '5']);
  });

  it('is passed on in one canonical form', () => {
    expect(recordRequests(`${request('Content-Length:   0005 ')}hello`).messages[0].head.headers).toEqual([
      'content-length',
      '5',
    ]);
    expect(recordRequests(request('Content-Length: 000')).messages[0].head.headers).toEqual(['content-length', '0']);
  });

  it.each([
    '',
    '-1',
    '+5',
    '5,5',
    '5, 5',
    '5 5',
    '0x5',
    '5.0',
    '5e1',
    'five',
    '1_0',
    '\xb2',
    '5;',
    '"5"',
    '9007199254740992',
    '99999999999999999999999',
  ])('%j is refused', (value) => {
    expect(errorOf(request(`Content-Length: ${value}`))).toBe('BAD_CONTENT_LENGTH');
  });

  it('is refused twice, the same or not', () => {
    expect(errorOf(request('Content-Length: 5', 'Content-Length: 5'))).toBe('MULTIPLE_CONTENT_LENGTHS');
    expect(errorOf(request('Content-Length: 5', 'content-length: 6'))).toBe('MULTIPLE_CONTENT_LENGTHS');
  });

  it('may be as large as an exact integer', () => {
    expect(recordRequests(request('Content-Length: 9007199254740991')).messages[0].head.contentLength).toBe(
      Number.MAX_SAFE_INTEGER,
    );
  });
});

describe('Transfer-Encoding (RFC 9112 sections 6.1 and 6.3)', () => {
  it.each([
    [['Transfer-Encoding: chunked', 'Content-Length: 5'], 'CL_AND_TE', 400],
    [['Content-Length: 0', 'Transfer-Encoding: chunked'], 'CL_AND_TE', 400],
    [['Transfer-Encoding: gzip, chunked'], 'UNSUPPORTED_TRANSFER_CODING', 501],
    [['Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'], 'UNSUPPORTED_TRANSFER_CODING', 501],
    [['Transfer-Encoding: chunked, gzip'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: chunked, chunked'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: identity'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding:'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: ,chunked'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: chunked,'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: xchunked'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: chunked;q=1'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: "chunked"'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: chunked x'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: \xa0chunked'], 'BAD_TRANSFER_ENCODING', 400],
    [['Transfer-Encoding: \x0bchunked'], 'BAD_FIELD_VALUE', 400],
    [['Transfer-Encoding : chunked'], 'SPACE_BEFORE_COLON', 400],
    [['Transfer-Encoding:\r\n chunked'], 'OBS_FOLD', 400],
  ])('%j is %s', (lines, code, status) => {
    const found = recordRequests(request(...lines));
    expect([found.error, found.status]).toEqual([code, status]);
  });

  it('is refused in HTTP/1.0', () => {
    expect(errorOf('POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')).toBe('TE_IN_HTTP_1_0');
  });

  it.each(['chunked', 'Chunked', 'CHUNKED', '\tchunked '])('%j frames by chunks and is not passed on', (value) => {
    const { messages, error } = recordRequests(`${request(`Transfer-Encoding: ${value}`)}5\r\nhello\r\n0\r\n\r\n`);
    expect(error).toBeNull();
    expect(messages[0]).toMatchObject({ body: 'hello', ended: true, trailers: null });
    expect(messages[0].head).toMatchObject({ chunked: true, contentLength: -1, headers: [] });
  });
});

describe('chunks (RFC 9112 section 7.1)', () => {
  it.each([
    ['0\r\n\r\n', ''],
    ['000\r\n\r\n', ''],
    ['5\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['1\r\na\r\n02\r\nbc\r\n0\r\n\r\n', 'abc'],
    ['A\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
    ['a\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
    ['0000000000000000000005\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['4\r\n\r\n\r\n\r\n0\r\n\r\n', '\r\n\r\n'],
    ['5;a\r\nhello\r\n0;b=c\r\n\r\n', 'hello'],
    ['5 ; a = b ;c="d;\\"" ;e\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['5;a="\t \x80"\r\nhello\r\n0\r\n\r\n', 'hello'],
  ])('%j', (body, text) => {
    const { messages, error } = recordRequests(chunked(body));
    expect(error).toBeNull();
    expect(messages[0]).toMatchObject({ body: text, ended: true, trailers: null });
  });

  it.each([
    ['\r\n', 'BAD_CHUNK_SIZE'],
    ['g\r\n', 'BAD_CHUNK_SIZE'],
    ['-5\r\nhello\r\n', 'BAD_CHUNK_SIZE'],
    ['+5\r\nhello\r\n', 'BAD_CHUNK_SIZE'],
    ['0x5\r\nhello\r\n', 'BAD_CHUNK_SIZE'],
    [' 5\r\nhello\r\n', 'BAD_CHUNK_SIZE'],
    ['5_\r\nhello\r\n', 'BAD_CHUNK_SIZE'],
    ['5,\r\nhello\r\n', 'BAD_CHUNK_SIZE'],
    ['5\nhello\r\n', 'BARE_LF'],
    ['\n5\r\nhello\r\n', 'BAD_CHUNK_SIZE'],
    ['5\rhello\r\n', 'BARE_CR'],
    ['5\r\rhello', 'BARE_CR'],
    ['5 \r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5 5\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;a=\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;=a\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;a b\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;a \r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;a="b\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;a="b"c\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;a="\0"\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['5;a="b\n"\r\nhello\r\n', 'BARE_LF'],
    ['5;a\nb\r\nhello\r\n', 'BARE_LF'],
    ['5;a\x7f\r\nhello\r\n', 'BAD_CHUNK_EXTENSION'],
    ['20000000000000\r\n', 'CHUNK_SIZE_OVERFLOW'],
    ['ffffffffffffffff\r\n', 'CHUNK_SIZE_OVERFLOW'],
    ['100000000000000000000000000000005\r\nhello\r\n', 'CHUNK_SIZE_OVERFLOW'],
    ['5\r\nhelloX\r\n', 'BAD_CHUNK_END'],
    ['5\r\nhello\n', 'BAD_CHUNK_END'],
    ['5\r\nhello\rX', 'BAD_CHUNK_END'],
    ['5\r\nhello0\r\n\r\n', 'BAD_CHUNK_END'],
    ['4\r\nhello\r\n0\r\n\r\n', 'BAD_CHUNK_END'],
    ['0\r\n\n', 'BARE_LF'],
    ['0\r\n X: 1\r\n\r\n', 'OBS_FOLD'],
    ['0\r\nX : 1\r\n\r\n', 'SPACE_BEFORE_COLON'],
    ['0\r\nGET / HTTP/1.1\r\n\r\n', 'SPACE_BEFORE_COLON'],
  ])('%j is %s', (body, code) => {
    expect(errorOf(chunked(body))).toBe(code);
  });

  it('takes the largest exact chunk size', () => {
    expect(errorOf(chunked('1fffffffffffff\r\nx'))).toBeNull();
  });

  it('bounds a chunk-size line, and all extensions of a message', () => {
    const limits = { ...DEFAULT_HTTP1_LIMITS, maxChunkLineBytes: 20, maxChunkExtensionBytes: 40 };
    const run = (body: string) => recordRequests(chunked(body), { limits });
    expect(run(`1;${'a'.repeat(18)}\r\nx\r\n0\r\n\r\n`).error).toBeNull();
    expect(run(`1;${'a'.repeat(19)}\r\nx\r\n0\r\n\r\n`).error).toBe('CHUNK_LINE_TOO_LONG');
    expect(run(`${'0'.repeat(20)}\r\n\r\n`).error).toBeNull();
    expect(run('0'.repeat(21)).error).toBe('CHUNK_LINE_TOO_LONG');
    expect(run('1;abcdefghi\r\nx\r\n'.repeat(4)).error).toBeNull();
    const over = run('1;abcdefghi\r\nx\r\n'.repeat(5));
    expect([over.error, over.status]).toEqual(['CHUNK_EXTENSIONS_TOO_LARGE', 413]);
  });
});

describe('trailers (RFC 9110 section 6.5)', () => {
  it('come with the end of the message, without those that frame or route', () => {
    const { messages } = recordRequests(
      chunked(
        '0\r\nGrpc-Status: 0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: b\r\nConnection: close\r\nTrailer: x\r\nTE: trailers\r\nX: 1\r\n\r\n',
      ),
    );
    expect(messages[0].trailers).toEqual(['grpc-status', '0', 'x', '1']);
  });

  it('that are all dropped are none', () => {
    expect(recordRequests(chunked('0\r\nHost: b\r\n\r\n')).messages[0].trailers).toBeNull();
  });

  it('belong to their own message', () => {
    const { messages } = recordRequests(chunked('0\r\nA: 1\r\n\r\n') + chunked('0\r\n\r\n') + request());
    expect(messages.map((m) => m.trailers)).toEqual([['a', '1'], null, null]);
  });

  it('are bounded', () => {
    const limits = { ...DEFAULT_HTTP1_LIMITS, maxTrailerBytes: 50, maxHeaders: 3 };
    const long = recordRequests(chunked(`0\r\nX: ${'a'.repeat(50)}\r\n\r\n`), { limits });
    expect([long.error, long.status]).toEqual(['TRAILERS_TOO_LARGE', 431]);
    expect(recordRequests(chunked('0\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\n\r\n'), { limits }).error).toBe('TOO_MANY_HEADERS');
  });
});

describe('smuggling: what two servers could read differently is refused', () => {
  const smuggled = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';
  it.each<[name: string, text: string, code: string]>([
    ['CL.TE', `${request('Content-Length: 6', 'Transfer-Encoding: chunked')}0\r\n\r\nG`, 'CL_AND_TE'],
    ['TE.CL', `${request('Transfer-Encoding: chunked', 'Content-Length: 4')}5c\r\n`, 'CL_AND_TE'],
    [
      'TE.TE, one obfuscated',
      `${request('Transfer-Encoding: chunked', 'Transfer-Encoding: x')}0\r\n\r\n`,
      'BAD_TRANSFER_ENCODING',
    ],
    [
      'TE.TE, x first',
      `${request('Transfer-Encoding: x', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
      'UNSUPPORTED_TRANSFER_CODING',
    ],
    ['TE with a vertical tab', `${request('Transfer-Encoding:\x0bchunked')}0\r\n\r\n`, 'BAD_FIELD_VALUE'],
    [
      'TE before the colon',
      `${request('Content-Length: 5', 'Transfer-Encoding : chunked')}0\r\n\r\n`,
      'SPACE_BEFORE_COLON',
    ],
    ['TE folded', `${request('Content-Length: 5', 'X: y\r\n Transfer-Encoding: chunked')}0\r\n\r\n`, 'OBS_FOLD'],
    ['TE behind a bare LF', `${request('X: y\nTransfer-Encoding: chunked')}0\r\n\r\n`, 'BARE_LF'],
    ['TE behind a bare CR', `${request('X: y\rTransfer-Encoding: chunked')}0\r\n\r\n`, 'BARE_CR'],
    ['TE behind a NUL', `${request('X: y\0Transfer-Encoding: chunked')}0\r\n\r\n`, 'BAD_FIELD_VALUE'],
    ['TE in quotes', `${request('Transfer-Encoding: "chunked"')}0\r\n\r\n`, 'BAD_TRANSFER_ENCODING'],
    [
      'two Content-Lengths',
      `${request('Content-Length: 0', `Content-Length: ${smuggled.length}`)}${smuggled}`,
      'MULTIPLE_CONTENT_LENGTHS',
    ],
    [
      'a list of Content-Lengths',
      `${request(`Content-Length: 0, ${smuggled.length}`)}${smuggled}`,
      'BAD_CONTENT_LENGTH',
    ],
    ['a signed Content-Length', `${request(`Content-Length: +${smuggled.length}`)}${smuggled}`, 'BAD_CONTENT_LENGTH'],
    [
      'Content-Length with an NBSP',
      `${request(`Content-Length: \xa0${smuggled.length}`)}${smuggled}`,
      'BAD_CONTENT_LENGTH',
    ],
    ['Content-Length in the request line', `GET / HTTP/1.1 Content-Length: 5\r\nHost: a\r\n\r\n`, 'BAD_REQUEST_LINE'],
    ['an underscore is another name', `${request('Content_Length: 5', 'Content-Length: x')}`, 'BAD_CONTENT_LENGTH'],
    ['chunk size overflow', chunked(`10000000000000000\r\n${smuggled}`), 'CHUNK_SIZE_OVERFLOW'],
    ['chunk extension with a bare LF', chunked(`0;\n\r\n${smuggled}`), 'BARE_LF'],
    ['chunk extension hiding a line', chunked(`2;\rxx\r\nab\r\n0\r\n\r\n${smuggled}`), 'BAD_CHUNK_EXTENSION'],
    ['chunk data longer than said', chunked(`1\r\nab\r\n0\r\n\r\n`), 'BAD_CHUNK_END'],
    ['chunk ended by two other bytes', chunked(`1\r\naXX0\r\n\r\n`), 'BAD_CHUNK_END'],
    [
      'a body behind CONNECT',
      `CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`,
      'CONNECT_WITH_BODY',
    ],
    ['Host twice', request('Host: b'), 'MULTIPLE_HOSTS'],
    ['Host with a path', 'GET / HTTP/1.1\r\nHost: a/admin\r\n\r\n', 'BAD_HOST'],
    ['absolute-form with user information', 'GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_TARGET'],
    ['a line of spaces instead of the empty one', 'GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n', 'OBS_FOLD'],
  ])('%s', (_name, text, code) => {
    expect(errorOf(text)).toBe(code);
  });

  it('CL.0: a body is read whatever the method', () => {
    const { messages } = recordRequests(`${request(`Content-Length: ${smuggled.length}`)}${smuggled}`);
    expect(messages).toHaveLength(1);
    expect(messages[0].body).toBe(smuggled);
  });

  it('h2c: the upgrade that would tunnel past the routes is not passed on', () => {
    const { head } = recordRequests(
      request('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'),
    ).messages[0];
    expect([head.protocol, head.headers]).toEqual([null, []]);
  });
});

describe('framing by method and status', () => {
  it.each([
    ['GET', null, 0, 'none'],
    ['GET', null, 5, 'length'],
    ['GET', null, -1, 'chunked'],
    ['POST', null, 0, 'length'],
    ['PUT', null, 0, 'length'],
    ['PATCH', null, 0, 'length'],
    ['DELETE', null, 0, 'none'],
    ['CONNECT', null, 0, 'none'],
    ['CONNECT', null, -1, 'none'],
    ['CONNECT', 'websocket', -1, 'none'],
    ['GET', 'websocket', 0, 'none'],
  ])('request %s %s %i: %s', (method, protocol, length, framing) => {
    expect(framingForRequest(method, protocol, length)).toBe(framing);
  });

  it.each([
    ['GET', 1, 200, 5, 'length'],
    ['GET', 1, 200, 0, 'length'],
    ['GET', 1, 200, -1, 'chunked'],
    ['GET', 0, 200, -1, 'close'],
    ['HEAD', 1, 200, 5, 'head'],
    ['HEAD', 0, 200, -1, 'head'],
    ['GET', 1, 304, 0, 'head'],
    ['GET', 1, 204, 0, 'none'],
    ['GET', 1, 101, 0, 'none'],
    ['GET', 1, 103, -1, 'none'],
    ['HEAD', 1, 204, 0, 'none'],
    ['CONNECT', 1, 200, -1, 'none'],
    ['CONNECT', 1, 403, 5, 'length'],
  ] as const)('response to %s over 1.%i with %i and length %i: %s', (method, minor, status, length, framing) => {
    expect(framingForResponse(method, minor, status, length)).toBe(framing);
  });

  it('of responses is read by the same rules', () => {
    const withBody = `${response('Content-Length: 5')}hello`;
    expect(recordResponses(withBody, ['GET']).messages[0].body).toBe('hello');
    const toHead = recordResponses(response('Content-Length: 5'), ['HEAD']).messages[0];
    expect([toHead.ended, toHead.head.headers, toHead.head.contentLength]).toEqual([true, ['content-length', '5'], 0]);
  });
});
