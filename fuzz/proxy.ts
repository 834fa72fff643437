import net from 'node:net';
import tls from 'node:tls';
import { PREFACE } from '../src/proxy/http2/frames.ts';
import { CLIENT_H2 } from '../src/proxy/listener.ts';
import { REQUESTS, RESPONSES } from '../test/proxy/http1/corpus.ts';
import { mutations } from '../test/proxy/http1/mutations.ts';
import { route, startTestMesh, type TestMesh } from '../test/support/proxy-mesh.ts';
import { fetchH1, settled } from '../test/support/traffic.ts';
import { converse, mutateFrames, planRequests } from './http2-wire.ts';
import { echoApp, echoApp2, type ScriptedApp, scriptedApp } from './proxy-apps.ts';
import { type Judge, judgeDoubtful, judgeHttp1, judgeHttp2 } from './proxy-oracle.ts';
import { createRandom, mutateBytes, pieces, type Random } from './random.ts';
import { CASE_DEADLINE_MS, type FuzzCase, type FuzzTarget } from './target.ts';

/** What a doubtful application's requests may take at most. */
const DOUBTFUL_TIMEOUT_MS = 400;
/** Windows of the raw HTTP/2 clients, which never widen them: all answers fit. */
const CLIENT_WINDOWS = { initialWindowBytes: 1 << 20, connectionWindowBytes: 1 << 24 };

/** Ways into the proxies. The number of each stands in inputs. */
const ENTRIES = [
  'h1 dependency',
  'h1 outbound',
  'h1 gateway',
  'h1 to http2 app',
  'h1 inbound tls',
  'h2c dependency',
  'h2c to http2 app',
  'h2 gateway tls',
  'h2 inbound tls',
  'h1 doubtful app',
  'h1 doubtful http2 app',
] as const;
type Entry = (typeof ENTRIES)[number];

/** One connection of a case: how it comes in and what it sends (or, of the doubtful ones, what the application does). */
interface Script {
  entry: Entry;
  bytes: Buffer;
}

/** Scripts as one input: a byte for the entry, three for the length, the bytes. What is cut short is taken as it is. */
function encode(scripts: readonly Script[]): Buffer {
  return Buffer.concat(
    scripts.flatMap(({ entry, bytes }) => {
      const head = Buffer.alloc(4);
      head[0] = ENTRIES.indexOf(entry);
      head.writeUIntBE(bytes.length, 1, 3);
      return [head, bytes];
    }),
  );
}

function decode(input: Buffer): Script[] {
  const scripts: Script[] = [];
  for (let p = 0; p + 4 <= input.length; ) {
    const length = input.readUIntBE(p + 1, 3);
    scripts.push({ entry: ENTRIES[input[p] % ENTRIES.length], bytes: input.subarray(p + 4, p + 4 + length) });
    p += 4 + length;
  }
  return scripts;
}

/** Everything that a case is played against. */
interface Stage {
  mesh: TestMesh;
  doubtful: ScriptedApp;
  doubtful2: ScriptedApp;
}

/** Real listeners, links with mutual TLS between them, and applications behind them; anything in front and, at times, behind. */
export async function startProxyTarget(): Promise<FuzzTarget> {
  const [app, app2, doubtful, doubtful2] = await Promise.all([echoApp(), echoApp2(), scriptedApp(), scriptedApp()]);
  const hurried = [{ timeouts: { requestMs: DOUBTFUL_TIMEOUT_MS, idleMs: 0 } }];
  const mesh = await startTestMesh(
    {
      app: { apps: [{ port: app.port }] },
      app2: { protocol: 'http2', apps: [{ port: app2.port }] },
      doubtful: { apps: [{ port: doubtful.port }], routes: hurried },
      doubtful2: { protocol: 'http2', apps: [{ port: doubtful2.port }], routes: hurried },
    },
    [route({ service: 'app' })],
  );
  const stage: Stage = { mesh, doubtful, doubtful2 };
  return {
    name: 'proxy',
    make: (random) => proxyCase(random, stage),
    async close() {
      await mesh.close();
      await Promise.all([app.close(), app2.close(), doubtful.close(), doubtful2.close()]);
    },
  };
}

function proxyCase(random: Random, stage: Stage): FuzzCase {
  const scripts = Array.from({ length: 1 + random.below(8) }, (_, index) => {
    const entry = random.chance(8) ? random.pick(ENTRIES.slice(9)) : random.pick(ENTRIES.slice(0, 9));
    return { entry, bytes: scriptFor(random, entry, index) };
  });
  const behaviour = random.below(0x7fff_ffff);
  return {
    kind: 'batches of connections',
    input: encode(scripts),
    check: (input) => play(stage, decode(input), createRandom(behaviour)),
    parts: (input) => decode(input).map((script) => encode([script])),
  };
}

function scriptFor(random: Random, entry: Entry, index: number): Buffer {
  const path = (n: number) => `/f/${index}-${n}-${random.below(0xffff_ffff).toString(16)}`;
  if (entry === 'h1 doubtful app') return doubtfulResponse(random);
  if (entry === 'h1 doubtful http2 app') {
    const { server } = converse(random, planRequests(random, 3), CLIENT_WINDOWS, {});
    return mutateFrames(random, server, 1 + random.below(5));
  }
  if (entry.startsWith('h2')) {
    const { client } = converse(random, planRequests(random, 8, path), CLIENT_WINDOWS, CLIENT_H2);
    const mutated = random.chance(75) ? mutateFrames(random, client, 1 + random.below(5)) : client;
    return random.chance(10) ? mutateBytes(random, mutated, 1 + random.below(3)) : mutated;
  }
  return http1Script(random, entry, path);
}

/** Valid requests, and some that are changed, one behind the other. */
function http1Script(random: Random, entry: Entry, path: (n: number) => string): Buffer {
  const parts: Buffer[] = [];
  for (let n = 0, count = 1 + random.below(6); n < count; n++) {
    const valid = validRequest(random, entry, path(n));
    let part = valid;
    if (random.chance(35)) [part] = mutations([valid], 1, random.below(0x7fff_ffff));
    else if (random.chance(5)) [part] = mutations(REQUESTS, 1, random.below(0x7fff_ffff));
    const bytes = Buffer.from(part, 'latin1');
    parts.push(random.chance(5) ? mutateBytes(random, bytes, 1 + random.below(3)) : bytes);
  }
  return Buffer.concat(parts);
}

function validRequest(random: Random, entry: Entry, path: string): string {
  const method = random.pick(['GET', 'GET', 'POST', 'POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS']);
  const proxied = entry === 'h1 outbound' && random.chance(50);
  const lines = [`${method} ${proxied ? 'http://app' : ''}${path} HTTP/1.${random.chance(95) ? 1 : 0}`, 'Host: app'];
  if (random.chance(5)) lines.push('Connection: close');
  if (random.chance(20)) lines.push(`X-${random.below(10)}: ${'v'.repeat(random.below(100))}`);
  if (random.chance(10)) lines.push('Cookie: a=b', 'TE: trailers', 'Connection: te');
  if (random.chance(2))
    lines.push(
      'Connection: upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    );
  let body = '';
  if (method === 'POST' || method === 'PUT') {
    // Content that would do harm if it were taken for what follows.
    const content = random.chance(50)
      ? `GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n`
      : 'x'.repeat(random.below(random.chance(10) ? 100_000 : 500));
    if (random.chance(10)) lines.push('Expect: 100-continue');
    if (random.chance(50)) {
      lines.push(`Content-Length: ${content.length}`);
      body = content;
    } else {
      lines.push('Transfer-Encoding: chunked');
      const cut = random.below(content.length + 1);
      for (const chunk of [content.slice(0, cut), content.slice(cut)])
        if (chunk !== '') body += `${chunk.length.toString(16)}\r\n${chunk}\r\n`;
      body += random.chance(30) ? '0\r\nX-Trailer: 1\r\n\r\n' : '0\r\n\r\n';
    }
  }
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

function doubtfulResponse(random: Random): Buffer {
  const texts = RESPONSES.map(([, text]) => text);
  const [text] = random.chance(30) ? [random.pick(texts)] : mutations(texts, 1, random.below(0x7fff_ffff));
  return Buffer.from(random.chance(30) ? text + random.pick(texts) : text, 'latin1');
}

/** Plays all connections of a case at once, and then asks whether the proxies are as before. */
async function play(stage: Stage, scripts: readonly Script[], random: Random): Promise<string | null> {
  const { mesh } = stage;
  const plans = scripts.map(({ entry, bytes }) => {
    const cuts = Array.from({ length: random.below(6) }, () => random.below(bytes.length + 1));
    // Some go away in the middle; what they would have got is nobody's business.
    const leaves = random.chance(15) ? random.below(8) : null;
    return { entry, bytes, cuts, leaves, close: random.chance(60) };
  });
  const wrongs = await Promise.all(
    plans.map(async ({ entry, bytes, cuts, leaves, close }) => {
      const wrong = await run(stage, entry, bytes, cuts, leaves, close);
      return wrong === null ? null : `${entry}: ${wrong}`;
    }),
  );
  stage.doubtful.forget();
  stage.doubtful2.forget();
  mesh.notices.length = 0;
  mesh.inFlight.length = 0;
  const wrong = wrongs.find((each) => each !== null) ?? (await stillServes(mesh));
  if (wrong !== null) return wrong;
  try {
    await settled(mesh);
  } catch (error) {
    return (error as Error).message;
  }
  return null;
}

async function run(
  stage: Stage,
  entry: Entry,
  bytes: Buffer,
  cuts: readonly number[],
  leaves: number | null,
  close: boolean,
): Promise<string | null> {
  const { mesh } = stage;
  if (entry === 'h1 doubtful app' || entry === 'h1 doubtful http2 app') {
    const app = entry === 'h1 doubtful app' ? stage.doubtful : stage.doubtful2;
    app.next(pieces(bytes, cuts), close);
    const service = entry === 'h1 doubtful app' ? 'doubtful' : 'doubtful2';
    const ask = Buffer.from(`GET /d HTTP/1.1\r\nHost: ${service}\r\n\r\n`);
    return talk(net.connect(mesh.dependency[service], '127.0.0.1'), [ask], judgeDoubtful(ask), leaves);
  }
  const socket = await connect(mesh, entry);
  if (socket === null) return 'no connection';
  return talk(socket, pieces(bytes, cuts), judgeFor(entry, bytes), leaves);
}

/** What a connection is depends on its first bytes too, where there is no TLS to say it. */
function judgeFor(entry: Entry, bytes: Buffer): Judge {
  if (entry.endsWith('tls')) return entry.startsWith('h2') ? judgeHttp2(bytes) : judgeHttp1(bytes);
  if (bytes.subarray(0, 4).equals(PREFACE.subarray(0, 4))) return judgeHttp2(bytes);
  // On a dependency's port this is raw TCP: whatever the application makes of it.
  const first = String.fromCharCode(bytes[0] ?? 0);
  if (!/[A-Za-z]/.test(first) && entry !== 'h1 outbound' && entry !== 'h1 gateway')
    return () => ({ done: true, wrong: null });
  return judgeHttp1(bytes);
}

function connect(mesh: TestMesh, entry: Entry): Promise<net.Socket | null> {
  const plain = (port: number) => net.connect(port, '127.0.0.1');
  const secure = (port: number, alpn: string, client: boolean) => {
    const { certificate, privateKey } = mesh.identities['spiffe://test.local/ns/default/sa/client'];
    const identity = client ? { cert: certificate, key: privateKey } : {};
    return tls.connect({ port, host: '127.0.0.1', ALPNProtocols: [alpn], rejectUnauthorized: false, ...identity });
  };
  const open = (): net.Socket => {
    switch (entry) {
      case 'h1 outbound':
        return plain(mesh.outbound);
      case 'h1 gateway':
        return plain(mesh.gateway);
      case 'h1 to http2 app':
      case 'h2c to http2 app':
        return plain(mesh.dependency.app2);
      case 'h1 inbound tls':
        return secure(mesh.inbound['app-1'], 'http/1.1', true);
      case 'h2 inbound tls':
        return secure(mesh.inbound['app-1'], 'h2', true);
      case 'h2 gateway tls':
        return secure(mesh.gatewayTls, 'h2', false);
      default:
        return plain(mesh.dependency.app);
    }
  };
  return new Promise((resolve) => {
    const socket = open();
    socket.on('error', () => resolve(null));
    socket.once(socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect', () => resolve(socket));
  });
}

/** Sends the pieces, a turn apart, and waits until the judge has seen enough. */
function talk(
  socket: net.Socket,
  input: readonly Buffer[],
  judge: Judge,
  leaves: number | null,
): Promise<string | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let over = false;
    const finish = (wrong: string | null) => {
      if (over) return;
      over = true;
      clearTimeout(deadline);
      socket.destroy();
      resolve(wrong);
    };
    const deadline = setTimeout(
      () =>
        finish(
          `hangs: no answer within ${CASE_DEADLINE_MS} ms; so far ${JSON.stringify(Buffer.concat(chunks).toString('latin1').slice(0, 300))}`,
        ),
      CASE_DEADLINE_MS,
    );
    const look = (closed: boolean) => {
      if (over) return;
      const { done, wrong } = judge(Buffer.concat(chunks), closed);
      if (done) finish(wrong);
    };
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      look(false);
    });
    socket.on('error', () => look(true));
    socket.on('end', () => look(true));
    socket.on('close', () => look(true));
    const send = async () => {
      for (const [i, piece] of input.entries()) {
        if (i === leaves) return finish(null);
        if (over || socket.destroyed) return;
        socket.write(piece);
        await new Promise((next) => setImmediate(next));
      }
      if (leaves !== null) finish(null);
      else look(false);
    };
    void send();
  });
}

/** Good requests, of HTTP/1.1 through both kinds of application. */
async function stillServes(mesh: TestMesh): Promise<string | null> {
  for (const [port, path] of [
    [mesh.dependency.app, '/good/1'],
    [mesh.dependency.app2, '/good/2'],
  ] as const) {
    try {
      const { status, headers, body } = await fetchH1(port, {
        path,
        method: 'POST',
        headers: { host: 'app' },
        body: 'good',
      });
      if (
        status !== 200 ||
        headers['x-echo-path'] !== encodeURIComponent(path) ||
        (body !== 'good' && body !== 'early')
      ) {
        return `afterwards a good request gets ${status} ${JSON.stringify(headers)} ${body}`;
      }
    } catch (error) {
      return `afterwards a good request gets ${(error as Error).message}`;
    }
  }
  return null;
}
