import { FrameType, PREFACE } from '../src/proxy/http2/frames.ts';
import type { H2Options } from '../src/proxy/http2/options.ts';
import type { H2Stream } from '../src/proxy/http2/stream.ts';
import type { Headers, RequestHead } from '../src/proxy/message.ts';
import { H2Pair } from '../test/support/h2-pair.ts';
import { block, frame, type ParsedFrame, parseFrames, uint32 } from '../test/support/h2-raw.ts';
import { silentEvents } from '../test/support/h2-server.ts';
import { mutateBytes, type Random } from './random.ts';

/** A request that a generated client makes. */
export interface PlannedRequest {
  head: RequestHead;
  body: Buffer[];
  trailers: Headers;
}

/** What two ends of the codec said to each other. */
export interface Conversation {
  requests: readonly PlannedRequest[];
  /** All that the client wrote, and all that the server wrote. */
  client: Buffer;
  server: Buffer;
}

const NAMES = [
  'accept',
  'cookie',
  'x-a',
  'x-long-name-of-a-field',
  'authorization',
  'user-agent',
  'te',
  'content-type',
];
const VALUES = ['', 'trailers', 'a=b', '*/*', 'text/html; charset=utf-8', 'v'.repeat(300), '\xe9\xff', 'x\ty'];
const PATHS = ['/', '/a', '/a/b?c=d', '/%00', `/${'p'.repeat(200)}`];

export function randomHeaders(random: Random, most: number): Headers {
  const headers: Headers = [];
  for (let i = random.below(most + 1); i > 0; i--) {
    const name = random.pick(NAMES);
    headers.push(
      name,
      name === 'te' ? 'trailers' : `${random.pick(VALUES)}${random.chance(30) ? random.below(1000) : ''}`,
    );
  }
  return headers;
}

export function planRequests(
  random: Random,
  most: number,
  path: (index: number) => string = () => random.pick(PATHS),
): PlannedRequest[] {
  return Array.from({ length: 1 + random.below(most) }, (_, index) => {
    const method = random.pick(['GET', 'GET', 'POST', 'POST', 'HEAD', 'PUT']);
    const hasBody = method === 'POST' || method === 'PUT';
    const body = hasBody
      ? Array.from({ length: random.below(4) }, () => random.bytes(random.below(random.chance(20) ? 30_000 : 300)))
      : [];
    const length = body.reduce((sum, piece) => sum + piece.length, 0);
    const declared = random.chance(50);
    const headers = randomHeaders(random, 5);
    if (declared && length > 0) headers.push('content-length', String(length));
    const head: RequestHead = {
      method,
      scheme: 'http',
      authority: 'a.test',
      path: path(index),
      protocol: null,
      headers,
      contentLength: length === 0 ? 0 : declared ? length : -1,
      expectContinue: false,
    };
    return { head, body, trailers: hasBody && random.chance(20) ? ['x-trailer', 'end'] : [] };
  });
}

/** Has a client of the codec make these requests of a server of the codec, which answers as chance has it. */
export function converse(
  random: Random,
  requests: readonly PlannedRequest[],
  clientOptions: Partial<H2Options>,
  serverOptions: Partial<H2Options>,
): Conversation {
  const pair = new H2Pair();
  const said = { client: [] as Buffer[], server: [] as Buffer[] };
  const answer = (stream: H2Stream) => {
    const { server } = pair;
    if (random.chance(5)) return server.reset(stream, random.below(14));
    if (random.chance(15)) server.informational(stream, 103, ['link', '</a>']);
    const body = random.chance(70) ? random.bytes(random.below(random.chance(20) ? 20_000 : 200)) : null;
    server.respond(stream, random.pick([200, 200, 204, 304, 404, 500]), randomHeaders(random, 4), body === null);
    if (body === null) return;
    const trailers = random.chance(30);
    server.data(stream, body, 0, body.length, !trailers);
    if (trailers) server.trailers(stream, ['grpc-status', '0']);
  };
  pair.connect(
    { ...silentEvents(), onData: (stream, _buf, start, end) => pair.client.consume(stream, end - start) },
    {
      ...silentEvents(),
      onRequest: (stream, _head, endStream) => endStream && answer(stream),
      onData(stream, _buf, start, end, endStream) {
        pair.server.consume(stream, end - start);
        if (endStream) answer(stream);
      },
      onTrailers: (stream) => answer(stream),
    },
    { ...clientOptions, now: () => 0 },
    { ...serverOptions, now: () => 0 },
  );
  const carry = () => {
    for (;;) {
      const toServer = pair.clientOut.take();
      const toClient = pair.serverOut.take();
      if (toServer.length + toClient.length === 0) return;
      said.client.push(...toServer);
      said.server.push(...toClient);
      for (const bytes of toServer) pair.server.receive(Buffer.from(bytes));
      for (const bytes of toClient) pair.client.receive(Buffer.from(bytes));
    }
  };
  if (random.chance(70)) carry();
  for (const { head, body, trailers } of requests) {
    const ends = body.length === 0 && trailers.length === 0;
    const stream = pair.client.request({ ...head, headers: [...head.headers] }, ends, null);
    if (stream === null) break;
    for (let i = 0; i < body.length; i++) {
      const last = i === body.length - 1 && trailers.length === 0;
      pair.client.data(stream, body[i], 0, body[i].length, last);
    }
    if (trailers.length > 0) pair.client.trailers(stream, trailers);
    if (random.chance(5)) pair.client.reset(stream, 8);
    if (random.chance(10)) pair.client.ping();
    if (random.chance(50)) carry();
  }
  carry();
  if (random.chance(20)) random.pick([pair.client, pair.server]).shutdown();
  carry();
  return { requests, client: Buffer.concat(said.client), server: Buffer.concat(said.server) };
}

/** A header block that may be anything: indexes, table sizes, literals with lengths that lie, Huffman codes, noise. */
export function hpackGarbage(random: Random): Buffer {
  const parts: Buffer[] = [];
  for (let i = 1 + random.below(8); i > 0; i--) {
    switch (random.below(7)) {
      case 0:
        parts.push(Buffer.from([0x80 | random.below(128)]));
        break;
      case 1:
        parts.push(Buffer.from([0x20 | random.below(32), random.below(256)]));
        break;
      case 2:
        parts.push(
          Buffer.from([
            random.pick([0xff, 0x7f, 0x3f, 0x1f, 0x0f]),
            ...random.bytes(1 + random.below(10)).map((b) => b | 0x80),
          ]),
        );
        break;
      case 3: {
        const name = random.bytes(random.below(12));
        const value = random.bytes(random.below(12));
        const huffman = random.chance(50) ? 0x80 : 0;
        parts.push(
          Buffer.from([
            random.pick([0x40, 0x00, 0x10]),
            huffman | name.length,
            ...name,
            huffman | value.length,
            ...value,
          ]),
        );
        break;
      }
      case 4:
        parts.push(
          Buffer.from([
            random.pick([0x40, 0x00, 0x10]) | random.below(64),
            random.below(128),
            ...random.bytes(random.below(20)),
          ]),
        );
        break;
      case 5:
        parts.push(
          block([
            random.pick([':method', ':path', ':status', ':authority', ':scheme', 'host', 'x']),
            random.pick(['GET', '/', '200', 'a', 'http', '\r\n', '', 'a\0b']),
          ]),
        );
        break;
      default:
        parts.push(random.bytes(random.below(30)));
    }
  }
  return Buffer.concat(parts);
}

const POISON: [string, string][] = [
  ['x\r\ny', '1'],
  ['x', 'a\r\nhost: b'],
  ['x', 'a\0b'],
  ['X-Upper', '1'],
  ['connection', 'close'],
  ['transfer-encoding', 'chunked'],
  ['te', 'gzip'],
  ['content-length', '5'],
  ['content-length', '+5'],
  ['host', 'b.test'],
  ['', ''],
  [':path', '/second'],
  [':unknown', '1'],
  [':protocol', 'websocket'],
  ['upgrade', 'h2c'],
  [' x', '1'],
  ['x', ' 1'],
  ['cookie', 'a=b'],
  ['expect', '100-continue'],
];

function poisonedHead(random: Random): Buffer {
  const fields: [string, string][] = [
    [':method', random.pick(['GET', 'POST', 'CONNECT', 'G T', ''])],
    [':scheme', random.pick(['http', 'https', 'ftp', ''])],
    [':path', random.pick(['/', '*', '', '/a b', '/a\r\nb', '/#', 'a'])],
    [':authority', random.pick(['a.test', 'a.test:80', 'u@a', '', 'a b'])],
  ];
  if (random.chance(50))
    fields.splice(0, 4, [':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'a.test']);
  if (random.chance(10)) fields.splice(0, 4, [':status', random.pick(['200', '100', '101', '99', '2000', '', 'abc'])]);
  for (let i = random.below(4); i > 0; i--) fields.splice(random.below(fields.length + 1), 0, random.pick(POISON));
  return block(...fields);
}

const SETTING_VALUES = [
  0, 1, 2, 100, 4096, 16_383, 16_384, 65_535, 65_536, 0xff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];

/** One frame, sensible or not, on some stream. */
export function randomFrame(random: Random): Buffer {
  const id = random.pick([0, 1, 3, 5, 7, 9, 11, 2, 4, 21, 0x7fff_ffff, 0xffff_ffff]);
  const flags = random.chance(50) ? random.pick([0, 1, 4, 5, 8, 9, 12, 13, 0x20, 0x24, 0x25, 0x2c]) : random.below(256);
  switch (random.below(12)) {
    case 0:
      return frame(FrameType.Headers, flags, id, hpackGarbage(random));
    case 1:
      return frame(FrameType.Headers, random.pick([4, 5]), id, poisonedHead(random));
    case 2:
      return frame(
        FrameType.Settings,
        random.chance(80) ? 0 : flags,
        random.chance(90) ? 0 : id,
        randomSettings(random),
      );
    case 3:
      return frame(FrameType.WindowUpdate, flags, id, uint32(random.pick(SETTING_VALUES)));
    case 4:
      return frame(FrameType.RstStream, flags, id, uint32(random.below(20)));
    case 5:
      return frame(
        FrameType.Goaway,
        flags,
        random.chance(90) ? 0 : id,
        Buffer.concat([
          uint32(random.pick([0, 1, 3, 0x7fff_ffff])),
          uint32(random.below(15)),
          random.bytes(random.below(20)),
        ]),
      );
    case 6:
      return frame(
        FrameType.Ping,
        random.pick([0, 1, flags]),
        random.chance(90) ? 0 : id,
        random.bytes(random.chance(90) ? 8 : random.below(12)),
      );
    case 7:
      return frame(FrameType.Priority, flags, id, random.bytes(random.chance(80) ? 5 : random.below(9)));
    case 8:
      return frame(FrameType.Continuation, flags, id, hpackGarbage(random));
    case 9:
      return frame(FrameType.PushPromise, flags, id, random.bytes(random.below(30)));
    case 10:
      return frame(random.below(256), flags, id, random.bytes(random.below(60)));
    default: {
      const padded = random.chance(40);
      const padding = random.below(40);
      const content = random.bytes(random.below(100));
      const payload = padded
        ? Buffer.concat([Buffer.from([padding]), content, Buffer.alloc(random.chance(80) ? padding : random.below(40))])
        : content;
      return frame(FrameType.Data, (padded ? 8 : 0) | (random.chance(30) ? 1 : 0), id, payload);
    }
  }
}

function randomSettings(random: Random): Buffer {
  const entries = Array.from({ length: random.below(5) }, () =>
    Buffer.concat([
      Buffer.from([0, random.chance(90) ? 1 + random.below(8) : random.below(256)]),
      uint32(random.pick(SETTING_VALUES)),
    ]),
  );
  return random.chance(95) ? Buffer.concat(entries) : random.bytes(random.below(20));
}

const serialize = ({ type, flags, streamId, payload }: ParsedFrame): Buffer => frame(type, flags, streamId, payload);

/** Does to frames what broken and hostile peers do. Frames stay frames, so that what follows a change is still looked at. */
export function mutateFrames(random: Random, bytes: Buffer, times: number): Buffer {
  const prefaced = bytes.subarray(0, PREFACE.length).equals(PREFACE);
  let frames = parseFrames(bytes).map(serialize);
  for (let i = 0; i < times && frames.length > 0; i++) {
    // The first SETTINGS is mostly left alone: without it a connection is over before it begins.
    const first = random.chance(90) ? 1 : 0;
    const at = Math.min(first + random.below(frames.length), frames.length - 1);
    const old = frames[at];
    const changed = Buffer.from(old);
    switch (random.below(14)) {
      case 0:
        frames.splice(first + random.below(frames.length), 0, old);
        break;
      case 1:
        frames.splice(at, 1);
        break;
      case 2:
        frames.splice(at, 1);
        frames.splice(first + random.below(frames.length), 0, old);
        break;
      case 3:
        changed[3] = random.below(12);
        frames[at] = changed;
        break;
      case 4:
        changed[4] ^= 1 << random.below(6);
        frames[at] = changed;
        break;
      case 5:
        changed.writeUInt32BE(random.pick([0, 1, 2, 3, 5, 7, 99, 0x7fff_ffff]), 5);
        frames[at] = changed;
        break;
      case 6: {
        const payload = mutateBytes(random, old.subarray(9), 1 + random.below(3));
        frames[at] = frame(old[3], old[4], old.readUInt32BE(5), payload);
        break;
      }
      case 7:
        frames.splice(at, 1, ...cutHeaders(random, old));
        break;
      case 8:
        if (old[3] === FrameType.Data || old[3] === FrameType.Headers) frames[at] = pad(random, old);
        break;
      case 9: {
        // A length that lies: what follows is read as something else.
        changed.writeUIntBE(Math.max(0, old.length - 9 + random.pick([-9, -1, 1, 5, 9, 20_000])), 0, 3);
        frames[at] = changed;
        break;
      }
      case 10: {
        const flood = random.chance(70) ? randomFrame(random) : old;
        if (flood.length < 100)
          frames.splice(at, 0, ...Array.from({ length: random.pick([20, 200, 5000]) }, () => flood));
        break;
      }
      default:
        frames.splice(first + random.below(frames.length), 0, randomFrame(random));
    }
    if (frames.length > 12_000) frames = frames.slice(0, 12_000);
  }
  return Buffer.concat(prefaced ? [PREFACE, ...frames] : frames);
}

/** HEADERS as HEADERS and CONTINUATION, now and then with something between them that must not be there. */
function cutHeaders(random: Random, old: Buffer): Buffer[] {
  if (old[3] !== FrameType.Headers || (old[4] & 0x2c) !== 4) return [old];
  const id = old.readUInt32BE(5);
  const payload = old.subarray(9);
  const at = random.below(payload.length + 1);
  const parts = [
    frame(FrameType.Headers, old[4] & ~4, id, payload.subarray(0, at)),
    frame(FrameType.Continuation, 4, id, payload.subarray(at)),
  ];
  if (random.chance(20)) parts.splice(1, 0, randomFrame(random));
  if (random.chance(20))
    parts.splice(1, 0, ...Array.from({ length: 1 + random.below(40) }, () => frame(FrameType.Continuation, 0, id)));
  return parts;
}

function pad(random: Random, old: Buffer): Buffer {
  const padding = random.below(60);
  return frame(
    old[3],
    old[4] | 8,
    old.readUInt32BE(5),
    Buffer.concat([Buffer.from([padding]), old.subarray(9), Buffer.alloc(random.chance(80) ? padding : 0)]),
  );
}
