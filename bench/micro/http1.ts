/**
 * Time of the HTTP/1.1 codec for one head, in ns: `npx tsx bench/micro/http1.ts`. Each figure is the best of many
 * short rounds, because other work on the machine only ever adds time; the median is beside it.
 */
import { type Http1RequestHead, Http1RequestParser } from '../../src/proxy/http1/request-parser.ts';
import { type Http1ResponseHead, Http1ResponseParser } from '../../src/proxy/http1/response-parser.ts';
import { CONTINUE } from '../../src/proxy/http1/signals.ts';
import { writeRequestHead, writeResponseHead } from '../../src/proxy/http1/writer.ts';
import { OutBuffer } from '../../src/proxy/out-buffer.ts';

const browserRequest = [
  'GET /api/v1/orders?limit=20&cursor=eyJpZCI6MTIzfQ HTTP/1.1',
  'Host: shop.localhost:8443',
  'Connection: keep-alive',
  'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
  'sec-ch-ua-mobile: ?0',
  'sec-ch-ua-platform: "Linux"',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Accept: application/json, text/plain, */*',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-Mode: cors',
  'Sec-Fetch-Dest: empty',
  'Referer: https://shop.localhost:8443/orders',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; _ga=GA1.1.1234567890.1700000000',
  'If-None-Match: W/"5c-Yk3TkLqXyPqvW8Q2H1d0cQ"',
];
const smallRequest = [
  'GET /api/orders/4711 HTTP/1.1',
  'Host: 127.0.0.1:18080',
  'User-Agent: curl/8.5.0',
  'Accept: application/json',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
];

const response = [
  'HTTP/1.1 200 OK',
  'X-Powered-By: Express',
  'Content-Type: application/json; charset=utf-8',
  'Content-Length: 78',
  'ETag: W/"4e-qvT1bGZ3nG0s0sG0Yt3y9uXk2bA"',
  'Date: Sat, 21 Nov 2026 12:00:00 GMT',
  'Connection: keep-alive',
  'Keep-Alive: timeout=5',
];

const ROUNDS = 60;
const CALLS = 20_000;

function measure(what: string, run: () => void): void {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begin = process.hrtime.bigint();
    for (let i = 0; i < CALLS; i++) run();
    times.push(Number(process.hrtime.bigint() - begin) / CALLS);
  }
  times.sort((a, b) => a - b);
  console.log(
    `${what.padEnd(44)} best ${times[0].toFixed(0).padStart(6)} ns   median ${times[ROUNDS >> 1].toFixed(0).padStart(6)} ns`,
  );
}

/** As a socket delivers it: a chunk of its own. */
function asRead(lines: readonly string[]): [buf: Buffer, end: number] {
  const buf = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return [buf, buf.length];
}

let lastRequest: Http1RequestHead | null = null;
let lastResponse: Http1ResponseHead | null = null;
const sink = {
  onData() {},
  onEnd() {},
  onInformational() {},
  onParseError(error: { code: string }) {
    throw new Error(error.code);
  },
};
const requests = new Http1RequestParser({
  ...sink,
  onRequest(head) {
    lastRequest = head;
    return CONTINUE;
  },
});
const responses = new Http1ResponseParser({
  ...sink,
  onResponse(head) {
    lastResponse = head;
    return CONTINUE;
  },
});
const body = Buffer.alloc(78, 0x61);
const out = new OutBuffer(() => {});

const [small, smallEnd] = asRead(smallRequest);
const [browser, browserEnd] = asRead(browserRequest);
const [reply, replyEnd] = asRead(response);

// Twice: by the second time every function has seen every kind of input.
for (let pass = 0; pass < 2; pass++) {
  for (const [what, buf, end] of [
    ['API', small, smallEnd],
    ['browser', browser, browserEnd],
  ] as const) {
    measure(`parse request head, ${what}, ${end} bytes`, () => requests.execute(buf, 0, end));
    const head = lastRequest!;
    measure(`write request head, ${what}`, () => {
      writeRequestHead(out, head, head.headers, 'none');
      out.n = 0;
    });
  }
  measure(`parse response, ${replyEnd} + ${body.length} bytes`, () => {
    responses.expect('GET');
    responses.execute(reply, 0, replyEnd);
    responses.execute(body, 0, body.length);
  });
  const head = lastResponse!;
  const connection = { minor: 1 as const, keepAlive: true, upgrade: null };
  measure('write response head', () => {
    writeResponseHead(out, head.status, head.headers, 'length', connection);
    out.n = 0;
  });
}
