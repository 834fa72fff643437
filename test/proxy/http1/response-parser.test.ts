import { describe, expect, it } from 'vitest';
import { Http1ResponseParser } from '../../../src/proxy/http1/response-parser.ts';
import { CONTINUE } from '../../../src/proxy/http1/signals.ts';
import { recordResponses, response } from './recorder.ts';

const only = (text: string, method = 'GET') => {
  const { messages, error } = recordResponses(text, [method]);
  expect(error).toBeNull();
  expect(messages).toHaveLength(1);
  return messages[0];
};

describe('the status line (RFC 9112 section 4)', () => {
  it.each([
    ['HTTP/1.1 200 OK', 200, 1],
    ['HTTP/1.1 200 ', 200, 1],
    ['HTTP/1.1 200', 200, 1],
    ['HTTP/1.0 404 Not Found', 404, 0],
    ['HTTP/1.2 200 OK', 200, 1],
    ['HTTP/1.1 599 caf\xe9\t!', 599, 1],
    ['HTTP/1.1 999 beyond', 999, 1],
  ])('%j', (line, status, minor) => {
    const { head } = only(`${line}\r\nContent-Length: 0\r\n\r\n`);
    expect([head.status, head.minor]).toEqual([status, minor]);
  });

  it.each([
    ['SSH-2.0-OpenSSH_9', 'BAD_STATUS_LINE'],
    ['HTTP/1.1 20 OK', 'BAD_STATUS_LINE'],
    ['HTTP/1.1 2000 OK', 'BAD_STATUS_LINE'],
    ['HTTP/1.1 2x0 OK', 'BAD_STATUS_LINE'],
    ['HTTP/1.1 099 OK', 'BAD_STATUS_LINE'],
    ['HTTP/1.1  200 OK', 'BAD_STATUS_LINE'],
    ['HTTP/1.1\t200 OK', 'BAD_STATUS_LINE'],
    ['HTTP/1.1 200 O\0K', 'BAD_STATUS_LINE'],
    ['HTTP/1.1 200 O\x7fK', 'BAD_STATUS_LINE'],
    ['HTTP/1.1 200 OK\nX: 1', 'BARE_LF'],
    ['HTTP/1.1 200 OK\rX: 1', 'BARE_CR'],
    ['HTTP/1.1200 OK', 'BAD_STATUS_LINE'],
    ['HTTP 200 OK', 'BAD_VERSION'],
    ['http/1.1 200 OK', 'BAD_STATUS_LINE'],
    ['HTTP/2.0 200 OK', 'VERSION_NOT_SUPPORTED'],
    ['\r\nHTTP/1.1 200 OK', 'BAD_STATUS_LINE'],
  ])('%j is %s, and the status is 502', (line, code) => {
    const { error, status } = recordResponses(`${line}\r\n\r\n`);
    expect([error, status]).toEqual([code, 502]);
  });

  it('is refused at its first byte when it is not HTTP', () => {
    expect(recordResponses('220 mail').error).toBe('BAD_STATUS_LINE');
  });
});

describe('the end of a response (RFC 9112 section 6.3)', () => {
  it('is where Content-Length says', () => {
    expect(only(`${response('Content-Length: 5')}hello`)).toMatchObject({ body: 'hello', ended: true });
    expect(only(response('Content-Length: 0'))).toMatchObject({ body: '', ended: true });
  });

  it('is the last chunk, with trailers', () => {
    const { body, ended, trailers, head } = only(
      `${response('Transfer-Encoding: chunked')}5\r\nhello\r\n0\r\nX: 1\r\n\r\n`,
    );
    expect([body, ended, trailers]).toEqual(['hello', true, ['x', '1']]);
    expect(head).toMatchObject({
      chunked: true,
      closeDelimited: false,
      contentLength: -1,
      keepAlive: true,
      headers: [],
    });
  });

  it('is the end of the connection when nothing else is said', () => {
    const open = recordResponses(`${response()}hello`);
    expect(open.messages[0]).toMatchObject({ body: 'hello', ended: false });
    expect(open.messages[0].head).toMatchObject({ closeDelimited: true, contentLength: -1, keepAlive: false });
    expect(recordResponses(`${response()}hello`, ['GET'], { finish: true }).messages[0].ended).toBe(true);
    expect(recordResponses(response(), ['GET'], { finish: true }).messages[0].ended).toBe(true);
  });

  it.each([
    ['HEAD', 200, ['Content-Length: 5'], ['content-length', '5']],
    ['HEAD', 200, ['Transfer-Encoding: chunked'], []],
    ['GET', 304, ['Content-Length: 5'], ['content-length', '5']],
    ['GET', 204, ['Content-Length: 5'], []],
    ['GET', 204, ['Transfer-Encoding: chunked'], []],
    ['HEAD', 200, [], []],
  ])('is the head: %s %i %j', (method, status, lines, headers) => {
    const head = `HTTP/1.1 ${status} x\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`;
    const { messages, error } = recordResponses(head + response('Content-Length: 0'), [method, 'GET']);
    expect(error).toBeNull();
    expect(messages.map((m) => m.ended)).toEqual([true, true]);
    expect(messages[0].head).toMatchObject({
      headers,
      contentLength: 0,
      keepAlive: true,
      chunked: false,
      closeDelimited: false,
    });
  });

  it.each([
    [['Content-Length: 5', 'Transfer-Encoding: chunked'], 'CL_AND_TE'],
    [['Content-Length: 5', 'Content-Length: 5'], 'MULTIPLE_CONTENT_LENGTHS'],
    [['Content-Length: 5, 5'], 'BAD_CONTENT_LENGTH'],
    [['Transfer-Encoding: gzip'], 'BAD_TRANSFER_ENCODING'],
    [['Transfer-Encoding: identity'], 'BAD_TRANSFER_ENCODING'],
    [['Transfer-Encoding: gzip, chunked'], 'UNSUPPORTED_TRANSFER_CODING'],
    [['X : 1'], 'SPACE_BEFORE_COLON'],
    [['X: 1', ' 2'], 'OBS_FOLD'],
    [['X: \0'], 'BAD_FIELD_VALUE'],
    [['X: 1\nSet-Cookie: a=b'], 'BARE_LF'],
    [['X: 1\rSet-Cookie: a=b'], 'BARE_CR'],
  ])('cannot be told: %j is %s', (lines, code) => {
    const { error, status } = recordResponses(response(...lines));
    expect([error, status]).toEqual([code, 502]);
  });

  it('cannot be told: chunked in HTTP/1.0', () => {
    expect(recordResponses('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n').error).toBe('TE_IN_HTTP_1_0');
  });

  it('did not come', () => {
    const finish = true;
    expect(recordResponses('', ['GET'], { finish }).error).toBe('NO_RESPONSE');
    expect(recordResponses('HTTP/1.1 2', ['GET'], { finish }).error).toBe('TRUNCATED_HEAD');
    expect(recordResponses('HTTP/1.1 103 x\r\n\r\n', ['GET'], { finish }).error).toBe('NO_RESPONSE');
    expect(recordResponses(`${response('Content-Length: 5')}hell`, ['GET'], { finish }).error).toBe('TRUNCATED_BODY');
    expect(recordResponses(`${response('Transfer-Encoding: chunked')}5\r\nhello\r\n`, ['GET'], { finish }).error).toBe(
      'TRUNCATED_BODY',
    );
    expect(recordResponses('', [], { finish }).error).toBeNull();
  });
});

describe('which request a response answers', () => {
  it('must be known: bytes that nobody asked for are refused', () => {
    expect(recordResponses(response('Content-Length: 0'), []).error).toBe('UNSOLICITED_RESPONSE');
    const { messages, error } = recordResponses(`${response('Content-Length: 2')}hi!`, ['GET']);
    expect([messages[0].ended, error]).toEqual([true, 'UNSOLICITED_RESPONSE']);
  });

  it('is announced once at a time', () => {
    const parser = new Http1ResponseParser({
      onInformational() {},
      onResponse: () => CONTINUE,
      onData() {},
      onEnd() {},
      onParseError() {},
    });
    expect(parser.idle).toBe(true);
    parser.expect('GET');
    expect(parser.idle).toBe(false);
    expect(() => parser.expect('GET')).toThrow();
  });

  it('may be announced from within onEnd', () => {
    const paths: number[] = [];
    const parser: Http1ResponseParser = new Http1ResponseParser({
      onInformational() {},
      onResponse: (head) => {
        paths.push(head.status);
        return CONTINUE;
      },
      onData() {},
      onEnd: () => parser.expect('HEAD'),
      onParseError: (e) => {
        throw new Error(e.code);
      },
    });
    parser.expect('GET');
    const bytes = Buffer.from(`${response('Content-Length: 1')}x${response('Content-Length: 1')}`);
    const at = parser.execute(bytes, 0, bytes.length);
    expect(parser.execute(bytes, at, bytes.length)).toBe(bytes.length);
    expect(paths).toEqual([200, 200]);
  });
});

describe('informational responses (RFC 9110 section 15.2)', () => {
  it('come before the final one, any number of them, without framing', () => {
    const { informational, messages } = recordResponses(
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n${response('Content-Length: 1')}x`,
    );
    expect(informational).toEqual([
      { status: 100, headers: [], contentLength: 0 },
      { status: 103, headers: ['link', '</a>'], contentLength: 0 },
    ]);
    expect(messages[0]).toMatchObject({ body: 'x', ended: true });
  });

  it('101 hands the connection over to a protocol that was asked for', () => {
    const text =
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nX: 1\r\n\r\n\x81\x00';
    const { messages, rest } = recordResponses(text, ['GET'], { upgradeAsked: true });
    expect(messages[0].head).toMatchObject({ status: 101, protocol: 'websocket', headers: ['x', '1'] });
    expect([rest, messages[0].ended]).toEqual(['\x81\x00', false]);
    expect(recordResponses(text).error).toBe('UNEXPECTED_SWITCH');
    expect(recordResponses('HTTP/1.1 101 x\r\n\r\n', ['GET'], { upgradeAsked: true }).error).toBe('BAD_UPGRADE');
    expect(recordResponses('HTTP/1.1 101 x\r\nUpgrade: a\r\n\r\n', ['GET'], { upgradeAsked: true }).error).toBe(
      'BAD_UPGRADE',
    );
  });

  it('a 2xx to CONNECT hands it over too, whatever its fields say (RFC 9112 section 6.3)', () => {
    const { messages, rest } = recordResponses(`${response('Content-Length: 5', 'Transfer-Encoding: chunked')}raw`, [
      'CONNECT',
    ]);
    expect([messages[0].head.headers, rest]).toEqual([[], 'raw']);
    expect(recordResponses(`HTTP/1.1 403 no\r\nContent-Length: 2\r\n\r\nno`, ['CONNECT']).messages[0]).toMatchObject({
      body: 'no',
      ended: true,
    });
  });
});

describe('fields that mean something in requests only', () => {
  it('are fields like any other', () => {
    const { head } = only(response('Host: a', 'Host: b c', 'Expect: x', 'TE: trailers', 'Content-Length: 0'));
    expect(head.headers).toEqual(['host', 'a', 'host', 'b c', 'expect', 'x', 'content-length', '0']);
  });
});

describe('connection options', () => {
  it.each([
    ['HTTP/1.1', [], true],
    ['HTTP/1.1', ['Connection: close'], false],
    ['HTTP/1.0', [], false],
    ['HTTP/1.0', ['Connection: keep-alive'], true],
  ])('%s %j: keepAlive %s', (version, lines, keepAlive) => {
    expect(
      only(`${version} 200 OK\r\nContent-Length: 0\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`).head.keepAlive,
    ).toBe(keepAlive);
  });

  it('are gone from the headers, Keep-Alive is understood', () => {
    const { head } = only(
      response(
        'Connection: keep-alive, X-Hop',
        'Keep-Alive: timeout=5, max=100',
        'X-Hop: 1',
        'Set-Cookie: a',
        'Set-Cookie: b',
        'Content-Length: 0',
        'Upgrade: h2,h2c',
      ),
    );
    expect(head.headers).toEqual(['set-cookie', 'a', 'set-cookie', 'b', 'content-length', '0']);
    expect(head.keepAliveTimeoutMs).toBe(5000);
    expect(head.protocol).toBeNull();
    expect(only(response('Keep-Alive: max=1, timeout=x', 'Content-Length: 0')).head.keepAliveTimeoutMs).toBe(0);
  });
});
