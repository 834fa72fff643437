/**
 * Time of the HTTP/1.1 codec for one head, in ns: `npx tsx bench/micro/http1.ts`. Each figure is the best of many
 * short rounds, because other work on the machine only ever adds time; the median is beside it.
 */
import { Http1RequestParser } from '../../src/proxy/http1/request-parser.ts';
import { CONTINUE } from '../../src/proxy/http1/signals.ts';

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

/** As a socket delivers it: at the start of a large read buffer. */
function asRead(lines: readonly string[]): [buf: Buffer, end: number] {
  const text = `${lines.join('\r\n')}\r\n\r\n`;
  const buf = Buffer.alloc(64 * 1024);
  return [buf, buf.latin1Write(text, 0)];
}

let fields = 0;
const parser = new Http1RequestParser({
  onRequest(head) {
    fields += head.headers.length;
    return CONTINUE;
  },
  onData() {},
  onEnd() {},
  onParseError(error) {
    throw new Error(error.code);
  },
});

const [small, smallEnd] = asRead(smallRequest);
const [browser, browserEnd] = asRead(browserRequest);
for (let warm = 0; warm < 2; warm++) {
  measure(`parse request head, API, ${smallEnd} bytes`, () => parser.execute(small, 0, smallEnd));
  measure(`parse request head, browser, ${browserEnd} bytes`, () => parser.execute(browser, 0, browserEnd));
}
if (fields === 0) throw new Error('nothing was parsed');
