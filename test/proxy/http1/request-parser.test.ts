import { describe, expect, it } from 'vitest';
import { DEFAULT_HTTP1_LIMITS } from '../../../src/proxy/http1/limits.ts';
import { Http1RequestParser } from '../../../src/proxy/http1/request-parser.ts';
import { CONTINUE } from '../../../src/proxy/http1/signals.ts';
import { recordRequests, request } from './recorder.ts';

const only = (text: string) => {
  const { messages, error } = recordRequests(text);
  expect(error).toBeNull();
  expect(messages).toHaveLength(1);
  return messages[0];
};
const errorOf = (text: string) => recordRequests(text).error;

describe('a request head', () => {
  it('is taken apart: method, target, authority, lowercase names, values without white space around them', () => {
    const { head, ended } = only(
      'GET /a/b?c=d HTTP/1.1\r\nHost: Example:8080\r\nX-Mixed-CASE:  some value\t \r\nAccept:*/*\r\nEmpty:\r\n\r\n',
    );
    expect(head).toEqual({
      method: 'GET',
      scheme: '',
      authority: 'Example:8080',
      path: '/a/b?c=d',
      protocol: null,
      headers: ['x-mixed-case', 'some value', 'accept', '*/*', 'empty', ''],
      contentLength: 0,
      expectContinue: false,
      minor: 1,
      keepAlive: true,
      chunked: false,
      form: 'origin',
    });
    expect(ended).toBe(true);
  });

  it('keeps obs-text as latin1 and HTAB inside values', () => {
    expect(only(request('X: caf\xe9\tau\xff')).head.headers).toEqual(['x', 'caf\xe9\tau\xff']);
  });

  it('keeps repeated fields apart and in order', () => {
    expect(only(request('A: 1', 'B: 2', 'a: 3')).head.headers).toEqual(['a', '1', 'b', '2', 'a', '3']);
  });

  it.each([
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'PROPFIND',
    'M-SEARCH',
    "!#$%&'*+-.^_`|~",
    'get',
    'P',
    'PU',
    'GETS',
    'POSTS',
  ])('accepts the method %s as it is', (method) => {
    expect(only(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`).head.method).toBe(method);
  });

  it('ignores one empty line before a request and no more (RFC 9112 section 2.2)', () => {
    expect(only(`\r\n${request()}`).head.path).toBe('/');
    expect(errorOf(`\r\n\r\n${request()}`)).toBe('BAD_METHOD');
    expect(recordRequests(`${request()}\r\n${request()}`).messages).toHaveLength(2);
    expect(errorOf(`\n${request()}`)).toBe('BARE_LF');
    expect(errorOf(`\r${request()}`)).toBe('BARE_CR');
  });
});

describe('the request line', () => {
  it.each([
    ['GET /\r\nHost: a\r\n\r\n', 'BAD_REQUEST_LINE', 400],
    ['GET\r\nHost: a\r\n\r\n', 'BAD_REQUEST_LINE', 400],
    ['GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_REQUEST_LINE', 400],
    ['GET /  HTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_VERSION', 400],
    ['GET / HTTP/1.1 \r\nHost: a\r\n\r\n', 'BAD_REQUEST_LINE', 400],
    ['GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_METHOD', 400],
    ['GET /\tHTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_TARGET', 400],
    [' GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_METHOD', 400],
    ['G@T / HTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_METHOD', 400],
    ['G\0T / HTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_METHOD', 400],
    ['GET /a b HTTP/1.1\r\nHost: a\r\n\r\n', 'BAD_VERSION', 400],
    ['GET / http/1.1\r\nHost: a\r\n\r\n', 'BAD_VERSION', 400],
    ['GET / HTTP/1.1x\r\nHost: a\r\n\r\n', 'BAD_REQUEST_LINE', 400],
    ['GET / HTTP/1.10\r\nHost: a\r\n\r\n', 'BAD_REQUEST_LINE', 400],
    ['GET / HTTP/1\r\nHost: a\r\n\r\n', 'BAD_VERSION', 400],
    ['GET / HTTP/11\r\nHost: a\r\n\r\n', 'BAD_VERSION', 400],
    ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', 'VERSION_NOT_SUPPORTED', 505],
    ['GET / HTTP/0.9\r\nHost: a\r\n\r\n', 'VERSION_NOT_SUPPORTED', 505],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'VERSION_NOT_SUPPORTED', 505],
    ['GET / HTTP/1.1\nHost: a\r\n\r\n', 'BARE_LF', 400],
    ['GET / HTTP/1.1\rHost: a\r\n\r\n', 'BARE_CR', 400],
    ['GET / HTTP/1.1\r\r\nHost: a\r\n\r\n', 'BARE_CR', 400],
  ])('%j is %s', (text, code, status) => {
    const { error, status: found } = recordRequests(text);
    expect([error, found]).toEqual([code, status]);
  });

  it('refuses what is not HTTP at its first byte, without waiting for a line', () => {
    expect(errorOf('\x16\x03\x01\x02\x00')).toBe('BAD_METHOD');
    expect(errorOf('\0')).toBe('BAD_METHOD');
  });

  it('reads a higher minor version as 1.1 (RFC 9110 section 2.5)', () => {
    expect(only('GET / HTTP/1.2\r\nHost: a\r\n\r\n').head.minor).toBe(1);
  });
});

describe('the request target (RFC 9112 section 3.2)', () => {
  it.each([
    ['GET', '/', 'origin', '', 'a', '/'],
    ['GET', '//x', 'origin', '', 'a', '//x'],
    ['GET', '/../%2e%2e/?', 'origin', '', 'a', '/../%2e%2e/?'],
    ['GET', '/q?"<>[]\\^`{|}', 'origin', '', 'a', '/q?"<>[]\\^`{|}'],
    ['GET', 'http://orders/x?y', 'absolute', 'http', 'orders', '/x?y'],
    ['GET', 'HTTPS://Orders:99/x', 'absolute', 'https', 'Orders:99', '/x'],
    ['GET', 'http://orders', 'absolute', 'http', 'orders', '/'],
    ['GET', 'http://orders?x=1', 'absolute', 'http', 'orders', '/?x=1'],
    ['OPTIONS', 'http://orders', 'absolute', 'http', 'orders', '*'],
    ['OPTIONS', '*', 'asterisk', '', 'a', '*'],
    ['CONNECT', 'orders:443', 'authority', '', 'orders:443', ''],
    ['CONNECT', '[::1]:443', 'authority', '', '[::1]:443', ''],
  ])('%s %s', (method, target, form, scheme, authority, path) => {
    const { head } = only(`${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect([head.form, head.scheme, head.authority, head.path]).toEqual([form, scheme, authority, path]);
  });

  it.each([
    ['GET', 'x'],
    ['GET', '*'],
    ['GET', 'a:80'],
    ['GET', '?x'],
    ['GET', '/a#b'],
    ['GET', '/caf\xe9'],
    ['GET', '/\x7f'],
    ['GET', '/\x01'],
    ['GET', 'ftp://a/'],
    ['GET', 'http:/a'],
    ['GET', 'http://'],
    ['GET', 'http:///x'],
    ['GET', 'http://user@a/'],
    ['GET', 'http://user:pass@a/'],
    ['GET', 'http://a:b/'],
    ['GET', 'http://a:65536/'],
    ['GET', 'http://a\\b/'],
    ['GET', 'http://[::1/'],
    ['GET', 'http://[zz]/'],
    ['GET', 'http://a%zz/'],
    ['CONNECT', '/'],
    ['CONNECT', 'a'],
    ['CONNECT', 'a:'],
    ['CONNECT', 'a:0'],
    ['CONNECT', 'a:99999'],
    ['CONNECT', ':80'],
    ['CONNECT', 'http://a:80'],
    ['CONNECT', 'u@a:80'],
    ['CONNECT', '*'],
  ])('%s %j is refused', (method, target) => {
    expect(errorOf(`${method} ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)).toBe('BAD_TARGET');
  });

  it('wins over Host in absolute-form, and Host must be there all the same', () => {
    expect(only('GET http://orders/ HTTP/1.1\r\nHost: evil\r\n\r\n').head.authority).toBe('orders');
    expect(errorOf('GET http://orders/ HTTP/1.1\r\n\r\n')).toBe('MISSING_HOST');
  });
});

describe('Host (RFC 9112 section 3.2)', () => {
  it.each(['a', 'a.b-c_d~', 'a:80', 'a:', '127.0.0.1:1', '[::1]', '[2001:db8::1]:8080', 'a%20b', 'xn--caf-dma'])(
    'accepts %s',
    (host) => {
      expect(only(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).head.authority).toBe(host);
    },
  );

  it.each([
    'a b',
    'a/b',
    'a?b',
    'a#b',
    'a@b',
    'a\\b',
    'a:b',
    'a:1:2',
    'a:65536',
    '"a"',
    'a%',
    'a%2',
    'a%zz',
    '[::1',
    '[1.2.3.4]',
    '[::1%25lo]',
    '[]',
    '[v1.x]',
    'caf\xe9',
    ':80',
    'http://a',
  ])('refuses %j', (host) => {
    expect(errorOf(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toBe('BAD_HOST');
  });

  it('must be there once in 1.1, may be missing in 1.0, may be empty', () => {
    expect(errorOf('GET / HTTP/1.1\r\n\r\n')).toBe('MISSING_HOST');
    expect(errorOf('GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n')).toBe('MULTIPLE_HOSTS');
    expect(errorOf('GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n')).toBe('MULTIPLE_HOSTS');
    expect(only('GET / HTTP/1.0\r\n\r\n').head.authority).toBe('');
    expect(only('GET / HTTP/1.1\r\nHost:\r\n\r\n').head.authority).toBe('');
  });
});

describe('field lines (RFC 9112 section 5)', () => {
  it.each([
    ['X : 1', 'SPACE_BEFORE_COLON'],
    ['X\t: 1', 'SPACE_BEFORE_COLON'],
    ['X Y: 1', 'SPACE_BEFORE_COLON'],
    [' X: 1', 'OBS_FOLD'],
    ['\tX: 1', 'OBS_FOLD'],
    ['X: 1\r\n folded', 'OBS_FOLD'],
    ['X: 1\r\n\tfolded', 'OBS_FOLD'],
    ['X: 1\r\n \r\nY: 2', 'OBS_FOLD'],
    [': 1', 'BAD_FIELD_NAME'],
    ['X', 'MISSING_COLON'],
    ['(X): 1', 'BAD_FIELD_NAME'],
    ['X@: 1', 'BAD_FIELD_NAME'],
    ['X\0: 1', 'BAD_FIELD_NAME'],
    ['X\x7f: 1', 'BAD_FIELD_NAME'],
    ['X\xe9: 1', 'BAD_FIELD_NAME'],
    ['"X": 1', 'BAD_FIELD_NAME'],
    ['X: a\0b', 'BAD_FIELD_VALUE'],
    ['X: a\x01', 'BAD_FIELD_VALUE'],
    ['X: \x0b', 'BAD_FIELD_VALUE'],
    ['X: a\x1f', 'BAD_FIELD_VALUE'],
    ['X: a\x7f', 'BAD_FIELD_VALUE'],
    ['X: a\rb', 'BARE_CR'],
    ['X: a\r', 'BARE_CR'],
    ['X: a\nY: b', 'BARE_LF'],
    ['\nX: b', 'BARE_LF'],
    ['\rX: b', 'BARE_CR'],
  ])('%j is %s', (line, code) => {
    expect(errorOf(request(line))).toBe(code);
    // The same behind a line that is remembered from the request before.
    expect(errorOf(request('Accept: */*', line))).toBe(code);
  });

  it('ends with CRLF CRLF and nothing less', () => {
    expect(errorOf('GET / HTTP/1.1\r\nHost: a\r\n\n')).toBe('BARE_LF');
    expect(errorOf('GET / HTTP/1.1\r\nHost: a\n\n')).toBe('BARE_LF');
    expect(errorOf('GET / HTTP/1.1\r\nHost: a\r\r\n\r\n')).toBe('BARE_CR');
    expect(recordRequests('GET / HTTP/1.1\r\nHost: a\r\n\r').messages).toHaveLength(0);
  });

  it('finds a control character wherever it stands in a word of four bytes', () => {
    for (let length = 0; length < 12; length++) {
      for (const bad of ['\0', '\x08', '\x0b', '\x1f', '\x7f']) {
        expect(errorOf(request(`X: ${'v'.repeat(length)}${bad}${'w'.repeat(11 - length)}`))).toBe('BAD_FIELD_VALUE');
      }
      const value = `v${'v'.repeat(length)}\t\x80w`;
      expect(only(request(`X: ${value}`)).head.headers[1]).toBe(value);
    }
  });

  it('ignores the case of letters only: no other byte that differs in the same bit passes for a known name', () => {
    for (const name of ['content-length', 'transfer-encoding', 'x-b3-traceid', 'x-learnt_1']) {
      for (let i = 0; i <= name.length; i++) {
        const line = `${name}:0`;
        const twin = line.slice(0, i) + String.fromCharCode(line.charCodeAt(i) ^ 0x20) + line.slice(i + 1);
        // Known, and expected in this place, by now.
        recordRequests(request(`${name}: 0`));
        const { messages, error } = recordRequests(request(twin));
        if (/^[a-z]$/.test(line[i])) {
          expect(error ?? messages[0].head.headers[0]).toBe(
            name === 'transfer-encoding' ? 'BAD_TRANSFER_ENCODING' : name,
          );
        } else {
          expect(messages[0]?.head.headers[0]).not.toBe(name);
          expect(error).not.toBe('BAD_TRANSFER_ENCODING');
        }
      }
    }
  });

  it('takes names of any length and remembers none of them wrongly', () => {
    for (const length of [1, 3, 4, 61, 62, 63, 64, 65, 200]) {
      const name = 'X'.repeat(length);
      const { head } = only(request(`${name}: 1`, `${name}y: 2`, `Host2: 3`));
      expect(head.headers).toEqual([name.toLowerCase(), '1', `${name.toLowerCase()}y`, '2', 'host2', '3']);
    }
  });
});

describe('limits', () => {
  const limits = { ...DEFAULT_HTTP1_LIMITS, maxHeadBytes: 200, maxHeaders: 5 };
  const headOf = (bytes: number): string => {
    const empty = request('X: ').length;
    return request(`X: ${'v'.repeat(bytes - empty)}`);
  };

  it('allows exactly as many bytes as it says', () => {
    expect(recordRequests(headOf(200), { limits }).messages).toHaveLength(1);
    const over = recordRequests(headOf(201), { limits });
    expect([over.error, over.status]).toEqual(['HEAD_TOO_LARGE', 431]);
  });

  it('counts over all reads', () => {
    const cuts = Array.from({ length: 300 }, (_, i) => i);
    expect(recordRequests(headOf(200), { limits, cuts }).messages).toHaveLength(1);
    expect(recordRequests(headOf(201), { limits, cuts }).error).toBe('HEAD_TOO_LARGE');
  });

  it('does not wait for a line end that never comes', () => {
    const endless = recordRequests(`GET /${'a'.repeat(300)}`, { limits });
    expect([endless.error, endless.status]).toEqual(['URI_TOO_LONG', 414]);
    expect(recordRequests(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(300)}`, { limits }).error).toBe(
      'HEAD_TOO_LARGE',
    );
  });

  it('counts header fields, Host included', () => {
    expect(recordRequests(request('A: 1', 'B: 2', 'C: 3', 'D: 4'), { limits }).messages).toHaveLength(1);
    const over = recordRequests(request('A: 1', 'B: 2', 'C: 3', 'D: 4', 'E: 5'), { limits });
    expect([over.error, over.status]).toEqual(['TOO_MANY_HEADERS', 431]);
    const cuts = Array.from({ length: 100 }, (_, i) => i);
    expect(recordRequests(request('A: 1', 'B: 2', 'C: 3', 'D: 4', 'E: 5'), { limits, cuts }).error).toBe(
      'TOO_MANY_HEADERS',
    );
  });

  it('reads heads of 64 KiB whatever the pieces, in linear time', () => {
    const text = headOf(64 * 1024);
    const big = { ...DEFAULT_HTTP1_LIMITS };
    expect(recordRequests(text, { limits: big }).messages).toHaveLength(1);
    const cuts = Array.from({ length: 64 * 1024 }, (_, i) => i);
    const begin = process.hrtime.bigint();
    expect(recordRequests(text, { limits: big, cuts }).messages).toHaveLength(1);
    // A scan from the start for every byte would be 2 * 10^9 steps.
    expect(Number(process.hrtime.bigint() - begin) / 1e6).toBeLessThan(2000);
  });
});

describe('connection options (RFC 9110 section 7.6.1, RFC 9112 section 9.3)', () => {
  it.each([
    ['HTTP/1.1', [], true],
    ['HTTP/1.1', ['Connection: keep-alive'], true],
    ['HTTP/1.1', ['Connection: close'], false],
    ['HTTP/1.1', ['Connection: CLOSE'], false],
    ['HTTP/1.1', ['Connection: keep-alive, close'], false],
    ['HTTP/1.1', ['Connection: x', 'Connection: ,close,'], false],
    ['HTTP/1.0', [], false],
    ['HTTP/1.0', ['Connection: Keep-Alive'], true],
    ['HTTP/1.0', ['Connection: keep-alive, close'], false],
    ['HTTP/1.0', ['Proxy-Connection: keep-alive'], false],
    ['HTTP/1.1', ['Proxy-Connection: close'], true],
  ])('%s %j: keepAlive %s', (version, lines, keepAlive) => {
    expect(only(`GET / ${version}\r\nHost: a\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`).head.keepAlive).toBe(
      keepAlive,
    );
  });

  it('takes away hop-by-hop fields and what Connection names', () => {
    const { head } = only(
      request(
        'Connection: close, X-Secret',
        'X-Secret: 1',
        'x-secret: 2',
        'Keep-Alive: timeout=5',
        'Proxy-Connection: close',
        'TE: gzip',
        'Upgrade: h2c',
        'HTTP2-Settings: AAA',
        'Accept: */*',
        'Proxy-Authorization: x',
        'Trailer: y',
      ),
    );
    expect(head.headers).toEqual(['accept', '*/*', 'proxy-authorization', 'x', 'trailer', 'y']);
  });

  it('does not let Connection take away end-to-end fields', () => {
    const { head } = only(
      request(
        'Connection: content-length, host, x-forwarded-for, authorization',
        'Content-Length: 0',
        'X-Forwarded-For: 1',
        'Authorization: 2',
      ),
    );
    expect(head.headers).toEqual(['content-length', '0', 'x-forwarded-for', '1', 'authorization', '2']);
    expect(head.authority).toBe('a');
  });

  it('refuses a Connection field that is no list of tokens', () => {
    expect(errorOf(request('Connection: a b'))).toBe('BAD_CONNECTION');
    expect(errorOf(request('Connection: "close"'))).toBe('BAD_CONNECTION');
  });

  it('keeps of TE only that trailers are welcome (RFC 9110 section 10.1.4)', () => {
    expect(only(request('Connection: TE', 'TE: gzip;q=0.5, Trailers')).head.headers).toEqual(['te', 'trailers']);
    expect(only(request('TE: trailers', 'TE: trailers')).head.headers).toEqual(['te', 'trailers']);
    expect(only(request('TE: deflate')).head.headers).toEqual([]);
  });
});

describe('Upgrade (RFC 9110 section 7.8)', () => {
  it.each([
    [['Connection: upgrade', 'Upgrade: websocket'], 'websocket'],
    [['Connection: keep-alive, Upgrade', 'Upgrade: WebSocket'], 'websocket'],
    [['Connection: upgrade', 'Upgrade: foo/2, bar'], 'foo/2, bar'],
    [['Upgrade: websocket'], null],
    [['Connection: upgrade'], null],
    [['Connection: upgrade, http2-settings', 'Upgrade: h2c', 'HTTP2-Settings: AAA'], null],
    [['Connection: upgrade', 'Upgrade: h2c, websocket'], 'websocket'],
    [['Connection: upgrade', 'Upgrade: websocket', 'Content-Length: 1', '', 'x'], null],
  ])('%j: %s', (lines, protocol) => {
    const text = `GET / HTTP/1.1\r\nHost: a\r\n${lines.join('\r\n')}${lines.includes('') ? '' : '\r\n\r\n'}`;
    expect(recordRequests(text, { stop: true }).messages[0].head.protocol).toBe(protocol);
  });

  it('is ignored in HTTP/1.0 and refused when malformed', () => {
    expect(only('GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n').head.protocol).toBeNull();
    expect(errorOf(request('Connection: upgrade', 'Upgrade: web socket'))).toBe('BAD_UPGRADE');
  });

  it('leaves the bytes behind the head to the caller when told to stop', () => {
    const upgrade = request('Connection: upgrade', 'Upgrade: websocket');
    const { messages, rest } = recordRequests(`${upgrade}\x81\x05hello`, { stop: true });
    expect(messages[0].ended).toBe(false);
    expect(rest).toBe('\x81\x05hello');
    expect(recordRequests('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nraw', { stop: true }).rest).toBe('raw');
  });

  it('goes on with the next request after an upgrade that was refused', () => {
    const seen: string[] = [];
    const parser = new Http1RequestParser({
      onRequest: (head) => {
        seen.push(head.path);
        return head.protocol === null ? CONTINUE : 1;
      },
      onData() {},
      onEnd() {},
      onParseError: (e) => void seen.push(e.code),
    });
    const bytes = Buffer.from(
      `${request('Connection: upgrade', 'Upgrade: websocket')}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`,
    );
    const at = parser.execute(bytes, 0, bytes.length);
    expect(parser.idle).toBe(true);
    expect(parser.execute(bytes, at, bytes.length)).toBe(bytes.length);
    expect(seen).toEqual(['/', '/next']);
  });
});

describe('Expect (RFC 9110 section 10.1.1)', () => {
  it('is understood, dropped, and needs a body', () => {
    const { head } = recordRequests(request('Expect: 100-Continue', 'Content-Length: 3')).messages[0];
    expect(head.expectContinue).toBe(true);
    expect(head.headers).toEqual(['content-length', '3']);
    expect(only(request('Expect: 100-continue')).head.expectContinue).toBe(false);
  });

  it('is refused with 417 when it is something else, and ignored in HTTP/1.0', () => {
    const { error, status } = recordRequests(request('Expect: the-spanish-inquisition'));
    expect([error, status]).toEqual(['EXPECTATION_FAILED', 417]);
    expect(errorOf(request('Expect: 100-continue', 'Expect: 100-continue'))).toBe('EXPECTATION_FAILED');
    const old = only('POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx').head;
    expect([old.expectContinue, old.headers]).toEqual([false, ['content-length', '1']]);
  });
});

describe('the parser as a whole', () => {
  it('returns behind each message, so that pipelined requests stay with the caller', () => {
    const events: string[] = [];
    const parser = new Http1RequestParser({
      onRequest: (head) => {
        events.push(head.path);
        return CONTINUE;
      },
      onData: (buf, start, end) => void events.push(buf.latin1Slice(start, end)),
      onEnd: () => void events.push('end'),
      onParseError: (e) => void events.push(e.code),
    });
    const first = 'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi';
    const bytes = Buffer.from(`${first}${request()}`);
    expect(parser.execute(bytes, 0, bytes.length)).toBe(first.length);
    expect(events).toEqual(['/1', 'hi', 'end']);
    expect(parser.idle).toBe(true);
    expect(parser.execute(bytes, first.length, bytes.length)).toBe(bytes.length);
    expect(events).toEqual(['/1', 'hi', 'end', '/', 'end']);
  });

  it('knows whether it is idle, in a head, or dead', () => {
    const parser = new Http1RequestParser({ onRequest: () => CONTINUE, onData() {}, onEnd() {}, onParseError() {} });
    const feed = (s: string): number => parser.execute(Buffer.from(s, 'latin1'), 0, s.length);
    expect([parser.idle, parser.readingHead]).toEqual([true, false]);
    expect(feed('GET / HT')).toBe(8);
    expect([parser.idle, parser.readingHead]).toEqual([false, true]);
    feed('TP/1.1\r\nHost: a\r\n');
    expect([parser.idle, parser.readingHead]).toEqual([false, true]);
    feed('Content-Length: 1\r\n\r\n');
    expect([parser.idle, parser.readingHead]).toEqual([false, false]);
    feed('x');
    expect([parser.idle, parser.readingHead]).toEqual([true, false]);
    expect(feed('\0 more')).toBe(6);
    expect([parser.idle, parser.failed]).toEqual([false, true]);
    expect(feed(request())).toBe(request().length);
    parser.reset();
    expect([parser.idle, parser.failed]).toEqual([true, false]);
  });

  it('says so when the connection ends within a message', () => {
    expect(recordRequests('GET / HT', { finish: true }).error).toBe('TRUNCATED_HEAD');
    expect(recordRequests(request('Content-Length: 5'), { finish: true }).error).toBe('TRUNCATED_BODY');
    expect(recordRequests(request('Transfer-Encoding: chunked').concat('0\r\n'), { finish: true }).error).toBe(
      'TRUNCATED_BODY',
    );
    expect(recordRequests(request(), { finish: true }).error).toBeNull();
  });

  it('reports the first mistake, whichever kind it is', () => {
    expect(errorOf(request('Host: b', 'X : 1'))).toBe('MULTIPLE_HOSTS');
    expect(errorOf(request('X : 1', 'Host: b'))).toBe('SPACE_BEFORE_COLON');
  });
});
