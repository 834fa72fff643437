import http from 'node:http';
import { framingForRequest, framingForResponse } from '../src/proxy/http1/framing.ts';
import { DEFAULT_HTTP1_LIMITS, type Http1Limits } from '../src/proxy/http1/limits.ts';
import type { Http1RequestHead } from '../src/proxy/http1/request-parser.ts';
import type { Http1ResponseHead } from '../src/proxy/http1/response-parser.ts';
import {
  writeChunk,
  writeInformational,
  writeLastChunk,
  writeRequestHead,
  writeResponseHead,
} from '../src/proxy/http1/writer.ts';
import { OutBuffer } from '../src/proxy/out-buffer.ts';
import { REQUESTS, RESPONSES } from '../test/proxy/http1/corpus.ts';
import { mutations } from '../test/proxy/http1/mutations.ts';
import { nodeClientReader, nodeServerReader, type Reading } from '../test/proxy/http1/node-parser.ts';
import { type RecordedMessage, recordRequests, recordResponses } from '../test/proxy/http1/recorder.ts';
import { mutateBytes, type Random } from './random.ts';
import { readStrings, writeStrings } from './strings.ts';
import type { FuzzCase, FuzzTarget } from './target.ts';

/** Small enough for inputs of a few hundred bytes to reach them. */
const TIGHT: Http1Limits = {
  maxHeadBytes: 300,
  maxHeaders: 8,
  maxChunkLineBytes: 24,
  maxChunkExtensionBytes: 64,
  maxTrailerBytes: 80,
};
/** Of a head that passes its limit so much may have been taken: its last line end. */
const HEAD_SLACK_BYTES = 4;
/** Every so many cases what we write is also read by Node's parser, over a socket. */
const NODE_SHARE_PERCENT = 4;

const METHODS = ['GET', 'GET', 'HEAD', 'POST', 'CONNECT', 'OPTIONS'] as const;

const RESPONSE_TEXTS = RESPONSES.map(([, text]) => text);

type NodeReaders = {
  server: Awaited<ReturnType<typeof nodeServerReader>>;
  client: Awaited<ReturnType<typeof nodeClientReader>>;
};

/** Both parsers of HTTP/1.1 and its writers. */
export function http1Target(): FuzzTarget {
  let started: Promise<NodeReaders> | null = null;
  const node = (): Promise<NodeReaders> => {
    started ??= Promise.all([nodeServerReader(), nodeClientReader()]).then(([server, client]) => ({ server, client }));
    return started;
  };
  return {
    name: 'http1',
    make(random) {
      switch (random.below(8)) {
        case 0:
        case 1:
        case 2:
        case 3:
          return requestCase(random, node);
        case 4:
        case 5:
          return responseCase(random, node);
        case 6:
          return requestWriterCase(random);
        default:
          return responseWriterCase(random);
      }
    },
    async close() {
      if (started === null) return;
      const { server, client } = await started;
      await Promise.all([server.close(), client.close()]);
    },
  };
}

function wireInput(random: Random, corpus: readonly string[]): Buffer {
  let text = '';
  for (let i = 1 + random.below(3); i > 0; i--) {
    const [one] = mutations(corpus, 1, random.below(0x7fff_ffff));
    text += random.chance(20) ? random.pick(corpus) : one;
  }
  const input = Buffer.from(text, 'latin1');
  if (random.chance(30)) return mutateBytes(random, input, 1 + random.below(4));
  return random.chance(5) ? random.bytes(random.below(200)) : input;
}

const cutsOf = (random: Random): number[] => Array.from({ length: random.below(12) }, () => random.below(400));

function requestCase(random: Random, node: () => Promise<NodeReaders>): FuzzCase {
  const limits = random.chance(50) ? TIGHT : DEFAULT_HTTP1_LIMITS;
  const cuts = cutsOf(random);
  const stop = random.chance(30);
  const finish = random.chance(50);
  const alsoNode = random.chance(NODE_SHARE_PERCENT);
  return {
    kind: 'requests',
    input: wireInput(random, REQUESTS),
    check(input) {
      const text = input.toString('latin1');
      const read = (at: readonly number[]) => recordRequests(text, { limits, cuts: at, stop, finish });
      const whole = read([]);
      const differs = sameInPieces(whole, read, cuts, input.length);
      if (differs !== null) return differs;
      if (limits === TIGHT && whole.error === null && !finish) {
        const held = whole.messages.length === 0 ? text.length : 0;
        if (held > limits.maxHeadBytes + HEAD_SLACK_BYTES) return `${held} bytes of a head are held`;
      }
      for (const { head } of whole.messages) {
        const illegal = illegalHeaders(head.headers);
        if (illegal !== null) return illegal;
      }
      const complete = whole.messages.filter((message) => message.ended);
      const out = new OutBuffer(() => {});
      const written = complete.filter((message) => writeRequest(out, message));
      const bytes = Buffer.concat(out.take());
      const again = recordRequests(bytes.toString('latin1'));
      const differsAgain = sameMessages(
        written,
        again.messages.filter((m) => m.ended),
        again.error,
        sameRequest,
      );
      if (differsAgain !== null || !alsoNode || !written.every(isPlainToNode)) return differsAgain;
      return node().then(async ({ server }) =>
        nodeAgrees(
          await server.read(bytes),
          written.map((m) => `${m.head.method} ${m.body}`),
        ),
      );
    },
  };
}

function responseCase(random: Random, node: () => Promise<NodeReaders>): FuzzCase {
  const limits = random.chance(50) ? TIGHT : DEFAULT_HTTP1_LIMITS;
  const cuts = cutsOf(random);
  const finish = random.chance(60);
  const methods = Array.from({ length: 4 }, () => random.pick(METHODS));
  const upgradeAsked = random.chance(50);
  const alsoNode = random.chance(NODE_SHARE_PERCENT);
  return {
    kind: 'responses',
    input: wireInput(random, RESPONSE_TEXTS),
    check(input) {
      const text = input.toString('latin1');
      const read = (at: readonly number[]) =>
        recordResponses(text, methods, { limits, cuts: at, finish, upgradeAsked });
      const whole = read([]);
      const differs = sameInPieces(whole, read, cuts, input.length);
      if (differs !== null) return differs;
      for (const { headers } of [...whole.informational, ...whole.messages.map((m) => m.head)]) {
        const illegal = illegalHeaders(headers);
        if (illegal !== null) return illegal;
      }
      const { messages } = whole;
      const complete = messages.filter((m, i) => m.ended && methods[i] !== 'CONNECT' && m.head.status !== 101);
      const asked = messages.flatMap((m, i) => (complete.includes(m) ? [methods[i]] : []));
      const out = new OutBuffer(() => {});
      const written = complete.map((message, i) => writeResponse(out, message, asked[i]));
      if (written.includes(false)) return 'a response that was read cannot be written';
      const bytes = Buffer.concat(out.take());
      const again = recordResponses(bytes.toString('latin1'), asked);
      const differsAgain = sameMessages(complete, again.messages, again.error, sameResponse);
      if (differsAgain !== null || !alsoNode || complete.length !== 1) return differsAgain;
      const [{ head, body }] = complete;
      return node().then(async ({ client }) =>
        nodeAgrees(await client.read(bytes, asked[0]), [`${head.status} ${body}`]),
      );
    },
  };
}

/** Where reads end must not change what is read. */
function sameInPieces<T extends { messages: unknown[] }>(
  whole: T,
  read: (cuts: readonly number[]) => T,
  cuts: readonly number[],
  length: number,
): string | null {
  const expected = JSON.stringify(whole);
  const inPieces = JSON.stringify(read(cuts));
  if (inPieces !== expected) return `pieces read otherwise: ${inPieces} instead of ${expected}`;
  if (length > 2_000) return null;
  const byteByByte = JSON.stringify(read(Array.from({ length }, (_, i) => i)));
  return byteByByte === expected ? null : `single bytes read otherwise: ${byteByByte} instead of ${expected}`;
}

/** Names are lowercase tokens, values hold nothing that ends a line, and connection fields have gone. */
function illegalHeaders(headers: readonly string[]): string | null {
  for (let i = 0; i < headers.length; i += 2) {
    const [name, value] = [headers[i], headers[i + 1]];
    if (!/^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(name)) return `the name ${JSON.stringify(name)} came through`;
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) return `the value ${JSON.stringify(value)} of ${name} came through`;
    if (/^(connection|keep-alive|transfer-encoding|upgrade|proxy-connection)$/.test(name))
      return `${name} came through`;
  }
  return null;
}

function writeBody(out: OutBuffer, framing: string, body: string, trailers: readonly string[] | null): boolean {
  const bytes = Buffer.from(body, 'latin1');
  if (framing === 'chunked') {
    writeChunk(out, bytes, 0, bytes.length);
    return writeLastChunk(out, trailers === null ? null : [...trailers]);
  }
  if (framing === 'length') out.bytes(bytes, 0, bytes.length);
  return true;
}

/** Writes a request as the proxy does. False: the writer refused it. */
function writeRequest(out: OutBuffer, { head, body, trailers }: RecordedMessage<Http1RequestHead>): boolean {
  const framing = framingForRequest(head.method, head.protocol, head.contentLength);
  if (!writeRequestHead(out, head, head.headers, framing)) return false;
  return writeBody(out, framing, body, trailers);
}

function writeResponse(
  out: OutBuffer,
  { head, body, trailers }: RecordedMessage<Http1ResponseHead>,
  method: string,
): boolean {
  // Of two responses in a row the first cannot be one that ends with the connection.
  const framing = framingForResponse(method, 1, head.status, head.contentLength);
  const connection = { minor: 1, keepAlive: true, upgrade: null } as const;
  return (
    writeResponseHead(out, head.status, head.headers, framing, connection) && writeBody(out, framing, body, trailers)
  );
}

function sameMessages<T>(
  written: readonly T[],
  read: readonly T[],
  error: string | null,
  same: (a: T, b: T) => string | null,
): string | null {
  if (error !== null) return `what was written does not read: ${error}`;
  if (written.length !== read.length)
    return `messages written and read differ in number: ${written.length}, ${read.length}`;
  for (let i = 0; i < written.length; i++) {
    const differs = same(written[i], read[i]);
    if (differs !== null) return differs;
  }
  return null;
}

const withoutLength = (headers: readonly string[]): string[] => {
  const kept: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2) {
    // The writer decides about framing, and joins and moves Cookie.
    if (headers[i] !== 'content-length') kept.push([headers[i], headers[i + 1]]);
  }
  const cookies = kept.filter(([name]) => name === 'cookie').map(([, value]) => value);
  const rest = kept.filter(([name]) => name !== 'cookie' && name !== 'te').flat();
  return cookies.length === 0 ? rest : [...rest, 'cookie', cookies.join('; ')];
};

function differ(what: string, a: unknown, b: unknown): string | null {
  const [x, y] = [JSON.stringify(a), JSON.stringify(b)];
  return x === y ? null : `${what} written and read differ: ${x}, ${y}`;
}

function sameRequest(a: RecordedMessage<Http1RequestHead>, b: RecordedMessage<Http1RequestHead>): string | null {
  return (
    differ(
      'start lines',
      [a.head.method, a.head.path, a.head.authority, a.head.protocol],
      [b.head.method, b.head.path, b.head.authority, b.head.protocol],
    ) ??
    differ('headers', withoutLength(a.head.headers), withoutLength(b.head.headers)) ??
    differ('bodies', a.body, b.body) ??
    differ('trailers', a.trailers ?? [], b.trailers ?? [])
  );
}

function sameResponse(a: RecordedMessage<Http1ResponseHead>, b: RecordedMessage<Http1ResponseHead>): string | null {
  const fields = (headers: readonly string[]): string[] => {
    const kept: string[] = [];
    for (let i = 0; i < headers.length; i += 2) {
      // Framing is the writer's business; Host, TE and Expect mean nothing in a response and are not passed on.
      if (!/^(content-length|te|host|expect)$/.test(headers[i])) kept.push(headers[i], headers[i + 1]);
    }
    return kept;
  };
  return (
    differ('statuses', a.head.status, b.head.status) ??
    differ('headers', fields(a.head.headers), fields(b.head.headers)) ??
    differ('bodies', a.body, b.body) ??
    differ('trailers', a.trailers ?? [], b.trailers ?? [])
  );
}

/** Whether Node's server would look at it at all: it knows its list of methods, and a tunnel ends the connection. */
function isPlainToNode({ head }: RecordedMessage<Http1RequestHead>): boolean {
  return (
    http.METHODS.includes(head.method) && head.method !== 'CONNECT' && head.protocol === null && head.authority !== ''
  );
}

/** Node has to see the messages that were written, and no others. */
function nodeAgrees(reading: Reading, expected: readonly string[]): string | null {
  if (expected.length === 0) return null;
  return differ('to Node, messages', ['complete', ...expected], [reading.verdict, ...reading.messages]);
}

/**
 * A writer writes one head or nothing, whatever the strings are. The input is strings; how many of them are which part
 * depends on how many there are.
 */
function requestWriterCase(random: Random): FuzzCase {
  const framing = random.pick(['chunked', 'length', 'none'] as const);
  return {
    kind: 'request writer',
    input: writeStrings(random, 4 + 2 * random.below(5)),
    check(input) {
      const [method = '', path = '', authority = '', protocol = '', ...fields] = readStrings(input);
      if (fields.length % 2 === 1) fields.pop();
      const out = new OutBuffer(() => {});
      const head = { method, path, authority, protocol: protocol === '' ? null : protocol };
      if (!writeRequestHead(out, head, fields, framing))
        return out.size === 0 ? null : 'bytes were written and then refused';
      if (framing === 'chunked' && !writeLastChunk(out, fields)) writeLastChunk(out, null);
      const written = Buffer.concat(out.take());
      const separate = countOf(written, '\r\n\r\n');
      if (separate !== (framing === 'chunked' ? 2 : 1)) return `one head was written as ${separate} sections`;
      const read = recordRequests(`${written.toString('latin1')}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`);
      if (read.error !== null) {
        // The parser judges meaning too; it must never see other lines than were meant.
        return /^(BAD_TARGET|BAD_UPGRADE|CONNECT_WITH_BODY|BAD_HOST|MISSING_HOST|TRUNCATED_BODY)$/.test(read.error)
          ? null
          : `what was written does not read: ${read.error}`;
      }
      const bodyFollows = framing === 'length' && read.messages[0].head.contentLength > 0;
      if (!bodyFollows && read.messages.at(-1)?.head.path !== '/next')
        return 'the next request was not read as the next';
      if (read.messages[0].head.headers.length > fields.length + 2) return 'more fields than were given';
      return illegalHeaders(read.messages[0].head.headers);
    },
  };
}

function responseWriterCase(random: Random): FuzzCase {
  const framing = random.pick(['chunked', 'length', 'none', 'head'] as const);
  const status = random.pick([200, 204, 304, 404, 599]);
  const keepAlive = random.chance(50);
  return {
    kind: 'response writer',
    input: writeStrings(random, 2 * random.below(6)),
    check(input) {
      const fields = readStrings(input);
      if (fields.length % 2 === 1) fields.pop();
      const out = new OutBuffer(() => {});
      if (writeInformational(out, 103, fields)) {
        const read = recordResponses(`${takeText(out)}HTTP/1.1 204 No Content\r\n\r\n`);
        if (read.error !== null || read.informational.length !== 1 || read.messages.length !== 1) {
          return `an informational response does not read as one: ${read.error}`;
        }
      } else if (out.size !== 0) return 'bytes were written and then refused';
      if (!writeResponseHead(out, status, fields, framing, { minor: 1, keepAlive, upgrade: null })) {
        return out.size === 0 ? null : 'bytes were written and then refused';
      }
      const text = takeText(out);
      if (countOf(Buffer.from(text, 'latin1'), '\r\n\r\n') !== 1) return 'one head was written as several';
      const method = framing === 'head' || framing === 'none' ? 'HEAD' : 'GET';
      const read = recordResponses(text, [method]);
      if (read.error !== null) return `what was written does not read: ${read.error}`;
      if (read.messages.length !== 1 || read.messages[0].head.status !== status)
        return 'not one response of that status';
      return illegalHeaders(read.messages[0].head.headers);
    },
  };
}

const takeText = (out: OutBuffer): string => Buffer.concat(out.take()).toString('latin1');

function countOf(bytes: Buffer, what: string): number {
  return bytes.toString('latin1').split(what).length - 1;
}
