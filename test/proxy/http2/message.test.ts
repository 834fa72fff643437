import { describe, expect, it } from 'vitest';
import { COMPRESSION_ERROR, NO_ERROR, PROTOCOL_ERROR } from '../../../src/proxy/http2/error-codes.ts';
import { FrameType } from '../../../src/proxy/http2/frames.ts';
import { block, END_HEADERS, END_STREAM, frame, GET, POST, RawPeer } from '../../support/h2-raw.ts';

const without = (name: string): [string, string][] => GET.filter(([n]) => n !== name);
const CONNECT: [string, string][] = [
  [':method', 'CONNECT'],
  [':authority', 'db:5432'],
];
const WEBSOCKET: [string, string][] = [
  [':method', 'CONNECT'],
  [':protocol', 'websocket'],
  [':scheme', 'https'],
  [':path', '/ws'],
  [':authority', 'a.test'],
];

describe('requests that are malformed are refused on their stream (RFC 9113 sections 8.1.1 to 8.3)', () => {
  const cases: [why: string, fields: [string, string][]][] = [
    ['no :method', without(':method')],
    ['no :scheme', without(':scheme')],
    ['no :path', without(':path')],
    ['empty :path', [...without(':path'), [':path', '']]],
    ['a path that is no path', [...without(':path'), [':path', 'index.html']]],
    ['an absolute-form path', [...without(':path'), [':path', 'http://b.test/']]],
    ['* without OPTIONS', [...without(':path'), [':path', '*']]],
    ['a fragment', [...without(':path'), [':path', '/a#b']]],
    [':method twice', [[':method', 'GET'], ...GET]],
    [':path twice', [[':path', '/'], ...GET]],
    [':authority twice', [[':authority', 'a.test'], ...GET]],
    ['a pseudo-header after a regular one', [...without(':path'), ['accept', '*/*'], [':path', '/']]],
    ['an unknown pseudo-header', [...GET, [':foo', 'bar']]],
    [':status in a request', [...GET, [':status', '200']]],
    ['an uppercase name', [...GET, ['Accept', '*/*']]],
    ['an empty name', [...GET, ['', 'x']]],
    ['a space in a name', [...GET, ['x a', 'x']]],
    ['connection', [...GET, ['connection', 'close']]],
    ['keep-alive', [...GET, ['keep-alive', 'timeout=5']]],
    ['proxy-connection', [...GET, ['proxy-connection', 'close']]],
    ['upgrade', [...GET, ['upgrade', 'websocket']]],
    ['te: gzip', [...GET, ['te', 'gzip']]],
    ['te: trailers, gzip', [...GET, ['te', 'trailers, gzip']]],
    ['a host that is another', [...GET, ['host', 'b.test']]],
    ['host twice', [...GET, ['host', 'a.test'], ['host', 'a.test']]],
    ['userinfo', [...without(':authority'), [':authority', 'user@a.test']]],
    ['a value with leading space', [...GET, ['x-a', ' b']]],
    ['a value with trailing tab', [...GET, ['x-a', 'b\t']]],
    ['CONNECT with :path', [...CONNECT, [':path', '/']]],
    ['CONNECT with :scheme', [...CONNECT, [':scheme', 'http']]],
    ['CONNECT without :authority', [[':method', 'CONNECT']]],
    ['extended CONNECT without :path', WEBSOCKET.filter(([n]) => n !== ':path')],
    ['extended CONNECT without :authority', WEBSOCKET.filter(([n]) => n !== ':authority')],
    [':protocol without CONNECT', [...GET, [':protocol', 'websocket']]],
    ['content-length where nothing follows', [...GET, ['content-length', '5']]],
    ['content-length twice', [...GET, ['content-length', '0'], ['content-length', '0']]],
    ['content-length: +0', [...GET, ['content-length', '+0']]],
    ['content-length: 0x0', [...GET, ['content-length', '0x0']]],
    ['an empty content-length', [...GET, ['content-length', '']]],
    ['a content-length beyond counting', [...GET, ['content-length', '99999999999999999999']]],
  ];
  it.each(cases)('%s', (_why, fields) => {
    const peer = new RawPeer('server', { enableConnectProtocol: true });
    peer.headers(1, fields);
    expect(peer.complaints()).toEqual([{ stream: 1, code: PROTOCOL_ERROR }]);
    expect(peer.events()).toEqual(['malformed']);
    // The connection, and with it the compression state, goes on.
    peer.headers(3, GET);
    expect(peer.log.at(-1)).toMatchObject({ event: 'request', id: 3 });
  });
});

describe('request smuggling through HTTP/2', () => {
  it.each([
    ['H2.TE', [...POST, ['transfer-encoding', 'chunked']], '0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n'],
    ['H2.CL, more content than declared', [...POST, ['content-length', '4']], 'abcdGET /admin HTTP/1.1\r\n\r\n'],
    ['H2.CL, less content than declared', [...POST, ['content-length', '400']], 'abcd'],
    ['H2.CL, zero', [...POST, ['content-length', '0']], 'GET /admin HTTP/1.1\r\n\r\n'],
    ['line break in a value', [...POST, ['x-a', 'b\r\ntransfer-encoding: chunked']], ''],
    ['bare line feed in a value', [...POST, ['x-a', 'b\nx-c: d']], ''],
    ['bare carriage return in a value', [...POST, ['x-a', 'b\rx-c: d']], ''],
    ['NUL in a value', [...POST, ['x-a', 'b\0c']], ''],
    ['line break in a name', [...POST, ['x-a: b\r\ntransfer-encoding', 'chunked']], ''],
    ['colon in a name', [...POST, ['transfer-encoding:chunked', 'x']], ''],
    ['request line in :method', [[':method', 'GET /admin HTTP/1.1\r\nx:'], ...POST.slice(1)], ''],
    ['request line in :path', [...POST.filter(([n]) => n !== ':path'), [':path', '/ HTTP/1.1\r\nx: y']], ''],
    ['space in :path', [...POST.filter(([n]) => n !== ':path'), [':path', '/ HTTP/1.1']], ''],
    ['line break in :authority', [...POST.slice(0, 3), [':authority', 'a\r\nx: y']], ''],
    ['path in :authority', [...POST.slice(0, 3), [':authority', 'a.test/admin']], ''],
    ['line break in :scheme', [...POST.filter(([n]) => n !== ':scheme'), [':scheme', 'http\r\nx: y']], ''],
    ['URL in :scheme', [...POST.filter(([n]) => n !== ':scheme'), [':scheme', 'http://b.test/?']], ''],
  ] as [string, [string, string][], string][])('%s', (_name, fields, content) => {
    const peer = new RawPeer('server');
    peer.headers(1, fields, false);
    peer.data(1, content, true);
    expect(peer.complaints()).toContainEqual({ stream: 1, code: PROTOCOL_ERROR });
    expect(peer.log.some((e) => e.event === 'data' && e.endStream)).toBe(false);
  });

  it('counts content over frames and trailers', () => {
    const peer = new RawPeer('server');
    peer.headers(1, [...POST, ['content-length', '6']], false);
    peer.data(1, 'abc');
    peer.data(1, 'def', true);
    peer.headers(3, [...POST, ['content-length', '6']], false);
    peer.data(3, 'abc');
    peer.headers(3, [['x-sum', '1']]);
    expect(peer.complaints()).toEqual([{ stream: 3, code: PROTOCOL_ERROR }]);
    expect(peer.events()).toEqual(['request', 'data', 'data', 'request', 'data', 'reset', 'malformed']);
  });

  it.each([
    ['a pseudo-header', [[':path', '/admin']]],
    ['transfer-encoding', [['transfer-encoding', 'chunked']]],
    ['a line break', [['x-a', 'b\r\nc']]],
  ] as [string, [string, string][]][])('trailers with %s', (_name, trailers) => {
    const peer = new RawPeer('server');
    peer.headers(1, POST, false);
    peer.headers(1, trailers);
    expect(peer.complaints()).toEqual([{ stream: 1, code: PROTOCOL_ERROR }]);
  });

  it('leaves framing and routing fields out of trailers (RFC 9110 section 6.5.1)', () => {
    const peer = new RawPeer('server');
    peer.headers(1, POST, false);
    peer.headers(1, [
      ['content-length', '5'],
      ['host', 'b.test'],
      ['te', 'trailers'],
      ['x-sum', '1'],
    ]);
    expect(peer.log.at(-1)).toEqual({ event: 'trailers', id: 1, trailers: ['x-sum', '1'] });
  });
});

describe('request heads', () => {
  const head = (fields: [string, string][], endStream = true): Record<string, unknown> => {
    const peer = new RawPeer('server', { enableConnectProtocol: true });
    peer.headers(1, fields, endStream);
    const entry = peer.log[0];
    if (entry?.event !== 'request') throw new Error(JSON.stringify(peer.log));
    return { ...entry.head };
  };

  it('take the authority from host where there is no :authority', () => {
    expect(head([...without(':authority'), ['host', 'b.test']])).toMatchObject({ authority: 'b.test', headers: [] });
    expect(head([...GET, ['host', 'A.test']])).toMatchObject({ authority: 'a.test', headers: [] });
  });

  it('keep te: trailers, join cookies, and take 100-continue out', () => {
    const got = head(
      [...POST, ['cookie', 'a=1'], ['te', 'trailers'], ['cookie', 'b=2'], ['expect', '100-continue']],
      false,
    );
    expect(got).toMatchObject({ headers: ['cookie', 'a=1; b=2', 'te', 'trailers'], expectContinue: true });
  });

  it('say how long the content is', () => {
    expect(head(POST, false)).toMatchObject({ contentLength: -1 });
    expect(head(POST, true)).toMatchObject({ contentLength: 0 });
    expect(head([...POST, ['content-length', '12']], false)).toMatchObject({
      contentLength: 12,
      headers: ['content-length', '12'],
    });
  });

  it('of CONNECT and extended CONNECT', () => {
    expect(head(CONNECT, false)).toMatchObject({
      method: 'CONNECT',
      scheme: '',
      path: '',
      authority: 'db:5432',
      protocol: null,
    });
    expect(head(WEBSOCKET, false)).toMatchObject({ method: 'CONNECT', path: '/ws', protocol: 'websocket' });
  });

  it('of extended CONNECT are refused where it was not offered (RFC 8441 section 3)', () => {
    const peer = new RawPeer('server');
    peer.headers(1, WEBSOCKET, false);
    expect(peer.complaints()).toEqual([{ stream: 1, code: PROTOCOL_ERROR }]);
  });

  it('name what was never to be indexed', () => {
    const peer = new RawPeer('server');
    const secret = Buffer.concat([Buffer.from([0x10, 5]), Buffer.from('x-key'), Buffer.from([3]), Buffer.from('123')]);
    peer.send(frame(FrameType.Headers, END_HEADERS | END_STREAM, 1, Buffer.concat([block(...GET), secret])));
    expect(peer.streams.get(1)?.neverIndexed).toEqual(['x-key']);
  });

  it('that are too large are answered 431, and the connection goes on', () => {
    const peer = new RawPeer('server', { maxHeaderListBytes: 2000 });
    peer.headers(1, [...POST, ...Array.from({ length: 20 }, (): [string, string] => ['x-a', 'y'.repeat(100)])], false);
    const frames = peer.sent();
    expect(frames.map((f) => [f.type, f.streamId])).toEqual([
      [FrameType.Headers, 1],
      [FrameType.RstStream, 1],
    ]);
    expect(frames[0].payload.latin1Slice()).toContain('431');
    expect(frames[1].payload.readUInt32BE(0)).toBe(NO_ERROR);
    peer.data(1, 'the rest of it', true);
    peer.headers(3, GET);
    expect(peer.events()).toEqual(['malformed', 'request']);
  });

  it('that cannot be decoded end the connection', () => {
    const peer = new RawPeer('server');
    peer.headers(1, POST, false);
    peer.send(frame(FrameType.Headers, END_HEADERS | END_STREAM, 3, [0xff, 0xff, 0xff, 0xff]));
    expect(peer.complaints()).toEqual([{ stream: 0, code: COMPRESSION_ERROR }]);
    expect(peer.events()).toEqual(['request', 'reset', 'error']);
  });
});

describe('responses', () => {
  const REQUEST = {
    method: 'GET',
    scheme: 'http',
    authority: 'a.test',
    path: '/',
    protocol: null,
    headers: [],
    contentLength: 0,
    expectContinue: false,
  };
  const OK: [string, string] = [':status', '200'];

  it.each([
    ['no :status', [['x-a', 'b']], true],
    [':status twice', [OK, OK], true],
    ['a status of two digits', [[':status', '20']], true],
    ['a status of letters', [[':status', '2xx']], true],
    ['status 600', [[':status', '600']], true],
    ['status 101', [[':status', '101']], false],
    ['an informational end', [[':status', '103']], true],
    ['a request pseudo-header', [OK, [':path', '/']], true],
    ['connection', [OK, ['connection', 'close']], true],
    ['content-length where nothing follows', [OK, ['content-length', '3']], true],
  ] as [string, [string, string][], boolean][])('%s: malformed', (_why, fields, endStream) => {
    const peer = new RawPeer('client');
    peer.connection.request(REQUEST, true, null);
    peer.headers(1, fields, endStream);
    expect(peer.complaints()).toEqual([{ stream: 1, code: PROTOCOL_ERROR }]);
    expect(peer.log[0]).toEqual({ event: 'reset', id: 1, code: PROTOCOL_ERROR, remote: false });
  });

  it('informational ones come first, then the final one, content and trailers', () => {
    const peer = new RawPeer('client');
    peer.connection.request(REQUEST, true, null);
    peer.headers(
      1,
      [
        [':status', '103'],
        ['link', '</a>'],
      ],
      false,
    );
    peer.headers(1, [OK], false);
    peer.data(1, 'abc');
    peer.headers(1, [['grpc-status', '0']]);
    expect(peer.events()).toEqual(['informational', 'response', 'data', 'trailers']);
    expect(peer.connection.openStreams).toBe(0);
    expect(peer.complaints()).toEqual([]);
  });

  it.each([
    ['HEAD', 'HEAD', '200'],
    ['304', 'GET', '304'],
  ])('to %s may declare a length and bring nothing', (_what, method, status) => {
    const peer = new RawPeer('client');
    peer.connection.request({ ...REQUEST, method }, true, null);
    peer.headers(
      1,
      [
        [':status', status],
        ['content-length', '12'],
      ],
      true,
    );
    expect(peer.log).toMatchObject([{ event: 'response', head: { contentLength: 0 }, endStream: true }]);
    expect(peer.complaints()).toEqual([]);
  });

  it('to HEAD with content are malformed', () => {
    const peer = new RawPeer('client');
    peer.connection.request({ ...REQUEST, method: 'HEAD' }, true, null);
    peer.headers(1, [OK], false);
    peer.data(1, 'abc', true);
    expect(peer.complaints()).toEqual([{ stream: 1, code: PROTOCOL_ERROR }]);
  });

  it('content before a head, and a pushed stream, are errors', () => {
    const early = new RawPeer('client');
    early.connection.request(REQUEST, true, null);
    early.data(1, 'abc');
    expect(early.complaints()).toEqual([{ stream: 1, code: PROTOCOL_ERROR }]);
    const push = new RawPeer('client');
    push.connection.request(REQUEST, true, null);
    push.send(frame(FrameType.PushPromise, END_HEADERS, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), block(...GET)])));
    expect(push.complaints()).toEqual([{ stream: 0, code: PROTOCOL_ERROR }]);
    expect(push.events()).toEqual(['reset', 'error']);
  });

  it('extended CONNECT is known to be allowed once the settings say so', () => {
    const peer = new RawPeer('client');
    expect(peer.connection.peerAllowsConnectProtocol).toBe(false);
    peer.send(frame(FrameType.Settings, 0, 0, [0, 8, 0, 0, 0, 1]));
    expect(peer.connection.peerAllowsConnectProtocol).toBe(true);
    peer.send(frame(FrameType.Settings, 0, 0, [0, 8, 0, 0, 0, 0]));
    expect(peer.complaints()).toEqual([{ stream: 0, code: PROTOCOL_ERROR }]);
  });
});
