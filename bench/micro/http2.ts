/**
 * What the HTTP/2 codec costs without sockets: nanoseconds for a request and its response, headers only through HPACK,
 * and through two connections that are joined in memory (which is one hop: a client end and a server end).
 *
 * Run: npx tsx bench/micro/http2.ts [requests per round]
 */
import { HeadOf, HeadReader } from '../../src/proxy/http2/head.ts';
import { HpackDecoder } from '../../src/proxy/http2/hpack/decoder.ts';
import { HeadShape, HpackEncoder } from '../../src/proxy/http2/hpack/encoder.ts';
import type { H2Stream } from '../../src/proxy/http2/stream.ts';
import type { RequestHead } from '../../src/proxy/message.ts';
import { H2Pair } from '../../test/support/h2-pair.ts';
import { silentEvents } from '../../test/support/h2-server.ts';

const ROUNDS = 7;
const requests = Number(process.argv[2] ?? 200_000);
const BODY = Buffer.from(
  JSON.stringify({ id: 1234, name: 'a small thing', price: { units: 12, currency: 'EUR' }, ok: true }),
);

/** As one proxy of a mesh sends to the next: the same from request to request, but for the ids of the trace. */
function requestHead(i: number, method: string): RequestHead {
  const traceparent = `00-4bf92f3577b34da6a3ce929d0e0e${(i & 0xffff).toString(16).padStart(4, '0')}-00f067aa0ba902b7-01`;
  return {
    method,
    scheme: 'http',
    authority: 'orders.shop.local',
    path: '/api/orders?limit=10',
    protocol: null,
    headers: [
      'user-agent',
      'node',
      'accept',
      'application/json',
      'accept-encoding',
      'gzip, deflate, br',
      'content-type',
      'application/json',
      'content-length',
      String(BODY.length),
      'x-forwarded-for',
      '127.0.0.1',
      'traceparent',
      traceparent,
    ],
    contentLength: BODY.length,
    expectContinue: false,
  };
}

const RESPONSE_WITH_BODY = [
  'content-type',
  'application/json; charset=utf-8',
  'content-length',
  String(BODY.length),
  'date',
  'Thu, 15 Jan 2026 12:00:00 GMT',
  'cache-control',
  'no-store',
  'x-powered-by',
  'shop',
];

const RESPONSE_WITHOUT_BODY = RESPONSE_WITH_BODY.toSpliced(2, 2, 'content-length', '0');

function measure(name: string, each: number, round: (n: number) => void): void {
  round(Math.min(requests, 50_000));
  const nanos: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const start = process.hrtime.bigint();
    round(requests);
    nanos.push(Number(process.hrtime.bigint() - start) / (requests * each));
  }
  nanos.sort((a, b) => a - b);
  const median = nanos[ROUNDS >> 1];
  console.log(
    `${name.padEnd(58)} ${median.toFixed(0).padStart(7)} ns   (${nanos[0].toFixed(0)}-${nanos[ROUNDS - 1].toFixed(0)})`,
  );
}

function hpack(huffman: boolean): void {
  const encoder = new HpackEncoder(4096, { huffman });
  const decoder = new HpackDecoder(4096);
  const reader = new HeadReader(65_536);
  const buf = Buffer.alloc(4096);
  const heads = Array.from({ length: 256 }, (_, i) => requestHead(i, 'GET'));
  let sum = 0;
  measure(`HPACK: a request head, encode + decode${huffman ? ', Huffman' : ''}`, 1, (n) => {
    for (let i = 0; i < n; i++) {
      const head = heads[i & 255];
      encoder.begin(buf, 0, HeadShape.Request);
      encoder.field(':method', head.method);
      encoder.field(':scheme', head.scheme);
      encoder.field(':path', head.path);
      encoder.field(':authority', head.authority);
      const { headers } = head;
      for (let k = 0; k < headers.length; k += 2) encoder.field(headers[k], headers[k + 1]);
      reader.begin(HeadOf.Request);
      if (!decoder.decode(buf, 0, encoder.end(), reader)) throw new Error('broken block');
      sum += reader.finishRequest(false, false)?.headers.length ?? 0;
    }
  });
  if (sum === 0) throw new Error('nothing was decoded');
}

function connections(withBody: boolean, perTurn: number): void {
  let answered = 0;
  const pair = new H2Pair();
  pair.connect(
    {
      ...silentEvents(),
      onResponse(_stream, _head, endStream) {
        if (endStream) answered++;
      },
      onData(stream: H2Stream, _buf, start, end, endStream) {
        pair.client.consume(stream, end - start);
        if (endStream) answered++;
      },
    },
    {
      ...silentEvents(),
      onRequest(stream, _head, endStream) {
        if (endStream) pair.server.respond(stream, 200, RESPONSE_WITHOUT_BODY, true);
      },
      onData(stream, _buf, start, end, endStream) {
        pair.server.consume(stream, end - start);
        if (!endStream) return;
        pair.server.respond(stream, 200, RESPONSE_WITH_BODY, false);
        pair.server.data(stream, BODY, 0, BODY.length, true);
      },
    },
  );
  pair.settle();
  const heads = Array.from({ length: 256 }, (_, i) => requestHead(i, withBody ? 'POST' : 'GET'));
  if (!withBody) for (const head of heads) head.headers.splice(8, 2);
  const what = withBody ? `POST, ${BODY.length} bytes each way` : 'GET, heads only';
  measure(`pair: ${what}, ${perTurn} a turn`, 1, (n) => {
    const before = answered;
    for (let i = 0; i < n; i += perTurn) {
      for (let k = 0; k < perTurn; k++) {
        const stream = pair.client.request(heads[(i + k) & 255], !withBody, null);
        if (stream === null) throw new Error('no slot');
        if (withBody) pair.client.data(stream, BODY, 0, BODY.length, true);
      }
      pair.settle();
    }
    if (answered - before < n) throw new Error(`${answered - before} of ${n} answered`);
  });
}

function throughput(): void {
  const chunk = Buffer.alloc(65_536, 'x');
  let received = 0;
  const pair = new H2Pair();
  pair.connect(silentEvents(), {
    ...silentEvents(),
    onData(stream, _buf, start, end) {
      received += end - start;
      pair.server.consume(stream, end - start);
    },
  });
  pair.settle();
  const stream = pair.client.request({ ...requestHead(0, 'POST'), headers: [], contentLength: -1 }, false, null);
  if (stream === null) throw new Error('no slot');
  const chunks = 50_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < chunks; i++) {
    pair.client.data(stream, chunk, 0, chunk.length, false);
    pair.settle();
  }
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (received !== chunks * chunk.length) throw new Error('bytes went missing');
  console.log(
    `${'pair: one stream, 64 KiB pieces'.padEnd(58)} ${(received / seconds / 2 ** 30).toFixed(1).padStart(7)} GiB/s`,
  );
}

hpack(false);
hpack(true);
connections(false, 16);
connections(true, 16);
connections(true, 1);
throughput();
