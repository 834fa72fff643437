import { H2Connection } from '../src/proxy/http2/connection.ts';
import type { H2Events } from '../src/proxy/http2/events.ts';
import { PREFACE } from '../src/proxy/http2/frames.ts';
import { HeadWriter } from '../src/proxy/http2/head-writer.ts';
import { HpackDecoder } from '../src/proxy/http2/hpack/decoder.ts';
import type { H2Options } from '../src/proxy/http2/options.ts';
import type { H2Stream } from '../src/proxy/http2/stream.ts';
import type { Headers } from '../src/proxy/message.ts';
import { OutBuffer } from '../src/proxy/out-buffer.ts';
import { auditOutput, readFrames, unreturnedBytes } from './http2-audit.ts';
import { converse, hpackGarbage, mutateFrames, type PlannedRequest, planRequests, randomFrame } from './http2-wire.ts';
import { createRandom, mutateBytes, pieces, type Random } from './random.ts';
import { readStrings, writeStrings } from './strings.ts';
import type { FuzzCase, FuzzTarget } from './target.ts';

const CONNECTION_WINDOW = 65_535;
const MAX_STREAMS = 50;
/** Windows so wide that no input reaches them: then where reads end must not matter to anything. */
const WIDE: Partial<H2Options> = {
  initialWindowBytes: 1 << 27,
  connectionWindowBytes: 1 << 28,
  maxConcurrentStreams: MAX_STREAMS,
  enableConnectProtocol: true,
  now: () => 0,
};

/** Both sides of the HTTP/2 connection, and HPACK by itself. */
export function http2Target(): FuzzTarget {
  return {
    name: 'http2',
    make(random) {
      switch (random.below(10)) {
        case 0:
        case 1:
        case 2:
        case 3:
          return peerCase(random, 'server');
        case 4:
        case 5:
        case 6:
          return peerCase(random, 'client');
        case 7:
          return noiseCase(random);
        case 8:
          return hpackDecodeCase(random);
        default:
          return hpackRoundTripCase(random);
      }
    },
  };
}

/** The peer's half of a conversation, changed. */
function peerCase(random: Random, side: 'client' | 'server'): FuzzCase {
  const windows = {
    initialWindowBytes: random.pick([1_000, 20_000, 70_000]),
    connectionWindowBytes: CONNECTION_WINDOW,
  };
  const requests = planRequests(random, 8);
  const own: Partial<H2Options> = {
    ...windows,
    maxConcurrentStreams: MAX_STREAMS,
    enableConnectProtocol: random.chance(50),
    now: () => 0,
  };
  const conversation = converse(random, requests, side === 'client' ? own : {}, side === 'server' ? own : {});
  const peerSaid = side === 'server' ? conversation.client : conversation.server;
  let input = random.chance(95) ? mutateFrames(random, peerSaid, random.below(7)) : peerSaid;
  if (random.chance(15)) input = mutateBytes(random, input, 1 + random.below(3));
  return { kind: `${side} side`, input, check: checkConnection(random, side, requests, own) };
}

/** Frames, or bytes, from nowhere. */
function noiseCase(random: Random): FuzzCase {
  const side = random.pick(['client', 'server'] as const);
  const noise = random.chance(70)
    ? Array.from({ length: 1 + random.below(30) }, () => randomFrame(random))
    : [random.bytes(random.below(400))];
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  const start = side === 'server' ? [PREFACE, settings] : [settings];
  const input = Buffer.concat(random.chance(90) ? [...start, ...noise] : noise);
  return {
    kind: 'noise',
    input,
    check: checkConnection(random, side, planRequests(random, 4), {
      connectionWindowBytes: CONNECTION_WINDOW,
      maxConcurrentStreams: MAX_STREAMS,
      now: () => 0,
    }),
  };
}

function checkConnection(
  random: Random,
  side: 'client' | 'server',
  requests: readonly PlannedRequest[],
  own: Partial<H2Options>,
) {
  const cuts = Array.from({ length: random.below(30) }, () => random.below(random.chance(50) ? 400 : 40_000));
  const behaviour = random.below(0x7fff_ffff);
  const eager = random.chance(60);
  return (input: Buffer): string | null => {
    const whole = observe(side, requests, [input]);
    const inPieces = observe(side, requests, pieces(input, cuts));
    if (whole !== inPieces) return `pieces are read otherwise: ${inPieces} instead of ${whole}`;
    if (input.length < 1_500) {
      const bytewise = observe(
        side,
        requests,
        pieces(
          input,
          Array.from({ length: input.length }, (_, i) => i),
        ),
      );
      if (bytewise !== whole) return `single bytes are read otherwise: ${bytewise} instead of ${whole}`;
    }
    return live(side, requests, own, pieces(input, cuts), createRandom(behaviour), eager);
  };
}

function startRequests(
  connection: H2Connection,
  requests: readonly PlannedRequest[],
  opened: (stream: H2Stream) => void,
): void {
  for (const { head, body, trailers } of requests) {
    const ends = body.length === 0 && trailers.length === 0;
    const stream = connection.request({ ...head, headers: [...head.headers] }, ends, null);
    if (stream === null) return;
    opened(stream);
    for (let i = 0; i < body.length; i++)
      connection.data(stream, body[i], 0, body[i].length, i === body.length - 1 && trailers.length === 0);
    if (trailers.length > 0) connection.trailers(stream, trailers);
  }
}

/** What a connection tells its owner about an input, stream by stream; content joined, and left out where it was cut off. */
function observe(side: 'client' | 'server', requests: readonly PlannedRequest[], input: readonly Buffer[]): string {
  const streams = new Map<number, { events: string[]; content: string }>();
  const own: string[] = [];
  const log = (id: number) => {
    let entry = streams.get(id);
    if (entry === undefined) streams.set(id, (entry = { events: [], content: '' }));
    return entry;
  };
  const note = (id: number, event: string) => log(id).events.push(event);
  const out = new OutBuffer(() => {});
  const respond = (stream: H2Stream) => connection.respond(stream, 200, ['x-id', String(stream.id)], true);
  const events: H2Events = {
    onRequest(stream, head, endStream) {
      note(stream.id, `request ${JSON.stringify(head)} ${endStream}`);
      if (endStream || stream.id % 3 === 0) respond(stream);
    },
    onInformational: (stream, head) => note(stream.id, `informational ${JSON.stringify(head)}`),
    onResponse: (stream, head, endStream) => note(stream.id, `response ${JSON.stringify(head)} ${endStream}`),
    onData(stream, buf, start, end, endStream) {
      log(stream.id).content += buf.toString('latin1', start, end);
      if (!endStream) return;
      note(stream.id, 'end');
      if (side === 'server') respond(stream);
    },
    onTrailers(stream, trailers) {
      note(stream.id, `trailers ${trailers.join()}`);
      if (side === 'server') respond(stream);
    },
    onReset(stream, code, remote) {
      log(stream.id).content = '';
      note(stream.id, `reset ${code} ${remote}`);
    },
    onDrain() {},
    onGoaway: (last, code, debug) => own.push(`goaway ${last} ${code} ${debug}`),
    onSettings: () => own.push('settings'),
    onStreamSlots: () => own.push('slots'),
    onConnectionError: (code, message) => own.push(`error ${code} ${message}`),
    onDrained: () => own.push('drained'),
    onPong: () => own.push('pong'),
    onMalformed: (id, reason) => note(id, `malformed ${reason}`),
  };
  const connection = new H2Connection(side, out, events, WIDE);
  if (side === 'client') startRequests(connection, requests, () => {});
  for (const bytes of input) connection.receive(bytes);
  // A stream that is still open has been told as much as has come, which depends on nothing but the input.
  return JSON.stringify([own, [...streams]]);
}

/** What was told about one stream. */
interface Told {
  head: boolean;
  ended: boolean;
  dead: boolean;
}

/**
 * A connection with an owner that does everything an owner may do, whenever chance has it. Its events have to be in order,
 * its output legal, its books even.
 */
function live(
  side: 'client' | 'server',
  requests: readonly PlannedRequest[],
  own: Partial<H2Options>,
  input: readonly Buffer[],
  random: Random,
  eager: boolean,
): string | null {
  const out = new OutBuffer(() => {});
  const output: Buffer[] = [];
  const told = new Map<H2Stream, Told>();
  const open = new Set<H2Stream>();
  const unconsumed: [H2Stream, number][] = [];
  let wrong = '';
  let errors = 0;
  const fault = (what: string, stream: H2Stream) => {
    wrong ||= `${what} on stream ${stream.id}`;
  };
  const known = (stream: H2Stream, what: string): Told => {
    const entry = told.get(stream);
    if (entry === undefined) {
      fault(`${what} of an unknown stream`, stream);
      return { head: false, ended: false, dead: false };
    }
    if (entry.dead) fault(`${what} after the reset`, stream);
    else if (entry.ended && what !== 'reset' && what !== 'drain') fault(`${what} after the end`, stream);
    return entry;
  };
  const act = (stream: H2Stream) => {
    // Content before the head of a response would be the owner's own fault.
    const mayWrite = side === 'client' || stream.responded;
    switch (random.below(14)) {
      case 0:
        connection.reset(stream, random.below(14));
        known(stream, 'drain').dead = true;
        open.delete(stream);
        break;
      case 1:
        if (mayWrite) connection.data(stream, random.bytes(40), 0, 40, false);
        break;
      case 2: {
        const bytes = random.below(40_000);
        if (mayWrite) connection.data(stream, Buffer.alloc(bytes), 0, bytes, random.chance(30));
        break;
      }
      case 3:
        if (mayWrite) connection.trailers(stream, random.chance(50) ? [] : ['grpc-status', '0']);
        break;
      case 4:
        connection.setWritable(random.chance(60));
        break;
      case 5:
        if (side === 'server') connection.informational(stream, 103, []);
        break;
      case 6:
        if (side === 'server') connection.endRequest(stream);
        break;
      case 7:
        connection.discard(stream);
        break;
      case 8:
        connection.ping();
        break;
      case 9:
        if (random.chance(5)) connection.shutdown();
        break;
      default:
        if (side === 'server' && !stream.responded)
          connection.respond(stream, 200, ['x-id', String(stream.id)], random.chance(30));
    }
  };
  const ends = (stream: H2Stream) => {
    known(stream, 'end').ended = true;
  };
  const events: H2Events = {
    onRequest(stream, _head, endStream) {
      if (side === 'client' || told.has(stream)) fault('a request', stream);
      told.set(stream, { head: true, ended: endStream, dead: false });
      open.add(stream);
      act(stream);
    },
    onInformational: (stream) =>
      void (
        known(stream, 'an informational response').head && fault('an informational response after the head', stream)
      ),
    onResponse(stream, _head, endStream) {
      const entry = known(stream, 'a response');
      if (entry.head) fault('a second response', stream);
      entry.head = true;
      if (endStream) ends(stream);
    },
    onData(stream, _buf, start, end, endStream) {
      if (!known(stream, 'content').head) fault('content before the head', stream);
      if (end - start > 0) unconsumed.push([stream, end - start]);
      if (start === end && !endStream) fault('an empty piece', stream);
      if (endStream) ends(stream);
      if (eager) consumeAll();
      else if (random.chance(30)) act(stream);
    },
    onTrailers(stream) {
      if (!known(stream, 'trailers').head) fault('trailers before the head', stream);
      ends(stream);
    },
    onReset(stream) {
      known(stream, 'reset').dead = true;
      open.delete(stream);
    },
    onDrain: (stream) => void known(stream, 'drain'),
    onGoaway() {},
    onSettings() {},
    onStreamSlots() {
      if (side === 'client' && !connection.hasSlot) wrong ||= 'slots were promised and there are none';
    },
    onConnectionError() {
      errors++;
    },
  };
  const connection = new H2Connection(side, out, events, own);
  const consumeAll = () => {
    for (const [stream, bytes] of unconsumed.splice(0)) connection.consume(stream, bytes);
  };
  const opened = (stream: H2Stream) => {
    told.set(stream, { head: false, ended: false, dead: false });
    open.add(stream);
  };
  if (side === 'client') startRequests(connection, requests, opened);
  for (const bytes of input) {
    connection.receive(bytes);
    if (random.chance(40)) output.push(...out.take());
    for (const stream of open) if (random.chance(20)) act(stream);
    if (side === 'client' && random.chance(20)) startRequests(connection, requests.slice(0, 1), opened);
    if (eager || random.chance(30)) consumeAll();
    if (side === 'server' && connection.openStreams > MAX_STREAMS) return `${connection.openStreams} streams are open`;
  }
  consumeAll();
  for (const stream of told.keys()) connection.discard(stream);
  connection.setWritable(true);
  output.push(...out.take());
  if (wrong !== '') return wrong;
  if (errors > 1) return `${errors} errors of one connection`;
  const sent = Buffer.concat(output);
  const received = Buffer.concat(input);
  const illegal = auditOutput(sent, received, side === 'server');
  if (illegal !== null) return illegal;
  if (!connection.closed) {
    const owed = unreturnedBytes(received, sent, own.connectionWindowBytes ?? 0);
    if (owed > CONNECTION_WINDOW / 2) return `${owed} bytes of the connection's window are not given back`;
  }
  connection.destroyed();
  if (connection.openStreams !== 0) return `${connection.openStreams} streams are open after the end`;
  for (const [stream, { dead }] of told) {
    if (!stream.closed) return `stream ${stream.id} is open after the end`;
    if (stream.queuedBytes !== 0 && dead)
      return `stream ${stream.id} keeps ${stream.queuedBytes} bytes after its death`;
  }
  return out.size === 0 ? null : 'something was written behind the end';
}

/** Header blocks of garbage: refused or not, the table stays within its limit and nothing is made from nothing. */
function hpackDecodeCase(random: Random): FuzzCase {
  const limit = random.pick([0, 100, 4096, 65_536]);
  const input = Buffer.concat(Array.from({ length: 1 + random.below(5) }, () => hpackGarbage(random)));
  const cuts = Array.from({ length: random.below(4) }, () => random.below(input.length + 1));
  return {
    kind: 'hpack garbage',
    input,
    check(bytes) {
      const decoder = new HpackDecoder(limit);
      let chars = 0;
      const sink = {
        field: (_kind: number, name: string, value: string) => void (chars += name.length + value.length),
      };
      for (const block of pieces(bytes, cuts)) {
        const alive = decoder.decode(block, 0, block.length, sink);
        if (decoder.tableBytes > Math.max(limit, 0)) return `the table holds ${decoder.tableBytes} bytes of ${limit}`;
        if (!alive) break;
      }
      // A reference of one byte gives an entry of the table at most; a Huffman code is at least five bits.
      const most = bytes.length * (limit + 64);
      return chars > most ? `${bytes.length} bytes became ${chars} characters` : null;
    },
  };
}

/** What the encoder writes, whatever its table and the fields are, the decoder reads. */
function hpackRoundTripCase(random: Random): FuzzCase {
  const tableBytes = random.pick([0, 64, 300, 4096, 65_536]);
  const huffman = random.chance(50);
  const peerLimits = [random.pick([0, 100, 4096, 65_536]), random.pick([0, 200, 4096])];
  const perBlock = 2 * (1 + random.below(4));
  return {
    kind: 'hpack round trip',
    input: writeStrings(random, 2 * random.below(20)),
    check(input) {
      const strings = readStrings(input);
      const out = new OutBuffer(() => {});
      const writer = new HeadWriter(out, tableBytes, huffman);
      const decoder = new HpackDecoder(65_536);
      for (let at = 0; at + 2 <= strings.length; at += perBlock) {
        const fields: Headers = strings.slice(at, at + perBlock);
        if (fields.length % 2 === 1) fields.pop();
        if (at === perBlock) for (const limit of peerLimits) writer.encoder.setPeerLimit(limit);
        writer.trailers(1, fields);
        const block = Buffer.concat(readFrames(Buffer.concat(out.take())).frames.map(({ payload }) => payload));
        const read: Headers = [];
        if (!decoder.decode(block, 0, block.length, { field: (_kind, name, value) => void read.push(name, value) }))
          return 'a block that was written does not decode';
        const [meant, got] = [JSON.stringify(asSent(fields)), JSON.stringify(read)];
        if (meant !== got) return `fields written and read differ: ${meant}, ${got}`;
      }
      return null;
    },
  };
}

/** Characters are sent as one byte each, what ends a line as a space, and connection-specific fields not at all. */
function asSent(fields: Headers): Headers {
  const sent: Headers = [];
  const onWire = (text: string) =>
    Buffer.from(text, 'latin1')
      .toString('latin1')
      .replaceAll(/[\r\n\0]/g, ' ');
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i], fields[i + 1]];
    if (NOT_SENT.has(name) || (name === 'te' && value !== 'trailers')) continue;
    sent.push(onWire(name), onWire(value));
  }
  return sent;
}

const NOT_SENT = new Set(['connection', 'host', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);
